"""Steps reuse what was done before only where it would say the same again."""

import json

from mnist_pipeline import steps
from mnist_pipeline.config import EvaluateConfig
from mnist_pipeline.runs.artifacts import ExportedModel

GOOD = 20
AUTO = EvaluateConfig(device="auto")


def test_an_evaluation_is_reused_only_where_the_dataset_stands_in_for_another_one_again(candidates):
    first, second, third = (candidates.again(run) for run in [candidates.train(GOOD)] * 3)
    exported = first.output(ExportedModel)
    stand_in = candidates.dataset.model_copy(update={"fallback": True})

    steps.evaluate(AUTO, stand_in, exported, first)
    steps.evaluate(AUTO, candidates.dataset, exported, second)
    steps.evaluate(AUTO, stand_in, exported, third)

    told = [json.loads(run.directory.evaluation_json.read_text())["fallback"] for run in (first, second, third)]
    assert told == [True, False, True]
    origins = [run.record.steps["evaluate"].reused_from for run in (first, second, third)]
    assert origins == [None, None, first.directory.id]


def test_an_evaluation_is_not_reused_on_another_device(candidates, monkeypatch):
    first, second = (candidates.again(run) for run in [candidates.train(GOOD)] * 2)
    exported = first.output(ExportedModel)
    monkeypatch.setattr(steps, "gpu_problem", lambda: None)  # of the machine where the first one ran
    steps.evaluate(AUTO, candidates.dataset, exported, first)
    monkeypatch.setattr(steps, "gpu_problem", lambda: "no NVIDIA driver is installed")
    steps.evaluate(AUTO, candidates.dataset, exported, second)
    assert second.record.steps["evaluate"].reused_from is None
