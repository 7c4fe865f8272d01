"""What a worker that outlives its job can and cannot do."""

import numpy as np
import pytest

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.scoring.records import ROW, Limits, Location, ScoringSettings
from mnist_pipeline.scoring.results import Part, read_rows, write_part
from mnist_pipeline.scoring.shards import cut, shard_names

NAMES = [f"{number:04d}.png".encode() for number in range(200)]


@pytest.fixture
def settings(tmp_path):
    return ScoringSettings(
        location=Location(kind="folder", root=str(tmp_path)),
        model=tmp_path / "model.onnx",
        model_sha256="0" * 64,
        device="cpu",
        preprocess="auto",
        preprocessing_version="1",
        limits=Limits(pixels=1_000, bytes=1_000, seconds=1),
    )


@pytest.fixture
def shards(settings, tmp_path):
    (tmp_path / "parts").mkdir()
    return list(cut(NAMES, tmp_path / "listing", tmp_path / "parts", settings, 16))


def test_the_shards_hold_every_name_once(shards):
    assert [name for shard in shards for name in shard_names(shard)] == NAMES


@pytest.mark.parametrize("kept", [0, 10, 500, -1])
def test_a_listing_that_the_next_job_is_writing_is_no_listing_of_this_one(shards, tmp_path, kept):
    """The rows of fewer images would pass for the rows of all."""
    listing = tmp_path / "listing"
    listing.write_bytes(listing.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        shard_names(shards[-1])


def test_a_listing_of_the_next_job_is_no_listing_of_this_one(shards, tmp_path):
    listing = tmp_path / "listing"
    listing.write_bytes(listing.read_bytes().replace(b".png", b".jpg"))
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        shard_names(shards[0])


def test_the_rows_of_some_images_are_not_the_rows_of_the_shard(shards, tmp_path):
    shard = shards[0]
    names = tuple(shard_names(shard))
    write_part(shard.part, Part(names[:-1], np.zeros(len(names) - 1, ROW)))
    assert read_rows(shard) is None
    write_part(shard.part, Part(names, np.zeros(len(names), ROW)))
    assert read_rows(shard).names == names
