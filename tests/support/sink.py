"""A service on loopback that gets notifications."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 240


class Sink:
    """A service that is told: every JSON body that it gets, in order."""

    def __init__(self) -> None:
        told: queue.Queue[dict[str, Any]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._told = told
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/"

    @property
    def told(self) -> list[dict[str, Any]]:
        """Messages that nobody has waited for, so far."""
        return list(self._told.queue)

    def wait_for(self, *words: str) -> dict[str, Any]:
        """The next message that has all of the words in title or text; others are dropped."""
        while True:
            message = self._told.get(timeout=SECONDS)
            if all(word in message["title"] + message["message"] for word in words):
                return message
