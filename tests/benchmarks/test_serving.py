"""What is told of the server was measured on it."""

import json

from benchmarks import serving


def test_every_request_is_counted_and_timed_beside_the_model_alone(small_workspace, capsys):
    serving.main(["champion", "--workspace", str(small_workspace.root), "--requests", "42", "--clients", "4"])
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["answered"], found["statuses"]) == (42, 42, {"200": 42})
    times = found["milliseconds"]
    assert list(times) == ["together", "alone", "without a server", "the model alone"]
    assert all(0 < one["p50"] <= one["p99"] for one in times.values())
    assert times["the model alone"]["p50"] < times["without a server"]["p50"] < times["together"]["p50"]


def test_what_is_not_answered_is_counted_as_such(small_workspace):
    with serving.server("--workspace", str(small_workspace.root)) as url:
        _, _, statuses = serving.ask(url, b"no image", 7, 3)
    assert statuses == {"415": 7}
