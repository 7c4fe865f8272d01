"""Source files from a server, by HTTP, or from a bucket, below ``s3://bucket/prefix``.

Only what can pass by itself is tried again: timeouts, lost connections, bodies that are cut short,
and the answers 408, 429 and 5xx. A missing file or wrong bytes stay what they are.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.card import SourceFile
from mnist_pipeline.data.inspection import ExpectedFile, IncompleteError, Inspection
from mnist_pipeline.data.locations import file_url
from mnist_pipeline.data.retries import ANSWER_SECONDS, Deadline, TransientError, retry_after, with_retries
from mnist_pipeline.errors import DownloadError, NetworkError, StorageError
from mnist_pipeline.network import certificates, open_client, proxy_for, public_url, wait_for
from mnist_pipeline.progress import Progress, ReportProgress

if TYPE_CHECKING:
    import httpx


def download(
    base: str,
    expected: ExpectedFile,
    folder: Path,
    config: FetchConfig,
    deadline: Deadline,
    report_progress: ReportProgress,
) -> SourceFile:
    """Stream a file of the folder ``base`` into ``folder``, checking it on the way.

    Raises:
        UsageError: ``base`` names a bucket, and is malformed.
        MissingExtraError: likewise, and the 's3' extra is not installed.
        DownloadError: it could not be had within the attempts and the time.
        DataError: what came is not what is expected; never tried again.
        OSError: it could not be written.
    """
    url = file_url(base, expected.name)
    if urlsplit(base).scheme == "s3":
        return _download_object(base, url, expected, folder, deadline, report_progress)
    try:
        with _open(config) as client:
            return with_retries(
                expected.name,
                lambda: _stream(client, url, expected, folder, deadline, report_progress),
                config.attempts,
                deadline,
            )
    except TransientError as error:
        raise DownloadError(
            f"cannot download {public_url(url)}: {error} (attempt {error.attempt} of {config.attempts}); "
            "name a mirror with --source, or try later"
        ) from error


def probe(base: str, name: str, config: FetchConfig) -> None:
    """Ask for a file of the folder ``base`` once, for a few seconds, and read no more than the head of the answer.

    Raises:
        UsageError, MissingExtraError: as `download`.
        DownloadError: it cannot be had.
    """
    url, seconds = file_url(base, name), min(config.deadline, ANSWER_SECONDS)
    if urlsplit(base).scheme == "s3":
        return _probe_object(base, url, name, seconds)
    try:
        with _open(config) as client, _response(client, url, Deadline(seconds)):
            return None
    except TransientError as error:
        raise _failed(url, str(error)) from error


def _download_object(
    base: str, url: str, expected: ExpectedFile, folder: Path, deadline: Deadline, report_progress: ReportProgress
) -> SourceFile:
    """As `download`; the client tries again what can pass."""
    from mnist_pipeline.files.object_store import ObjectFolder

    try:
        found = ObjectFolder(base).stream(expected.name)
        if found is None:
            raise DownloadError(f"{url}: there is no such object; --source names what holds images and labels")
        inspection = Inspection(expected, url)
        return _copy(found.chunks, inspection, folder / expected.name, found.size, deadline, report_progress)
    except TransientError as error:
        raise DownloadError(f"{url}: {error}; try later") from error
    except StorageError as error:
        raise DownloadError(f"cannot download {expected.name} from {error}") from error


def _probe_object(base: str, url: str, name: str, seconds: float) -> None:
    from mnist_pipeline.files.object_store import ObjectFolder

    try:
        found = wait_for(lambda: ObjectFolder(base).tag(name), seconds)
    except (StorageError, TimeoutError) as error:
        raise DownloadError(f"cannot read {url}: {error}") from error
    if found is None:
        raise DownloadError(f"{url}: there is no such object, or no such bucket")


def _copy(
    chunks: Iterable[bytes],
    inspection: Inspection,
    destination: Path,
    total: int | None,
    deadline: Deadline,
    report_progress: ReportProgress,
) -> SourceFile:
    """Write the bytes of a file as they come, checked.

    Raises:
        TransientError: the deadline passed.
    """
    activity = f"download {destination.name}"
    report_progress(Progress(activity, 0, total, "bytes"))
    with destination.open("wb") as file:
        for chunk in chunks:
            inspection.update(chunk)
            file.write(chunk)
            report_progress(Progress(activity, inspection.bytes, total, "bytes"))
            if deadline.remaining() <= 0:
                raise TransientError(f"the deadline passed after {inspection.bytes:,} bytes")
    return inspection.finish()


def _open(config: FetchConfig) -> "httpx.Client":
    return open_client(connect_timeout=config.connect_timeout, read_timeout=config.read_timeout)


def _stream(
    client: "httpx.Client",
    url: str,
    expected: ExpectedFile,
    folder: Path,
    deadline: Deadline,
    report_progress: ReportProgress,
) -> SourceFile:
    """One attempt."""
    inspection = Inspection(expected, public_url(url))
    with _response(client, url, deadline) as response:
        total = _announced_bytes(response) or expected.exact_bytes
        # Chunks as they come: gathered into larger ones, a trickle would outlive the deadline.
        chunks = response.iter_bytes()
        try:
            return _copy(chunks, inspection, folder / expected.name, total, deadline, report_progress)
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

    seconds = max(min(deadline.remaining(), (client.timeout.connect or 0) + (client.timeout.read or 0)), 0.001)
    try:
        return wait_for(lambda: client.send(client.build_request("GET", url), stream=True), seconds)
    except TimeoutError as error:
        raise httpx.ConnectTimeout(f"{error}{_way(url)}") from None


def _way(url: str) -> str:
    proxy = proxy_for(url)
    return f", through {proxy}" if proxy else ""


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
