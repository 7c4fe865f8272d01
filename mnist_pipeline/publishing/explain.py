"""Why a version is, was or is not champion, from what was published, recorded and decided."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.evaluation.schema import Check, Evaluation, Verdict
from mnist_pipeline.files import read_json
from mnist_pipeline.registry import CHAMPION, PENDING, Change, History, Lineage, PublishedVersion, Registry
from mnist_pipeline.runs.wording import moment
from mnist_pipeline.schema import Record
from mnist_pipeline.workspace import EVALUATION_JSON, GATE_JSON, Workspace

Standing = Literal["champion", "former champion", "pending", "rejected", "refused", "passed"]
NOT_DIFFERENT = {"run", "parent", "config_digest"}
"""Fields of the lineage that always differ, or that are told in full."""


class LineageDifference(Record):
    """What two versions were made of otherwise; None where one has no such value."""

    name: str
    here: str | None
    there: str | None


class Explanation(Record):
    """Everything that `models explain` shows."""

    model: str
    version: str
    standing: Standing
    sentence: str
    accuracy: float
    corrected_accuracy: float | None
    compared: int
    """Candidates that were compared until it was published, this one among them."""
    checks: list[Check]
    """As they were when it was published."""
    compared_with: str | None
    """The champion when it was published; None where the model had no champion, or that is gone."""
    fixed: list[int] | None
    """Test rows that this version gets right and the other wrong; None where they were measured on different rows."""
    broken: list[int] | None
    differences: list[LineageDifference]
    """Data, configuration, code and packages."""
    changes: list[Change]
    """The entries of the history about this version: who, when, why."""


def explain(registry: Registry, workspace: Workspace, model: str, reference: str) -> Explanation:
    """Of one version.

    Args:
        registry: where it is published.
        workspace: its runs tell configurations in full; where they are gone, digests are compared.
        model: name of the model.
        reference: a version, the beginning of one, or an alias.

    Raises:
        UsageError, RegistryError, IntegrityError: as for `Registry.resolve`.
    """
    found = registry.resolve(model, reference)
    history = registry.history(model)
    other = _other(registry, found)
    fixed, broken = _changed(found, other) if other else (None, None)
    standing, sentence = _standing(history, found)
    return Explanation(
        model=model,
        version=found.version,
        standing=standing,
        sentence=sentence,
        accuracy=found.manifest.metrics.accuracy,
        corrected_accuracy=found.manifest.gate.corrected_accuracy,
        compared=found.manifest.gate.compared,
        checks=_checks(found),
        compared_with=other.version if other else None,
        fixed=fixed,
        broken=broken,
        differences=_differences(workspace, found, other) if other else [],
        changes=[change for change in history.changes if found.version in (change.before, change.after)],
    )


def _checks(found: PublishedVersion) -> list[Check]:
    if GATE_JSON not in found.manifest.files:
        return []
    return Verdict.model_validate_json((found.directory / GATE_JSON).read_bytes()).checks


def _other(registry: Registry, found: PublishedVersion) -> PublishedVersion | None:
    parent = found.manifest.lineage.parent
    try:
        return registry.resolve(found.model, parent) if parent and parent != found.version else None
    except PipelineError:  # pruned, or damaged: nothing that this version could not be explained without
        return None


def _standing(history: History, found: PublishedVersion) -> tuple[Standing, str]:
    version, gate = found.version, found.manifest.gate
    moves = history.moves(CHAMPION)
    came = next((move for move in reversed(moves) if move.after == version), None)
    left = next((move for move in reversed(moves) if move.before == version), None)
    if came and history.aliases.get(CHAMPION) == version:
        return "champion", f"It has been champion since {_told(came)}."
    if rejected := next((c for c in reversed(history.changes) if (c.action, c.before) == ("reject", version)), None):
        return "rejected", f"It passed the gate and was rejected on {_told(rejected)}."
    if came and left:
        return (
            "former champion",
            f"It was champion from {moment(came.time)} until {left.after} replaced it on {_told(left)}.",
        )
    if history.aliases.get(PENDING) == version:
        return "pending", "It passed the gate and waits for approval: mnist-pipeline models approve, or models reject."
    if not gate.promoted:
        return "refused", f"It is not champion: the gate refused it. {' '.join(gate.reasons)}"
    return "passed", "It passed the gate and never became champion; another version was promoted or approved instead."


def _told(change: Change) -> str:
    return f"{moment(change.time)} by {change.who}: {change.reason}"


def _changed(found: PublishedVersion, other: PublishedVersion) -> tuple[list[int] | None, list[int] | None]:
    """Rows fixed and broken, from the mistakes that both published."""
    here, there = _evaluation(found), _evaluation(other)
    if here.dataset_digest != there.dataset_digest:
        return None, None
    return sorted(there.wrong.keys() - here.wrong.keys()), sorted(here.wrong.keys() - there.wrong.keys())


def _evaluation(version: PublishedVersion) -> Evaluation:
    return Evaluation.model_validate_json((version.directory / EVALUATION_JSON).read_bytes())


def _differences(workspace: Workspace, found: PublishedVersion, other: PublishedVersion) -> list[LineageDifference]:
    here, there = (dict(_ingredients(workspace, one.manifest.lineage)) for one in (found, other))
    return [
        LineageDifference(name=name, here=here.get(name), there=there.get(name))
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name)
    ]


def _ingredients(workspace: Workspace, lineage: Lineage) -> Iterator[tuple[str, str]]:
    """Name and value of all that a version was made of; the configuration in full where its run is still there."""
    yield from _flat({k: v for k, v in lineage.model_dump(mode="json").items() if k not in NOT_DIFFERENT})
    try:
        yield from _flat(read_json(workspace.run(lineage.run).config), "config.")
    except (PipelineError, OSError):
        yield "config digest", lineage.config_digest


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)
