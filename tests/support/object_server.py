"""An S3-speaking server on loopback: moto behind a gate that can refuse, cut and count.

Moto checks the condition of a write and then writes, without a lock between; so requests are let
in one at a time, as a real store makes each write one step.
"""

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CONFLICT = b"<?xml version='1.0'?><Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>"


class Quiet(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        pass


@dataclass
class Gate:
    """What happens to requests before and after the store sees them."""

    application: Application
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: list[tuple[str, str]] = field(default_factory=list)
    conflicts: int = 0
    """So many conditional writes are answered 409, and not done."""
    lost_answers: int = 0
    """So many conditional writes are done, but answered 500."""
    busy: int = 0
    """So many requests are answered 503."""
    writes_left: int | None = None
    """After so many writes every further one is answered 503; None: never."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self.lock:
            self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if self.busy or self._cut(environ["REQUEST_METHOD"]):
                self.busy = max(self.busy - 1, 0)
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
            conditional = "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ
            if conditional and environ["REQUEST_METHOD"] == "PUT":
                if self.conflicts:
                    self.conflicts -= 1
                    start_response("409 Conflict", [("Content-Type", "application/xml")])
                    return [CONFLICT]
                if self.lost_answers:
                    self.lost_answers -= 1
                    list(self.application(environ, lambda *_: None))
                    start_response("500 Internal Server Error", [("Content-Length", "0")])
                    return [b""]
            return list(self.application(environ, start_response))

    def _cut(self, method: str) -> bool:
        if self.writes_left is None:
            return False
        if self.writes_left == 0:
            return method != "GET"
        self.writes_left -= method != "GET"
        return False

    def count(self, method: str, ending: str) -> int:
        return sum(made == method and path.endswith(ending) for made, path in self.requests)


@dataclass(frozen=True)
class ObjectServer:
    endpoint: str
    gate: Gate

    def make_bucket(self, name: str) -> None:
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200


@contextmanager
def serve() -> Iterator[ObjectServer]:
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield ObjectServer(f"http://127.0.0.1:{server.server_port}", gate)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
