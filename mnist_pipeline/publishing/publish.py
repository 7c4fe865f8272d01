"""Gate and publish: prove the candidate where users will load it, judge it, commit it, promote it.

The order matters. Nothing is visible before the version is whole; the alias moves last, and only
after a fresh process has loaded the very bytes that users will load.

A verdict is about the champion and the thresholds of its day: what was said of a candidate before stands where all
that it depends on is as it was (`_Trial.key`), and else the candidate is judged anew. What is in a version stays what
was said when it was published; today's verdict is in the run. So it ends:

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
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_pipeline.config import PublishConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.evaluation.metrics import golden_rows
from mnist_pipeline.evaluation.schema import Check, Comparison, Evaluation, Verdict
from mnist_pipeline.files import write_json
from mnist_pipeline.publishing.compare import compare_with_champion
from mnist_pipeline.publishing.gate import Past, against_champion, judge
from mnist_pipeline.publishing.lineage import describe_lineage, find_past, find_withdrawal
from mnist_pipeline.publishing.validate import validate_in_fresh_process
from mnist_pipeline.registry import (
    CHAMPION,
    PENDING,
    Facts,
    GateSummary,
    Lineage,
    Metrics,
    PublishedVersion,
    Registry,
    content_version,
    digest_of,
    open_registry,
)
from mnist_pipeline.reporting.files import write_report
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    PublishedModel,
    TrainedModel,
)
from mnist_pipeline.runs.fingerprint import installed_version
from mnist_pipeline.runs.parity import Parity
from mnist_pipeline.runs.record import Outcome
from mnist_pipeline.runs.run import Run
from mnist_pipeline.runs.wording import plain_percent
from mnist_pipeline.workspace import Workspace

DRAWN_BY = ("jinja2", "matplotlib", "pillow")
"""Distributions that draw a report; those that a model depends on are in its lineage."""
GOLDEN_IMAGES = 64
"""Test images whose stored predictions a fresh process must reproduce from the published model."""


class Candidate(NamedTuple):
    """What the steps before made of one run."""

    dataset: FetchedDataset
    trained: TrainedModel
    exported: ExportedModel
    evaluated: EvaluatedModel


class Judgement(NamedTuple):
    """What is to be said of a candidate today."""

    verdict: Verdict
    files: dict[str, str]
    """gate.json, comparison.json and the report, in the run: name -> hex SHA-256."""
    key: str
    """Digest of all that they depend on."""
    reused_from: str | None
    """The run that judged, where nothing changed since; None means this one."""


class Release(NamedTuple):
    """How a candidate ended."""

    outcome: Outcome
    version: PublishedVersion
    champion: str | None
    """The champion's version afterwards; None without a champion."""
    judgement: Judgement


def publish_model(config: PublishConfig, candidate: Candidate, run: Run) -> Release:
    """Judge the candidate against today's champion; publish it where it is new; promote it if the gate lets it.

    Raises:
        RegistryError: the registry cannot be written, or another run moved the champion meanwhile.
        IntegrityError: the ONNX file must not be loaded, or a published file is damaged.
    """
    registry = open_registry_of(config, run.workspace)
    model = config.model or candidate.dataset.name
    champion = registry.resolve(model) if registry.champion(model) else None
    trial = _Trial(config, candidate, registry, model, champion, run)
    version = registry.published(model, candidate.exported.sha256)
    if version:
        judgement = trial.recall() or trial.judge(version.path)
    else:
        with registry.stage(model, candidate.exported.path) as stage:
            judgement = trial.judge(stage.model_path)
            files = run.directory
            for path in (files.evaluation_json, files.parity, files.gate, files.report_html):
                stage.add(path.name, path.read_bytes())
            refusing = ", ".join(check.name for check in judgement.verdict.checks if not check.passed)
            reason = f"gate refused: {refusing}" if refusing else "gate passed"
            version = registry.commit(stage, trial.facts(judgement.verdict), reason=reason, sign_key=config.sign_key)
    outcome = trial.promote(version, judgement.verdict)
    return Release(outcome, version, version.version if outcome == "promoted" else trial.parent, judgement)


def open_registry_of(config: PublishConfig, workspace: Workspace) -> Registry:
    """The registry that the config names, else the workspace's own."""
    return open_registry(config.registry or workspace.models, cache=workspace.model_cache)


