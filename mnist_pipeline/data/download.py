"""Source files from a server, by HTTP.

Only what can pass by itself is tried again: timeouts, lost connections, bodies that are cut short,
and the answers 408, 429 and 5xx. A missing file or wrong bytes stay what they are.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_pipeline.data.card import SourceFile
from mnist_pipeline.data.inspection import ExpectedFile, IncompleteError, Inspection
from mnist_pipeline.data.locations import file_url
from mnist_pipeline.data.retries import Deadline, Timeouts, TransientError, retry_after, with_retries
from mnist_pipeline.errors import DownloadError, NetworkError
from mnist_pipeline.network import certificates, open_client, proxy_for, public_url, wait_for
from mnist_pipeline.progress import Progress, ReportProgress

if TYPE_CHECKING:
    import httpx


def download_file(
    base: str,
    expected: ExpectedFile,
    folder: Path,
    *,
    timeouts: Timeouts,
    deadline: Deadline,
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
        with _open(timeouts) as client:
            return with_retries(
                expected.name,
                lambda: _stream(client, url, expected, folder / expected.name, deadline, report_progress),
                timeouts.attempts,
                deadline,
            )
    except TransientError as error:
        raise DownloadError(
            f"cannot download {public_url(url)}: {error} (attempt {error.attempt} of {timeouts.attempts}); "
            "name a mirror with --source, or try later"
        ) from error


def probe_file(base: str, name: str, timeouts: Timeouts, seconds: float) -> None:
    """Ask for a file of the folder ``base`` once, and read no more than the head of the answer.

    Raises:
        DownloadError: it cannot be had within so many seconds.
    """
    url = file_url(base, name)
    try:
        with _open(timeouts) as client, _response(client, url, Deadline(seconds)):
            pass
    except TransientError as error:
        raise _failed(url, str(error)) from error


def _open(timeouts: Timeouts) -> "httpx.Client":
    return open_client(connect_timeout=timeouts.connect_timeout, read_timeout=timeouts.read_timeout)


def _stream(
    client: "httpx.Client",
    url: str,
    expected: ExpectedFile,
    destination: Path,
    deadline: Deadline,
    report_progress: ReportProgress,
) -> SourceFile:
    """One attempt."""
    activity = f"download {expected.name}"
    inspection = Inspection(expected, public_url(url))
    with _response(client, url, deadline) as response, destination.open("wb") as file:
        total = _announced_bytes(response) or expected.exact_bytes
        report_progress(Progress(activity, 0, total, "bytes"))
        # Chunks as they come: gathered into larger ones, a trickle would outlive the deadline.
        for chunk in response.iter_bytes():
            inspection.update(chunk)
            file.write(chunk)
            report_progress(Progress(activity, inspection.bytes, total, "bytes"))
            if deadline.remaining() <= 0:
                raise TransientError(f"the deadline passed after {inspection.bytes:,} bytes")
    try:
        return inspection.finish()
    except IncompleteError as error:
        raise TransientError(str(error)) from error


@contextmanager
def _response(client: "httpx.Client", url: str, deadline: Deadline) -> "Iterator[httpx.Response]":
    """A good answer whose body is still to come. Failures of the body are told apart here, too.

    Raises:
        TransientError: what may pass.
        DownloadError: what will not.
    """
    import httpx

    try:
        response = _send(client, url, deadline)
        with closing(response):
            _refuse_status(response)
            deadline.answered()
            yield response
    except httpx.TransportError as error:
        if lasting := _why_it_lasts(error):
            raise _failed(url, lasting) from error
        raise TransientError(f"{type(error).__name__}: {error}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _failed(url, f"{type(error).__name__}: {error}") from error
    except NetworkError as error:
        raise _failed(url, str(error)) from error


def _failed(url: str, reason: str) -> DownloadError:
    return DownloadError(f"cannot download {public_url(url)}: {reason}")


def _why_it_lasts(error: "httpx.TransportError") -> str | None:
    """What is wrong and what to do, where trying again would not help."""
    import httpx

    message = f"{type(error).__name__}: {error}"
    if "CERTIFICATE_VERIFY_FAILED" in message:
        trusted = "{}={}".format(*found) if (found := certificates()) else "Mozilla's list"
        return f"{message}; trusted is what {trusted} holds: name your network's own certificates in SSL_CERT_FILE"
    if isinstance(error, httpx.ProxyError) and "407" in message:
        return f"{message}; write the proxy's variable with user name and password: http://USER:PASSWORD@HOST:PORT"
    return message if isinstance(error, httpx.UnsupportedProtocol) else None


def _send(client: "httpx.Client", url: str, deadline: Deadline) -> "httpx.Response":
    """Send the request and wait for the head of the answer, no longer than the deadline allows."""
    import httpx

    seconds = max(min(deadline.remaining(), _head_seconds(client)), 0.001)
    try:
        return wait_for(lambda: client.send(client.build_request("GET", url), stream=True), seconds)
    except TimeoutError as error:
        raise httpx.ConnectTimeout(f"{error}{_way(url)}") from None


def _way(url: str) -> str:
    proxy = proxy_for(url)
    return f", through {proxy}" if proxy else ""


def _head_seconds(client: "httpx.Client") -> float:
    return (client.timeout.connect or 0) + (client.timeout.read or 0)


def _refuse_status(response: "httpx.Response") -> None:
    status = response.status_code
    if status == 200:
        return
    message = f"the server answered {status} {response.reason_phrase}".rstrip() + _way(str(response.url))
    if status in {408, 429} or status >= 500:
        raise TransientError(message, retry_after(response.headers.get("Retry-After")))
    raise _failed(str(response.url), message)


def _announced_bytes(response: "httpx.Response") -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None
