"""A sorted listing cut into shards whose keys say what their rows depend on.

Where a shard ends is decided by the names themselves, as in content-defined chunking (Muthitacharoen, Chen and
Mazieres, SOSP 2001): when files come or go, only the shards around them change, all others keep their keys.

    listing    every name, followed by a NUL
    shards     where each shard's names are in the listing, how many they are, and its key
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.files import canonical_json, sha256_bytes
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.records import ScoringSettings, Shard, ShardRange
from mnist_pipeline.scoring.sources.listing import END

LEAST = 4
"""A shard holds at least a fourth of the average."""
MOST = 4
"""A shard holds at most four times the average."""
ENTRY = struct.Struct("<QII32s")
"""A shard on disk: offset, bytes and images of its names, and its key."""


def cut(names: Iterable[bytes], outputs: Outputs, settings: ScoringSettings, shard_images: int) -> ShardRange:
    """Write the listing and its shards.

    Args:
        names: sorted.
        outputs: say where.
        settings: what is to be done with each image.
        shard_images: images per shard, on average.

    Returns:
        All of them.
    """
    base, offset, images, count = key_base(settings), 0, 0, 0
    with outputs.listing.open("wb") as listing, outputs.shards.open("wb") as shards:
        for members in _groups(names, shard_images):
            block = END.join(members) + END
            listing.write(block)
            shards.write(ENTRY.pack(offset, len(block), len(members), _key(base, block)))
            offset, images, count = offset + len(block), images + len(members), count + 1
    return ShardRange(first=0, count=count, images=images)


def split(outputs: Outputs, whole: ShardRange, images: int) -> list[ShardRange]:
    """Runs of consecutive shards with at least so many images each, but for the last."""
    found: list[ShardRange] = []
    first, held = whole.first, 0
    for shard in read_shards(outputs, whole):
        held += shard.images
        if held >= images:
            found.append(ShardRange(first=first, count=shard.number + 1 - first, images=held))
            first, held = shard.number + 1, 0
    if held:
        found.append(ShardRange(first=first, count=whole.first + whole.count - first, images=held))
    return found


def read_shards(outputs: Outputs, wanted: ShardRange) -> Iterator[Shard]:
    """The shards of a range, in order."""
    with outputs.shards.open("rb") as file:
        file.seek(wanted.first * ENTRY.size)
        for number in range(wanted.first, wanted.first + wanted.count):
            yield _read_shard(file, number)


def _read_shard(file: BinaryIO, number: int) -> Shard:
    entry = file.read(ENTRY.size)
    if len(entry) != ENTRY.size:
        raise _written_anew(file.name)
    offset, length, images, key = ENTRY.unpack(entry)
    return Shard(number, offset, length, images, key.hex())


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


def key_base(settings: ScoringSettings) -> bytes:
    """What the keys of all shards with these settings begin with."""
    return sha256_bytes(canonical_json(settings.model_dump(mode="json"))).encode()


def _key(base: bytes, block: bytes) -> bytes:
    return hashlib.sha256(base + block).digest()


def shard_names(shard: Shard, outputs: Outputs, base: bytes) -> list[bytes]:
    """The names of a shard, read from the listing.

    Args:
        shard: whose.
        outputs: say where the listing is.
        base: `key_base` of the job's settings.

    Raises:
        IntegrityError: they are not those of the shard. A worker that outlives its job, on a machine that nobody
            could reach, meets a listing that the next job has written or is writing.
    """
    with outputs.listing.open("rb") as file:
        file.seek(shard.offset)
        block = file.read(shard.length)
    if _key(base, block).hex() != shard.key:
        raise _written_anew(str(outputs.listing))
    return block.split(END)[:-1]


def _written_anew(path: str) -> IntegrityError:
    return IntegrityError(f"{path} was written anew by a later job, which scores these images")