@dataclass(frozen=True)
class _Trial:
    """A candidate, and whom it stands against."""

    config: PublishConfig
    candidate: Candidate
    registry: Registry
    model: str
    champion: PublishedVersion | None
    run: Run

    @property
    def version(self) -> str:
        """What the candidate is or will be called."""
        return content_version(self.candidate.exported.sha256)

    @property
    def parent(self) -> str | None:
        return self.champion.version if self.champion else None

    @cached_property
    def lineage(self) -> Lineage:
        dataset, trained = self.candidate.dataset, self.candidate.trained
        return describe_lineage(
            dataset,
            self.run,
            extra_images=trained.extra_images,
            extra_images_digest=trained.extra_images_digest,
            parent=self.parent,
        )

    @cached_property
    def evaluation(self) -> Evaluation:
        return Evaluation.model_validate_json(self.run.directory.evaluation_json.read_bytes())

    @cached_property
    def past(self) -> Past:
        return find_past(self.registry, self.model, self.version, self.evaluation)

    @cached_property
    def withdrawal(self) -> Check | None:
        return find_withdrawal(self.registry, self.model, self.version, self.lineage, self.champion)

    @cached_property
    def own_test(self) -> ExtraImages | None:
        """The own labelled images; None where nothing is to be measured on them."""
        extra = self.run.peek(ExtraImages)
        return extra if extra and extra.own_test else None

    @cached_property
    def key(self) -> str:
        """Digest of all that the verdict and the report depend on: who is judged, against whom, by what, with what."""
        return digest_of(
            {
                "config": self.config.model_dump(mode="json"),
                "lineage": self.lineage.model_dump(mode="json", exclude={"run"}),
                "packages": {name: installed_version(name) for name in DRAWN_BY},
                "candidate": [output.files for output in self.candidate],
                "champion": self.champion.sha256 if self.champion else None,
                "past": self.past,
                "withdrawal": self.withdrawal.sentence if self.withdrawal else None,
                "own_test": self.own_test.own_test_digest if self.own_test else None,
            }
        )

    def recall(self) -> Judgement | None:
        """What was said before, where it is still true and its files are whole."""
        found = self.run.reuse(self.key, PublishedModel)
        if found is None:
            return None
        output, origin = found
        directory = self.run.directory
        if self.champion is None:
            directory.comparison.unlink(missing_ok=True)
        verdict = Verdict.model_validate_json(directory.gate.read_bytes())
        return Judgement(verdict, output.files, self.key, origin if origin != directory.id else None)

    def judge(self, path: Path) -> Judgement:
        """Today's verdict; comparison.json, gate.json and the report in the run tell it.

        Args:
            path: the model file where users load it, or will.
        """
        directory = self.run.directory
        verdict = judge(
            self.config.gate,
            self.evaluation,
            parity=Parity.model_validate_json(directory.parity.read_bytes()),
            comparison=self._compare(),
            onnx_bytes=self.candidate.exported.path.stat().st_size,
            infrastructure=self._validate(path),
            withdrawal=self.withdrawal,
            past=self.past,
        )
        write_json(directory.gate, verdict.model_dump(mode="json"))
        dataset = self.candidate.dataset.directory
        report = write_report(directory, dataset, model=self.model, version=self.version)
        beside = [file for file in (directory.gate, directory.comparison) if file.is_file()]
        return Judgement(verdict, report | PublishedModel.digests(*beside), self.key, None)

    def facts(self, verdict: Verdict) -> Facts:
        """What the manifest states."""
        found, against = self.candidate.evaluated, None
        if self.champion:
            comparison = Comparison.model_validate_json(self.run.directory.comparison.read_bytes())
            against = against_champion(self.config.gate, verdict, comparison)
        return Facts(
            lineage=self.lineage,
            metrics=Metrics(accuracy=found.accuracy, samples=found.samples, provider=found.provider),
            gate=GateSummary(
                promoted=verdict.promoted,
                reasons=verdict.reasons,
                against=against,
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
        return compare_with_champion(
            self.candidate.dataset,
            directory,
            champion.path,
            champion.version,
            champion.sha256,
            own_test=self.own_test.verify().own_test_archive if self.own_test else None,
        )

    def _validate(self, path: Path) -> Check:
        test = Dataset.open(self.candidate.dataset.directory).test
        rows = golden_rows(test.labels, GOLDEN_IMAGES, seed=0)
        stored = np.load(self.run.directory.predictions, allow_pickle=False)
        return validate_in_fresh_process(
            path,
            self.candidate.exported.sha256,
            test.images[rows],
            stored[rows],
            device=self.evaluation.device,
        )
