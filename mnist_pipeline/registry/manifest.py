"""What a published version is: its name, its files, where it came from. Pure.

A version is named by its content: the first digits of the model file's SHA-256. The model
carries its own lineage (dataset digest, run, preset), so the same content is the same version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from mnist_pipeline.errors import IntegrityError, RegistryError, UsageError
from mnist_pipeline.files import canonical_json, render_json, sha256_bytes
from mnist_pipeline.schema import Record
from mnist_pipeline.workspace import EVALUATION_JSON, MODEL_ONNX

MODEL_FILE = MODEL_ONNX
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.json.sig"
CARD_FILE = "MODEL_CARD.md"
EVALUATION_FILE = EVALUATION_JSON
CHAMPION = "champion"
PENDING = "pending"
"""The alias of the version that passed the gate and waits for a person."""
VERSION_DIGITS = 12
LEAST_PREFIX = 4

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(rf"[0-9a-f]{{{VERSION_DIGITS}}}")
_HEX = re.compile(r"[0-9a-f]+")
# Names that Windows takes for devices, whatever follows the first dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=rf"^{_FILE_NAME.pattern}$")]


def _is_segment(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether ``text`` is one path segment that means the same on every file system and in every URL."""
    return bool(pattern.fullmatch(text)) and not text.endswith(".") and not _DEVICE.fullmatch(text)


def check_model_name(name: str) -> str:
    """Return ``name``.

    Raises:
        UsageError: it is not one safe path segment.
    """
    if not _is_segment(name, _NAME):
        raise UsageError(
            f"{name!r} is not a model name; use 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit"
        )
    return name


def check_alias_name(name: str) -> str:
    """Return ``name``.

    Raises:
        UsageError: it is not one safe path segment, or could be taken for the beginning of a version.
    """
    if not _is_segment(name, _NAME) or _HEX.fullmatch(name):
        raise UsageError(
            f"{name!r} is not an alias; use 1 to 64 of a-z, 0-9, '.', '_' and '-', "
            "the first a letter or a digit, and at least one that is not a hexadecimal digit"
        )
    return name


def is_version_name(name: str) -> bool:
    return bool(_VERSION.fullmatch(name))


def is_version_prefix(name: str) -> bool:
    """Whether ``name`` is long enough to name a version by its beginning."""
    return LEAST_PREFIX <= len(name) <= VERSION_DIGITS and bool(_HEX.fullmatch(name))


def is_model_name(name: str) -> bool:
    return _is_segment(name, _NAME)


def check_file_name(name: str) -> str:
    """Return ``name``.

    Raises:
        UsageError: it is not one safe path segment.
    """
    if not _is_segment(name, _FILE_NAME):
        raise UsageError(f"{name!r} is not a file name for a version; use letters, digits, '.', '_' and '-'")
    return name


def content_version(model_sha256: str) -> str:
    """The version of a model file with this hex SHA-256."""
    return model_sha256[:VERSION_DIGITS]


class FileEntry(Record):
    """One file of a version."""

    sha256: Sha256
    bytes: int = Field(ge=0)


def entry_of(data: bytes) -> FileEntry:
    return FileEntry(sha256=sha256_bytes(data), bytes=len(data))


class Lineage(Record):
    """Where a model came from."""

    dataset: str
    dataset_digest: str
    extra_images: int = 0
    """Images of one's own that were fitted besides the dataset's train rows."""
    extra_images_digest: str | None = None
    """Of their pixels and labels; None where there were none."""
    config_digest: str
    """Of the whole pipeline config (`digest_of`)."""
    code_version: str
    code_digest: str
    """Of the package's source files."""
    frameworks: dict[str, str]
    """Package -> version."""
    run: str
    preset: str
    seed: int
    parent: str | None
    """Champion when the version was published; None without a champion."""

    def made_alike(self, other: "Lineage") -> bool:
        """Whether both were made of the same data, configuration, code and packages."""
        ingredients = {"dataset_digest", "extra_images_digest", "config_digest", "code_digest", "frameworks"}
        return self.model_dump(include=ingredients) == other.model_dump(include=ingredients)


