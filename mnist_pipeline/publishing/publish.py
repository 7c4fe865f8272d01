"""Gate and publish: stage the candidate, prove it where users will load it, judge, commit, promote.

The order matters. Nothing is visible before the version is whole; the alias moves last, and only
after a fresh process has loaded the very bytes that users will load.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_pipeline import __version__
from mnist_pipeline.config import PublishConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.evaluation.metrics import golden_rows
from mnist_pipeline.evaluation.schema import Check, Comparison, Evaluation, Verdict
from mnist_pipeline.files import read_json, write_bytes, write_json
from mnist_pipeline.publishing.compare import compare_with_champion
from mnist_pipeline.publishing.gate import judge
from mnist_pipeline.publishing.validate import validate_in_fresh_process
from mnist_pipeline.registry import (
    Facts,
    GateSummary,
    Lineage,
    Manifest,
    Metrics,
    PublishedVersion,
    Registry,
    Stage,
    digest_of,
    open_registry,
)
from mnist_pipeline.reporting.files import Report, write_report
from mnist_pipeline.runs import Run, code_digest, installed_version
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    PublishedModel,
    TrainedModel,
)
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.workspace import Workspace

GOLDEN_IMAGES = 64
"""Test images whose stored predictions a fresh process must reproduce from the staged model."""
GOLDEN_TOLERANCE = 1e-5
"""Largest accepted difference of a probability between two processes on one device."""
FRAMEWORKS = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy")


class Candidate(NamedTuple):
    """What the steps before made of one run."""

    dataset: FetchedDataset
    trained: TrainedModel
    exported: ExportedModel
    evaluated: EvaluatedModel

    @property
    def model(self) -> Path:
        return self.exported.path


def registry_of(config: PublishConfig, workspace: Workspace) -> Registry:
    """The registry that the config names, else the workspace's own."""
    return open_registry(config.registry or workspace.models, cache=workspace.model_cache, endpoint=config.endpoint)


def publish_model(config: PublishConfig, candidate: Candidate, run: Run) -> PublishedModel:
    """Publish the candidate as a version; it becomes champion if the gate lets it.

    A candidate that is published already is left as it is, and is not judged again.

    Raises:
        RegistryError: the registry cannot be written, or another run moved the champion meanwhile.
        IntegrityError: the ONNX file must not be loaded, or a published file is damaged.
    """
    registry = registry_of(config, run.workspace)
    model = config.model or candidate.dataset.name
    with registry.stage(model, candidate.model) as stage:
        if stage.existing is None:
            published = _publish_new(config, candidate, registry, stage, run)
        else:
            published = registry.resolve(model, stage.version)
            write_bytes(run.directory.gate, (published.directory / run.directory.gate.name).read_bytes())
    _promote(registry, published.manifest, run)
    report = write_report(run.directory, candidate.dataset, model=model, version=published.version)
    return _output(published, report, run)


def _publish_new(
    config: PublishConfig, candidate: Candidate, registry: Registry, stage: Stage, run: Run
) -> PublishedVersion:
    champion = _champion(registry, stage.model)
    verdict = _judge(config, candidate, champion, stage, run)
    write_json(run.directory.gate, verdict.model_dump(mode="json"))
    report = write_report(run.directory, candidate.dataset, model=stage.model, version=stage.version)
    for path in (run.directory.evaluation_json, run.directory.parity, run.directory.gate, report.html):
        stage.add(path.name, path.read_bytes())
    facts = _facts(candidate, verdict, champion, run)
    return registry.commit(stage, facts, reason=_sentence(verdict), sign_key=config.sign_key)


def _judge(
    config: PublishConfig, candidate: Candidate, champion: PublishedVersion | None, stage: Stage, run: Run
) -> Verdict:
    evaluation = Evaluation.model_validate_json(run.directory.evaluation_json.read_bytes())
    return judge(
        config.gate,
        evaluation,
        parity=Parity.model_validate_json(run.directory.parity.read_bytes()),
        comparison=_compare(candidate, champion, run),
        onnx_bytes=candidate.model.stat().st_size,
        infrastructure=_validate(candidate, evaluation, stage, run),
    )


