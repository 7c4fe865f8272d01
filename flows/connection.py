"""The Prefect server that a command works with: the one that Prefect's settings name, else one of our own.

Those settings come from the environment, from ``.env``, ``prefect.toml`` and ``pyproject.toml`` of the current folder,
and from the active profile. Prefect itself is asked for them, so that it is the server of ``prefect config view``.
"""

import contextlib
import importlib
import io
import logging
import os
import warnings

from flows.local_server import LocalServer
from flows.problems import answers_explained, anything_else_explained, as_line, no_certificates, settings_explained
from mnist_pipeline.errors import UsageError
from mnist_pipeline.network import loopback_without_proxy

CONNECT_SECONDS = 5  # httpcore tries four times
ANSWER_SECONDS = 10
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # What happens in a run reaches the API and the Prefect UI; the terminal belongs to the command.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mnist_pipeline",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # what is logged before and after the run
}
logger = logging.getLogger("mnist_pipeline.flows")


class Connection:
    """A Prefect server, which may still be starting: what else there is to import can be imported until it is awaited.

    Args:
        required: why the command needs a server that others have started, and what to do; None where one that lives
            as long as this process would do.

    Raises:
        UsageError: a setting of the environment or of Prefect cannot work; or a server is required and none is named.
    """

    def __init__(self, required: str | None = None) -> None:
        prepare_environment()
        # Its start takes seconds, in which this process imports Prefect and learns whether a server is named.
        local = None if required or os.environ.get("PREFECT_API_URL") else LocalServer()
        self._url = _configured_url()
        if required and not self._url:
            raise UsageError(required)
        if self._url and local:
            local.stop()
        self.local = None if self._url else local
        """The server of our own, where none is named."""

    def wait(self) -> str:
        """The address of the API, once the server answers.

        Raises:
            PipelineError: it does not start, does not answer, or does not let us in.
        """
        if self.local:
            from prefect.context import refresh_global_settings_context

            self._url = os.environ["PREFECT_API_URL"] = self.local.wait()
            refresh_global_settings_context()
        _call()
        return self._url


def prepare_environment() -> None:
    """The environment for Prefect in a command of ours; what the user has set stays. Call before importing Prefect.

    Raises:
        UsageError: a variable of it stops every HTTP client.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    _try_http_client()
    os.environ |= loopback_without_proxy()


def _try_http_client() -> None:
    """Make a client as Prefect does when it is imported."""
    import httpx

    try:
        httpx.Client().close()
    except OSError as error:
        raise no_certificates("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE"), error) from None
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        names = ", ".join(sorted(name for name in os.environ if name.lower().endswith("_proxy")))
        raise UsageError(f"{names}: no HTTP client can work with this ({as_line(error)})") from None


def _configured_url() -> str:
    """The API that Prefect's settings name; empty where they name none."""
    with (
        settings_explained("settings"),
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stderr(io.StringIO()) as heard,
    ):
        from prefect.settings import get_current_settings

        url = get_current_settings().api.url or ""
    for line in (*heard.getvalue().splitlines(), *(str(warning.message) for warning in caught)):
        logger.warning("%s", line.removeprefix("WARNING: ").strip())
    with settings_explained("logging settings"):
        importlib.import_module("prefect.main")
    return url


def _call() -> None:
    """Ask the server for something that only those whom it lets in get."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    with answers_explained(), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        try:
            connection = get_client(sync_client=True, httpx_settings={"timeout": timeout})
        except OSError as error:
            named = get_current_settings().api.ssl_cert_file
            raise no_certificates("PREFECT_API_SSL_CERT_FILE", named, error) from None
        with connection as client, anything_else_explained():
            client.read_flows(limit=1)
            client.raise_for_api_version_mismatch_once()
