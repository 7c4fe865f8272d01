"""history.jsonl: every change of a model's versions and aliases, one JSON line each, in order. Pure.

The history is the truth from which aliases are derived; ``aliases.json`` repeats it for other
programs. A change counts once its line ends with a newline: what a killed writer left behind
the last newline never happened. Every line carries a checksum of itself and of the line before,
so that a changed, lost or inserted line is noticed.
"""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

from mnist_pipeline.errors import IntegrityError, UsageError
from mnist_pipeline.files import render_json
from mnist_pipeline.registry.manifest import CHAMPION, AgainstChampion
from mnist_pipeline.schema import Record

HISTORY_FILE = "history.jsonl"
ALIASES_FILE = "aliases.json"
_CHECK_DIGITS = 16
_LINE = re.compile(rb'\{"check":"([0-9a-f]{16})",(.*)')


class Measurement(Record):
    """What was measured of a model on the test rows."""

    accuracy: float
    samples: int
    dataset: str
    run: str
    """The run that measured it."""


class Publication(Measurement):
    """What the history keeps of a published version: enough to list it, and the digests of its manifest."""

    manifest_sha256: str
    signature_sha256: str | None
    created: AwareDatetime
    preset: str
    bytes: int
    """Size of model.onnx."""
    promoted: bool
    """The gate let it become champion, when it was published."""
    against: AgainstChampion | None = None
    """How it stood against the champion of its day: the test images were read once for it."""


Action = Literal["evaluate", "publish", "promote", "rollback", "prune", "approve", "reject"]


class Change(Record):
    """One line of the history.

    evaluate: the model of version ``to``, published or not, was measured. publish: version ``to`` appeared.
    promote, rollback: ``alias`` moved from ``from`` to ``to``.
    prune: version ``from`` was deleted. approve, reject: version ``from`` waits no longer; a person decided.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    time: AwareDatetime
    """UTC, microseconds; never before the line above."""
    action: Action
    alias: str | None
    before: str | None = Field(alias="from")
    after: str | None = Field(alias="to")
    who: str
    run: str | None
    """The pipeline run that made the change; None where a person did."""
    reason: str
    publication: Publication | None = None
    """Of a publish."""
    measurement: Measurement | None = None
    """Of an evaluate."""


@dataclass(frozen=True)
class History:
    """All changes of one model, oldest first."""

    changes: tuple[Change, ...]
    check: str
    """Checksum in the last line; empty where there is no line."""

    @staticmethod
    @lru_cache(maxsize=8)
    def parse(data: bytes, where: str) -> "History":
        """Read history.jsonl; bytes behind the last newline are ignored. The same bytes are parsed once.

        Raises:
            IntegrityError: a line is not what was written; names it.
        """
        changes = []
        check = ""
        for number, line in enumerate(whole_lines(data).splitlines(), 1):
            match = _LINE.fullmatch(line)
            if not match or match[1].decode() != _checksum(check, match[2]):
                raise _damaged(where, number)
            try:
                changes.append(Change.model_validate_json(b"{" + match[2]))
            except ValidationError:
                raise _damaged(where, number) from None
            check = match[1].decode()
        return History(tuple(changes), check)

    def plus(self, changes: Iterable[Change]) -> "History":
        """This history as it will read once ``changes`` are appended."""
        return History((*self.changes, *changes), self.check)

    def encode(self, additions: Iterable[Change]) -> bytes:
        """The lines to append for ``additions``."""
        check, lines = self.check, []
        for change in additions:
            body = change.model_dump_json(exclude_none=False).encode().removeprefix(b"{")
            check = _checksum(check, body)
            lines.append(b'{"check":"%s",%s\n' % (check.encode(), body))
        return b"".join(lines)

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Alias -> version, now."""
        latest = {change.alias: change.after for change in self.changes if change.alias}
        return {alias: version for alias, version in latest.items() if version}

    @cached_property
    def published(self) -> dict[str, Publication]:
        """Version -> what its last publish says of it, of all versions that are not pruned."""
        found: dict[str, Publication] = {}
        for change in self.changes:
            if change.after and change.publication:
                found[change.after] = change.publication
            elif change.action == "prune" and change.before:
                found.pop(change.before, None)
        return found

    def moves(self, alias: str) -> list[Change]:
        """The changes of one alias, oldest first."""
        return [change for change in self.changes if change.alias == alias]

    @cached_property
    def withdrawn(self) -> dict[str, Change]:
        """Version -> the move by which a person took the champion's place from it, or rejected it.

        Only of versions that have not been champion since, or whose place no run took after that.
        """
        found: dict[str, Change] = {}
        for change in self.changes:
            if change.alias == CHAMPION:
                found = {v: move for v, move in found.items() if v not in (change.before, change.after)}
            if change.before and (change.action == "reject" or (change.alias == CHAMPION and change.run is None)):
                found[change.before] = change
        return found

    @cached_property
    def measured(self) -> dict[str, Measurement]:
        """Version -> what was measured of it on the test rows, oldest first; of unpublished and pruned ones too."""
        found: dict[str, Measurement] = {}
        for change in self.changes:
            if change.after and (measured := change.measurement or change.publication):
                found.setdefault(change.after, measured)
        return found

    @cached_property
    def challengers(self) -> tuple[AgainstChampion, ...]:
        """How each sound candidate stood against today's champion since it took its place, oldest first."""
        champion = self.aliases.get(CHAMPION)
        moved = max((place for place, change in enumerate(self.changes) if change.alias == CHAMPION), default=0)
        later = [change.publication.against for change in self.changes[moved:] if change.publication]
        return tuple(one for one in later if one and one.sound and one.champion == champion)

    def at(self, when: dt.datetime, alias: str = CHAMPION) -> Change | None:
        """The change that made ``alias`` what it was at ``when`` (that instant included)."""
        earlier = [change for change in self.moves(alias) if change.time <= when]
        return earlier[-1] if earlier else None

    def rollback_target(self, alias: str = CHAMPION) -> str | None:
        """The version that a rollback of ``alias`` leads to; None where nothing is left.

        Promotions are a stack: a promotion puts a version on it, a rollback takes the top away.
        So a second rollback goes one further back, and a promotion after a rollback is undone to
        the version that was rolled back to. Versions that were pruned meanwhile are passed over.
        """
        stack = _stack(self.moves(alias))
        current = self.aliases.get(alias)
        return next((version for version in reversed(stack) if version != current and version in self.published), None)

    @cached_property
    def protected(self) -> frozenset[str]:
        """What must not be deleted: what an alias names or would name after a rollback, and the last two champions."""
        champions = dict.fromkeys(change.after for change in reversed(self.moves(CHAMPION)) if change.after)
        targets = [target for alias in self.aliases if (target := self.rollback_target(alias))]
        return frozenset([*self.aliases.values(), *targets, *list(champions)[:2]])

    def render_aliases(self) -> bytes:
        """The bytes of aliases.json."""
        return render_json(dict(sorted(self.aliases.items()))).encode()