def frameworks() -> dict[str, str]:
    """Package -> version, of those that a model depends on and that are installed."""
    installed = {name: installed_version(name) for name in FRAMEWORKS}
    return {name: version for name, version in installed.items() if version != "absent"}


def unchanged_champion(
    config: PublishConfig, dataset: FetchedDataset, extra: ExtraImages | None, run: Run
) -> PublishedVersion | None:
    """The champion, where a training now would start from the very data, config, code and packages that made it."""
    registry = registry_of(config, run.workspace)
    champion = _champion(registry, config.model or dataset.name)
    if champion is None:
        return None
    made_of, now = champion.manifest.lineage, read_json(run.directory.config)
    same = (
        made_of.dataset_digest == dataset.digest
        and made_of.extra_images_digest == (extra.digest if extra else None)
        and made_of.config_digest == digest_of(now)
        and made_of.code_digest == code_digest()
        and made_of.frameworks == frameworks()
    )
    return champion if same else None


def _champion(registry: Registry, model: str) -> PublishedVersion | None:
    return registry.resolve(model) if registry.champion(model) else None


def _compare(candidate: Candidate, champion: PublishedVersion | None, run: Run) -> Comparison | None:
    if champion is None:
        return None
    return compare_with_champion(candidate.dataset, run.directory, champion.path, champion.version, champion.sha256)


def _validate(candidate: Candidate, evaluation: Evaluation, stage: Stage, run: Run) -> Check:
    test = Dataset.open(candidate.dataset.directory).test
    rows = golden_rows(test.labels, GOLDEN_IMAGES, seed=0)
    stored = np.load(run.directory.predictions, allow_pickle=False)
    found = validate_in_fresh_process(
        stage.model_path,
        stage.sha256,
        test.images[rows],
        stored[rows],
        device=evaluation.device,
        tolerance=GOLDEN_TOLERANCE,
    )
    return Check(
        name="infrastructure",
        value=found.max_abs_difference,
        threshold=GOLDEN_TOLERANCE,
        passed=found.passed,
        sentence=found.sentence,
    )


def _facts(candidate: Candidate, verdict: Verdict, champion: PublishedVersion | None, run: Run) -> Facts:
    config = read_json(run.directory.config)
    return Facts(
        lineage=Lineage(
            dataset=candidate.dataset.name,
            dataset_digest=candidate.dataset.digest,
            extra_images=candidate.trained.extra_images,
            extra_images_digest=candidate.trained.extra_images_digest,
            config_digest=digest_of(config),
            code_version=__version__,
            code_digest=code_digest(),
            frameworks=frameworks(),
            run=run.directory.id,
            preset=candidate.trained.preset,
            seed=config["training"]["seed"],
            parent=champion.version if champion else None,
        ),
        metrics=Metrics(
            accuracy=candidate.evaluated.accuracy,
            samples=candidate.evaluated.samples,
            provider=candidate.evaluated.provider,
        ),
        gate=GateSummary(promoted=verdict.promoted, reasons=verdict.reasons),
    )


def _promote(registry: Registry, manifest: Manifest, run: Run) -> None:
    """Move the alias to a version that the gate let through, once: a person's later rollback stands."""
    moves = registry.history(manifest.model)
    if not manifest.gate.promoted or any(c.action == "promote" and c.after == manifest.version for c in moves):
        return
    registry.promote(
        manifest.model,
        manifest.version,
        reason=f"gate passed, accuracy {manifest.metrics.accuracy:.2%}",
        run=run.directory.id,
        expected=manifest.lineage.parent,
    )


def _sentence(verdict: Verdict) -> str:
    refusing = ", ".join(check.name for check in verdict.checks if not check.passed)
    return f"gate refused: {refusing}" if refusing else "gate passed"


def _output(published: PublishedVersion, report: Report, run: Run) -> PublishedModel:
    beside = [path for path in (run.directory.gate, run.directory.comparison) if path.is_file()]
    manifest = published.manifest
    return PublishedModel(
        directory=run.directory.path,
        files=report.files | PublishedModel.digests(*beside),
        model=manifest.model,
        version=manifest.version,
        promoted=manifest.gate.promoted,
        reasons=manifest.gate.reasons,
    )
