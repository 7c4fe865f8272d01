"""What an evaluation stores of the rule for "no digit"."""

from mnist_pipeline.rejection.novelty import Novelty
from mnist_pipeline.schema import Record


class Rejection(Record):
    """When scoring answers "no digit": fitted on train rows, chosen on validation rows, never on test rows."""

    threshold: float
    """The least confidence of an answer."""
    target: float
    """Share of the right answers that may be turned away."""
    false_reject_rate: float
    """Share of the right answers that the whole rule turns away, on the validation rows."""
    rows: int
    """Validation rows that it was chosen on."""
    novelty: Novelty | None = None
    """Turns away what looks like none of the classes, however sure the answer; None where there were too few rows."""
