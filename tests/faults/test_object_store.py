"""Datasets and registries in an object store, with everything that the environment and the server may get wrong."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.description import load_description
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.data.sources import unreachable
from mnist_pipeline.errors import DataError, DownloadError, StorageError, UsageError
from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.progress import Progress
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import Workspace

DEAD = "http://127.0.0.1:9"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
OF_THE_NETWORK = ("_proxy", "ssl_cert_file", "ssl_cert_dir", "requests_ca_bundle")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Keys, and no other variable of object stores or of the network."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith(OF_THE_NETWORK):
            monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("mnist_pipeline.files.object_client.RETRIES", 1)
    return monkeypatch


@pytest.fixture
def server(object_server: Any, environment: pytest.MonkeyPatch) -> Any:
    """The server that the environment names."""
    environment.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
    object_server.gate.requests.clear()
    return object_server


@pytest.fixture
def source(server: Any, small_sprite: Any, request: pytest.FixtureRequest) -> str:
    """The sprite's two files in a folder of the bucket."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    url = f"s3://bucket/sources/{name}"
    folder = ObjectFolder(url)
    for path in (small_sprite.png, small_sprite.one_hot):
        folder.put(path.name, path.read_bytes())
    server.gate.requests.clear()
    return url


@pytest.fixture
def fetch(small_sprite: Any, tmp_path: Path) -> Callable[..., FetchedDataset]:
    def fetch(source: str, told: Callable[[Progress], None] = lambda _: None, **changes: object) -> FetchedDataset:
        config = FetchConfig.model_validate({"dataset": small_sprite.describe(), "source": source} | changes)
        return fetch_dataset(config, Workspace(tmp_path / "workspace"), told)

    return fetch


def refused(work: Callable[[], object], *, kind: type[Exception] = DownloadError) -> str:
    """The one line that the work ends with."""
    with pytest.raises(kind) as caught:
        work()
    assert str(caught.value).isprintable()
    return str(caught.value)


# A dataset's source


def test_a_source_in_a_bucket_is_the_dataset_that_a_folder_gives(fetch, source, server, small_sprite, tmp_path: Path):
    told: list[Progress] = []
    fetched = fetch(f"{source}/", told.append).verify()
    assert np.array_equal(Dataset.open(fetched.directory, validation_rows=0).images, small_sprite.images)
    assert fetched.source == f"{source}/"
    folder = FetchConfig(dataset=small_sprite.describe(), source=str(small_sprite.folder))
    assert fetch_dataset(folder, Workspace(tmp_path / "other")).digest == fetched.digest
    last = {progress.activity: (progress.done, progress.total, progress.unit) for progress in told}
    size = small_sprite.png.stat().st_size
    assert last["download images.png"] == (size, size, "bytes")
    assert [path.rpartition("/")[2] for method, path in server.gate.requests if method == "GET"] == [
        "labels.bin",
        "images.png",
    ]
    server.gate.requests.clear()
    assert fetch(source).reused
    assert server.gate.requests == []


def test_an_object_of_several_chunks_is_checked_whole(fetch, source, small_sprite, server):
    """The pixels are pinned, not the bytes: text after the last row makes the file larger than one chunk."""
    png = small_sprite.png.read_bytes()
    end = png[-12:]
    filler = os.urandom(3_000_000)
    chunk = len(filler).to_bytes(4, "big") + b"zzZz" + filler
    padded = png[:-12] + chunk + zlib.crc32(chunk[4:]).to_bytes(4, "big") + end
    text = Path(small_sprite.describe()).read_text()
    description = small_sprite.folder / "padded.toml"
    description.write_text(text.replace("[files]", "[files]\nmax_image_bytes = 10_000_000"))
    ObjectFolder(source).put("images.png", padded)
    told: list[Progress] = []
    fetch(source, told.append, dataset=str(description)).verify()
    steps = [progress.done for progress in told if progress.activity == "download images.png"]
    assert len(steps) > 1
    assert steps == sorted(steps)
    assert steps[-1] == len(padded)


def test_objects_of_other_bytes_are_refused_and_named(fetch, source, small_sprite):
    folder = ObjectFolder(source)
    labels = small_sprite.one_hot.read_bytes()
    folder.put("labels.bin", bytes([labels[0] ^ 1]) + labels[1:])
    assert f"{source}/labels.bin has SHA-256" in refused(lambda: fetch(source), kind=DataError)
    folder.put("labels.bin", labels[:-1])
    assert "has 319 bytes, expected 320" in refused(lambda: fetch(source), kind=DataError)
    folder.put("labels.bin", b"<html>")
    assert "is a web page" in refused(lambda: fetch(source), kind=DataError)


