"""Gate and publish: prove the candidate where users will load it, judge it, commit it, promote it.

The order matters. Nothing is visible before the version is whole; the alias moves last, and only
after a fresh process has loaded the very bytes that users will load.

Every run judges its candidate anew, whatever was said of it before: a verdict is about the champion and the
thresholds of its day. What is in a version stays what was said when it was published; today's verdict is in the
run. So it ends:

| candidate | champion today | a person took its place away | the gate | ends as |
| --- | --- | --- | --- | --- |
| new | none, or another | no | passes | published, promoted |
| new | none, or another | no | refuses | published, refused |
| new | another | from one made alike | refuses | published, refused: who, when, why |
| published before | itself | - | passes | unchanged |
| published before | itself | - | refuses, by thresholds that changed | refused, and champion as before |
| published before | none, or another | no | passes | promoted, whatever the gate said before |
| published before | none, or another | no | refuses | refused, whatever the gate said before |
| published before | another | yes | refuses | refused: who, when, why |

With ``approval=person``, what would be promoted waits as ``pending`` instead.

A person decides with ``models rollback`` and ``models promote``, and no run undoes that: what lost its place to a
person's decision comes back by another one. Where another run moves the champion between verdict and promotion,
nothing is promoted (`RegistryError`), and the same command judges anew.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_pipeline.config import PublishConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.evaluation.metrics import golden_rows
from mnist_pipeline.evaluation.schema import Check, Comparison, Evaluation, Verdict
from mnist_pipeline.files import write_json
from mnist_pipeline.publishing.compare import compare_with_champion
from mnist_pipeline.publishing.gate import is_sound, judge
from mnist_pipeline.publishing.lineage import describe_lineage, find_past, find_withdrawal
from mnist_pipeline.publishing.validate import TOLERANCE, validate_in_fresh_process
from mnist_pipeline.registry import (
    CHAMPION,
    PENDING,
    AgainstChampion,
    Facts,
    GateSummary,
    Lineage,
    Metrics,
    PublishedVersion,
    Registry,
    open_registry,
)
from mnist_pipeline.reporting.files import Report, write_report
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    PublishedModel,
    TrainedModel,
)
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.record import Outcome
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.wording import plain_percent
from mnist_pipeline.workspace import RunDirectory, Workspace

GOLDEN_IMAGES = 64
"""Test images whose stored predictions a fresh process must reproduce from the published model."""


class Candidate(NamedTuple):
    """What the steps before made of one run."""

    dataset: FetchedDataset
    trained: TrainedModel
    exported: ExportedModel
    evaluated: EvaluatedModel

    @property
    def model(self) -> Path:
        return self.exported.path


class Release(NamedTuple):
    """How a candidate ended."""

    outcome: Outcome
    version: PublishedVersion
    champion: str | None
    """The champion's version afterwards; None where there is none."""
    verdict: Verdict
    """Of today."""
    report: Report
    """Of the run, with today's verdict."""

    @property
    def output(self) -> PublishedModel:
        """What the run's record keeps."""
        directory = RunDirectory(self.report.directory)
        beside = [path for path in (directory.gate, directory.comparison) if path.is_file()]
        return PublishedModel(
            directory=directory.path,
            files=self.report.files | PublishedModel.digests(*beside),
            model=self.version.model,
            version=self.version.version,
            promoted=self.outcome == "promoted",
            reasons=self.verdict.reasons,
        )


def publish_model(config: PublishConfig, candidate: Candidate, run: Run) -> Release:
    """Judge the candidate against today's champion; publish it where it is new; promote it if the gate lets it.

    Raises:
        RegistryError: the registry cannot be written, or another run moved the champion meanwhile.
        IntegrityError: the ONNX file must not be loaded, or a published file is damaged.
    """
    registry = open_registry_of(config, run.workspace)
    model = config.model or candidate.dataset.name
    trial = _Trial(config, candidate, registry, model, find_champion(registry, model), run)
    version = registry.published(model, candidate.exported.sha256)
    if version:
        verdict, report = trial.judge(version.version, version.path)
    else:
        with registry.stage(model, candidate.model) as stage:
            verdict, report = trial.judge(stage.version, stage.model_path)
            for path in (run.directory.evaluation_json, run.directory.parity, run.directory.gate, report.html):
                stage.add(path.name, path.read_bytes())
            reason = _reason(verdict)
            version = registry.commit(stage, trial.facts(verdict), reason=reason, sign_key=config.sign_key)
    outcome = trial.promote(version, verdict)
    champion = version.version if outcome == "promoted" else trial.parent
    return Release(outcome, version, champion, verdict, report)


def open_registry_of(config: PublishConfig, workspace: Workspace) -> Registry:
    """The registry that the config names, else the workspace's own."""
    return open_registry(config.registry or workspace.models, cache=workspace.model_cache)


