"""A proxy, and a mirror behind TLS, on this machine."""

import base64
import datetime as dt
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest


class ProxyServer(ThreadingHTTPServer):
    """An HTTP proxy that answers for every host from one folder, and notes what it is asked."""

    daemon_threads = True

    def __init__(self, folder: Path, *, password: str | None = None) -> None:
        self.asked: list[str] = []
        self.wanted = password and f"Basic {base64.b64encode(f'user:{password}'.encode()).decode()}"
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.asked.append(self.path)
                if proxy.wanted and self.headers["Proxy-Authorization"] != proxy.wanted:
                    self.send_error(407)
                    return
                body = (folder / self.path.rpartition("/")[2]).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_CONNECT = do_GET  # noqa: N815 - the base class's name

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(small_sprite) -> Iterator[Callable[..., ProxyServer]]:
    running: list[ProxyServer] = []

    def start(**options: str) -> ProxyServer:
        running.append(ProxyServer(small_sprite.folder, **options))
        return running[-1]

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def issue(folder: Path) -> tuple[Path, Path]:
    """A company's own authority (PEM), and a server's key and certificate for this machine that it issued (PEM)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = dt.datetime.now(dt.UTC)

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Company")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = (
        certificate("Company", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        certificate("server", server_key)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    key = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(key + server.public_bytes(pem))
    return folder / "authority.pem", folder / "server.pem"


@pytest.fixture
def company(small_sprite, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a mirror that speaks TLS, and the authority that issued its certificate."""
    authority, server_pem = issue(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pem)
    server = ProxyServer(small_sprite.folder)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield f"https://127.0.0.1:{server.server_port}/", authority
    server.shutdown()
    server.server_close()
