"""Proxies, their exceptions and trusted certificates, as the environment names them: followed, or named in one line."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import DownloadError, NetworkError
from mnist_pipeline.network import proxy_for, public_url
from mnist_pipeline.workspace import Workspace

VARIABLES = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "ssl_cert_file",
    "ssl_cert_dir",
    "requests_ca_bundle",
)
DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the network is set; a test sets its own."""
    for name in list(os.environ):
        if name.lower() in VARIABLES:
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def fetch(small_sprite, tmp_path: Path) -> Callable[[str], str]:
    """Fetch from a source, in one attempt, and return where it came from."""

    def fetch(source: str) -> str:
        config = FetchConfig(dataset=small_sprite.describe(), source=source, attempts=1)
        return fetch_dataset(config, Workspace(tmp_path / "workspace")).source

    return fetch


@pytest.fixture
def mirror(small_sprite, serve, environment: pytest.MonkeyPatch) -> int:
    """The port of a mirror on this machine, which every name and address that is looked up leads to."""
    server = serve(small_sprite.folder)
    environment.delenv("NO_PROXY")  # set by `serve`
    port = int(server.url.rstrip("/").rpartition(":")[2])
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    look_up = socket.getaddrinfo

    def lead(host: str | bytes, asked: int, *rest: object, **options: object) -> object:
        away = host not in {"127.0.0.1", b"127.0.0.1"}
        return here if away else look_up(host, asked, *rest, **options)  # type: ignore[arg-type]

    environment.setattr(socket, "getaddrinfo", lead)
    return port


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("form", ["http://user:secret@127.0.0.1:{}", "user:secret@127.0.0.1:{}"])
def test_a_source_is_read_through_the_proxy_that_is_named(fetch, proxy, environment, variable: str, form: str):
    server = proxy(password="secret")
    environment.setenv(variable, form.format(server.server_port))
    environment.setenv("no_proxy", "localhost,10.0.0.0/8,fd00::/8")
    assert fetch("http://mirror.example/mnist/") == "http://mirror.example/mnist/"
    assert server.asked == ["http://mirror.example/mnist/labels.bin", "http://mirror.example/mnist/images.png"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3", "data.localhost", "[::1]", "0.0.0.0"])
@pytest.mark.parametrize(
    "proxies", [{"http_proxy": DEAD}, {"ALL_PROXY": "socks5://127.0.0.1:9"}, {"HTTP_PROXY": "junk:"}]
)
def test_this_machine_is_never_reached_through_a_proxy(fetch, mirror, environment, host: str, proxies: dict[str, str]):
    for name, value in proxies.items():
        environment.setenv(name, value)
    assert fetch(f"http://{host}:{mirror}/") == f"http://{host}:{mirror}/"


@pytest.mark.parametrize(
    ("host", "exceptions"),
    [
        ("[fd00::7]", "fd00::/8"),
        ("[fd00::7]", "[fd00::7]"),
        ("[fd00::7]", "fe80::/10, fd00:0:0::7"),
        ("10.1.2.3", "192.168.0.0/16,10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3"),
        ("mirror.example", "fd00::/8, mirror.example"),
        ("a.mirror.example", "mirror.example"),
        ("a.mirror.example", ".mirror.example"),
        ("a.mirror.example", "*.Mirror.Example"),
        ("mirror.example", "mirror.example:{port}"),
        ("mirror.example", "example.org, *"),
    ],
)
def test_no_proxy_excepts_names_addresses_and_networks(fetch, mirror, environment, host: str, exceptions: str):
    environment.setenv("http_proxy", DEAD)
    environment.setenv("no_proxy", exceptions.format(port=mirror))
    assert fetch(f"http://{host}:{mirror}/") == f"http://{host}:{mirror}/"


@pytest.mark.parametrize(
    "exceptions", ["fe80::/10", "10.0.0.0/8", "irror.example", "mirror.example:1", "a.mirror.example", ",", "["]
)
def test_no_proxy_excepts_nothing_else(fetch, proxy, environment, exceptions: str):
    server = proxy()
    environment.setenv("http_proxy", f"127.0.0.1:{server.server_port}")
    environment.setenv("no_proxy", exceptions)
    fetch("http://mirror.example/")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "ALL_PROXY",
            "socks5://me:secret@proxy:1080",
            r"ALL_PROXY=socks5://proxy:1080 is a SOCKS proxy, .*pip install",
        ),
        (
            "all_proxy",
            "socks://proxy:1080/",
            r"all_proxy=socks://proxy:1080/ is no proxy: it does not begin with http://",
        ),
        (
            "HTTPS_PROXY",
            "http://me:secret@proxy:99999",
            r"HTTPS_PROXY=http://\.\.\. is no proxy: its port is no number",
        ),
        (
            "HTTPS_PROXY",
            "http://me:se/cret@proxy:3128",
            r"HTTPS_PROXY=http://\.\.\. is no proxy: its port is no number",
        ),
        ("https_proxy", "gopher://proxy", r"https_proxy=gopher://proxy is no proxy: it does not begin with http://"),
        (
            "https_proxy",
            "http://",
            r"https_proxy=http:// is no proxy: it names no host; write http://HOST:PORT, or unset",
        ),
        ("https_proxy", "http://[::1", r"https_proxy=http://\.\.\. is no proxy: its host is malformed"),
        (
            "https_proxy",
            "http://me:secret@127.0.0.1:9",
            r"refused, through https_proxy=http://127\.0\.0\.1:9 \(attempt 1",
        ),
    ],
)
def test_a_proxy_that_does_not_serve_is_named_without_its_password(
    fetch, environment, variable: str, value: str, line: str
):
    if value.startswith("socks5"):
        environment.setitem(sys.modules, "socksio", None)  # whether it is installed or not
    environment.setenv(variable, value)
    with pytest.raises(
        DownloadError, match=rf"^cannot download https://mirror\.example/labels\.bin: .*{line}"
    ) as caught:
        fetch("https://mirror.example/")
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_is_asked_once_and_named(fetch, proxy, environment, scheme: str):
    server = proxy(password="secret")
    environment.setenv(f"{scheme}_proxy", f"http://user:wrong@127.0.0.1:{server.server_port}")
    with pytest.raises(DownloadError, match=rf"407.*through {scheme}_proxy=http://127\.0\.0\.1:") as caught:
        fetch(f"{scheme}://mirror.example/")
    assert len(server.asked) == 1
    assert "wrong" not in str(caught.value)