def find_champion(registry: Registry, model: str) -> PublishedVersion | None:
    """The champion, every file verified; None where there is none."""
    return registry.resolve(model) if registry.champion(model) else None


@dataclass(frozen=True, slots=True)
class _Trial:
    """A candidate, and whom it stands against."""

    config: PublishConfig
    candidate: Candidate
    registry: Registry
    model: str
    champion: PublishedVersion | None
    run: Run

    @property
    def parent(self) -> str | None:
        return self.champion.version if self.champion else None

    @property
    def lineage(self) -> Lineage:
        dataset, trained = self.candidate.dataset, self.candidate.trained
        return describe_lineage(
            dataset,
            self.run,
            extra_images=trained.extra_images,
            extra_images_digest=trained.extra_images_digest,
            parent=self.parent,
        )

    def judge(self, version: str, path: Path) -> tuple[Verdict, Report]:
        """Today's verdict; comparison.json, gate.json and the report in the run tell it.

        Args:
            version: what the candidate is or will be called.
            path: the model file where users load it, or will.
        """
        directory = self.run.directory
        evaluation = Evaluation.model_validate_json(directory.evaluation_json.read_bytes())
        verdict = judge(
            self.config.gate,
            evaluation,
            parity=Parity.model_validate_json(directory.parity.read_bytes()),
            comparison=self._compare(),
            onnx_bytes=self.candidate.model.stat().st_size,
            infrastructure=self._validate(evaluation, path),
            withdrawal=find_withdrawal(self.registry, self.model, version, self.lineage, self.champion),
            past=find_past(self.registry, self.model, version, evaluation),
        )
        write_json(directory.gate, verdict.model_dump(mode="json"))
        return verdict, write_report(directory, self.candidate.dataset, model=self.model, version=version)

    def facts(self, verdict: Verdict) -> Facts:
        """What the manifest states."""
        found = self.candidate.evaluated
        return Facts(
            lineage=self.lineage,
            metrics=Metrics(accuracy=found.accuracy, samples=found.samples, provider=found.provider),
            gate=GateSummary(
                promoted=verdict.promoted,
                reasons=verdict.reasons,
                against=self._against(verdict),
                compared=verdict.compared,
                corrected_accuracy=verdict.corrected_accuracy,
            ),
        )

    def promote(self, version: PublishedVersion, verdict: Verdict) -> Outcome:
        """Move the alias where the gate lets it, and only away from the champion that the candidate stood against."""
        if not verdict.promoted:
            return "refused"
        if version.version == self.parent:
            return "unchanged"
        reason = f"gate passed, accuracy {plain_percent(self.candidate.evaluated.accuracy)}"
        run = self.run.directory.id
        if self.config.gate.approval == "person":
            self.registry.promote(self.model, version.version, reason=reason, run=run, alias=PENDING)
            return "pending"
        self.registry.promote(self.model, version.version, reason=reason, run=run, expected=self.parent)
        # Another run may have promoted the very same version in this moment.
        moves = self.registry.history(self.model).moves(CHAMPION)
        return "promoted" if any(change.run == run for change in moves) else "unchanged"

    def _compare(self) -> Comparison | None:
        directory, champion = self.run.directory, self.champion
        if champion is None:
            directory.comparison.unlink(missing_ok=True)
            return None
        dataset = self.candidate.dataset
        extra = self.run.peek(ExtraImages)
        return compare_with_champion(
            dataset,
            directory,
            champion.path,
            champion.version,
            champion.sha256,
            own_test=extra.verify().own_test_archive if extra else None,
        )

    def _against(self, verdict: Verdict) -> AgainstChampion | None:
        if self.champion is None:
            return None
        comparison = Comparison.model_validate_json(self.run.directory.comparison.read_bytes())
        return AgainstChampion(
            champion=comparison.champion_version,
            fixed=len(comparison.fixed),
            broken=len(comparison.broken),
            sound=is_sound(self.config.gate, verdict, comparison),
        )

    def _validate(self, evaluation: Evaluation, path: Path) -> Check:
        test = Dataset.open(self.candidate.dataset.directory).test
        rows = golden_rows(test.labels, GOLDEN_IMAGES, seed=0)
        stored = np.load(self.run.directory.predictions, allow_pickle=False)
        found = validate_in_fresh_process(
            path,
            self.candidate.exported.sha256,
            test.images[rows],
            stored[rows],
            device=evaluation.device,
        )
        return Check(
            name="infrastructure",
            value=found.max_abs_difference,
            threshold=TOLERANCE,
            passed=found.passed,
            sentence=found.sentence,
        )


def _reason(verdict: Verdict) -> str:
    refusing = ", ".join(check.name for check in verdict.checks if not check.passed)
    return f"gate refused: {refusing}" if refusing else "gate passed"
