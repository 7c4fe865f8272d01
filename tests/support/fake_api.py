"""A server on loopback that answers as a Prefect API does, or as a test wants it to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any


@dataclass
class FakeApi:
    """Where it is, and what it was asked for."""

    url: str
    answers: dict[str, Any] = field(
        default_factory=lambda: {"/api/flows/filter": [], "/api/admin/version": version("prefect")}
    )
    """Path -> JSON; other paths are not found."""
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    """Of the answers to what is found."""
    body: bytes | None = None
    """Of every answer; None means the JSON."""

    def answer(self, path: str) -> tuple[int, bytes]:
        if self.body is not None or self.status != 200 or path in self.answers:
            return self.status, json.dumps(self.answers.get(path)).encode() if self.body is None else self.body
        return 404, b'{"detail": "Not Found"}'


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    """The server while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.requests.append(self.path)
            found.headers.append(dict(self.headers))
            status, body = found.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = FakeApi(f"http://127.0.0.1:{server.server_port}/api")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
