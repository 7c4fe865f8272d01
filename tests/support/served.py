"""A real server on loopback, in a thread of this process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Served:
    """Its address, and a client that asks it."""

    url: str
    client: "httpx.Client" = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rstrip("/").rpartition(":")[2])

    def classify(self, data: bytes, path: str = "", **options: Any) -> "httpx.Response":
        return self.client.post("/v1/classify", params={"path": path}, content=data, **options)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address)


@contextmanager
def served(workspace: Path, *, model: str = "champion", name: str | None = None, **settings: Any) -> Iterator[Served]:
    """The server of a workspace; ``settings`` are those of `Settings`."""
    import httpx

    from mnist_pipeline.web.app import Settings, create_app
    from mnist_pipeline.web.model import Wanted
    from mnist_pipeline.web.server import listen, make_server

    listening = listen("127.0.0.1", 0)
    ready = threading.Event()
    server = make_server(create_app(Settings(Wanted(model, name, workspace), **settings)), ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert ready.wait(120)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
            yield Served(url, client)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
