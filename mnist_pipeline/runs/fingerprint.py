"""What results depend on besides data and configuration: the code of whole rooms, and installed packages.

Rooms are named, not files: whoever adds a module to a room need not think of this. That no room is missing is
checked by a test, which walks the imports of everything that declares its `Sources`.
"""

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mnist_pipeline.files import canonical_json, sha256_bytes

PACKAGE = Path(__file__).parents[1]
ONNXRUNTIME = ("onnxruntime-gpu", "onnxruntime")
"""The distributions that install onnxruntime; one of them is there."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a result depends on, besides its configuration and inputs."""

    rooms: tuple[str, ...]
    """Folders of this package, and modules that lie beside them."""
    packages: tuple[str, ...]
    """Installed distributions; those that are absent count as absent."""

    def fingerprint(self) -> dict[str, str]:
        """A digest of the code, and the version of each package."""
        return {"code": code_digest(self.rooms), **{name: installed_version(name) for name in self.packages}}


@cache
def code_digest(rooms: tuple[str, ...] = (".",)) -> str:
    """Hex SHA-256 of all files in ``rooms`` of this package, templates and the like included."""
    files = {file for room in rooms for file in _files(PACKAGE / room)}
    return sha256_bytes(
        canonical_json({f.relative_to(PACKAGE).as_posix(): sha256_bytes(f.read_bytes()) for f in sorted(files)})
    )


def _files(room: Path) -> Iterator[Path]:
    inside = [room] if room.is_file() else room.rglob("*")
    return (file for file in inside if file.is_file() and file.suffix != ".pyc")


@cache
def installed_version(package: str) -> str:
    """Version of an installed distribution, or "absent"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
