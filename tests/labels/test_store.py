"""Own labels: nothing is overwritten, sides are for ever, and no copy of an own-test image is ever trained on."""

import io
import json
import random
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.digits import load_embedded_digits
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import UsageError
from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.readings import read_flat
from mnist_pipeline.labels.collect import collect_own_images
from mnist_pipeline.labels.storage import FolderStorage
from mnist_pipeline.labels.store import LabelStore, NewImage, open_labels
from mnist_pipeline.workspace import Workspace

PICTURES = 12


@cache
def digits() -> np.ndarray:
    """Handwritten, uint8 [1797, 28, 28], 255 = ink; only read them."""
    return load_embedded_digits()[0]


@cache
def page(number: int) -> np.ndarray:
    """A handwritten digit as ink on paper, uint8 [height, width]; only read it."""
    rng = np.random.default_rng(number)
    large = np.asarray(Image.fromarray(digits()[number * 7]).resize((64, 64), Image.Resampling.BICUBIC))
    paper = np.full((124, 108), 236.0)
    paper[30:94, 22:86] -= large * 0.8
    return np.clip(paper + rng.normal(0, 2, paper.shape), 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, kind: str, quality: int = 60) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **({"quality": quality} if kind == "JPEG" else {}))
    return file.getvalue()


@st.composite
def variants(draw: st.DrawFn) -> tuple[int, bytes]:
    """A picture, and a file of it: as it is, or cropped, as PNG or JPEG."""
    number = draw(st.integers(0, PICTURES - 1))
    top, left, bottom, right = (draw(st.integers(0, 28)) for _ in range(4))
    image = page(number)[top : 124 - bottom, left : 108 - right]
    kind = draw(st.sampled_from(["PNG", "JPEG"]))
    return number, encoded(image, kind, draw(st.sampled_from([40, 75, 95])))


