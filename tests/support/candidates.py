"""Runs that stand before the gate: trained (by `linear_models`), exported and evaluated, without TensorFlow."""

import shutil
from dataclasses import dataclass
from typing import Any

from mnist_pipeline import steps
from mnist_pipeline.config import EvaluateConfig, GateConfig, PipelineConfig, PublishConfig, parse_config
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.evaluation.evaluate import evaluate_model
from mnist_pipeline.files import read_json, write_json
from mnist_pipeline.registry import Registry
from mnist_pipeline.runs.artifacts import (
    EvaluatedModel,
    ExportedModel,
    ExtraImages,
    FetchedDataset,
    Output,
    TrainedModel,
)
from mnist_pipeline.runs.record import Summary
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace
from tests.support import linear_models

LENIENT = GateConfig(min_accuracy=0.2, min_class_accuracy=0.0, max_calibration_error=1.0)


@dataclass(frozen=True)
class Candidates:
    """A workspace with its registry, and the data and models to fill it."""

    workspace: Workspace
    dataset: FetchedDataset

    @property
    def registry(self) -> Registry:
        return Registry(self.workspace.models)

    @property
    def champion(self) -> str | None:
        return self.registry.champion("digits")

    def train(self, fitting: int, *, seed: int = 1, gate: GateConfig = LENIENT) -> Run:
        """A run whose model is fitted for so many steps: the more, the better. The seed stands for a configuration."""
        train = Dataset.open(self.dataset.directory).train
        return self.stand(linear_models.fit(train.images, train.labels, fitting), seed=seed, gate=gate)

    def stand(
        self,
        weights: linear_models.Weights,
        *,
        seed: int = 1,
        gate: GateConfig = LENIENT,
        extra: ExtraImages | None = None,
    ) -> Run:
        """A run whose model has these weights."""
        config = PipelineConfig(publishing=PublishConfig(gate=gate))
        run = Run.start(
            self.workspace, parse_config(PipelineConfig, config.model_dump(mode="json"), {"training": {"seed": seed}})
        )
        own_test = None
        if extra:
            run.note(extra.digest, extra, 0.0, None)
            own_test = extra.own_test_archive
        _, exported = linear_models.export(weights, self.dataset, run.directory.path, validation_rows=0)
        write_json(run.directory.parity, linear_models.proven(exported.sha256).model_dump(mode="json"))
        evaluated = evaluate_model(
            EvaluateConfig(device="cpu"), self.dataset, exported, run.directory, own_test=own_test
        )
        self._note(run, exported, evaluated, None)
        return run

    def again(self, earlier: Run, *, gate: GateConfig = LENIENT) -> Run:
        """Another run of the same configuration, which reuses all that came before the gate."""
        config = read_json(earlier.directory.config)
        run = Run.start(
            self.workspace, parse_config(PipelineConfig, config, {"publishing": {"gate": gate.model_dump(mode="json")}})
        )
        for name in earlier.output(EvaluatedModel).files:
            shutil.copy(earlier.directory.path / name, run.directory.path)
        for path in (earlier.directory.model_onnx, earlier.directory.parity, earlier.directory.history):
            shutil.copy(path, run.directory.path)
        outputs = (earlier.output(ExportedModel), earlier.output(EvaluatedModel))
        self._note(run, *outputs, earlier.directory.id)
        return run

    def publish(self, run: Run, **changes: Any) -> Summary:
        """The last step of a run, with changes of how to publish."""
        made = run.output(TrainedModel), run.output(ExportedModel), run.output(EvaluatedModel)
        config = parse_config(PipelineConfig, read_json(run.directory.config), {"publishing": changes})
        return steps.publish(config.publishing, self.dataset, *made, run)

    def _note(self, run: Run, exported: Output, evaluated: Output, origin: str | None) -> None:
        directory = run.directory.path
        run.note(self.dataset.digest, self.dataset, 0.0, "cache")
        trained = linear_models.trained(directory, {})
        for output in (trained, exported, evaluated):
            run.note(output.step, output.model_copy(update={"directory": directory}), 0.0, origin)
