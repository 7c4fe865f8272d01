"""Who changes a registry, and why."""

import getpass
import socket
from dataclasses import dataclass

from mnist_pipeline.registry.history import check_reason


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and why, for the history."""

    who: str
    run: str | None
    """The pipeline run that makes it; None where a person does."""
    reason: str

    @staticmethod
    def of(who: str | None, run: str | None, reason: str) -> "Author":
        """As stated; where nobody is named, ``user@host`` of this process.

        Raises:
            UsageError: the reason says nothing, or is not text.
        """
        return Author(who or current_user(), run, check_reason(reason))


def current_user() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