def new(data: bytes, label: str = "3", source: str = "a.png") -> NewImage:
    return NewImage(source=source, data=data, label=label)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fetch_dataset(FetchConfig(dataset="digits"), Workspace(tmp_path_factory.mktemp("fetched")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(variants(), min_size=2, max_size=14), st.data())
def test_no_copy_or_crop_of_an_own_test_image_is_trained_on_whatever_the_order(dataset, tmp_path_factory, files, data):
    workspace = Workspace(tmp_path_factory.mktemp("labels"))
    store = LabelStore(FolderStorage(workspace.labels))
    rest = list(files)
    while rest:  # in parts, by different people
        count = data.draw(st.integers(1, len(rest)))
        store.add([new(file, str(number % 10)) for number, file in rest[:count]], by=f"person {len(rest)}")
        rest = rest[count:]

    images = store.catalogue().images
    digests = {
        number: {d for d in images if store.image(d) in {f for n, f in files if n == number}} for number, _ in files
    }
    sides = {number: {images[digest].side for digest in of_picture} for number, of_picture in digests.items()}
    assert all(len(found) == 1 for found in sides.values())

    extra = collect_own_images(store, "labels", dataset, workspace)
    fitted = np.load(extra.directory / "images.npy")
    for number, file in files:
        if sides[number] == {"own-test"}:
            assert not (fitted == read_flat(decode(file, 10**6)).image).all(axis=(1, 2)).any()
    assert extra.own_test == sum(len(digests[number]) for number in digests if sides[number] == {"own-test"})


def test_copies_that_were_added_at_once_in_two_places_do_not_leak_either(dataset, tmp_path):
    # As on an object store, where nobody can be kept out: two additions that do not know of each other.
    files = [(number, encoded(page(number), kind)) for number in range(PICTURES) for kind in ("PNG", "JPEG")]
    for half, kind in enumerate((0, 1)):
        chosen = [new(file, str(number % 10)) for number, file in files[kind::2]]
        LabelStore(FolderStorage(tmp_path / str(half))).add(chosen, by="anna")
    merged = FolderStorage(tmp_path / "labels")
    for half in (FolderStorage(tmp_path / "0"), FolderStorage(tmp_path / "1")):
        for key in [*half.keys("images"), *half.keys("answers")]:
            merged.create(key, half.read(key))
    store = LabelStore(merged)
    images = list(store.catalogue().images.values())
    torn = sum(
        {images[number].side, images[number + PICTURES].side} == {"train", "own-test"} for number in range(PICTURES)
    )
    assert torn

    extra = collect_own_images(store, "labels", dataset, Workspace(tmp_path))
    left_out = json.loads((extra.directory / "extra.json").read_text())["left_out"]
    assert left_out["like an own-test image"] == torn


def test_about_three_in_ten_are_own_test_and_different_pictures_are_not_taken_for_one(tmp_path):
    store = LabelStore(FolderStorage(tmp_path))
    store.add([new(encoded(255 - image, "PNG")) for image in digits()[:300]], by="anna")
    summary = store.catalogue().summarise()
    assert summary.train + summary.own_test == 300
    assert 0.2 < summary.own_test / 300 < 0.4


def test_a_second_answer_is_a_conflict_until_somebody_decides(tmp_path):
    store = LabelStore(FolderStorage(tmp_path))
    file = encoded(page(1), "PNG")
    assert store.add([new(file, "1")], by="anna").added == 1
    assert store.add([new(file, "1")], by="anna").known == 1
    assert store.add([new(file, "1")], by="ben").answered == 1
    assert store.catalogue().conflicts == []
    assert store.add([new(file, "7")], by="carl").answered == 1

    summary = store.catalogue().summarise()
    assert (summary.train + summary.own_test, summary.conflicts, summary.people) == (
        0,
        1,
        {"anna": 1, "ben": 1, "carl": 1},
    )
    digest = store.settle(store.catalogue().conflicts[0].digest[:6], "7", by="dora")
    image = store.catalogue().images[digest]
    assert (image.label, len(image.answers), store.catalogue().conflicts) == ("7", 4, [])
    store.add([new(file, "1")], by="anna")  # she said so before: it is known
    assert store.catalogue().images[digest].label == "7"
    with pytest.raises(UsageError, match="is 0 conflicts; see: mnist-pipeline labels conflicts"):
        store.settle(digest, "1", by="dora")


def test_who_changes_their_mind_is_in_no_conflict_with_themselves(tmp_path):
    store = LabelStore(FolderStorage(tmp_path))
    file = encoded(page(1), "PNG")
    store.add([new(file, "1")], by="anna")
    store.add([new(file, "7")], by="anna")
    (image,) = store.catalogue().images.values()
    assert (image.label, [answer.label for answer in image.answers]) == ("7", ["1", "7"])


def invoke(*words: str):
    return CliRunner().invoke(app, ["labels", *words])


def test_folders_and_tables_are_added_listed_and_settled_by_the_command(tmp_path):
    workspace = ["--workspace", str(tmp_path / "workspace")]
    for number in range(8):
        (tmp_path / "in" / str(number % 4)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / str(number % 4) / f"{number}.png").write_bytes(encoded(page(number), "PNG"))
    (tmp_path / "in" / "none").mkdir()
    (tmp_path / "in" / "none" / "stamp.png").write_bytes(encoded(page(9)[::-1], "PNG"))
    (tmp_path / "in" / "0" / "notes.png").write_bytes(b"no image")

    first = invoke("add", str(tmp_path / "in"), "--by", "anna", "--json", *workspace)
    assert first.exit_code == 0, first.stderr
    found = json.loads(first.stdout)
    assert (found["added"], found["left_out"], found["train"] + found["own_test"]) == (9, {"not an image": 1}, 9)
    assert found["problems"][0].startswith("0/notes.png: ")

    (tmp_path / "labels.csv").write_text("path,label\nin/0/0.png,six\nin/1/1.png,1\n")
    second = invoke("add", str(tmp_path / "labels.csv"), "--by", "ben", *workspace)
    assert second.stdout.splitlines()[0] == "images     0 new, 2 with one more answer, 0 known"
    listed = json.loads(invoke("list", "--json", *workspace).stdout)
    assert (listed["train"] + listed["own_test"], listed["conflicts"]) == (8, 1)
    assert listed["people"] == {"anna": 9, "ben": 2}
    shown = invoke("conflicts", *workspace).stdout.splitlines()
    assert [line.split("\t")[1:3] for line in shown] == [["0", "anna"], ["6", "ben"]]
    digest = shown[0].split("\t")[0]
    assert invoke("conflicts", "--settle", digest, "--label", "0", "--by", "dora", *workspace).exit_code == 0
    assert json.loads(invoke("list", "--json", *workspace).stdout)["conflicts"] == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: (folder / "eleven").mkdir(), "the folder 'eleven' is no class; name it as one of 0 to 9, Zero"),
        (lambda folder: folder.rmdir(), "there is no such folder, and no such table (path,label)"),
    ],
)
def test_what_cannot_be_added_is_said_in_one_line(tmp_path, make, says):
    folder = tmp_path / "in"
    folder.mkdir()
    make(folder)
    result = invoke("add", str(folder), "--by", "anna", "--workspace", str(tmp_path / "w"))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert not (tmp_path / "w" / "labels" / "answers").exists()