def test_a_server_that_is_busy_is_tried_again(fetch, source, server, small_sprite):
    server.gate.busy = 1
    assert fetch(source).digest
    assert server.gate.busy == 0


def test_a_bucket_that_fails_is_replaced_by_the_copy_of_an_earlier_fetch(fetch, source, server, small_sprite, caplog):
    first = fetch(source, dataset=small_sprite.describe(pinned=False))
    server.gate.busy = 100
    again = fetch(source, dataset=small_sprite.describe(pinned=False))
    server.gate.busy = 0
    assert again.digest == first.digest
    assert "the server answered 503 Service Unavailable" in caplog.text
    assert "using the verified copy of an earlier fetch" in caplog.text


def test_what_is_not_there_is_named(fetch, source, server, small_sprite):
    ObjectFolder(source).delete(["labels.bin"])
    assert refused(lambda: fetch(source)).startswith(f"{source}/labels.bin: there is no such object; --source names")
    assert "NoSuchBucket (The specified bucket does not exist)" in refused(lambda: fetch("s3://no-such-bucket/mnist"))
    description = load_description(small_sprite.describe())
    absent = unreachable(description, FetchConfig(source=source))
    assert absent == f"{source}/labels.bin: there is no such object, or no such bucket"
    ObjectFolder(source).put("labels.bin", b"")
    assert unreachable(description, FetchConfig(source=source)) is None


@pytest.mark.parametrize(
    "source", ["s3://", "s3://B", "s3://me:secret@bucket/mnist", "s3://bucket/a?secret", "s3://bucket:1/a"]
)
def test_a_malformed_address_of_a_bucket_is_bad_usage(fetch, source: str):
    line = refused(lambda: fetch(source), kind=UsageError)
    assert "s3" in line
    assert "secret" not in line


# The environment


