"""The files of an evaluation, as frozen values: what is measured, written and read back.

``evaluation.json`` is `Evaluation`, ``comparison.json`` is `Comparison`, ``gate.json`` is `Verdict`.
Fractions are in [0, 1]; rows count from the first test row.
"""

from mnist_pipeline import UsedDevice
from mnist_pipeline.inference import AnswerLimits
from mnist_pipeline.schema import Record


class Interval(Record):
    """A two-sided 95 % interval."""

    low: float
    high: float


class ClassMetrics(Record):
    """One class, one against the rest. ``accuracy`` is the codelab's: the recall of the class."""

    label: int
    name: str
    samples: int
    accuracy: float
    precision: float
    recall: float
    f1: float


class Mistake(Record):
    """A test image that the model got wrong."""

    row: int
    true: int
    predicted: int
    confidence: float
    """Probability of the predicted class."""
    true_probability: float
    """Probability of the true class."""


class ConfusedPair(Record):
    """How often one class was taken for another."""

    true: int
    predicted: int
    count: int


class ReliabilityBin(Record):
    """The images whose confidence lies in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean confidence; 0 in an empty bin."""
    accuracy: float
    """Share that is right; 0 in an empty bin."""


class CoveragePoint(Record):
    """What is left when answers below the threshold become "no digit"."""

    threshold: float
    coverage: float
    """Share of the images that are answered."""
    accuracy: float
    """Share of the answered that is right; 1 where none is answered."""


class Rejection(Record):
    """The limits of answers that the model file states, and what they do to test images."""

    limits: AnswerLimits
    false_reject_rate: float
    """Share of the right answers to test images that the limits turn away."""
    wrong_answers_kept: int
    """Wrong answers to test images that they let through."""


class Latency(Record):
    """Seconds of one call with so many images."""

    batch: int
    calls: int
    median_ms: float
    p95_ms: float


class OwnMistake(Record):
    """An own-test image that the model got wrong; classes are 0 to 9, or 10: no digit."""

    digest: str
    true: int
    answer: int


class OwnTest(Record):
    """The own-test images, answered as `score` answers them; "no digit" is an eleventh class."""

    samples: int
    accuracy: float
    accuracy_interval: Interval
    """Wilson score interval (Wilson 1927)."""
    per_class: list[ClassMetrics]
    confusion_matrix: list[list[int]]
    """Rows: true label. Columns: answer. Eleven of each."""
    digits: int
    """Images that show a digit."""
    digits_refused: int
    no_digits: int
    """Images that show none."""
    no_digits_refused: int
    mistakes: list[OwnMistake]


class OwnComparison(Record):
    """Candidate and champion on the same own-test images."""

    samples: int
    fixed: list[str]
    """Digests of images that the champion got wrong and the candidate gets right."""
    broken: list[str]
    p_value: float
    """Exact two-sided McNemar test."""


class Evaluation(Record):
    """One prediction pass of one model over all test rows of one dataset."""

    accuracy: float
    accuracy_interval: Interval
    """Wilson score interval (Wilson 1927)."""
    correct: int
    samples: int
    log_loss: float
    """Mean negative log-likelihood, nats; probabilities clipped to [1e-7, 1]."""
    provider: str
    device: UsedDevice
    class_names: list[str]
    per_class: list[ClassMetrics]
    confusion_matrix: list[list[int]]
    """Rows: true label. Columns: prediction."""
    mistakes: list[Mistake]
    """Every mistake, the most confident first."""
    confused_pairs: list[ConfusedPair]
    """The most frequent first; at most 20."""
    expected_calibration_error: float
    """Guo et al. 2017, 15 equal bins of the confidence."""
    reliability: list[ReliabilityBin]
    coverage: list[CoveragePoint]
    rejection: Rejection | None = None
    """None where nothing is held out for validation."""
    own_test: OwnTest | None = None
    """None where there are no own-test images."""
    latency: list[Latency]
    examples: list[int]
    """Test rows of the 20 input examples, drawn with a fixed seed."""
    model_sha256: str
    dataset: str
    dataset_digest: str
    fallback: bool
    """The embedded digits stood in for a dataset that could not be reached."""

    @property
    def wrong(self) -> dict[int, Mistake]:
        """Every mistake by its row, the most confident first."""
        return {mistake.row: mistake for mistake in self.mistakes}


class ClassChange(Record):
    """Accuracy of one class: candidate and champion."""

    label: int
    name: str
    candidate: float
    champion: float


class Comparison(Record):
    """Candidate and champion on the same test images in the same run."""

    champion_version: str
    champion_sha256: str
    champion_dataset_digest: str
    """Of the dataset that the champion was trained on; an empty text where its file does not say."""
    samples: int
    candidate_accuracy: float
    champion_accuracy: float
    fixed: list[int]
    """Rows that the champion got wrong and the candidate gets right."""
    broken: list[int]
    """Rows that the champion got right and the candidate gets wrong."""
    p_value: float
    """Exact two-sided McNemar test (binomial on the discordant pairs); 1 without such pairs."""
    per_class: list[ClassChange]
    own_test: OwnComparison | None = None
    """None where there are no own-test images."""


class Check(Record):
    """One condition of the gate."""

    name: str
    value: float | None
    threshold: float | None
    passed: bool
    sentence: str
    """For people: what was measured, what was asked, what follows."""


class Verdict(Record):
    """All checks, and what follows from them."""

    promoted: bool
    checks: list[Check]
    compared: int = 1
    """Candidates that were measured on these test rows so far, this one among them."""
    corrected_accuracy: float | None = None
    """What the accuracy is likely to be on other images, after so many were compared (`evidence.corrected_accuracy`);
    None where nothing can be said yet."""

    @property
    def reasons(self) -> list[str]:
        """Why the candidate is refused; empty where it is not."""
        return [check.sentence for check in self.checks if not check.passed]
