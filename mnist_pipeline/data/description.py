"""A dataset described by data: a TOML file says what to fetch and what it must turn out to be.

Built in are ``descriptions/mnist.toml`` and ``descriptions/digits.toml``; any other sprite of the
same form (one row of 784 pixels an image, one-hot label bytes, ten classes) is one more such file.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.config import Name
from mnist_pipeline.errors import UsageError
from mnist_pipeline.files import canonical_json, decode_text, sha256_bytes
from mnist_pipeline.schema import Record

EMBEDDED_SOURCE = "embedded:scikit-learn"
"""``source`` of the dataset that is installed with scikit-learn and never downloaded."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]


class SplitRows(Record):
    """How many rows of the sprite train a model, from the top, and how many below them test it."""

    train: int = Field(ge=1, le=10_000_000)
    test: int = Field(ge=1, le=10_000_000)

    @property
    def total(self) -> int:
        return self.train + self.test


class SpriteFiles(Record):
    """The two files in the source's folder."""

    images: FileName
    """PNG of 784 x rows pixels, an image a row."""
    labels: FileName
    """One byte a class and image: 1 for its class, 0 for the others."""
    max_image_bytes: int | None = Field(default=None, ge=1)
    """Largest accepted size of the PNG; None means that of uncompressed RGBA pixels."""


class PinnedDigests(Record):
    """Hex SHA-256 that the content must have; where absent, it is computed and recorded."""

    pixels: Sha256 | None = None
    """Of the decoded pixels, uint8 [rows, 28, 28]: a mirror may re-encode the PNG, never change a pixel."""
    labels: Sha256 | None = None
    """Of the one-hot label bytes, uint8 [rows, 10]."""


class DatasetDescription(Record):
    """What a dataset is called, where it comes from, and what must be true of it."""

    name: Name
    title: str = Field(min_length=1, max_length=200)
    source: str = Field(min_length=1)
    """Folder of the files: https URL, file URL or directory; or `EMBEDDED_SOURCE`."""
    class_names: tuple[ClassName, ...] = Field(min_length=CLASSES, max_length=CLASSES)
    """By class index."""
    image_size: tuple[Literal[28], Literal[28]] = (SIDE, SIDE)
    """Height and width in pixels."""
    rows: SplitRows
    files: SpriteFiles | None = None
    """None only where the source is embedded."""
    digests: PinnedDigests = PinnedDigests()

    @property
    def digest(self) -> str | None:
        """The dataset's digest, where both of its parts are pinned."""
        if self.digests.pixels is None or self.digests.labels is None:
            return None
        return dataset_digest(self.digests.pixels, self.digests.labels, self.rows, self.class_names)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"class_names must differ from each other, found {list(self.class_names)}")
        if (self.source == EMBEDDED_SOURCE) != (self.files is None):
            raise ValueError("[files] must name images and labels, and is left out only for an embedded source")
        if self.source.startswith("http://"):
            raise ValueError("source must be https: plain http is taken only where you name it with --source")
        return self


def dataset_digest(pixels: str, labels: str, rows: SplitRows, class_names: tuple[str, ...]) -> str:
    """Hex SHA-256 that identifies a dataset: equal pixels, labels, split and class names, equal digest.

    Args:
        pixels: hex SHA-256 of the pixels, uint8 [rows, 28, 28] in C order.
        labels: hex SHA-256 of the one-hot labels, uint8 [rows, 10] in C order (of a sprite: the label file).
        rows: the split.
        class_names: by class index.
    """
    identity = {"pixels": pixels, "labels": labels, "rows": rows.model_dump(), "class_names": list(class_names)}
    return sha256_bytes(canonical_json(identity))


def builtin_names() -> list[str]:
    """Names of the datasets that this package describes, sorted."""
    folder = resources.files("mnist_pipeline.data") / "descriptions"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_description(name_or_path: str) -> DatasetDescription:
    """The built-in description of that name, or the one in that TOML file.

    A directory that a file names as its source is taken relative to the file's own folder.

    Raises:
        UsageError: there is no such description, or a field of it is not acceptable.
    """
    if not name_or_path.endswith(".toml"):
        if name_or_path not in (known := builtin_names()):
            raise UsageError(
                f"unknown dataset {name_or_path!r}: built in are {', '.join(known)}; "
                "or give the path of a description (.toml)"
            )
        builtin = resources.files("mnist_pipeline.data") / "descriptions" / f"{name_or_path}.toml"
        return parse_description(builtin.read_bytes(), name_or_path)
    path = Path(name_or_path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the dataset description {path}: {error.strerror}") from error
    description = parse_description(text, str(path))
    if is_directory_source(description.source):
        return description.model_copy(update={"source": str((path.parent / description.source).resolve())})
    return description


def is_directory_source(source: str) -> bool:
    """Whether ``source`` names a folder by its path rather than by a URL."""
    return "://" not in source and not source.startswith(("file:", "embedded:"))


def parse_description(text: bytes, where: str) -> DatasetDescription:
    """The description in a TOML document.

    Args:
        text: the document as bytes, as `files.decode_text` takes them.
        where: what to call it in messages.

    Raises:
        UsageError: it is not TOML, or a field is not acceptable; names the field and the value.
    """
    try:
        return DatasetDescription.model_validate(tomllib.loads(decode_text(text)))
    except ValidationError as error:
        raise UsageError(f"{where}: {_first_problem(error)}") from error
    except (ValueError, RecursionError) as error:  # not text, or not TOML
        raise UsageError(f"{where} is not a TOML file: {error}") from error


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    found: Any = first["input"]
    message = first["msg"].removeprefix("Value error, ")
    if not field:
        return message
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "extra_forbidden":
        return f"{field} is not a field of a description"
    shown = found if isinstance(found, str | int | float) else type(found).__name__
    return f"{field}: {message[0].lower()}{message[1:]}, found {shown!r}"
