import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.description import load_description
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.data.shared import fetch_shared_dataset, pull_dataset, push_dataset
from mnist_pipeline.errors import DownloadError, IntegrityError
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.workspace import Workspace


@pytest.fixture
def shared(object_server: Any, request: pytest.FixtureRequest) -> ObjectFolder:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    object_server.gate.requests.clear()
    return ObjectFolder(f"s3://bucket/datasets/{name}", endpoint=object_server.endpoint)


def test_one_machines_fetch_serves_another_that_cannot_reach_the_source(
    shared: ObjectFolder, small_sprite: Any, tmp_path: Path, object_server: Any
) -> None:
    config = FetchConfig(dataset=small_sprite.describe())
    first = fetch_shared_dataset(config, Workspace(tmp_path / "one"), shared)
    puts = [path.rpartition("/")[2] for method, path in object_server.gate.requests if method == "PUT"]
    assert puts == ["images.npy", "labels.npy", "dataset.json"]

    small_sprite.png.unlink()
    small_sprite.one_hot.unlink()
    with pytest.raises(DownloadError):
        fetch_dataset(config, Workspace(tmp_path / "alone"))
    second = fetch_shared_dataset(config, Workspace(tmp_path / "two"), shared)
    assert second.files == first.files
    assert second.digest == first.digest
    assert (np.load(second.directory / "images.npy") == small_sprite.images).all()
    assert second.directory.is_relative_to(tmp_path / "two")

    object_server.gate.requests.clear()
    fetch_shared_dataset(config, Workspace(tmp_path / "two"), shared)
    assert object_server.gate.count("GET", "/images.npy") == 0
    assert object_server.gate.count("PUT", "/dataset.json") == 0


def array_bytes(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", ["pixel", "shape", "label", "no array", "missing", "no card", "pickle"])
def test_what_the_store_holds_instead_is_refused_and_the_source_is_read(
    shared: ObjectFolder, small_sprite: Any, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = FetchConfig(dataset=small_sprite.describe())
    fetched = fetch_dataset(config, Workspace(tmp_path / "one"))
    assert push_dataset(fetched, shared)
    assert not push_dataset(fetched, shared)
    folder = fetched.directory.name
    images, labels = small_sprite.images.copy(), small_sprite.labels.copy()
    images[3, 4, 5] ^= 1
    labels[0] = 200
    forged = {
        "pixel": ("images.npy", array_bytes(images)),
        "shape": ("images.npy", array_bytes(images[1:])),
        "label": ("labels.npy", array_bytes(labels)),
        "no array": ("labels.npy", b"no array"),
        "pickle": ("labels.npy", array_bytes(np.array([object()], dtype=object))),
        "missing": ("labels.npy", None),
        "no card": ("dataset.json", b"{}"),
    }[damage]
    name, data = forged
    if data is None:
        shared.delete([f"{folder}/{name}"])
    else:
        shared.put(f"{folder}/{name}", data)
    if data and name != "dataset.json":  # a card that fits: whoever can write one file can write them all
        card = json.loads((fetched.directory / "dataset.json").read_text())
        card["files"][name] = sha256_bytes(data)
        shared.put(f"{folder}/dataset.json", json.dumps(card).encode())

    description = load_description(config.dataset)
    with pytest.raises(IntegrityError):
        pull_dataset(description, tmp_path / "two" / "datasets", shared)
    assert list((tmp_path / "two" / "datasets").iterdir()) == []
    second = fetch_shared_dataset(config, Workspace(tmp_path / "two"), shared)
    assert (np.load(second.directory / "images.npy") == small_sprite.images).all()
    assert "the shared datasets are not used" in caplog.text


def test_a_store_that_cannot_be_reached_is_no_obstacle(
    small_sprite: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, object_server: Any
) -> None:
    nowhere = ObjectFolder("s3://no-such-bucket", endpoint=object_server.endpoint)
    config = FetchConfig(dataset=small_sprite.describe())
    fetched = fetch_shared_dataset(config, Workspace(tmp_path), nowhere)
    assert (np.load(fetched.directory / "images.npy") == small_sprite.images).all()
    assert "NoSuchBucket" in caplog.text


def test_a_dataset_without_pinned_digests_is_not_shared(
    shared: ObjectFolder, small_sprite: Any, tmp_path: Path, object_server: Any
) -> None:
    fetch_shared_dataset(FetchConfig(dataset=small_sprite.describe(pinned=False)), Workspace(tmp_path), shared)
    assert object_server.gate.requests == []
