"""A sorted listing cut into shards whose keys say what their rows depend on.

Where a shard ends is decided by the names themselves, as in content-defined chunking (Muthitacharoen, Chen and
Mazieres, SOSP 2001): when files come or go, only the shards around them change, all others keep their keys.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import PIL

from mnist_pipeline.files import canonical_json, sha256_bytes, sha256_file
from mnist_pipeline.scoring.listing import END
from mnist_pipeline.scoring.records import ScoringSettings, Shard

LEAST = 4
"""A shard holds at least a fourth of the average."""
MOST = 4
"""A shard holds at most four times the average."""
_CODE = ("images.py", "plain_png.py", "preprocess.py", "components.py", "rejection.py", "rows.py", "reading.py")


def preprocessing_version() -> str:
    """What the 28x28 pixels of an image depend on, beside its bytes: this code and the libraries that decode."""
    here = Path(__file__).parent
    code = {name: sha256_file(here / name) for name in _CODE}
    digest = sha256_bytes(canonical_json([code, PIL.__version__, np.__version__]))
    return f"1-{digest[:12]}"


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
    base = sha256_bytes(canonical_json(settings.model_dump(mode="json")))
    offset = 0
    with listing.open("wb") as file:
        for index, members in enumerate(_groups(names, shard_images)):
            block = END.join(members) + END
            file.write(block)
            file.flush()
            key = hashlib.sha256(base.encode() + block).hexdigest()
            yield Shard(
                index=index,
                listing=listing,
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


def shard_names(shard: Shard) -> list[bytes]:
    """The names of a shard, read from the listing."""
    with shard.listing.open("rb") as file:
        file.seek(shard.offset)
        return file.read(shard.length).split(END)[:-1]
