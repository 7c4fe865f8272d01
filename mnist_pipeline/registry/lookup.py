"""Which registry is meant, and which model: a file, or a version of a registry as scoring uses it."""

from pathlib import Path
from typing import TYPE_CHECKING

from mnist_pipeline.errors import RegistryError, UsageError
from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.registry.remote import RemoteStorage
from mnist_pipeline.registry.store import Registry
from mnist_pipeline.workspace import EVALUATION_JSON, Workspace

MODEL_TAKES = "--model takes champion, an alias, a version, the beginning of one, or FILE.onnx"
NO_MODELS = {".keras", ".h5", ".pb", ".pt", ".tflite", ".json"}
"""Endings of files that people take for a model of this program."""

if TYPE_CHECKING:
    from mnist_pipeline.rejection.model import ScoringModel


def open_registry(location: str | Path, *, cache: Path) -> Registry:
    """The registry in a folder, or below ``s3://bucket/prefix``.

    Args:
        location: the folder or the URL.
        cache: local folder for what is downloaded from a URL; not used for a folder.

    Raises:
        UsageError: the URL is malformed or of another kind.
        MissingExtraError: it is an URL and the 's3' extra is not installed.
        StorageError: a variable that the object store needs cannot be used.
    """
    if isinstance(location, Path) or "://" not in location:
        return Registry(Path(location))
    return Registry(RemoteStorage(ObjectFolder(location), cache))


def find_registry(workspace: Path, location: str | None) -> Registry:
    """The registry at ``location``, or the workspace's own."""
    found = Workspace(workspace.resolve())
    return open_registry(location or found.models, cache=found.model_cache)


def pick_model(registry: Registry, name: str | None) -> str:
    """The named model; the only one where none is named.

    Raises:
        UsageError: there is no model, or which one is meant is not clear.
    """
    if name:
        return name
    models = registry.models()
    if len(models) == 1:
        return models[0]
    if not models:
        raise UsageError(f"no models in {registry.storage.location}; publish one with: mnist-pipeline run-all")
    raise UsageError(f"several models in {registry.storage.location}: say --name {' or --name '.join(models)}")


def find_scoring_model(model: str, name: str | None, workspace: Path, registry: str | None) -> "ScoringModel":
    """A file by its path, else a published version, every file of it verified.

    Args:
        model: ``FILE.onnx``; or ``champion``, another alias, a version or the beginning of one.
        name: of the model in the registry; not needed where there is one.
        workspace: whose registry it is.
        registry: folder or URL of another one.

    Raises:
        UsageError: there is no such file or model, or it is something else.
        RegistryError: there is no such version.
        IntegrityError: a published file is damaged.
    """
    from mnist_pipeline.files import read_json
    from mnist_pipeline.inference import AnswerLimits, read_metadata
    from mnist_pipeline.rejection.model import ScoringModel
    from mnist_pipeline.rejection.rule import stated_threshold

    if (path := Path(model)).suffix.lower() == ".onnx":
        return ScoringModel(path, _digest(path), threshold=stated_threshold(read_metadata(path).limits))
    store = find_registry(workspace, registry)
    try:
        found = store.resolve(pick_model(store, name), model)
    except (UsageError, RegistryError):
        if len(path.parts) != 1 or path.suffix in NO_MODELS or path.exists():
            raise UsageError(f"--model {model}: {_what_is(path)}; {MODEL_TAKES}") from None
        raise
    # The evaluation repeats what the model states, and is read in a tenth of the time.
    limits = (read_json(found.directory / EVALUATION_JSON).get("rejection") or {}).get("limits")
    threshold = stated_threshold(None if limits is None else AnswerLimits.model_validate(limits))
    return ScoringModel(found.path, found.sha256, f"{found.model} {found.version}", threshold)


def _digest(path: Path) -> str:
    from mnist_pipeline.files import sha256_file

    if not path.is_file():
        raise UsageError(f"--model {path}: {_what_is(path)}; {MODEL_TAKES}")
    try:
        return sha256_file(path)
    except OSError as error:
        raise UsageError(f"--model {path}: cannot be read: {error.strerror}") from None


def _what_is(path: Path) -> str:
    if path.suffix.lower() == ".keras" and path.is_file():
        return "is a Keras model, from which 'mnist-pipeline export' makes model.onnx"
    if path.is_file():
        return "is no .onnx file"
    if path.is_dir():
        return "is a folder"
    return "is no regular file" if path.exists() else "there is no such file"
