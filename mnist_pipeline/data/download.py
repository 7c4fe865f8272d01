"""Source files from the network or from a folder. The only place that knows HTTP and retries.

Only what can pass by itself is tried again: timeouts, lost connections, bodies that are cut short,
and the answers 408, 429 and 5xx. A missing file or wrong bytes stay what they are.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import url2pathname

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.description import DatasetDescription, is_directory_source
from mnist_pipeline.data.inspection import ExpectedFile, IncompleteError, Inspection, expected_files
from mnist_pipeline.data.store import SourceFile
from mnist_pipeline.errors import DataError, DownloadError, UsageError
from mnist_pipeline.progress import Progress, ReportProgress

if TYPE_CHECKING:
    import httpx

ANSWER_SECONDS = 6.0
"""How long to wait for any answer at all, where the embedded digits can stand in."""
_FIRST_WAIT, _LONGEST_WAIT, _JITTER = 0.5, 10.0, 0.5
"""Seconds between attempts: doubled each time, plus a random part."""
_LONGEST_WAIT_FOR_ANSWER = 1.0
"""The same, while it is still open whether there is any answer."""
_CHUNK = 2**20
_logger = logging.getLogger(__name__)


class _TransientError(Exception):
    """A failure that can pass by itself; ``retry_after``: seconds the server asks to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.attempt = 1


class Clock:
    """How much time is left for all downloads of one fetch.

    Args:
        deadline: seconds in all.
        answer_within: seconds until a server must have answered for the first time; None: no such limit.
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


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how often to try a file."""

    connect_timeout: float
    read_timeout: float
    attempts: int

    @classmethod
    def of(cls, config: FetchConfig) -> "Patience":
        return cls(config.connect_timeout, config.read_timeout, config.attempts)


def local_folder(source: str) -> Path | None:
    """The folder that ``source`` names by its path or a file URL; None for http(s).

    Raises:
        UsageError: it is a URL of another kind.
    """
    if is_directory_source(source):
        return Path(source).expanduser()
    parts = urlsplit(source)
    if parts.scheme in {"http", "https"} and parts.hostname:
        return None
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return Path(url2pathname(parts.path))
    raise UsageError(f"source {source!r} is not one that can be read: give an http(s) or file URL, or a directory")


def file_url(base: str, name: str) -> str:
    """URL of a file in the folder ``base``, whose query is kept."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}", fragment=""))


def public_url(url: str) -> str:
    """``url`` without user name, password and query: what may be logged and recorded."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def read_local(folder: Path, expected: ExpectedFile) -> SourceFile:
    """Look at a file where it lies.

    Raises:
        DownloadError: there is no such file, or it cannot be read.
        DataError: it is not what is expected.
    """
    path = folder / expected.name
    if not path.is_file():
        what = "is missing" if folder.is_dir() else f"is missing: {folder} is not a directory"
        raise DownloadError(f"{path} {what}; --source names a folder that holds images and labels")
    inspection = Inspection(expected, str(path))
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                inspection.update(chunk)
        return inspection.finish()
    except IncompleteError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror}") from error


def download_file(
    base: str,
    expected: ExpectedFile,
    folder: Path,
    *,
    patience: Patience,
    clock: Clock,
    report_progress: ReportProgress,
) -> SourceFile:
    """Stream a file of the folder ``base`` into ``folder``, checking it on the way.

    Raises:
        DownloadError: it could not be had within the attempts and the time.
        DataError: what came is not what is expected; never tried again.
        OSError: it could not be written.
    """
    url = file_url(base, expected.name)
    try:
        with _client(patience) as client:
            return _with_retries(
                expected.name,
                lambda: _stream(client, url, expected, folder / expected.name, clock, report_progress),
                patience.attempts,
                clock,
            )
    except _TransientError as error:
        raise DownloadError(
            f"cannot download {public_url(url)}: {error} (attempt {error.attempt} of {patience.attempts}); "
            "name a mirror with --source, or try later"
        ) from error


def _with_retries(name: str, work: Callable[[], SourceFile], most: int, clock: Clock) -> SourceFile:
    """What ``work``, the download of ``name``, returns; at most ``most`` attempts, and none after the clock's end."""
    import stamina

    def can_pass(error: Exception) -> bool | float:
        """Whether to try again; a number says after how many seconds."""
        if not isinstance(error, _TransientError) or clock.remaining() <= (error.retry_after or 0):
            return False
        return True if error.retry_after is None else error.retry_after

    _keep_stamina_off_the_terminal()
    problem: _TransientError | None = None
    for attempt in stamina.retry_context(
        on=can_pass,
        attempts=most,
        timeout=None,  # the clock's, which all files share
        wait_initial=_FIRST_WAIT,
        wait_max=clock.longest_wait,
        wait_jitter=_JITTER,
    ):
        if problem is not None:
            _logger.warning("download of %s: %s; attempt %d of %d", name, problem, attempt.num, most)
        with attempt:
            try:
                return work()
            except _TransientError as error:
                error.attempt = attempt.num
                problem = error
                raise
    raise AssertionError("stamina ends by the last attempt's result or error")


