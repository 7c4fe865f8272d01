"""Labelled images of one's own: what joins the train rows, and what does not."""

import json

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import DataError, UsageError
from mnist_pipeline.labels.extra_images import collect_extra_images
from mnist_pipeline.workspace import Workspace


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fetch_dataset(FetchConfig(dataset="digits"), Workspace(tmp_path_factory.mktemp("fetched")))


def altered(image, seed):
    """The image with some pixels of its ink changed: no image of the dataset, and still in the sprite's form."""
    ink = np.argwhere((image > 0) & (image < 250))
    changed = image.copy()
    for row, column in np.random.default_rng(seed).permutation(ink)[:3]:
        changed[row, column] += 1
    return changed


@pytest.fixture
def folder(dataset, tmp_path):
    """Two altered train images of class 3, one of class 7."""
    train = Dataset.open(dataset.directory).train
    for label, place, count in ((3, "3", 2), (7, "Seven", 1)):
        (tmp_path / "extra" / place).mkdir(parents=True)
        for number, image in enumerate(train.images[train.labels == label][:count]):
            Image.fromarray(altered(image, number)).save(tmp_path / "extra" / place / f"{number}.png")
    return tmp_path / "extra"


def test_extra_images_join_the_train_rows_alone(dataset, folder, tmp_path):
    extra = collect_extra_images(folder, dataset, Workspace(tmp_path)).verify()
    assert extra.images == 3
    plain, joined = Dataset.open(dataset.directory), Dataset.open(dataset.directory, extra_images=extra.directory)
    assert joined.train.labels[-3:].tolist() == [3, 3, 7]
    assert (joined.train.images[:-3] == plain.train.images).all()
    assert (joined.train.images[-3] == np.asarray(Image.open(folder / "3" / "0.png"))).all()
    assert (joined.validation.rows == plain.validation.rows).all()
    assert (joined.test.images == plain.test.images).all()
    assert joined.digest == plain.digest
    few = Dataset.open(dataset.directory, train_rows=10, extra_images=extra.directory)
    assert len(few.train) == 13


def test_the_same_images_are_the_same_digest_and_are_stored_once(dataset, folder, tmp_path):
    first = collect_extra_images(folder, dataset, Workspace(tmp_path))
    second = collect_extra_images(folder, dataset, Workspace(tmp_path))
    assert first == second
    (folder / "3" / "0.png").rename(folder / "Seven" / "zz.png")
    assert collect_extra_images(folder, dataset, Workspace(tmp_path)).digest != first.digest


def test_a_damaged_copy_is_made_again(dataset, folder, tmp_path):
    first = collect_extra_images(folder, dataset, Workspace(tmp_path))
    (first.directory / "labels.npy").write_bytes(b"")
    collect_extra_images(folder, dataset, Workspace(tmp_path)).verify()


def test_what_cannot_be_trained_on_is_left_out_and_said(dataset, folder, tmp_path, caplog):
    data = Dataset.open(dataset.directory)
    Image.fromarray(data.test.images[0]).save(folder / "3" / "a-test-image.png")
    Image.fromarray(np.full((60, 60), 255, np.uint8)).save(folder / "3" / "blank.png")
    (folder / "3" / "broken.png").write_bytes(b"no image")
    (folder / "3" / "0-again.png").write_bytes((folder / "3" / "0.png").read_bytes())
    extra = collect_extra_images(folder, dataset, Workspace(tmp_path))
    assert extra.images == 3
    card = json.loads((extra.directory / "extra.json").read_text())
    assert card["left_out"] == {"in the dataset already": 2, "no digit": 1, "not an image": 1}
    assert "4 of 7 files are left out" in caplog.text
    joined = Dataset.open(dataset.directory, extra_images=extra.directory)
    test_image = data.test.images[0]
    assert not (joined.train.images == test_image).all(axis=(1, 2)).any()


def test_a_folder_that_is_no_class_is_named(dataset, folder, tmp_path):
    (folder / "eleven").mkdir()
    with pytest.raises(UsageError, match=r"the folder 'eleven' is no class; name it as one of 0 to 9 or Zero, One"):
        collect_extra_images(folder, dataset, Workspace(tmp_path))


def test_no_usable_image_is_an_error(dataset, tmp_path):
    (tmp_path / "extra" / "1").mkdir(parents=True)
    (tmp_path / "extra" / "1" / "x.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of 1 files can be trained on; 1/x.png: empty"):
        collect_extra_images(tmp_path / "extra", dataset, Workspace(tmp_path))
    with pytest.raises(UsageError, match="there is no such folder"):
        collect_extra_images(tmp_path / "nowhere", dataset, Workspace(tmp_path))