def test_a_proxy_that_is_dead_is_tried_again(
    small_sprite, tmp_path: Path, environment, caplog: pytest.LogCaptureFixture
):
    environment.setenv("HTTP_PROXY", DEAD)
    config = FetchConfig(dataset=small_sprite.describe(), source="http://mirror.example/", attempts=3)
    with stamina.set_testing(True, attempts=3, cap=True), pytest.raises(DownloadError, match=r"attempt 3 of 3"):
        fetch_dataset(config, Workspace(tmp_path / "workspace"))
    assert caplog.text.count(f"through HTTP_PROXY={DEAD}") == 2


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(value=texts, exceptions=texts, host=st.sampled_from(["mirror.example", "10.0.0.1", "[fd00::1]"]))
def test_no_value_of_the_variables_is_more_than_one_line(value: str, exceptions: str, host: str):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("https_proxy", f"http://user:pass-word@{value}")
        patch.setenv("no_proxy", exceptions)
        try:
            said = str(proxy_for(f"https://{host}/"))
        except NetworkError as error:
            said = str(error)
    assert said.isprintable()
    assert "pass-word" not in said


@given(texts)
def test_what_is_shown_of_an_address_has_no_password(text: str):
    for url in (
        f"https://user:pass-word@{text}",
        f"https://user:80/pass-word@{text}",
        f"https://user:#pass-word@{text}",
    ):
        shown = public_url(url)
        assert "pass-word" not in shown
        assert shown.isprintable()


# Trusted certificates


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_certificate_of_a_company_is_trusted_where_it_is_named(fetch, company, environment, variable: str):
    url, authority = company
    with pytest.raises(
        DownloadError, match=r"CERTIFICATE_VERIFY_FAILED.*Mozilla's list holds: name .* in SSL_CERT_FILE"
    ):
        fetch(url)
    environment.setenv(variable, str(authority))
    assert fetch(url) == url


def test_a_folder_of_certificates_holds_them_under_their_hashes(fetch, company, environment, tmp_path: Path):
    if shutil.which("openssl") is None:
        pytest.skip("the hash of a certificate is told by openssl, which is not installed")
    url, authority = company
    folder = tmp_path / "certificates"
    folder.mkdir()
    shutil.copy(authority, folder)
    environment.setenv("SSL_CERT_DIR", f"/nowhere{os.pathsep}{folder}")
    with pytest.raises(
        DownloadError, match=r"SSL_CERT_DIR=.*: it holds no certificate under its hash \(openssl rehash"
    ):
        fetch(url)
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    assert fetch(url) == url


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("SSL_CERT_FILE", "{folder}/nothing.pem", "No such file or directory"),
        ("SSL_CERT_FILE", "{folder}/garbage.pem", r"it holds no certificate \(PEM\)"),
        ("SSL_CERT_FILE", "{folder}/empty.pem", r"it holds no certificate \(PEM\)"),
        ("SSL_CERT_DIR", "{folder}/nothing", "there is no such folder"),
        ("SSL_CERT_DIR", "{folder}/garbage.pem", "there is no such folder"),
        ("REQUESTS_CA_BUNDLE", "{folder}/garbage.pem", r"it holds no certificate \(PEM\)"),
    ],
)
def test_certificates_that_cannot_be_read_are_not_the_workspaces_fault(
    fetch, environment, tmp_path: Path, variable: str, value: str, problem: str
):
    (tmp_path / "garbage.pem").write_bytes(b"\x00 no certificate \xff")
    (tmp_path / "empty.pem").touch()
    named = value.format(folder=tmp_path)
    environment.setenv(variable, named)
    line = rf"labels\.bin: {variable}={named}: {problem}; name a file of trusted certificates, or unset {variable}$"
    with pytest.raises(DownloadError, match=line):
        fetch("https://127.0.0.1:9/")


def test_nobody_needs_certificates_without_tls(fetch, mirror, environment):
    environment.setenv("SSL_CERT_FILE", "/nothing")
    fetch(f"http://mirror.example:{mirror}/")


def test_the_command_says_one_line_and_falls_back_to_the_digits(tmp_path: Path, environment):
    """The embedded digits stand in, as they do where there is no network; a source that was named is insisted on."""
    environment.setenv("https_proxy", "junk://me:secret@proxy")
    environment.delenv("MNIST_PIPELINE_SOURCE", raising=False)
    command = [sys.executable, "-P", "-m", "mnist_pipeline", "fetch", "--workspace", str(tmp_path / "workspace")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MNIST CANNOT BE REACHED" in done.stderr
    assert "https_proxy=junk://proxy is no proxy" in done.stderr.replace("\n", " ")
    named = subprocess.run(
        [*command, "--source", "https://mirror.example/"], capture_output=True, text=True, check=False
    )
    assert named.returncode == 1
    assert [line.split(":")[0] for line in named.stderr.splitlines()] == ["error"]
    assert "secret" not in done.stderr + named.stderr
