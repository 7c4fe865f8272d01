"""Which model is meant: a file, or a version of a registry as scoring uses it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_pipeline.errors import UsageError
from mnist_pipeline.workspace import EVALUATION_JSON

if TYPE_CHECKING:
    from mnist_pipeline.registry import Registry
    from mnist_pipeline.rejection.answers import ConfidenceThreshold
    from mnist_pipeline.rejection.model import ScoringModel


def find_registry(workspace: Path, location: str | None) -> "Registry":
    """The registry at ``location``, or the workspace's own."""
    from mnist_pipeline.registry import open_registry
    from mnist_pipeline.workspace import Workspace

    found = Workspace(workspace.resolve())
    return open_registry(location or found.models, cache=found.model_cache)


def pick_model(registry: "Registry", name: str | None) -> str:
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
        UsageError: there is no such file or model.
        RegistryError: there is no such version.
        IntegrityError: a published file is damaged.
    """
    from mnist_pipeline.files import read_json, sha256_file
    from mnist_pipeline.rejection.model import ScoringModel

    if model.endswith(".onnx"):
        path = Path(model)
        if not path.is_file():
            raise UsageError(f"--model {model}: there is no such file")
        return ScoringModel(path, sha256_file(path))
    store = find_registry(workspace, registry)
    found = store.resolve(pick_model(store, name), model)
    evaluation = found.directory / EVALUATION_JSON
    threshold = _threshold(read_json(evaluation))
    return ScoringModel(found.path, found.sha256, f"{found.model} {found.version}", threshold, evaluation)


def _threshold(evaluation: Mapping[str, Any]) -> "ConfidenceThreshold | None":
    """The thresholds that the version's evaluation chose on validation rows."""
    from mnist_pipeline.rejection.answers import ConfidenceThreshold

    rejection = evaluation.get("rejection")
    if rejection is None:
        return None
    novelty = rejection.get("novelty")
    return ConfidenceThreshold(
        value=rejection["threshold"],
        strangeness=None if novelty is None else novelty["threshold"],
        false_reject_rate=rejection["false_reject_rate"],
        source=f"the model's evaluation, on {rejection['rows']} validation rows",
    )
