"""Two runs side by side: what differs, and whether the difference is more than chance. Pure."""

from dataclasses import dataclass

from mnist_pipeline.evaluation import metrics
from mnist_pipeline.reporting.inputs import CHANGES_SHOWN, ReportInputs
from mnist_pipeline.reporting.view import flat_config


@dataclass(frozen=True, slots=True)
class ClassDifference:
    """Accuracy of one class in both runs."""

    label: int
    name: str
    samples: int
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """A config value that differs, as JSON; None where a run has no such value."""

    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What B does otherwise than A.

    Attributes:
        comparable: both were measured on the same test images; where not, ``fixed``, ``broken``,
            ``p_value`` and ``per_class`` are empty or None, because they would compare nothing.
        fixed: rows that A gets wrong and B gets right.
        broken: rows that A gets right and B gets wrong.
        p_value: exact two-sided McNemar test (`metrics.mcnemar`).
        per_class: in the order of the classes.
        config: only what differs.
    """

    comparable: bool
    fixed: frozenset[int]
    broken: frozenset[int]
    p_value: float | None
    per_class: tuple[ClassDifference, ...]
    config: tuple[ConfigDifference, ...]


def compare(a: ReportInputs, b: ReportInputs) -> Difference:
    """Set run B against run A."""
    comparable = a.evaluation.dataset_digest == b.evaluation.dataset_digest
    wrong_a = {mistake.row for mistake in a.evaluation.mistakes} if comparable else set()
    wrong_b = {mistake.row for mistake in b.evaluation.mistakes} if comparable else set()
    fixed, broken = frozenset(wrong_a - wrong_b), frozenset(wrong_b - wrong_a)
    return Difference(
        comparable=comparable,
        fixed=fixed,
        broken=broken,
        p_value=metrics.mcnemar(len(fixed), len(broken)) if comparable else None,
        per_class=_per_class(a, b) if comparable else (),
        config=_config(a, b),
    )


def changed_rows(a: ReportInputs, b: ReportInputs) -> tuple[list[int], list[int]]:
    """The test rows whose images a comparison shows: wrong in A alone, wrong in B alone; the most confident first."""
    difference = compare(a, b)
    return (
        [one.row for one in a.evaluation.mistakes if one.row in difference.fixed][:CHANGES_SHOWN],
        [one.row for one in b.evaluation.mistakes if one.row in difference.broken][:CHANGES_SHOWN],
    )


def _per_class(a: ReportInputs, b: ReportInputs) -> tuple[ClassDifference, ...]:
    return tuple(
        ClassDifference(one.label, one.name, one.samples, one.accuracy, other.accuracy)
        for one, other in zip(a.evaluation.per_class, b.evaluation.per_class, strict=True)
    )


def _config(a: ReportInputs, b: ReportInputs) -> tuple[ConfigDifference, ...]:
    of_a, of_b = dict(flat_config(a.run.config)), dict(flat_config(b.run.config))
    names = [*of_a, *(name for name in of_b if name not in of_a)]
    return tuple(
        ConfigDifference(name, of_a.get(name), of_b.get(name)) for name in names if of_a.get(name) != of_b.get(name)
    )
