"""Where a sprite's two files are taken from: a folder, a server, a bucket, or the copy that an earlier fetch kept."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.bucket import download_object
from mnist_pipeline.data.card import SourceFile
from mnist_pipeline.data.description import DatasetDescription
from mnist_pipeline.data.download import download_file
from mnist_pipeline.data.inspection import ExpectedFile
from mnist_pipeline.data.local import read_local
from mnist_pipeline.data.locations import file_url, local_folder, show_source
from mnist_pipeline.data.retries import Deadline, Timeouts
from mnist_pipeline.errors import DownloadError, UsageError
from mnist_pipeline.files import replace_folder, scratch_folder, sha256_bytes, sha256_file, write_json
from mnist_pipeline.network import public_url
from mnist_pipeline.progress import ReportProgress
from mnist_pipeline.schema import Record

_RECEIPT = "source.json"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sprite:
    """The two files of a sprite, inspected.

    Attributes:
        folder: where they lie on this machine.
        source: the folder that they come from, as a URL without credentials or a path.
        labels: size and digest of the label file.
        images: size and digest of the PNG.
    """

    folder: Path
    source: str
    labels: SourceFile
    images: SourceFile

    @property
    def files(self) -> list[SourceFile]:
        return [self.images, self.labels]

    def origin(self, file: SourceFile) -> str:
        """What to call the file in messages."""
        return file_url(self.source, file.name) if "://" in self.source else str(self.folder / file.name)


class _Receipt(Record):
    """``source.json`` beside kept files: what they were when a dataset was decoded from them."""

    source: str
    labels: SourceFile
    images: SourceFile


@contextmanager
def open_sprite(
    description: DatasetDescription,
    expected: tuple[ExpectedFile, ExpectedFile],
    config: FetchConfig,
    downloads: Path,
    report_progress: ReportProgress,
    answer_within: float | None,
) -> Iterator[Sprite]:
    """The sprite's files for the length of a block.

    A folder is read where it lies. A download is kept if the block, which decodes it, ends without
    an error. A kept copy is used without asking the server where the description pins the content,
    or else where the server fails.

    Args:
        description: whose sprite.
        expected: labels and images, as the description has them.
        config: where to read, how patiently.
        downloads: holds the kept copies.
        report_progress: told of the bytes that come in.
        answer_within: give up where no server answers within so many seconds; None means as ``config`` says.

    Raises:
        UsageError: the source is of no kind that can be read.
        DownloadError: it could not be read, and no copy is kept.
        DataError: what came is not what is expected.
    """
    source = config.source if config.source is not None else description.source
    _refuse_file(source, expected)
    if (folder := local_folder(source)) is not None:
        labels, images = (read_local(folder, file) for file in expected)
        yield Sprite(folder, str(folder), labels, images)
        return
    kept = downloads / f"{description.name}-{_key(description, source)}"
    if description.digest is not None and (copy := _kept_copy(kept)) is not None:
        yield copy
        return
    with scratch_folder(downloads, description.name) as scratch:
        try:
            sprite = _download(source, expected, scratch, config, report_progress, answer_within)
        except DownloadError as error:
            if (copy := _kept_copy(kept)) is None:
                raise
            _logger.warning("%s; using the verified copy of an earlier fetch", error)
            sprite = copy
        yield sprite
        if sprite.folder == scratch:
            receipt = _Receipt(source=sprite.source, labels=sprite.labels, images=sprite.images)
            write_json(scratch / _RECEIPT, receipt.model_dump(mode="json"))
            replace_folder(scratch, kept)


def _refuse_file(source: str, expected: tuple[ExpectedFile, ExpectedFile]) -> None:
    """A source is the folder of both files; naming one of them is an easy mistake."""
    folder, _, last = source.partition("?")[0].rstrip("/").rpartition("/")
    if last in {file.name for file in expected} and not Path(source).is_dir():
        raise UsageError(f"--source names a file, {last}; name the folder that it is in: {show_source(folder) or '.'}")


def _key(description: DatasetDescription, source: str) -> str:
    """What tells kept copies apart: the pinned content, or else the place that it came from."""
    return (description.digest or sha256_bytes(public_url(source).encode()))[:12]


def _kept_copy(kept: Path) -> Sprite | None:
    """The copy in the folder ``kept``, if its bytes are those that its receipt records."""
    try:
        receipt = _Receipt.model_validate_json((kept / _RECEIPT).read_bytes())
        files = (receipt.labels, receipt.images)
        sound = all(sha256_file(kept / file.name) == file.sha256 for file in files)
    except FileNotFoundError:
        return None
    except ValidationError:
        sound = False
    if not sound:
        _logger.warning("the kept copy %s is damaged; it is not used", kept)
        return None
    return Sprite(kept, receipt.source, receipt.labels, receipt.images)


def _download(
    source: str,
    expected: tuple[ExpectedFile, ExpectedFile],
    folder: Path,
    config: FetchConfig,
    report_progress: ReportProgress,
    answer_within: float | None,
) -> Sprite:
    deadline = Deadline(config.deadline, answer_within)
    if urlsplit(source).scheme == "s3":
        download = partial(download_object, source)
    else:
        download = partial(download_file, source, timeouts=Timeouts.of(config))
    labels, images = (download(file, folder, deadline=deadline, report_progress=report_progress) for file in expected)
    return Sprite(folder, public_url(source), labels, images)
