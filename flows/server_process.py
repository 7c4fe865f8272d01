"""The process of `flows.local_server`: Prefect's own server on a free loopback port.

It says one JSON object on standard output, its address or why it cannot start, and ends with its standard input.
Where Prefect's settings name a server it does nothing: the process that started it takes that one.
"""

import contextlib
import json
import math
import os
import socket
import threading
from typing import Any

import uvicorn
from prefect.context import refresh_global_settings_context
from prefect.settings import DEFAULT_PROFILES_PATH, Settings, get_current_settings

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files.locks import ProcessLock

OWN_SETTINGS = {
    "PREFECT_PROFILES_PATH": str(DEFAULT_PROFILES_PATH),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",  # `_Server` does it
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "PREFECT__SERVER_EPHEMERAL": "1",
}
STOP_SECONDS = 5
LOCK = "mnist-pipeline.lock"


def main() -> None:
    """Serve until standard input ends."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else writes to standard output
    app = "prefect.server.api.server:create_app"
    server = _Server(
        uvicorn.Config(app, factory=True, log_level="error", lifespan="on", timeout_graceful_shutdown=STOP_SECONDS),
        answer,
    )
    threading.Thread(target=_end_with_standard_input, args=(server,), daemon=True).start()
    settings = get_current_settings()
    if settings.api.url:
        return
    try:
        _use_own_settings(settings)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server.run([listener])
    except PipelineError as error:
        _say(answer, error=str(error))


def _end_with_standard_input(server: uvicorn.Server) -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock would be missed when the interpreter ends first
        pass
    if not server.started:
        os._exit(0)
    server.should_exit = True


def _use_own_settings(settings: Settings) -> None:
    """Take from the user's settings only where Prefect keeps its things.

    The others may be for a server that people share: a base path, a login, another broker. They may come from the
    environment, from files of the current folder and from the active profile.
    """
    home = settings.home.absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / LOCK).touch()
    except OSError as error:
        raise PipelineError(
            f"Prefect keeps its database in {home}, which cannot be written ({error.strerror}): "
            "set PREFECT_HOME to a folder that can"
        ) from None
    kept = settings.server.database.to_environment_variables(exclude_unset=True)
    for name in [name for name in os.environ if name.upper().startswith("PREFECT")]:
        del os.environ[name]
    os.environ |= kept | OWN_SETTINGS | {"PREFECT_HOME": str(home)}
    with contextlib.chdir(home):
        refresh_global_settings_context()


class _Server(uvicorn.Server):
    """Brings the database up to date first, and tells when it answers."""

    def __init__(self, config: uvicorn.Config, answer: Any) -> None:
        super().__init__(config)
        self._answer = answer

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        from prefect.server.database import provide_database_interface

        # Two servers that make the same database at once would be in each other's way.
        with ProcessLock(get_current_settings().home / LOCK).hold(math.inf):
            try:
                await provide_database_interface().create_db()
            except Exception as error:  # of SQLAlchemy, Alembic or the database's driver
                raise PipelineError(_explain(error)) from None
            await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()
            _say(self._answer, url=f"http://{host}:{port}/api")


def _explain(error: Exception) -> str:
    from alembic.util import CommandError
    from sqlalchemy import make_url

    named = get_current_settings().server.database.connection_url
    url = make_url(named.get_secret_value() if named else "")
    database = f"Prefect's database {url.database if url.get_backend_name() == 'sqlite' else url}"
    reason = " ".join(str(getattr(error, "orig", error)).split())
    if "locked" in reason:
        return f"{database} is held by another process ({reason}): end that one, or set PREFECT_HOME to another folder"
    if isinstance(error, CommandError):
        return f"{database} is of another version of Prefect ({reason}): set PREFECT_HOME to another folder"
    if "not a database" in reason or "malformed" in reason:
        return f"{database} is damaged ({reason}): move it away, nothing of the pipeline is in it"
    return f"{database} cannot be used ({reason})"


def _say(answer: Any, **said: str) -> None:
    answer.write(json.dumps(said) + "\n")
    answer.flush()


if __name__ == "__main__":
    main()
