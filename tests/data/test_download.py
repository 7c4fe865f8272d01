"""Addresses, and answers that are unusual but good."""

import gzip
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.data.locations import file_url, local_folder
from mnist_pipeline.errors import DownloadError
from mnist_pipeline.files import remove_leftovers
from mnist_pipeline.network import public_url
from mnist_pipeline.workspace import Workspace


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://example.org/a", "https://example.org/a/x.png"),
        ("https://example.org/a/", "https://example.org/a/x.png"),
        ("https://example.org", "https://example.org/x.png"),
        ("https://user:pw@example.org:8443/a/?token=1#top", "https://user:pw@example.org:8443/a/x.png?token=1"),
    ],
)
def test_files_lie_in_the_folder_whose_query_is_kept(base: str, url: str):
    assert file_url(base, "x.png") == url


def test_what_is_shown_has_no_secrets():
    url = "https://user:pw@example.org:8443/a/x.png?token=1#top"
    assert public_url(url) == "https://example.org:8443/a/x.png"


def test_folders_are_told_from_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spaced = tmp_path / "a folder"
    assert local_folder(spaced.as_uri()) == spaced
    assert local_folder(f"file://localhost{tmp_path.as_posix()}") == tmp_path
    assert local_folder("data/mirror") == Path("data/mirror")
    assert local_folder("https://example.org/") is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_folder("~/mirror") == tmp_path / "mirror"


def test_a_redirect_is_followed(small_sprite, serve, tmp_path: Path):
    server = serve(small_sprite.folder)
    server.answers["/old/labels.bin"] = [server.reply(b"", 302, Location="/labels.bin")]
    server.answers["/old/images.png"] = [server.reply(b"", 307, Location=f"{server.url}images.png")]
    config = FetchConfig(dataset=small_sprite.describe(), source=f"{server.url}old/")
    fetched = fetch_dataset(config, Workspace(tmp_path / "workspace"))
    assert fetched.source == f"{server.url}old/"


def test_redirects_in_a_circle_are_given_up_at_once(small_sprite, serve, tmp_path: Path):
    server = serve(small_sprite.folder)
    server.answers["/labels.bin"] = [server.reply(b"", 302, Location="/labels.bin")]
    with pytest.raises(DownloadError, match="TooManyRedirects"):
        fetch_dataset(FetchConfig(dataset=small_sprite.describe(), source=server.url), Workspace(tmp_path / "w"))
    assert len(server.requests) == 6


def test_a_compressed_answer_is_checked_by_its_content(small_sprite, serve, tmp_path: Path):
    server = serve(small_sprite.folder)
    packed = gzip.compress(small_sprite.one_hot.read_bytes())
    server.answers["/labels.bin"] = [server.reply(packed, Content_Encoding="gzip")]
    fetch_dataset(FetchConfig(dataset=small_sprite.describe(), source=server.url), Workspace(tmp_path / "w"))
    assert server.requests == ["/labels.bin", "/images.png"]


def test_credentials_are_sent_and_the_query_too(small_sprite, serve, tmp_path: Path):
    asked: list[str | None] = []
    server = serve(small_sprite.folder)

    def answer(handler) -> None:
        asked.append(handler.headers["Authorization"])
        server.reply((small_sprite.folder / handler.path[1:].removesuffix("?token=1")).read_bytes())(handler)

    server.answers.update({"/labels.bin?token=1": [answer], "/images.png?token=1": [answer]})
    source = server.url.replace("http://", "http://user:pw@") + "?token=1"
    fetch_dataset(FetchConfig(dataset=small_sprite.describe(), source=source), Workspace(tmp_path / "w"))
    assert asked == ["Basic dXNlcjpwdw=="] * 2


def self_signed(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody else vouches for, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    path = folder / "server.pem"
    path.write_bytes(pem)
    return path


def test_a_refused_certificate_is_not_tried_again(small_sprite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    connections: list[object] = []

    class Counted(HTTPServer):
        def get_request(self):
            connections.append(None)
            return super().get_request()

        def handle_error(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with Counted(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        config = FetchConfig(dataset=small_sprite.describe(), source=f"https://127.0.0.1:{server.server_port}/")
        with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch_dataset(config, Workspace(tmp_path / "w"))
        server.shutdown()
    assert len(connections) == 1


def test_leftovers_of_one_dataset_are_not_another_ones(tmp_path: Path):
    names = [".mnist.12-0123abcd.tmp", ".mnist-0123456789ab.12-0123abcd.tmp", ".mnist.v2.12-0123abcd.tmp", "mnist-x"]
    for name in names:
        (tmp_path / name).mkdir()
    remove_leftovers(tmp_path, "mnist")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[2:])
    remove_leftovers(tmp_path / "none", "mnist")  # nothing to do is no error
