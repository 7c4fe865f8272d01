"""Two runs side by side: what differs, and whether the difference is more than chance. Pure."""

from typing import NamedTuple

from mnist_pipeline.evaluation import metrics
from mnist_pipeline.reporting.inputs import ReportInputs
from mnist_pipeline.reporting.view import flat_config


class ClassDifference(NamedTuple):
    """Accuracy of one class in both runs."""

    label: int
    name: str
    samples: int
    a: float
    b: float


class ConfigDifference(NamedTuple):
    """A config value that differs, as JSON; None where a run has no such value."""

    name: str
    a: str | None
    b: str | None


class Difference(NamedTuple):
    """What B does otherwise than A."""

    comparable: bool
    """Both were measured on the same test images. Where not, what follows but ``config`` would compare nothing."""
    fixed: list[int]
    """Rows that A gets wrong and B gets right, A's most confident first."""
    broken: list[int]
    """Rows that A gets right and B gets wrong, B's most confident first."""
    p_value: float | None
    """Exact two-sided McNemar test (`metrics.mcnemar`)."""
    per_class: list[ClassDifference]
    config: list[ConfigDifference]
    """Only what differs."""


def compare(a: ReportInputs, b: ReportInputs) -> Difference:
    """Set run B against run A."""
    config = _config(a, b)
    if a.evaluation.dataset_digest != b.evaluation.dataset_digest:
        return Difference(False, [], [], None, [], config)
    fixed = [row for row in a.evaluation.wrong if row not in b.evaluation.wrong]
    broken = [row for row in b.evaluation.wrong if row not in a.evaluation.wrong]
    per_class = [
        ClassDifference(one.label, one.name, one.samples, one.accuracy, other.accuracy)
        for one, other in zip(a.evaluation.per_class, b.evaluation.per_class, strict=True)
    ]
    return Difference(True, fixed, broken, metrics.mcnemar(len(fixed), len(broken)), per_class, config)


def _config(a: ReportInputs, b: ReportInputs) -> list[ConfigDifference]:
    of_a, of_b = dict(flat_config(a.run.config)), dict(flat_config(b.run.config))
    return [
        ConfigDifference(name, of_a.get(name), of_b.get(name))
        for name in dict.fromkeys([*of_a, *of_b])
        if of_a.get(name) != of_b.get(name)
    ]
