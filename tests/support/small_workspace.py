"""A workspace as a training leaves it, made in a second without TensorFlow: one run, evaluated and published."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mnist_pipeline import steps
from mnist_pipeline.config import PipelineConfig, parse_config
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.files import write_json
from mnist_pipeline.registry import Facts, GateSummary, Lineage, Metrics, Registry
from mnist_pipeline.runs.artifacts import EvaluatedModel, Output
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace
from tests.support import linear_models


@dataclass(frozen=True)
class SmallWorkspace:
    """Its folder, the version that is champion, the run that made it, and a folder of eight images."""

    root: Path
    version: str
    run: str
    scans: Path


def make(root: Path) -> SmallWorkspace:
    config = parse_config(PipelineConfig, {"fetch": {"dataset": "digits"}, "evaluation": {"device": "cpu"}})
    run = Run.start(Workspace(root), config)
    data = steps.fetch(config.fetch, run)
    digits = Dataset.open(data.directory)
    weights = linear_models.fit(digits.train.images, digits.train.labels, 10)
    _, exported = linear_models.export(weights, data, run.directory.path)
    run.note("a" * 64, linear_models.trained(run.directory.path, Output.digests(run.directory.history)), 1.0, None)
    write_json(run.directory.parity, linear_models.proven(exported.sha256).model_dump(mode="json"))
    run.note("b" * 64, exported, 1.0, None)
    evaluated = steps.evaluate(config.evaluation, data, exported, run)
    run.finish("promoted")
    version = publish(Registry(Workspace(root).models), run, data.digest, evaluated)
    scans = root / "scans"
    scans.mkdir()
    for row in range(8):
        Image.fromarray(digits.test.images[row]).save(scans / f"{row}.png")
    return SmallWorkspace(root, version, run.directory.id, scans)


def publish(registry: Registry, run: Run, dataset_digest: str, evaluated: EvaluatedModel) -> str:
    lineage = Lineage(
        dataset="digits",
        dataset_digest=dataset_digest,
        config_digest="e" * 64,
        code_version="0.1.0",
        code_digest="f" * 64,
        frameworks={},
        run=run.directory.id,
        preset="linear",
        seed=0,
        parent=None,
    )
    metrics = Metrics(accuracy=evaluated.accuracy, samples=evaluated.samples, provider=evaluated.provider)
    with registry.stage("digits", run.directory.model_onnx) as stage:
        stage.add("evaluation.json", run.directory.evaluation_json.read_bytes())
        stage.add("report.html", "<p>a report</p>")
        facts = Facts(lineage=lineage, metrics=metrics, gate=GateSummary(promoted=True, reasons=[]))
        version = registry.commit(stage, facts).version
    return registry.promote("digits", version, reason="gate passed")
