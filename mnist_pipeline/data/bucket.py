"""Source files in an object store, below ``s3://bucket/prefix``."""

from pathlib import Path

from mnist_pipeline.data.card import SourceFile
from mnist_pipeline.data.inspection import ExpectedFile, IncompleteError, Inspection
from mnist_pipeline.data.locations import file_url
from mnist_pipeline.data.retries import Deadline
from mnist_pipeline.errors import DataError, DownloadError, StorageError
from mnist_pipeline.network import wait_for
from mnist_pipeline.progress import Progress, ReportProgress


def download_object(
    base: str, expected: ExpectedFile, folder: Path, *, deadline: Deadline, report_progress: ReportProgress
) -> SourceFile:
    """Copy an object below ``base`` into ``folder``, checking it on the way. The client tries again what can pass.

    Raises:
        UsageError: ``base`` is malformed.
        MissingExtraError: the 's3' extra is not installed.
        DownloadError: it cannot be had, or not in time.
        DataError: it is not what is expected.
        OSError: it cannot be written.
    """
    from mnist_pipeline.files.object_store import ObjectFolder

    url = file_url(base, expected.name)
    inspection = Inspection(expected, url)
    try:
        found = ObjectFolder(base).stream(expected.name)
        if found is None:
            raise DownloadError(f"{url}: there is no such object; --source names what holds images and labels")
        with (folder / expected.name).open("wb") as file:
            for chunk in found.chunks:
                inspection.update(chunk)
                file.write(chunk)
                report_progress(Progress(f"download {expected.name}", inspection.bytes, found.size, "bytes"))
                if deadline.remaining() <= 0:
                    raise DownloadError(f"{url}: the deadline passed after {inspection.bytes:,} bytes; try later")
        return inspection.finish()
    except IncompleteError as error:
        raise DataError(str(error)) from error
    except StorageError as error:
        raise DownloadError(f"cannot download {expected.name} from {error}") from error


def probe_object(base: str, name: str, seconds: float) -> None:
    """Ask whether an object is there.

    Raises:
        UsageError, MissingExtraError: as `download_object`.
        DownloadError: it is not, or nobody answers within so many seconds.
    """
    from mnist_pipeline.files.object_store import ObjectFolder

    url = file_url(base, name)
    try:
        found = wait_for(lambda: ObjectFolder(base).tag(name), seconds)
    except (StorageError, TimeoutError) as error:
        raise DownloadError(f"cannot read {url}: {error}") from error
    if found is None:
        raise DownloadError(f"{url}: there is no such object, or no such bucket")