def test_a_table_with_a_wrong_label_is_refused_with_its_line(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\na.png,1\nb.png,12\n")
    result = invoke("add", str(tmp_path / "labels.csv"), "--by", "anna", "--workspace", str(tmp_path / "w"))
    assert (result.exit_code, "labels.csv line 3: give a path and a label" in result.stderr) == (2, True)


def test_labels_live_in_an_object_store_as_well(object_server, tmp_path):
    store = open_labels("s3://bucket/labels")
    file = encoded(page(2), "PNG")
    assert store.add([new(file, "2")], by="anna").added == 1
    again = open_labels("s3://bucket/labels")
    assert again.add([new(file, "3")], by="ben").answered == 1
    (image,) = again.catalogue().conflicts
    assert again.image(image.digest) == file


def test_images_of_the_own_test_side_stay_there_when_everything_is_added_again_shuffled(tmp_path):
    files = [new(encoded(page(number), "PNG"), str(number % 10)) for number in range(PICTURES)]
    store = LabelStore(FolderStorage(tmp_path))
    store.add(files, by="anna")
    before = {digest: image.side for digest, image in store.catalogue().images.items()}
    random.Random(1).shuffle(files)
    store.add(files, by="ben")
    assert {digest: image.side for digest, image in store.catalogue().images.items()} == before


def test_who_withdraws_says_nothing_any_more_and_ends_a_conflict(tmp_path):
    store, other = (LabelStore(FolderStorage(tmp_path)) for _ in range(2))
    image = encoded(page(1), "PNG")
    store.add([new(image, "3")], by="anna")
    [digest] = other.catalogue().images
    other.add([new(image, "4")], by="ben")
    assert [one.digest for one in store.catalogue().conflicts] == [digest]
    side = store.catalogue().images[digest].side
    assert store.withdraw(digest, by="ben")
    assert not store.withdraw(digest, by="ben")
    assert not store.withdraw(digest, by="carl")
    assert not store.withdraw("0" * 64, by="anna")
    found = other.catalogue()
    assert (found.conflicts, found.images[digest].label) == ([], "3")
    assert store.withdraw(digest, by="anna")
    empty = other.catalogue()
    assert (empty.conflicts, empty.settled(side), empty.images[digest].label) == ([], [], None)
    assert empty.images[digest].side == side
    assert [answer.withdrawn for answer in empty.images[digest].answers] == [False, False, True, True]
    assert empty.summarise().people == {"anna": 1, "ben": 1}
