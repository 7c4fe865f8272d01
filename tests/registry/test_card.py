from mnist_pipeline.registry.card import render_card
from tests.support import samples

EVALUATION = {
    "class_names": ["Zero", "One"],
    "accuracy_interval": {"low": 0.9712, "high": 0.9834},
    "expected_calibration_error": 0.0123,
    "fallback": False,
    "per_class": [
        {"name": "Zero", "samples": 980, "accuracy": 0.99, "precision": 0.985, "f1": 0.9875},
        {"name": "One", "samples": 1135, "accuracy": 0.995, "precision": 0.991, "f1": 0.993},
    ],
}


def test_the_card_states_what_was_recorded_and_measured() -> None:
    card = render_card("mnist", "0123456789ab", "f" * 64, samples.facts(accuracy=0.98123), EVALUATION)
    for fact in (
        "# mnist 0123456789ab",
        f"`{'f' * 64}`",
        "Accuracy 0.9812 on 10,000 test images (95 % interval\n0.9712 to 0.9834), by onnxruntime",
        "Expected calibration error 0.0123.",
        "| Zero | 980 | 0.9900 | 0.9850 | 0.9875 |",
        "| One | 1135 | 0.9950 | 0.9910 | 0.9930 |",
        "| Classes | Zero, One |",
        "float32 [N, 2]",
        "dataset **mnist**",
        "| Champion when it was judged | none |",
        "Every check passed.",
        "| onnx | ",
    ):
        assert fact in card
    assert "stand-in" not in card
    assert "Refused" not in card


def test_a_refused_fallback_model_says_both() -> None:
    facts = samples.facts(refused=("accuracy 0.5 is below 0.9",), parent="a" * 12)
    card = render_card("digits", "0" * 12, "f" * 64, facts, EVALUATION | {"fallback": True})
    assert "- accuracy 0.5 is below 0.9" in card
    assert "stand-in dataset" in card
    assert "Every check passed" not in card
    assert f"| Champion when it was judged | {'a' * 12} |" in card


def test_what_was_not_measured_is_left_out() -> None:
    card = render_card("mnist", "0" * 12, "f" * 64, samples.facts(), {})
    assert "| Class |" not in card
    assert "interval" not in card
    assert "calibration" not in card
    assert "\n\n\n" not in card


def test_no_recorded_text_becomes_markup() -> None:
    facts = samples.facts(refused=("<script>x</script> [a](http://b) | `c`\n# d ![e](f)",))
    card = render_card("mnist", "0" * 12, "f" * 64, facts, EVALUATION)
    line = next(line for line in card.splitlines() if "script" in line)
    assert line.startswith("- &lt;script&gt;")
    assert line.endswith("f)")
    assert not any(mark in line for mark in "<[|`!")
