"""The changes that a measurement, a publication or a decision adds to a history. Pure."""

import datetime as dt
from enum import Enum

from mnist_pipeline.errors import RegistryError
from mnist_pipeline.registry.author import Author
from mnist_pipeline.registry.history import Action, Change, History, Measurement, Publication, check_expected
from mnist_pipeline.registry.manifest import CHAMPION, PENDING


class Unchecked(Enum):
    """The type of `ANY`."""

    ANY = "any"


ANY = Unchecked.ANY
"""As ``expected``: move the alias wherever it points now."""


def measurement(
    history: History, now: dt.datetime, version: str, measured: Measurement, author: Author
) -> list[Change]:
    """A model was measured on the test rows; no change where that is known."""
    if version in history.measured:
        return []
    return [_change(now, "evaluate", None, None, version, author, measured=measured)]


def publication(now: dt.datetime, version: str, published: Publication, author: Author) -> Change:
    """A version has appeared."""
    return _change(now, "publish", None, None, version, author, published=published)


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
    if expected is not ANY:
        check_expected(history, alias, expected)
    if version not in history.published:
        raise RegistryError(f"{version} was pruned meanwhile; choose another version")
    if alias == CHAMPION and before:
        _check_same_dataset(history, before, version)
    return [_change(now, "promote", alias, before, version, author)]


def rollback(history: History, now: dt.datetime, alias: str, target: str, author: Author) -> list[Change]:
    """Let ``alias`` name the version that it is rolled back to."""
    return [_change(now, "rollback", alias, history.aliases.get(alias), target, author)]


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
    return [*moved, _change(now, "approve", PENDING, version, None, author)]


def rejection(history: History, now: dt.datetime, version: str, author: Author) -> list[Change]:
    """The version that waits will not become champion.

    Raises:
        RegistryError: it does not wait.
    """
    _waiting(history, version)
    return [_change(now, "reject", PENDING, version, None, author)]


def _waiting(history: History, version: str) -> Change:
    """The change since which the version waits."""
    waiting = history.aliases.get(PENDING)
    if waiting != version:
        raise RegistryError(
            f"{version} does not wait for approval, {waiting or 'no version'} does; see: mnist-pipeline models list"
        )
    return history.moves(PENDING)[-1]


def pruning(now: dt.datetime, versions: list[str], author: Author) -> list[Change]:
    """Delete the versions."""
    return [_change(now, "prune", None, version, None, author) for version in versions]


def _change(
    now: dt.datetime,
    action: Action,
    alias: str | None,
    before: str | None,
    after: str | None,
    author: Author,
    *,
    published: Publication | None = None,
    measured: Measurement | None = None,
) -> Change:
    return Change(
        time=now,
        action=action,
        alias=alias,
        before=before,
        after=after,
        who=author.who,
        run=author.run,
        reason=author.reason,
        publication=published,
        measurement=measured,
    )


def _check_same_dataset(history: History, champion: str, candidate: str) -> None:
    """A model of one dataset never takes the place of a model of another: their users expect different things."""
    known = [change.publication for v in (champion, candidate) if (change := history.published.get(v))]
    datasets = [publication.dataset for publication in known if publication]
    if len(set(datasets)) > 1:
        raise RegistryError(
            f"{candidate} was trained on {datasets[1]}, the champion {champion} on {datasets[0]}; "
            "publish it under another model name"
        )
