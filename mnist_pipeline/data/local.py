"""Source files in a folder of this machine, read where they lie."""

from pathlib import Path

from mnist_pipeline.data.card import SourceFile
from mnist_pipeline.data.inspection import ExpectedFile, IncompleteError, Inspection
from mnist_pipeline.errors import DataError, DownloadError

_CHUNK = 2**20


def read_local(folder: Path, expected: ExpectedFile) -> SourceFile:
    """Look at a file where it lies.

    Raises:
        DownloadError: there is no such file, or it cannot be read.
        DataError: it is not what is expected.
    """
    path = folder / expected.name
    inspection = Inspection(expected, str(path))
    try:
        if not path.is_file():
            raise DownloadError(f"{_why_missing(path)}; --source names the folder that holds images and labels")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                inspection.update(chunk)
        return inspection.finish()
    except IncompleteError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DownloadError(f"cannot read {path}: {error.strerror}") from error


def _why_missing(path: Path) -> str:
    folder = path.parent
    if folder.is_dir():
        return f"{path} is not a regular file" if path.exists() else f"{path} is missing"
    return f"{folder} is a file" if folder.exists() else f"there is no folder {folder}"