def _keep_stamina_off_the_terminal() -> None:
    """Give stamina's logger a handler, if only one that does nothing.

    It logs "stamina.retry_scheduled" for every retry, which Python prints bare where nobody set up
    logging. Ours says the same with the reason; whoever configures logging still gets both.
    """
    logger = logging.getLogger("stamina")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _client(patience: Patience) -> "httpx.Client":
    import httpx

    return httpx.Client(
        timeout=httpx.Timeout(patience.read_timeout, connect=patience.connect_timeout),
        follow_redirects=True,
        max_redirects=5,
        headers={"Accept-Encoding": "identity", "User-Agent": "mnist-pipeline"},
    )


def _stream(
    client: "httpx.Client",
    url: str,
    expected: ExpectedFile,
    destination: Path,
    clock: Clock,
    report_progress: ReportProgress,
) -> SourceFile:
    """One attempt."""
    activity = f"download {expected.name}"
    inspection = Inspection(expected, public_url(url))
    with _response(client, url, clock) as response, destination.open("wb") as file:
        total = _announced_bytes(response) or expected.exact_bytes
        report_progress(Progress(activity, 0, total, "bytes"))
        # Chunks as they come: gathered into larger ones, a trickle would outlive the deadline.
        for chunk in response.iter_bytes():
            inspection.update(chunk)
            file.write(chunk)
            report_progress(Progress(activity, inspection.bytes, total, "bytes"))
            if clock.remaining() <= 0:
                raise _TransientError(f"the deadline passed after {inspection.bytes:,} bytes")
    try:
        return inspection.finish()
    except IncompleteError as error:
        raise _TransientError(str(error)) from error


@contextmanager
def _response(client: "httpx.Client", url: str, clock: Clock) -> "Iterator[httpx.Response]":
    """A good answer whose body is still to come. Failures of the body are told apart here, too.

    Raises:
        _TransientError: what may pass.
        DownloadError: what will not.
    """
    import httpx

    try:
        response = _send(client, url, clock)
        with closing(response):
            _refuse_status(response)
            clock.answered()
            yield response
    except httpx.TransportError as error:
        message = f"{type(error).__name__}: {error}"
        if isinstance(error, httpx.UnsupportedProtocol) or "CERTIFICATE_VERIFY_FAILED" in message:
            raise DownloadError(f"cannot download {public_url(url)}: {message}") from error
        raise _TransientError(message) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(f"cannot download {public_url(url)}: {type(error).__name__}: {error}") from error


def _send(client: "httpx.Client", url: str, clock: Clock) -> "httpx.Response":
    """Send the request and wait for the head of the answer, no longer than the clock allows.

    In a thread of its own, because looking up a name can neither be timed nor interrupted: without
    a network it may take a minute, Ctrl-C or not. The thread is left to itself then.
    """
    import httpx

    outcome: queue.SimpleQueue[httpx.Response | Exception] = queue.SimpleQueue()

    def send() -> None:
        try:
            outcome.put(client.send(client.build_request("GET", url), stream=True))
        except Exception as error:  # handed to the thread that waits
            outcome.put(error)

    seconds = max(min(clock.remaining(), _head_seconds(client)), 0.001)
    threading.Thread(target=send, name="mnist-pipeline-download", daemon=True).start()
    try:
        result = outcome.get(timeout=seconds)
    except queue.Empty:
        raise httpx.ConnectTimeout(f"no answer within {seconds:.1f} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def _head_seconds(client: "httpx.Client") -> float:
    return (client.timeout.connect or 0) + (client.timeout.read or 0)


def _refuse_status(response: "httpx.Response") -> None:
    status = response.status_code
    if status == 200:
        return
    message = f"the server answered {status} {response.reason_phrase}".rstrip()
    if status in {408, 429} or status >= 500:
        raise _TransientError(message, _retry_after(response.headers.get("Retry-After")))
    raise DownloadError(f"cannot download {public_url(str(response.url))}: {message}")


def _retry_after(value: str | None) -> float | None:
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


def _announced_bytes(response: "httpx.Response") -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None


def unreachable(description: DatasetDescription, config: FetchConfig) -> str | None:
    """Why the dataset's source cannot be read right now, in one line; None where it can.

    Asks once, for a few seconds at most, and reads no more than the head of an answer.
    """
    try:
        _probe(description, config)
    except (DownloadError, DataError, UsageError, _TransientError) as error:
        return str(error)
    return None


def _probe(description: DatasetDescription, config: FetchConfig) -> None:
    if description.files is None:
        if find_spec("sklearn") is None:
            raise DownloadError("the embedded digits need scikit-learn; install 'mnist-pipeline[train]'")
        return
    source = config.source or description.source
    folder = local_folder(source)
    for expected in expected_files(description, description.files):
        if folder is not None:
            read_local(folder, expected)
            continue
        clock = Clock(min(config.deadline, ANSWER_SECONDS))
        with _client(Patience.of(config)) as client, _response(client, file_url(source, expected.name), clock):
            pass
