"""Every way in which a command can fail, as an exit code and one line for the user."""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import typer

from mnist_pipeline.errors import INTERRUPTED, PipelineError, StoppedError

FAILED = 1
BUG = "this is a bug of mnist-pipeline, please report it with the output of the same command and -v"
ADVICE: Mapping[int | None, str] = MappingProxyType(
    {
        errno.ENOSPC: "make room there, or name another place",
        errno.EDQUOT: "make room there, or name another place",
        errno.EROFS: "name a place that can be written",
        errno.EACCES: "give this user access, or name another place",
        errno.EPERM: "give this user access, or name another place",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }
)


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code, and what to tell the user, of an error that ended a command.

    A `PipelineError` is written for the user. Of other errors, those of the system and the machine are his to
    mend and are told in words; the rest is a bug of this package, and called one.
    """
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    code = StoppedError.exit_code if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", FAILED)
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), _bug)
    return code, words(error)


def _usage(error: Any) -> str:
    """What the parser of the command line says, and where its command is explained."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "mnist-pipeline"
    return f"{message[:1].lower()}{message[1:]}; see: {command} --help"


def _system(error: Any) -> str:
    """Which file, what the system says, and what to do where that is known."""
    files = " -> ".join(
        os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)
    )
    reason = error.strerror or str(error) or type(error).__name__
    advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
    return f"{files}: {reason}{advice}" if files else f"{reason}{advice}"


def _unreadable(error: Any) -> str:
    """The bytes or characters that are no text, with what stands around them."""
    found = error.object[max(0, error.start - 30) : error.end + 30]
    return f"{found!r} is not text in {error.encoding.upper()}; name files and folders, and write texts, in UTF-8"


def _bug(error: Any) -> str:
    """What the error says; of a value that pydantic refuses, what is wrong with its first field."""
    from pydantic import ValidationError

    from mnist_pipeline.schema import first_problem

    said = str(error) or "no message"
    if isinstance(error, ValidationError):
        said = f"{error.title}: {first_problem(error)}"
    return f"unexpected {type(error).__name__}: {said}; {BUG}"


_WORDS: Sequence[tuple[type[BaseException], Callable[[Any], str]]] = (
    (PipelineError, str),
    (typer.TyperException, _usage),
    (KeyboardInterrupt, lambda _: INTERRUPTED),
    (OSError, _system),
    (UnicodeEncodeError, _unreadable),
    (UnicodeDecodeError, _unreadable),
    (ImportError, lambda error: f"{error}; see what is missing with: mnist-pipeline doctor"),
    (MemoryError, lambda _: "not enough memory; end other programs, or give this one more"),
)
"""Kind of an error -> its words; the first that fits."""
