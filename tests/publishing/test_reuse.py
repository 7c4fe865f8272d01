"""What was said of a candidate is said again, and not worked out again, while all that it depends on is the same."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from mnist_pipeline.config import GateConfig
from mnist_pipeline.files import read_json, write_json
from mnist_pipeline.publishing import lineage
from mnist_pipeline.publishing import publish as publishing
from mnist_pipeline.registry import Measurement
from mnist_pipeline.reporting.files import draw_report
from mnist_pipeline.runs.artifacts import EvaluatedModel, ExtraImages
from mnist_pipeline.runs.run import Run
from tests.support.candidates import LENIENT, Candidates

WORSE, GOOD, BETTER = 2, 20, 60
"""Fitting steps: 86.11 %, 91.11 % and 92.50 % of the test rows are right."""
WORK = ("compare_with_champion", "validate_in_fresh_process", "judge", "write_report")


@pytest.fixture
def done(monkeypatch) -> list[str]:
    """Names of the work that a judgement takes, as it is done."""
    calls: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        work = getattr(publishing, name)
        return lambda *args, **kwargs: (calls.append(name), work(*args, **kwargs))[1]

    for name in WORK:
        monkeypatch.setattr(publishing, name, counted(name))
    return calls


@pytest.fixture
def refused(candidates) -> Run:
    """A run whose candidate the champion of today has refused."""
    candidates.publish(candidates.train(GOOD))
    run = candidates.train(WORSE, seed=2)
    assert candidates.publish(run).status == "refused"
    return run


def told(run: Run) -> dict[str, bytes]:
    """Verdict, comparison and report of a run."""
    return {name: (run.directory.path / name).read_bytes() for name in run.record.steps["publish"].output["files"]}


def test_nothing_is_judged_or_drawn_again_where_nothing_changed(candidates, refused, done):
    history = candidates.registry.history("digits").changes
    done.clear()
    for _ in range(2):
        again = candidates.again(refused)
        found = candidates.publish(again)
        assert done == []
        assert (found.status, found.promoted, found.champion) == ("refused", False, candidates.champion)
        assert found.reasons == read_json(refused.directory.record)["steps"]["publish"]["output"]["reasons"]
        assert found.reused == ["fetch", "train", "export", "evaluate", "publish"]
        assert again.record.steps["publish"].reused_from == refused.directory.id
        assert (again.record.status, again.record.reason) == ("refused", found.reasons[0])
        assert {"gate.json", "comparison.json", "report.html", "report.md", "confusion_matrix.png"} <= told(
            again
        ).keys()
        assert told(again) == told(refused)
        assert found.report == again.directory.report_html
    assert candidates.registry.history("digits").changes == history


def test_the_champion_is_judged_once_more_against_itself_and_never_after_that(candidates, done):
    run = candidates.train(GOOD)
    assert candidates.publish(run).status == "promoted"
    expected = {1: list(WORK), 2: [], 3: []}
    for time, work in expected.items():
        done.clear()
        again = candidates.again(run)
        assert (time, candidates.publish(again).status, done) == (time, "unchanged", work)
        assert again.record.steps["publish"].reused_from == run.directory.id
        assert "It is the champion itself." in again.directory.gate.read_text()


def test_what_was_refused_without_a_champion_leaves_no_comparison(candidates, done):
    strict = GateConfig(min_accuracy=0.99)
    run = candidates.train(GOOD, gate=strict)
    candidates.publish(run)
    done.clear()
    again = candidates.again(run, gate=strict)
    write_json(again.directory.comparison, {"of": "another day"})
    assert candidates.publish(again).status == "refused"
    assert done == []
    assert not again.directory.comparison.exists()


def test_a_run_that_is_published_again_says_the_same_and_did_it_itself(candidates, refused, done):
    done.clear()
    before = told(refused)
    assert "publish" not in candidates.publish(refused).reused
    assert (done, told(refused)) == ([], before)


def test_who_waits_waits_on_until_a_person_decides(candidates, done):
    asked = LENIENT.model_copy(update={"approval": "person"})
    run = candidates.train(GOOD, gate=asked)
    assert candidates.publish(run).status == "pending"
    done.clear()
    assert candidates.publish(candidates.again(run, gate=asked)).status == "pending"
    assert done == []
    candidates.registry.reject("digits", "pending", reason="blurred", who="anna@day")
    found = candidates.publish(candidates.again(run, gate=asked))
    assert (found.status, "judge" in done) == ("refused", True)
    assert "was rejected by anna@day" in found.reasons[0]


def another_champion(candidates: Candidates, _: Run) -> dict[str, Any]:
    assert candidates.publish(candidates.train(BETTER, seed=3)).status == "promoted"
    return {}


def no_champion(candidates: Candidates, _: Run) -> dict[str, Any]:
    (candidates.workspace.models / "digits" / "aliases.json").unlink()
    (candidates.workspace.models / "digits" / "history.jsonl").unlink()
    return {}


def a_decision(candidates: Candidates, run: Run) -> dict[str, Any]:
    version = run.record.steps["publish"].output["version"]
    champion = candidates.champion
    for chosen in (version, champion):
        candidates.registry.promote("digits", chosen, reason="tried it", who="anna@day")
    return {}


def one_more_candidate(candidates: Candidates, _: Run) -> dict[str, Any]:
    rows = candidates.dataset.test_rows
    measured = Measurement(accuracy=0.5, samples=rows, dataset="digits", run="by-hand")
    candidates.registry.record("digits", "ab" * 32, measured)
    return {}


def another_registry(candidates: Candidates, _: Run) -> dict[str, Any]:
    return {"registry": str(candidates.workspace.root / "elsewhere")}


def settings(**changes: Any) -> Callable[[Candidates, Run], dict[str, Any]]:
    return lambda *_: {"gate": changes}


@pytest.mark.parametrize(
    "change",
    [
        another_champion,
        no_champion,
        a_decision,
        one_more_candidate,
        another_registry,
        settings(min_accuracy=0.3),
        settings(policy="significant"),
        settings(max_bytes=1_000_000),
    ],
    ids=lambda change: change.__name__,
)
def test_who_is_measured_against_something_else_is_judged_anew(candidates, refused, done, change):
    changes = change(candidates, refused)
    done.clear()
    candidates.publish(candidates.again(refused), **changes)
    assert {"validate_in_fresh_process", "judge", "write_report"} <= set(done)
    # What was promoted by that is judged once more, against itself.
    candidates.publish(candidates.again(refused), **changes)
    done.clear()
    candidates.publish(candidates.again(refused), **changes)
    assert done == []


def test_what_is_true_again_is_said_again(candidates, refused, done):
    before = told(refused)
    another = candidates.publish(candidates.again(refused), gate={"min_accuracy": 0.99})
    assert another.reasons[0].endswith("is below the floor of 99.00 %.")
    done.clear()
    again = candidates.again(refused)
    candidates.publish(again)
    assert (done, told(again)) == ([], before)


@pytest.mark.parametrize("where", ["code", "packages of the model", "packages of the report"])
def test_other_code_and_other_packages_judge_anew(candidates, refused, done, monkeypatch, where):
    if where == "code":
        monkeypatch.setattr(lineage, "code_digest", lambda: "f" * 64)
    elif where == "packages of the model":
        monkeypatch.setattr(lineage, "installed_version", lambda _: "9.9")
    else:
        monkeypatch.setattr(publishing, "installed_version", lambda _: "9.9")
    done.clear()
    candidates.publish(candidates.again(refused))
    assert done == list(WORK)


def test_another_measurement_of_the_same_model_judges_anew(candidates, refused, done):
    again = candidates.again(refused)
    measured = read_json(again.directory.evaluation_json)
    measured["latency"][0]["median_ms"] += 1
    write_json(again.directory.evaluation_json, measured)
    output = again.peek(EvaluatedModel)
    digests = EvaluatedModel.digests(*(again.directory.path / name for name in output.files))
    again.replace(output.model_copy(update={"files": digests}))
    done.clear()
    candidates.publish(again)
    assert done == list(WORK)


def test_another_configuration_judges_anew(candidates, refused, done):
    again = candidates.again(refused)
    config = read_json(again.directory.config)
    config["fetch"]["attempts"] += 1
    write_json(again.directory.config, config)
    done.clear()
    candidates.publish(again)
    assert done == list(WORK)
    assert "fetch.attempts" in again.directory.report_html.read_text()


def test_other_own_test_images_judge_anew(candidates, refused, done, monkeypatch):
    def publish(own_test_digest: str) -> None:
        again = candidates.again(refused)
        folder = again.directory.path
        extra = ExtraImages(
            directory=folder,
            files={},
            digest="a" * 64,
            images=0,
            source="labels",
            own_test=1,
            own_test_digest=own_test_digest,
        )
        again.note(extra.digest, extra, 0.0, None)
        candidates.publish(again)

    done.clear()
    for digest in ("b" * 64, "c" * 64):
        publish(digest)
        assert done == list(WORK)
        done.clear()
        publish(digest)
        assert done == []


def test_a_fresh_run_judges_anew(candidates, refused, done):
    done.clear()
    candidates.publish(dataclasses.replace(candidates.again(refused), fresh=True))
    assert done == list(WORK)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("report.html", "lost"),
        ("report.md", "changed"),
        ("confusion_matrix.png", "changed"),
        ("gate.json", "lost"),
        ("comparison.json", "changed"),
    ],
)
def test_a_damaged_report_or_verdict_is_made_again(candidates, refused, done, name, damage):
    before = told(refused)
    path = refused.directory.path / name
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(b"damaged")
    done.clear()
    again = candidates.again(refused)
    candidates.publish(again)
    assert done == list(WORK)
    assert again.record.steps["publish"].reused_from is None
    assert told(again).keys() == before.keys()
    assert told(again)["gate.json"] == before["gate.json"]
    assert b"damaged" not in told(again)[name]


def test_a_report_that_was_drawn_again_stays_with_its_run(candidates, refused, done):
    draw_report(refused)
    done.clear()
    again = candidates.again(refused)
    candidates.publish(again)
    assert done == list(WORK)
    done.clear()
    candidates.publish(candidates.again(refused))
    assert done == []


def test_a_version_that_is_gone_is_judged_and_published_anew(candidates, refused, done):
    version = refused.record.steps["publish"].output["version"]
    assert candidates.registry.prune("digits", keep=0) == [version]
    done.clear()
    again = candidates.again(refused)
    found = candidates.publish(again)
    assert done == list(WORK)
    assert (found.version, found.published_by) == (version, again.directory.id)