class Metrics(Record):
    """What was measured on the test rows."""

    accuracy: float = Field(ge=0, le=1)
    samples: int = Field(ge=1)
    provider: str
    """The onnxruntime provider that really ran."""


class AgainstChampion(Record):
    """How a candidate stood against the champion of its day, on the same test images."""

    champion: str
    """Its version."""
    fixed: int
    """Test images that only the candidate gets right."""
    broken: int
    """Test images that only the champion gets right."""
    sound: bool
    """It was neither significantly worse than the champion nor refused for itself: evidence for later candidates."""


class GateSummary(Record):
    """What the gate said when the version was published; the checks themselves are in gate.json.

    Which version is champion is not told here but by the aliases: a person may have decided otherwise since.
    """

    promoted: bool
    """The gate let it become champion, on that day."""
    reasons: list[str]
    """Why it refused; empty where it did not."""
    against: AgainstChampion | None = None
    """None where there was no other champion."""
    compared: int = 1
    """Candidates that were measured on the same test rows until then, this one among them."""
    corrected_accuracy: float | None = None
    """What the accuracy is likely to be on other images, after so many were compared; None where it is not known."""


class Facts(Record):
    """What a publisher states of a version; everything else in the manifest is computed."""

    lineage: Lineage
    metrics: Metrics
    gate: GateSummary


class Manifest(Record):
    """manifest.json: the files of one published version, and what is known of them."""

    schema_version: Literal[1] = 1
    model: str
    version: str
    created: AwareDatetime
    """UTC."""
    files: dict[FileName, FileEntry]
    """Name in the version's folder -> digest and size; the manifest and its signature are not among them."""
    lineage: Lineage
    metrics: Metrics
    gate: GateSummary

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of model.onnx."""
        return self.files[MODEL_FILE].sha256

    def encode(self) -> bytes:
        """The bytes of manifest.json."""
        return render_json(self.model_dump(mode="json")).encode()


def digest_of(value: object) -> str:
    """Hex SHA-256 of a JSON value; equal for equal values."""
    return sha256_bytes(canonical_json(value))


def parse_manifest(data: bytes, model: str, version: str) -> Manifest:
    """Read manifest.json of ``model``'s ``version``.

    Raises:
        RegistryError: a later release of this package wrote it.
        IntegrityError: it is not a manifest, or not the manifest of that version.
    """
    where = f"{model}/{version}/{MANIFEST_FILE}"
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["loc"] == ("schema_version",) and isinstance(first["input"], int):
            raise RegistryError(
                f"{where} has schema version {first['input']}, this program reads 1; update mnist-pipeline"
            ) from None
        place = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{where} is damaged ({place}: {first['msg']}); restore it from a copy") from None
    if MODEL_FILE not in manifest.files:
        raise IntegrityError(f"{where} names no {MODEL_FILE}; restore it from a copy")
    stated = (manifest.model, manifest.version, content_version(manifest.sha256))
    if stated != (model, version, version):
        raise IntegrityError(
            f"{where} belongs to {manifest.model} {manifest.version} with model digest {manifest.sha256}; "
            "restore it from a copy"
        )
    return manifest


def compare_files(expected: Mapping[str, FileEntry], found: Mapping[str, FileEntry | None]) -> dict[str, str]:
    """Name -> what is wrong with it, of every file that is not as a manifest says, by name.

    Args:
        expected: what the manifest says.
        found: every entry of the folder; None where an entry is not a regular file.
    """
    problems = {}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            problems[name] = "missing"
        elif name not in expected:
            problems[name] = "unexpected: the manifest does not name it"
        elif (entry := found[name]) is None:
            problems[name] = "not a regular file"
        elif entry != expected[name]:
            problems[name] = f"changed: SHA-256 is {entry.sha256}, published was {expected[name].sha256}"
    return problems


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """One version of a model; every file in ``directory`` was hashed against the manifest."""

    manifest: Manifest
    directory: Path
    """Local folder with all files of the version."""

    @property
    def model(self) -> str:
        return self.manifest.model

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of model.onnx."""
        return self.manifest.sha256

    @property
    def path(self) -> Path:
        """model.onnx."""
        return self.directory / MODEL_FILE
