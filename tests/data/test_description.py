"""Descriptions: what is built in, what a file may say, and what is refused."""

from pathlib import Path

import pytest

from mnist_pipeline.data.description import builtin_names, dataset_digest, load_description, parse_description
from mnist_pipeline.errors import UsageError

VALID = """
name = "kuzushiji"
title = "Kuzushiji"
source = "https://example.org/sprites/"
class_names = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
[rows]
train = 60_000
test = 10_000
[files]
images = "images.png"
labels = "labels.bin"
"""


def test_built_in_descriptions():
    assert builtin_names() == ["digits", "mnist"]
    mnist, digits = load_description("mnist"), load_description("digits")
    assert (mnist.rows.train, mnist.rows.test) == (55_000, 10_000)
    assert mnist.class_names[0] == "Zero"
    assert mnist.class_names[9] == "Nine"
    assert mnist.source == "https://storage.googleapis.com/learnjs-data/model-builder/"
    assert (digits.source, digits.files) == ("embedded:scikit-learn", None)
    assert (digits.rows.train, digits.rows.test) == (1_437, 360)
    assert mnist.digest is not None
    assert digits.digest is not None


def test_digest_depends_on_pixels_labels_split_and_names():
    mnist = load_description("mnist")
    pixels, labels = mnist.digests.pixels, mnist.digests.labels
    other_split = mnist.rows.model_copy(update={"train": 54_166, "test": 10_834})
    digests = {
        mnist.digest,
        dataset_digest(labels, labels, mnist.rows, mnist.class_names),
        dataset_digest(pixels, pixels, mnist.rows, mnist.class_names),
        dataset_digest(pixels, labels, other_split, mnist.class_names),
        dataset_digest(pixels, labels, mnist.rows, mnist.class_names[::-1]),
    }
    assert len(digests) == 5
    assert mnist.digest == dataset_digest(pixels, labels, mnist.rows, mnist.class_names)


@pytest.mark.parametrize("source", ["sprites", "./sprites"])
def test_a_directory_is_relative_to_the_file_that_names_it(tmp_path: Path, source: str):
    path = tmp_path / "kuzushiji.toml"
    path.write_text(VALID.replace("https://example.org/sprites/", source))
    assert load_description(str(path)).source == str((tmp_path / "sprites").resolve())


def test_urls_are_left_as_they_are(tmp_path: Path):
    path = tmp_path / "kuzushiji.toml"
    path.write_text(VALID)
    description = load_description(str(path))
    assert description.source == "https://example.org/sprites/"
    assert description.digest is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train = 60_000", "train = 0", r"rows\.train: input should be greater than or equal to 1, found 0"),
        ("train = 60_000", "", r"rows\.train is missing"),
        ('name = "kuzushiji"', 'name = "../up"', r"name: .*found '\.\./up'"),
        ('images = "images.png"', 'images = "../images.png"', r"files\.images: .*found '\.\./images\.png'"),
        ('"wo"]', '"o"]', r"class_names must differ"),
        (', "wo"]', "]", r"class_names: tuple should have at least 10 items"),
        ("https://", "http://", r"source must be https"),
        ('labels = "labels.bin"', 'labels = "labels.bin"\n[digests]\npixels = "abc"', r"digests\.pixels: .*'abc'"),
        ("[rows]", "colour = true\n[rows]", r"colour is not a field"),
        ('[files]\nimages = "images.png"\nlabels = "labels.bin"', "", r"\[files\] must name images and labels"),
        ("[rows]", "image_size = [32, 32]\n[rows]", r"image_size\.0: input should be 28, found 32"),
        ("[rows]", "[rows", r"is not a TOML file"),
    ],
)
def test_a_bad_field_is_named_with_its_value(old: str, new: str, message: str):
    assert old in VALID
    with pytest.raises(UsageError, match=f"^here.*{message}") as caught:
        parse_description(VALID.replace(old, new).encode(), "here")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused():
    with pytest.raises(UsageError, match="here is not a TOML file"):
        parse_description(b"\xff\xfe\x00", "here")


def test_unknown_names_say_what_there_is(tmp_path: Path):
    with pytest.raises(UsageError, match="unknown dataset 'minst': built in are digits, mnist"):
        load_description("minst")
    with pytest.raises(UsageError, match=r"cannot read the dataset description .*none\.toml: No such file"):
        load_description(str(tmp_path / "none.toml"))
