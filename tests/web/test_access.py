"""Who may ask: the Host, other sites, tokens; and what every answer forbids the browser."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.web.security import Access, own_names
from tests.support.served import served

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("10.1.2.3", 200),
        ("rebound.example:8000", 400),
        ("localhost.rebound.example", 400),
        ("127.0.0.1.rebound.example", 400),
        ("[", 400),
        ("", 400),
    ],
)
def test_a_name_that_is_not_its_own_is_refused_because_any_site_can_let_one_lead_here(server, host, code):
    assert server.client.get("/health", headers={"host": host}).status_code == code


def test_pages_of_other_sites_can_read_nothing_and_compute_nothing(server, small_workspace):
    image = (small_workspace.scans / "0.png").read_bytes()
    for foreign in ({"origin": "http://other.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert server.classify(image, headers=foreign).status_code == 403
    own = {"origin": server.url.rstrip("/"), "sec-fetch-site": "same-origin"}
    assert server.classify(image, headers=own).status_code == 200
    asked = server.client.options("/v1/classify", headers={"origin": "http://other.example"})
    assert "access-control-allow-origin" not in asked.headers


def test_every_answer_forbids_the_browser_what_no_page_of_ours_needs(server):
    for path in ("/", "/health", "/static/try.js", "/nothing"):
        headers = server.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_with_a_token_only_who_brings_it_is_let_in(small_workspace):
    with served(small_workspace.root, access=Access(own_names("localhost"), TOKEN)) as running:
        client = running.client
        assert client.get("/").status_code == client.get("/metrics").status_code == 401
        assert client.get("/", params={"token": "another"}).status_code == 401
        assert client.get("/", headers={"authorization": "Bearer another"}).status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        let_in = client.get("/", params={"token": TOKEN, "a": "b"})
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/?a=b")
        assert "HttpOnly" in let_in.headers["set-cookie"]
        assert client.get("/").status_code == 200  # with the cookie


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached from other machines: add --token SECRET"),
        (["--host", "::"], "--host :: can be reached from other machines"),
        (["--token", "short"], "--token has 5 characters; give it at least 16"),
        (["--port", "1", "--host", "192.0.2.1", "--insecure"], "--host 192.0.2.1 --port 1: cannot be used"),
    ],
)
def test_a_server_that_must_not_or_cannot_be_is_refused_in_one_line(words, sentence, tmp_path):
    done = CliRunner().invoke(app, ["serve", "--workspace", str(tmp_path), *words])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {sentence}")
    assert len(done.stderr.splitlines()) == 1


def test_where_the_extra_is_missing_it_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        f"sys.argv = ['mnist-pipeline', 'serve', '--workspace', {str(tmp_path)!r}]\n"
        "from mnist_pipeline.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ("error: serve needs the 'web' extra; install it with: pip install 'mnist-pipeline[web]'\n")
