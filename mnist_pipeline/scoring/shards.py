"""A sorted listing cut into shards whose keys say what their rows depend on.

Where a shard ends is decided by the names themselves, as in content-defined chunking (Muthitacharoen, Chen and
Mazieres, SOSP 2001): when files come or go, only the shards around them change, all others keep their keys.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files import canonical_json, sha256_bytes
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources
from mnist_pipeline.scoring.records import ScoringSettings, Section, Shard
from mnist_pipeline.scoring.sources.listing import END

LEAST = 4
"""A shard holds at least a fourth of the average."""
MOST = 4
"""A shard holds at most four times the average."""
SOURCES = Sources(
    ("imaging", "inference", "rejection", "scoring"),
    ("numpy", "opencv-python-headless", "pillow", "onnx", *ONNXRUNTIME),
)
"""What an image's row depends on, besides its bytes and the settings: who decodes it and who classifies it."""


@cache
def preprocessing_version() -> str:
    """Changes where the code or a package changes that an image's row depends on."""
    return f"1-{sha256_bytes(canonical_json(SOURCES.fingerprint()))[:12]}"


def cut(
    names: Iterable[bytes], listing: Path, parts: Path, settings: ScoringSettings, shard_images: int
) -> Iterator[Shard]:
    """Write ``names`` to ``listing`` and yield each shard once its names are there.

    Args:
        names: sorted.
        listing: file to write; every name is followed by a NUL.
        parts: folder where the shards' rows are to be stored.
        settings: what is to be done with each image.
        shard_images: images per shard, on average.
    """
    with listing.open("wb") as file:

        def write(block: bytes) -> None:
            file.write(block)
            file.flush()

        yield from _shards(names, _Place(listing, 0, 0), parts, settings, shard_images, write)


def cut_sections(shards: Iterable[Shard], shard_images: int, task_images: int) -> Iterator[Section]:
    """Runs of consecutive shards with at least ``task_images`` images each, but for the last.

    Args:
        shards: all of a listing, in order.
        shard_images: that they were cut with.
        task_images: images per section.
    """
    first: Shard | None = None
    images = length = count = 0
    for shard in shards:
        first = first or shard
        images, length, count = images + shard.images, length + shard.length, count + 1
        if images >= task_images:
            yield _section(first, length, images, count, shard_images)
            first, images, length, count = None, 0, 0, 0
    if first is not None:
        yield _section(first, length, images, count, shard_images)


def _section(first: Shard, length: int, images: int, count: int, shard_images: int) -> Section:
    return Section(
        first_shard=first.index,
        listing=first.listing,
        offset=first.offset,
        length=length,
        images=images,
        shards=count,
        shard_images=shard_images,
        parts=first.part.parent,
        settings=first.settings,
    )


def shards_of(section: Section) -> Iterator[Shard]:
    """The very shards that the section was made of: where one begins, the cutting knows nothing of those before."""
    names = names_at(section.listing, section.offset, section.length)
    place = _Place(section.listing, section.first_shard, section.offset)
    return _shards(names, place, section.parts, section.settings, section.shard_images, lambda _: None)


class _Place(NamedTuple):
    """Where the first of some shards is."""

    listing: Path
    shard: int
    offset: int


def _shards(
    names: Iterable[bytes],
    place: _Place,
    parts: Path,
    settings: ScoringSettings,
    shard_images: int,
    write: Callable[[bytes], None],
) -> Iterator[Shard]:
    """Each shard of ``names``, once ``write`` has had its names."""
    base = _base(settings)
    offset = place.offset
    for index, members in enumerate(_groups(names, shard_images), place.shard):
        block = END.join(members) + END
        write(block)
        key = _key(base, block)
        yield Shard(
            index=index,
            listing=place.listing,
            offset=offset,
            length=len(block),
            images=len(members),
            key=key,
            part=parts / f"{key[:40]}.part",
            settings=settings,
        )
        offset += len(block)


def _groups(names: Iterable[bytes], shard_images: int) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    least, most = max(1, shard_images // LEAST), shard_images * MOST
    spread = max(1, shard_images - least)
    for name in names:
        group.append(name)
        if len(group) >= most or (len(group) >= least and zlib.crc32(name) % spread == 0):
            yield group
            group = []
    if group:
        yield group


def _base(settings: ScoringSettings) -> bytes:
    return sha256_bytes(canonical_json(settings.model_dump(mode="json"))).encode()


def _key(base: bytes, block: bytes) -> str:
    return hashlib.sha256(base + block).hexdigest()


def shard_names(shard: Shard) -> list[bytes]:
    """The names of a shard, read from the listing.

    Raises:
        IntegrityError: they are not those of the shard. A worker that outlives its job, on a machine that nobody
            could reach, meets a listing that the next job has written or is writing.
    """
    block = _read(shard.listing, shard.offset, shard.length)
    if _key(_base(shard.settings), block) != shard.key:
        raise IntegrityError(f"{shard.listing} was written anew by a later job, which scores these images")
    return block.split(END)[:-1]


def names_at(listing: Path, offset: int, length: int) -> list[bytes]:
    """The names in these bytes of a listing."""
    return _read(listing, offset, length).split(END)[:-1]


def _read(listing: Path, offset: int, length: int) -> bytes:
    with listing.open("rb") as file:
        file.seek(offset)
        return file.read(length)
