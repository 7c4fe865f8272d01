"""Serve the application until it is told to end."""

import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from mnist_pipeline.errors import UsageError

GRACE_SECONDS = 5
"""For requests that are under way when the server is told to end."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 means any that is free.

    Raises:
        UsageError: host or port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--host {host} --port {port}: cannot be used ({reason}); name another port, or 0 for a free one"
        ) from None
    # Connections inherit it; asyncio would set it only for sockets that name their protocol. Without it the body of an
    # answer waits for the client's delayed acknowledgement of the headers, 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(app: ASGIApp, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until a signal; ``started`` is called once requests are answered."""
    make_server(app, started).run(sockets=[listening])


def make_server(app: ASGIApp, started: Callable[[], None]) -> uvicorn.Server:
    """The server, to be run; ``started`` as for `serve`."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Server(config, started)


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = started

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()
