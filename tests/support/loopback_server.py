"""A real HTTP server on the loopback interface."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class LoopbackServer:
    """A real HTTP server on the loopback interface, whose answers a test writes.

    Attributes:
        url: of the served folder.
        requests: paths asked for, in order.
        answers: path -> what to do for its first, second ... request; the last one stays. Where there
            is none, the file of that name in the folder is sent.
    """

    url: str
    requests: list[str] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)

    @staticmethod
    def reply(body: bytes, status: int = 200, **headers: str) -> Answer:
        """A whole answer; underscores in header names stand for hyphens."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return answer


def start(folder: Path) -> tuple[LoopbackServer, ThreadingHTTPServer]:
    """Serve a folder, and how to stop it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            answers = state.answers.get(self.path, [])
            if answers:
                (answers.pop(0) if len(answers) > 1 else answers[0])(self)
            elif (folder / self.path[1:]).is_file():
                state.reply((folder / self.path[1:]).read_bytes())(self)
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are the point
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    state = LoopbackServer(f"http://127.0.0.1:{server.server_port}/")
    return state, server