def _stack(moves: Iterable[Change]) -> list[str]:
    stack: list[str] = []
    for change in moves:
        if change.after is None:
            continue
        if change.action == "rollback":
            while stack and stack[-1] != change.after:
                stack.pop()
        if not stack or stack[-1] != change.after:
            stack.append(change.after)
    return stack


def _checksum(previous: str, body: bytes) -> str:
    return sha256(previous.encode() + body).hexdigest()[:_CHECK_DIGITS]


def _damaged(where: str, number: int) -> IntegrityError:
    return IntegrityError(
        f"{where} line {number} is not what was written; restore the file from a copy "
        "(versions can still be named by their digits)"
    )


def whole_lines(data: bytes) -> bytes:
    """``data`` up to its last newline."""
    return data[: data.rfind(b"\n") + 1]


def check_reason(text: str) -> str:
    """Return ``text`` if the history can tell it to a reader.

    Raises:
        UsageError: it says nothing, or is not text in UTF-8.
    """
    if not text.strip():
        raise UsageError("the reason is blank; say why in a few words")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise UsageError(f"the reason {text!r} is not text in UTF-8")
    return text


def parse_when(text: str) -> dt.datetime:
    """An instant in UTC from a date, a week or a time in any form of ISO 8601 that Python reads.

    A date (``2026-11-01``, ``20261101``, ``2026-W44-7``) means its end, a week (``2026-W44``) that of its Sunday,
    both in UTC; a time without a zone is UTC.

    Raises:
        UsageError: it is not written in any of these ways.
    """
    try:
        if (day := _last_day(text)) is not None:
            return dt.datetime.combine(day, dt.time.max, dt.UTC)
        when = dt.datetime.fromisoformat(text)
        return when.astimezone(dt.UTC) if when.tzinfo else when.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is neither a date (2026-11-01) nor a time (2026-11-01T12:00:00Z)") from None


def _last_day(text: str) -> dt.date | None:
    """The date, or the Sunday of the week, that the text is; None where it is neither."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day + dt.timedelta(days=6) if re.fullmatch(r"\d{4}-?W\d{2}", text) else day
