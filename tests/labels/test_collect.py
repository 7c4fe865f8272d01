"""Own images made ready for a run: what joins the train rows, what is measured, and what is left out."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.labels.collect import collect_own_images
from mnist_pipeline.labels.sources import find_images
from mnist_pipeline.labels.store import NewImage, open_labels
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
    """Twelve altered train images of classes 3 and 7."""
    train = Dataset.open(dataset.directory).train
    for label, place in ((3, "3"), (7, "Seven")):
        (tmp_path / "own" / place).mkdir(parents=True)
        for number, image in enumerate(train.images[train.labels == label][:6]):
            Image.fromarray(altered(image, number)).save(tmp_path / "own" / place / f"{number}.png")
    return tmp_path / "own"


def collect(folder, dataset, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    store = open_labels(workspace.labels)
    store.add(find_images(folder), by="anna")
    return collect_own_images(store, str(workspace.labels), dataset, workspace)


def test_the_train_side_joins_the_train_rows_alone_and_the_own_test_side_nothing(dataset, folder, tmp_path):
    extra = collect(folder, dataset, tmp_path).verify()
    assert extra.images + extra.own_test == 12
    assert extra.images
    assert extra.own_test
    plain, joined = Dataset.open(dataset.directory), Dataset.open(dataset.directory, extra_images=extra.directory)
    written = {path.read_bytes(): np.asarray(Image.open(path)) for path in folder.rglob("*.png")}
    with zipfile.ZipFile(extra.own_test_archive) as packed:
        measured = [packed.read(name) for name in packed.namelist()]
        assert {name[:2] for name in packed.namelist()} <= {"3/", "7/"}
    fitted = joined.train.images[len(plain.train) :]
    assert len(fitted) == extra.images
    assert {image.tobytes() for image in fitted} == {
        image.tobytes() for data, image in written.items() if data not in measured
    }
    assert set(joined.train.labels[len(plain.train) :]) == {3, 7}
    assert (joined.train.images[: len(plain.train)] == plain.train.images).all()
    assert (joined.validation.rows == plain.validation.rows).all()
    assert (joined.test.images == plain.test.images).all()
    assert joined.digest == plain.digest
    few = Dataset.open(dataset.directory, train_rows=10, extra_images=extra.directory)
    assert len(few.train) == 10 + extra.images
    often = Dataset.open(dataset.directory, extra_images=extra.directory, extra_repeats=20).train
    assert len(often) == len(plain.train) + 20 * extra.images
    assert (often.images[len(plain.train) :].reshape(20, *fitted.shape) == fitted).all()
    assert set(often.rows[len(plain.train) :]) == set(joined.train.rows[len(plain.train) :])
    few = Dataset.open(dataset.directory, train_rows=30, extra_images=extra.directory, extra_repeats=20)
    assert 30 < len(few.train) <= 60  # own images never outnumber the rows


def test_the_same_labels_are_the_same_digests_and_are_stored_once(dataset, folder, tmp_path):
    first = collect(folder, dataset, tmp_path)
    assert collect(folder, dataset, tmp_path) == first
    (first.directory / "labels.npy").write_bytes(b"")
    collect(folder, dataset, tmp_path).verify()


def test_without_labels_there_is_nothing(dataset, tmp_path):
    workspace = Workspace(tmp_path)
    assert collect_own_images(open_labels(workspace.labels), "labels", dataset, workspace) is None


def test_what_cannot_be_trained_on_is_left_out_and_said(dataset, folder, tmp_path, caplog):
    data = Dataset.open(dataset.directory)
    known = list(data.test.images[:40])
    for number, image in enumerate(known):
        Image.fromarray(image).save(folder / "3" / f"test-image-{number}.png")
    (folder / "none").mkdir()
    for number in range(20):
        blank = np.full((60, 60), 255, np.uint8)
        blank[number, number] = 254
        Image.fromarray(blank).save(folder / "none" / f"blank-{number}.png")
    extra = collect(folder, dataset, tmp_path)
    card = json.loads((extra.directory / "extra.json").read_text())
    assert card["left_out"]["in the dataset already"] > 10
    assert "of the train side are left out" in caplog.text
    joined = Dataset.open(dataset.directory, extra_images=extra.directory)
    fitted = joined.train.images[-extra.images :]
    assert not any((fitted == image).all(axis=(1, 2)).any() for image in known)
    assert extra.images <= 12


def rewritten(image, how):
    """A file of what the image shows, in other pixels."""
    drawn, file = Image.fromarray(image), io.BytesIO()
    if how == "enlarged":
        drawn.resize((280, 280), Image.Resampling.NEAREST).save(file, "PNG")
    elif how == "inverted":
        Image.fromarray(255 - image).save(file, "PNG")
    elif how == "on paper":
        paper = Image.fromarray(255 - image).resize((112, 112), Image.Resampling.BICUBIC)
        Image.fromarray(np.asarray(paper) // 2 + 90).save(file, "JPEG", quality=80)
    return file.getvalue()


@pytest.mark.parametrize("how", ["enlarged", "inverted", "on paper"])
def test_what_is_drawn_from_a_test_image_is_not_trained_on_and_what_is_drawn_from_another_one_is(
    dataset, tmp_path, how
):
    data, store = Dataset.open(dataset.directory), open_labels(Workspace(tmp_path).labels)
    rows = np.concatenate([data.test.images[:60], data.validation.images[:60]])
    files = [rewritten(row, how) for row in rows]
    store.add([NewImage(source=f"{n}.png", data=file, label="1") for n, file in enumerate(files)], by="anna")
    train = {image.answers[0].source for image in store.catalogue().settled("train")}
    of_test = sum(f"{number}.png" in train for number in range(60))
    extra = collect_own_images(store, "labels", dataset, Workspace(tmp_path))
    left_out = json.loads((extra.directory / "extra.json").read_text())["left_out"]
    assert of_test > 30
    assert left_out["like a test image of the dataset"] >= 0.85 * of_test
    assert extra.images >= 0.85 * (len(train) - of_test)
