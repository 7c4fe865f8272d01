"""What is wrong with Prefect's settings or with its server, in one line, and what to do about it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.network import public_url

if TYPE_CHECKING:
    import httpx

NO_API = "there is no Prefect API; its address ends in /api or in the server's base path: http://HOST:4200/api"
HINTS = {
    401: "set PREFECT_API_AUTH_STRING=USER:PASSWORD, or PREFECT_API_KEY for Prefect Cloud",
    403: "it must allow this; set PREFECT_API_AUTH_STRING or PREFECT_API_KEY to one that may",
    404: NO_API,
    405: NO_API,
}


@contextmanager
def settings_explained(which: str) -> Iterator[None]:
    """Turn what Prefect raises in the block, where it reads its settings, into one line.

    Raises:
        UsageError: which setting is wrong, and how.
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # whatever a reader of settings raises: pydantic, TOML, YAML, the file system
        raise UsageError(f"Prefect's {which}: {_describe(error)}") from None


def _describe(error: Exception) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return as_line(error)
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"]
    field, value = str(first["loc"][0]), str(first["input"])
    # The error tells the field of a class of settings; the variable's name ends with it.
    names = [
        name
        for name, set_to in os.environ.items()
        if name.upper().startswith("PREFECT_") and name.lower().endswith(field) and set_to.lower() == value.lower()
    ]
    return f"{', '.join(names) or field}={value}: {first['msg']}"


def no_certificates(setting: str, value: str | None, error: OSError) -> UsageError:
    """The setting names a file that holds no certificates."""
    reason = error.strerror or error
    return UsageError(f"{setting}={value}: no certificates there ({reason}); name a file that has some, or unset it")


@contextmanager
def answers_explained() -> Iterator[None]:
    """Turn what Prefect's client raises in the block into one line.

    Raises:
        PipelineError: what is wrong, and what to do.
    """
    import httpx

    try:
        yield
    except httpx.HTTPStatusError as error:
        answer = error.response
        status = f"{answer.status_code} {answer.reason_phrase}{_detail(answer)}"
        raise PipelineError(
            f"{_name()} answers {status}: {HINTS.get(answer.status_code, 'its log may say why')}"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PipelineError(
            f"{_name()} does not answer ({as_line(error)}): start it with 'prefect server start', "
            "or name another one; 'prefect config view' shows where this one is named"
        ) from None


@contextmanager
def anything_else_explained() -> Iterator[None]:
    """Turn what Prefect's client raises in the block where it does not understand the answer into one line.

    Raises:
        PipelineError: what is there is no Prefect API, or not of this version.
    """
    try:
        yield
    except ValueError:  # no JSON, or none of Prefect's
        raise PipelineError(f"{_name()} answers something else: {NO_API}") from None
    except RuntimeError as error:  # of another major version
        raise PipelineError(f"{_name()}: {as_line(error)}") from None


def _detail(answer: "httpx.Response") -> str:
    """What Prefect's server says of an error, in brackets."""
    try:
        said = answer.json()
        return f" ({said.get('detail') or said['exception_message']})"
    except (ValueError, KeyError, AttributeError):
        return ""


def _name() -> str:
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url or ""
    return f"the Prefect server at {public_url(url)}"


def as_line(error: Exception) -> str:
    """The message in one line."""
    return " ".join(str(error).split()) or type(error).__name__
