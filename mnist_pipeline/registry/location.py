"""Where a registry is: a folder, or an object store."""

from pathlib import Path

from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.registry.remote import RemoteStorage
from mnist_pipeline.registry.store import Registry


def open_registry(location: str | Path, *, cache: Path) -> Registry:
    """The registry in a folder, or below ``s3://bucket/prefix``.

    Args:
        location: the folder or the URL.
        cache: local folder for what is downloaded from a URL; not used for a folder.

    Raises:
        UsageError: the URL is malformed or of another kind.
        MissingExtraError: it is an URL and the 's3' extra is not installed.
        StorageError: a variable that the object store needs cannot be used.
    """
    if isinstance(location, Path) or "://" not in location:
        return Registry(Path(location))
    return Registry(RemoteStorage(ObjectFolder(location), cache))
