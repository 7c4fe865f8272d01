"""Where a sprite's two files are taken from: a folder, a server, a bucket, or the copy that an earlier fetch kept."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.card import SourceFile
from mnist_pipeline.data.description import DatasetDescription, SpriteFiles
from mnist_pipeline.data.download import download, probe
from mnist_pipeline.data.inspection import ExpectedFile, Inspection, expected_files
from mnist_pipeline.data.locations import file_url, local_folder, show_source
from mnist_pipeline.data.retries import Deadline
from mnist_pipeline.errors import DownloadError, PipelineError, UsageError
from mnist_pipeline.files import replace_folder, scratch_folder, sha256_bytes, sha256_file, write_json
from mnist_pipeline.network import public_url
from mnist_pipeline.progress import ReportProgress
from mnist_pipeline.schema import Record

_RECEIPT = "source.json"
_CHUNK = 2**20
_logger = logging.getLogger(__name__)


class Sprite(Record):
    """The two files of a sprite, inspected; ``source.json`` beside files that are kept."""

    source: str
    """The folder that they come from, as a URL without credentials or a path."""
    labels: SourceFile
    images: SourceFile

    @property
    def files(self) -> list[SourceFile]:
        return [self.images, self.labels]

    def origin(self, file: SourceFile) -> str:
        """What to call the file in messages."""
        return file_url(self.source, file.name) if "://" in self.source else str(Path(self.source) / file.name)


@contextmanager
def open_sprite(
    description: DatasetDescription,
    files: SpriteFiles,
    config: FetchConfig,
    downloads: Path,
    deadline: Deadline,
    report_progress: ReportProgress,
) -> Iterator[tuple[Path, Sprite]]:
    """The folder of this machine that holds the sprite's files, for the length of a block, and what they are.

    A folder is read where it lies. A download is kept if the block, which decodes it, ends without
    an error. A kept copy is used without asking the server where the description pins the content,
    or else where the server fails.

    Args:
        description: whose sprite.
        files: of the description.
        config: where to read, how patiently.
        downloads: holds the kept copies.
        deadline: of all downloads.
        report_progress: told of the bytes that come in.

    Raises:
        UsageError: the source is of no kind that can be read.
        DownloadError: it could not be read, and no copy is kept.
        DataError: what came is not what is expected.
    """
    source = config.source if config.source is not None else description.source
    expected = expected_files(description, files)
    _refuse_file(source, expected)
    if (folder := local_folder(source)) is not None:
        labels, images = (_read_local(folder, file) for file in expected)
        yield folder, Sprite(source=str(folder), labels=labels, images=images)
        return
    kept = downloads / f"{description.name}-{_key(description, source)}"
    if description.digest is not None and (copy := _kept_copy(kept)):
        yield kept, copy
        return
    with scratch_folder(downloads, description.name) as scratch:
        try:
            labels, images = (download(source, file, scratch, config, deadline, report_progress) for file in expected)
        except DownloadError as error:
            if (copy := _kept_copy(kept)) is None:
                raise
            _logger.warning("%s; using the verified copy of an earlier fetch", error)
        else:
            sprite = Sprite(source=public_url(source), labels=labels, images=images)
            yield scratch, sprite
            write_json(scratch / _RECEIPT, sprite.model_dump(mode="json"))
            replace_folder(scratch, kept)
            return
    yield kept, copy


def unreachable(description: DatasetDescription, config: FetchConfig) -> str | None:
    """Why the dataset's source cannot be read right now, in one line; None where it can.

    Asks once, for a few seconds at most, and reads no more than the head of an answer.
    """
    if description.files is None:
        absent = find_spec("sklearn") is None
        return "the embedded digits need scikit-learn; install 'mnist-pipeline[train]'" if absent else None
    source = config.source or description.source
    try:
        folder = local_folder(source)
        for expected in expected_files(description, description.files):
            if folder is not None:
                _read_local(folder, expected)
            else:
                probe(source, expected.name, config)
    except PipelineError as error:
        return str(error)
    return None


def _read_local(folder: Path, expected: ExpectedFile) -> SourceFile:
    """Look at a file where it lies."""
    path = folder / expected.name
    inspection = Inspection(expected, str(path))
    try:
        if not path.is_file():
            raise DownloadError(f"{_why_missing(path)}; --source names the folder that holds images and labels")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                inspection.update(chunk)
        return inspection.finish()
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror}") from error


def _why_missing(path: Path) -> str:
    folder = path.parent
    if folder.is_dir():
        return f"{path} is not a regular file" if path.exists() else f"{path} is missing"
    return f"{folder} is a file" if folder.exists() else f"there is no folder {folder}"


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
        sprite = Sprite.model_validate_json((kept / _RECEIPT).read_bytes())
        if all(sha256_file(kept / file.name) == file.sha256 for file in sprite.files):
            return sprite
    except FileNotFoundError:
        return None
    except ValidationError:
        pass
    _logger.warning("the kept copy %s is damaged; it is not used", kept)
    return None
