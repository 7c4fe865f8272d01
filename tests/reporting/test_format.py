"""How reports write numbers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_pipeline.reporting import format as fmt


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (fmt.percent(0.98765), "98.77\u00a0%"),
        (fmt.percent(1), "100.00\u00a0%"),
        (fmt.percent(0.999_99), ">\u00a099.99\u00a0%".replace(">\u00a0", "> ")),
        (fmt.percent(0.984, 1), "98.4\u00a0%"),
        (fmt.points(0.0012), "+0.12"),
        (fmt.points(-0.0012), "\u22120.12"),
        (fmt.points(0.000_01), "0.00"),
        (fmt.points(-0.000_01), "0.00"),
        (fmt.count(10_000), "10,000"),
        (fmt.decimal(-0.5, 2), "\u22120.50"),
        (fmt.scientific(1.79e-7), "1.8\u00a0\u00d7\u00a010\u207b\u2077"),
        (fmt.scientific(0), "0"),
        (fmt.plain(0.881_07), "0.8811"),
        (fmt.plain(-0.0), "0"),
        (fmt.plain(25_312), "25,312"),
        (fmt.plain(-8.64e-7), "\u22128.6\u00a0\u00d7\u00a010\u207b\u2077"),
        (fmt.probability(0.0294), "= 0.029"),
        (fmt.probability(0.000_9), "< 0.001"),
        (fmt.milliseconds(0.1432), "0.143\u00a0ms"),
        (fmt.milliseconds(31.87), "31.9\u00a0ms"),
        (fmt.milliseconds(1234.5), "1,234\u00a0ms"),
        (fmt.seconds(0.44), "0.4\u00a0s"),
        (fmt.seconds(59.97), "1\u00a0min 0\u00a0s"),
        (fmt.seconds(3_700), "1\u00a0h 1\u00a0min"),
        (fmt.size(999), "999\u00a0bytes"),
        (fmt.size(25_312), "25.3\u00a0kB"),
        (fmt.size(2.5e9), "2.5\u00a0GB"),
        (fmt.shape([None, 24, 24, 8]), "N \u00d7 24 \u00d7 24 \u00d7 8"),
    ],
)
def test_each_quantity_has_one_form(written: str, expected: str) -> None:
    assert written == expected


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_share_of_ten_thousand_is_written_exactly(correct: int) -> None:
    text = fmt.percent(correct / 10_000)
    assert round(float(text.removesuffix("\u00a0%")) * 100) == correct


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_less_than_all_is_never_written_as_all(fraction: float) -> None:
    assert not fmt.percent(fraction).startswith("100")