def test_this_machine_is_never_reached_through_a_proxy(fetch, source, environment):
    environment.setenv("HTTP_PROXY", DEAD)
    environment.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    environment.setenv("no_proxy", "fd00::/8")
    assert fetch(source).digest


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        (
            {"AWS_ENDPOINT_URL": "nonsense"},
            r"AWS_ENDPOINT_URL=nonsense is no address of a server: .*begin with http://",
        ),
        ({"AWS_ENDPOINT_URL": "localhost:9000"}, r"AWS_ENDPOINT_URL=localhost:9000 is no address of a server: it does"),
        ({"AWS_ENDPOINT_URL": ""}, r"AWS_ENDPOINT_URL= is no address of a server: .*, or unset AWS_ENDPOINT_URL$"),
        ({"AWS_ENDPOINT_URL": "http://"}, r"AWS_ENDPOINT_URL=http:// is no address of a server: it names no host"),
        ({"AWS_ENDPOINT_URL": "http://minio:90000"}, r"AWS_ENDPOINT_URL=http://\.\.\. is no address .*: its port is"),
        ({"AWS_ENDPOINT_URL": "http://mi nio"}, r"AWS_ENDPOINT_URL=http://mi nio is no address .*: it holds a space"),
        ({"AWS_ENDPOINT_URL": "https://me:secret@"}, r"AWS_ENDPOINT_URL=https:// is no address of a server: it names"),
        ({"AWS_ENDPOINT_URL_S3": "minio"}, r"AWS_ENDPOINT_URL_S3=minio is no address of a server"),
        ({"AWS_ENDPOINT_URL": DEAD}, rf"{DEAD} cannot be reached: Connection refused; check AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "http://no-such-host.invalid"}, r"http://no-such-host\.invalid cannot be reached: "),
        ({"AWS_ACCESS_KEY_ID": "secret\n"}, r"AWS_ACCESS_KEY_ID holds a line break or a space at an end"),
        ({"AWS_SECRET_ACCESS_KEY": " secret"}, r"AWS_SECRET_ACCESS_KEY holds a line break or a space at an end"),
        ({"AWS_SESSION_TOKEN": "sec\nret"}, r"AWS_SESSION_TOKEN holds a line break or a space at an end"),
        ({"AWS_REGION": "eu-central-1\n"}, r"AWS_REGION holds a line break or a space at an end"),
        ({"AWS_SECRET_ACCESS_KEY": None}, r"there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SKIP_SIGNATURE": "maybe"}, r'AWS_SKIP_SIGNATURE cannot be used: .*parse "maybe" as boolean'),
        ({"https_proxy": "junk://x", "AWS_ENDPOINT_URL": "https://minio.example"}, r"https_proxy=junk://x is no proxy"),
        ({"ALL_PROXY": "socks5://x", "AWS_ENDPOINT_URL": "https://minio.example"}, r"ALL_PROXY=socks5://x is a SOCKS"),
        (
            {"https_proxy": "http://me:secret@127.0.0.1:9", "AWS_ENDPOINT_URL": "https://minio.example"},
            r"https://minio\.example cannot be reached through https_proxy=http://127\.0\.0\.1:9: Connection refused",
        ),
        ({"SSL_CERT_FILE": "/nothing.pem"}, r"SSL_CERT_FILE=/nothing\.pem: No such file or directory; name a file"),
        ({"SSL_CERT_DIR": "/nothing"}, r"SSL_CERT_DIR=/nothing: there is no such folder"),
        ({"REQUESTS_CA_BUNDLE": "/dev/null"}, r"REQUESTS_CA_BUNDLE=/dev/null: it holds no certificate \(PEM\)"),
        (
            dict.fromkeys(KEYS) | {"AWS_METADATA_ENDPOINT": DEAD},
            r"there are no credentials: set AWS_ACCESS_KEY_ID and .*AWS_SKIP_SIGNATURE=true for a bucket that is open",
        ),
    ],
)
@pytest.mark.parametrize("of", ["source", "registry"])
def test_a_variable_that_cannot_be_used_is_named(
    fetch, server, environment, tmp_path: Path, variables: dict[str, str | None], line: str, of: str
):
    for name, value in variables.items():
        if value is None:
            environment.delenv(name)
        else:
            environment.setenv(name, value)

    def work() -> object:
        return fetch("s3://bucket/mnist") if of == "source" else ObjectFolder("s3://bucket/models").folders()

    said = refused(work, kind=DownloadError if of == "source" else StorageError)
    assert re.search(line, said), said
    assert "secret" not in said.replace("AWS_SECRET", "")


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (301, b"", r"the bucket is not in the region us-east-1; set AWS_REGION"),
        (
            403,
            b"<Error><Code>InvalidAccessKeyId</Code><Message>No such key</Message></Error>",
            r"InvalidAccessKeyId \(",
        ),
        (407, b"", r"it is asked through HTTP_PROXY=http://127\.0\.0\.1:\d+, which wants a user name and a password"),
        (502, b"<html>\nbad</html>", r"the server answered 502 Bad Gateway; check bucket, endpoint and credentials"),
    ],
)
def test_what_the_server_answers_is_one_line(environment, tmp_path: Path, status: int, body: bytes, line: str):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        environment.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{proxy.server_port}")
        environment.setenv("AWS_ENDPOINT_URL", "http://minio.example")
        said = refused(lambda: ObjectFolder("s3://bucket/models").get("x"), kind=StorageError)
        proxy.shutdown()
    assert re.search(line, said), said
    assert "secret" not in said


def test_a_store_is_excepted_from_the_proxy_as_other_hosts_are(fetch, source, server, environment):
    """A name that leads to this machine, which the client itself would not take for it."""
    port = server.endpoint.rpartition(":")[2]
    environment.setenv("AWS_ENDPOINT_URL", f"http://[::ffff:127.0.0.1]:{port}")
    environment.setenv("http_proxy", DEAD)
    environment.setenv("no_proxy", "::ffff:0:0/96")
    try:
        socket.create_connection(("::ffff:127.0.0.1", int(port))).close()
    except OSError:
        pytest.skip("there is no IPv6 on this machine")
    assert fetch(source).digest


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_store_with_the_certificate_of_a_company_is_trusted_where_it_is_named(company, environment, variable: str):
    url, authority = company
    environment.setenv("AWS_ENDPOINT_URL", url)
    said = refused(lambda: ObjectFolder("s3://mirror").get("labels.bin"), kind=StorageError)
    assert f"{url.rstrip('/')} cannot be reached: its certificate is not trusted (UnknownIssuer); name" in said
    environment.setenv(variable, str(authority))
    found = ObjectFolder("s3://mirror").get("labels.bin")
    assert found
    assert len(found.data) == 320


def test_ctrl_c_does_not_wait_for_a_store_that_is_silent(small_sprite, tmp_path: Path, environment):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        command = [sys.executable, "-P", "-m", "mnist_pipeline", "fetch", "--source", "s3://bucket/mnist"]
        command += ["--dataset", small_sprite.describe(), "--workspace", str(tmp_path / "workspace")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)  # the store's own patience is far longer
    assert process.returncode == 130
    assert "interrupted" in said
    assert not list((tmp_path / "workspace").rglob("*.tmp"))
