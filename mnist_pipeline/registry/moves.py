"""What moves an alias, and who: the changes that decisions add to a history."""

import datetime as dt
import getpass
import socket
from dataclasses import dataclass
from enum import Enum

from mnist_pipeline.errors import RegistryError
from mnist_pipeline.registry.history import Action, Change, History, Measurement, Publication, check_reason
from mnist_pipeline.registry.manifest import CHAMPION, PENDING


class Unchecked(Enum):
    """The type of `ANY`."""

    ANY = "any"


ANY = Unchecked.ANY
"""As ``expected``: move the alias wherever it points now."""


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

    def change(
        self,
        now: dt.datetime,
        action: Action,
        *,
        alias: str | None = None,
        before: str | None = None,
        after: str | None = None,
        publication: Publication | None = None,
        measurement: Measurement | None = None,
    ) -> Change:
        """What this author does, as a line of the history."""
        return Change(
            time=now,
            action=action,
            alias=alias,
            before=before,
            after=after,
            who=self.who,
            run=self.run,
            reason=self.reason,
            publication=publication,
            measurement=measurement,
        )


def current_user() -> str:
    """Such as "anna@workstation"."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def promotion(
    history: History, now: dt.datetime, alias: str, version: str, expected: str | Unchecked | None, author: Author
) -> list[Change]:
    """Let ``alias`` name the version; no change where it does already.

    Raises:
        RegistryError: it names something other than ``expected``, the version is not there any more, or the champion
            was trained on another dataset.
    """
    before = history.aliases.get(alias)
    if before == version:
        return []
    if expected is not ANY and before != expected:
        last = history.moves(alias)[-1] if history.moves(alias) else None
        by = f"; {last.who} moved it at {last.time:%Y-%m-%dT%H:%M:%SZ} ({last.reason})" if last else ""
        named, wanted = before or "not set", expected or "not set"
        raise RegistryError(f"{alias} is {named}, expected was {wanted}{by}; compare again")
    if version not in history.published:
        raise RegistryError(f"{version} was pruned meanwhile; choose another version")
    if alias == CHAMPION and before:
        _check_same_dataset(history, before, version)
    return [author.change(now, "promote", alias=alias, before=before, after=version)]


def approval(history: History, now: dt.datetime, version: str, author: Author) -> list[Change]:
    """The version that waits becomes champion, in the place of the champion that it was judged against.

    Raises:
        RegistryError: it does not wait, or there is another champion since it was judged.
    """
    waiting = _waiting(history, version)
    judged_against = history.at(waiting.time)
    # Who approves takes no other version's place against the gate: the move is that of the run that found it better.
    mover = Author(author.who, waiting.run, author.reason)
    moved = promotion(history, now, CHAMPION, version, judged_against.after if judged_against else None, mover)
    return [*moved, author.change(now, "approve", alias=PENDING, before=version)]


def rejection(history: History, now: dt.datetime, version: str, author: Author) -> list[Change]:
    """The version that waits will not become champion.

    Raises:
        RegistryError: it does not wait.
    """
    _waiting(history, version)
    return [author.change(now, "reject", alias=PENDING, before=version)]


def _waiting(history: History, version: str) -> Change:
    """The change since which the version waits."""
    waiting = history.aliases.get(PENDING)
    if waiting != version:
        raise RegistryError(
            f"{version} does not wait for approval, {waiting or 'no version'} does; see: mnist-pipeline models list"
        )
    return history.moves(PENDING)[-1]


def _check_same_dataset(history: History, champion: str, candidate: str) -> None:
    """A model of one dataset never takes the place of a model of another: their users expect different things."""
    datasets = [history.published[v].dataset for v in (champion, candidate) if v in history.published]
    if len(set(datasets)) > 1:
        raise RegistryError(
            f"{candidate} was trained on {datasets[1]}, the champion {champion} on {datasets[0]}; "
            "publish it under another model name"
        )
