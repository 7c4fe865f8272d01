"""Trying again what can pass by itself, within the time and the attempts that there are."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

T = TypeVar("T")
ANSWER_SECONDS = 6.0
"""How long to wait for any answer at all, where the embedded digits can stand in."""
_FIRST_WAIT, _LONGEST_WAIT, _JITTER = 0.5, 10.0, 0.5
"""Seconds between attempts: doubled each time, plus a random part."""
_LONGEST_WAIT_FOR_ANSWER = 1.0
"""The same, while it is still open whether there is any answer."""
_logger = logging.getLogger(__name__)
# Stamina logs every retry, which Python prints bare where nobody set up logging; ours says the same with the reason.
logging.getLogger("stamina").addHandler(logging.NullHandler())


class TransientError(Exception):
    """A failure that can pass by itself; ``retry_after``: seconds the server asks to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.attempt = 1


class Deadline:
    """How much time is left for all downloads of one fetch.

    Args:
        deadline: seconds in all.
        answer_within: seconds until a server must have answered for the first time; None means no such limit.
    """

    def __init__(self, deadline: float, answer_within: float | None = None) -> None:
        now = time.monotonic()
        self._end = now + deadline
        self._answer_end = None if answer_within is None else now + answer_within

    def remaining(self) -> float:
        end = self._end if self._answer_end is None else min(self._end, self._answer_end)
        return end - time.monotonic()

    def answered(self) -> None:
        self._answer_end = None

    @property
    def longest_wait(self) -> float:
        """Seconds between two attempts at most."""
        return _LONGEST_WAIT if self._answer_end is None else _LONGEST_WAIT_FOR_ANSWER


def with_retries(name: str, work: Callable[[], T], most: int, deadline: Deadline) -> T:
    """What ``work``, the download of ``name``, returns; at most ``most`` attempts, none after the deadline."""
    import stamina

    def can_pass(error: Exception) -> bool | float:
        """Whether to try again; a number says after how many seconds."""
        if not isinstance(error, TransientError) or deadline.remaining() <= (error.retry_after or 0):
            return False
        return True if error.retry_after is None else error.retry_after

    problem: TransientError | None = None
    for attempt in stamina.retry_context(
        on=can_pass,
        attempts=most,
        timeout=None,  # the deadline's, which all files share
        wait_initial=_FIRST_WAIT,
        wait_max=deadline.longest_wait,
        wait_jitter=_JITTER,
    ):
        if problem is not None:
            _logger.warning("download of %s: %s; attempt %d of %d", name, problem, attempt.num, most)
        with attempt:
            try:
                return work()
            except TransientError as error:
                error.attempt = attempt.num
                problem = error
                raise
    raise AssertionError("stamina ends by the last attempt's result or error")


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or an HTTP date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0) if value.strip().isdigit() else _seconds_until(value)
    except ValueError:
        return None


def _seconds_until(http_date: str) -> float:
    moment = parsedate_to_datetime(http_date)
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
