"""What is said of a candidate is true today: of this champion, these thresholds, and what persons decided."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_pipeline import steps
from mnist_pipeline.config import GateConfig, PipelineConfig, parse_config
from mnist_pipeline.errors import RegistryError
from mnist_pipeline.files import read_json
from mnist_pipeline.publishing import publish as publishing
from mnist_pipeline.reporting.files import draw_report
from mnist_pipeline.runs.run import Run
from tests.support.candidates import LENIENT

WORSE, GOOD, BETTER = 2, 20, 60
"""Fitting steps: 86.11 %, 91.11 % and 92.50 % of the test rows are right."""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_version_that_is_champion_no_more_is_not_called_promoted(candidates):
    run, better = candidates.train(GOOD), candidates.train(BETTER)
    first, second = candidates.publish(run), candidates.publish(better)
    assert [s.status for s in (first, second)] == ["promoted", "promoted"]
    version = candidates.workspace.models / "digits" / first.version
    published, history = contents(version), candidates.registry.history("digits").changes

    again = candidates.again(run)
    found = candidates.publish(again)

    assert (found.status, found.promoted, found.version) == ("refused", False, first.version)
    assert candidates.champion == found.champion == second.version
    (reason,) = found.reasons
    assert reason.startswith(f"Against champion {second.version}: accuracy 91.11 % after 92.50 %")
    assert found.sentence.startswith(f"refused: digits {first.version}, accuracy 91.11 %; {reason}; ")
    assert f"; the champion is {second.version}; report: {again.directory.report_html}" in found.sentence
    assert (again.record.status, again.record.reason) == ("refused", reason)
    # The version says for ever what was said of it; the run says what is true today.
    assert contents(version) == published
    assert candidates.registry.history("digits").changes == history
    assert json.loads(published["gate.json"])["promoted"] is True
    assert json.loads(again.directory.gate.read_text())["promoted"] is False
    assert f"Against champion {second.version}" in again.directory.report_html.read_text()
    assert second.version in again.directory.report_md.read_text()


def test_the_champion_again_is_unchanged_and_nothing_moves(candidates):
    run = candidates.train(GOOD)
    first = candidates.publish(run)
    history = candidates.registry.history("digits").changes

    again = candidates.again(run)
    found = candidates.publish(again)

    assert (found.status, found.promoted, found.reasons) == ("unchanged", False, [])
    assert (found.version, found.champion, found.published_by) == (first.version, first.version, run.directory.id)
    assert "it is the champion already" in found.sentence
    assert found.reused == ["fetch", "train", "export", "evaluate", "publish"]
    assert again.record.steps["publish"].reused_from == run.directory.id
    assert (again.record.status, again.record.reason) == ("unchanged", None)
    assert candidates.registry.history("digits").changes == history
    report = again.directory.report_md.read_text()
    assert "# Passed the gate: 91.11\N{NO-BREAK SPACE}% accuracy" in report
    assert "It is the champion itself." in report
    assert json.loads(again.directory.comparison.read_text())["broken"] == []


def test_the_champion_again_writes_nothing_into_an_object_store(candidates, object_server):
    place = {"registry": "s3://bucket/unchanged"}
    run = candidates.train(GOOD)
    assert candidates.publish(run, **place).status == "promoted"
    object_server.gate.requests.clear()
    assert candidates.publish(candidates.again(run), **place).status == "unchanged"
    assert {method for method, _ in object_server.gate.requests} == {"GET"}


def test_a_champion_that_the_thresholds_of_today_refuse_is_refused_and_stays_champion(candidates):
    run = candidates.train(GOOD)
    first = candidates.publish(run)
    found = candidates.publish(candidates.again(run, gate=GateConfig(min_accuracy=0.99)))
    assert (found.status, found.promoted) == ("refused", False)
    assert "is below the floor of 99.00 %" in found.reasons[0]
    assert "it stays champion all the same" in found.sentence
    assert candidates.champion == first.version


def test_no_run_undoes_a_rollback(candidates):
    run, better = candidates.train(GOOD), candidates.train(BETTER)
    first, second = candidates.publish(run), candidates.publish(better)
    candidates.registry.rollback("digits", reason="false alarms", who="anna@night")

    found = candidates.publish(candidates.again(better))

    assert (found.status, found.promoted, found.champion) == ("refused", False, first.version)
    assert candidates.champion == first.version
    (reason,) = found.reasons
    assert f"This version was champion until anna@night put {first.version} in its place on " in reason
    assert "(false alarms), and no run undoes that; to bring it back: " in reason
    assert reason.endswith(f"mnist-pipeline models promote {second.version} --reason TEXT.")
    assert candidates.publish(candidates.again(run)).status == "unchanged"

    candidates.registry.promote("digits", second.version, reason="it was the camera", who="anna@night")
    assert candidates.publish(candidates.again(better)).status == "unchanged"
    assert candidates.champion == second.version


def test_no_run_undoes_a_promotion_by_a_person(candidates):
    run, better = candidates.train(GOOD), candidates.train(BETTER)
    first, second = candidates.publish(run), candidates.publish(better)
    candidates.registry.promote("digits", first.version, reason="smaller", who="anna@day")
    found = candidates.publish(candidates.again(better))
    assert (found.status, candidates.champion) == ("refused", first.version)
    assert f"anna@day put {first.version} in its place" in found.reasons[0]
    assert second.version in candidates.registry.history("digits").withdrawn


def test_the_same_trained_anew_does_not_undo_a_rollback_either(candidates):
    first = candidates.publish(candidates.train(GOOD))
    second = candidates.publish(candidates.train(BETTER, seed=2))
    candidates.registry.rollback("digits", reason="false alarms", who="anna@night")

    found = candidates.publish(candidates.train(BETTER, seed=2))  # a version of its own: it carries its run's name

    assert found.version != second.version
    assert (found.status, candidates.champion) == ("refused", first.version)
    alike = f"Version {second.version}, made of the same data, configuration, code and packages, was champion until "
    assert found.reasons[0].startswith(alike + "anna@night")
    changed = candidates.publish(candidates.train(BETTER, seed=3))
    assert (changed.status, candidates.champion) == ("promoted", changed.version)


def test_a_version_that_was_pruned_after_a_rollback_does_not_come_back_as_new(candidates):
    run, better = candidates.train(WORSE), candidates.train(GOOD)
    candidates.publish(run)
    second = candidates.publish(better)
    candidates.registry.rollback("digits", reason="false alarms")
    third = candidates.publish(candidates.train(BETTER))
    candidates.publish(candidates.train(BETTER + 40))
    assert second.version in candidates.registry.prune("digits", keep=0)
    candidates.registry.promote("digits", third.version, reason="a person's choice")

    found = candidates.publish(candidates.again(better))
    assert found.published_by == found.run_id
    assert found.status == "refused"
    assert found.reasons[-1].startswith("This version was champion until ")


def test_a_version_that_was_refused_is_promoted_where_it_would_pass_today(candidates):
    worse, better, candidate = candidates.train(WORSE), candidates.train(BETTER), candidates.train(GOOD)
    candidates.publish(worse)
    candidates.publish(better)
    refused = candidates.publish(candidate)
    assert refused.status == "refused"
    version = candidates.workspace.models / "digits" / refused.version
    published = contents(version)
    candidates.registry.rollback("digits", reason="false alarms")

    again = candidates.again(candidate)
    found = candidates.publish(again)

    assert (found.status, found.promoted, found.version) == ("promoted", True, refused.version)
    assert candidates.champion == refused.version
    assert f"published by run {candidate.directory.id}, judged anew" in found.sentence
    assert again.record.steps["publish"].reused_from is None
    assert contents(version) == published
    last = candidates.registry.history("digits").changes[-1]
    assert (last.action, last.run, last.reason) == ("promote", again.directory.id, "gate passed, accuracy 91.11 %")


def test_a_champion_that_moves_between_verdict_and_promotion_stays(candidates, monkeypatch):
    run, better = candidates.train(GOOD), candidates.train(BETTER)
    in_between(monkeypatch, lambda: candidates.publish(better))
    with pytest.raises(RegistryError, match=r"expected was not set.*compare again"):
        candidates.publish(run)
    found = candidates.publish(candidates.again(run))
    assert (found.status, candidates.champion) == ("refused", found.champion)


def test_of_two_runs_that_publish_one_version_at_once_one_promoted_it(candidates, monkeypatch):
    run = candidates.train(GOOD)
    again, found = candidates.again(run), []
    in_between(monkeypatch, lambda: found.append(candidates.publish(again)))
    found.append(candidates.publish(run))
    assert sorted(summary.status for summary in found) == ["promoted", "unchanged"]
    assert [change.action for change in candidates.registry.history("digits").changes] == ["publish", "promote"]


def in_between(monkeypatch: pytest.MonkeyPatch, other: Callable[[], Any]) -> None:
    """Let something else happen while the first candidate is being judged."""
    judge = publishing.judge

    def slow(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(publishing, "judge", judge)
        verdict = judge(*args, **kwargs)
        other()
        return verdict

    monkeypatch.setattr(publishing, "judge", slow)


def test_a_run_that_is_published_again_forgets_a_champion_that_is_gone(candidates):
    run = candidates.train(GOOD)
    candidates.publish(candidates.train(WORSE))
    candidates.publish(run)
    assert "Champion `" in run.directory.report_md.read_text()
    candidates.workspace.models.rename(candidates.workspace.root / "elsewhere")
    assert candidates.publish(run).status == "promoted"
    assert not run.directory.comparison.exists()
    assert "There was no champion to compare with." in run.directory.report_md.read_text()


def test_the_report_of_a_run_that_was_not_judged_denies_no_champion(candidates):
    candidates.publish(candidates.train(WORSE))
    run = candidates.train(GOOD)
    draw_report(run)
    report = run.directory.report_md.read_text()
    assert "# Not judged yet: 91.11\N{NO-BREAK SPACE}% accuracy" in report
    assert "There was no champion" not in report


def retrain(candidates, earlier):
    """What a retraining of the same configuration ends as before it trains; None where it has to."""
    config = parse_config(PipelineConfig, read_json(earlier.directory.config), {}, unknown="ignore")
    return steps.find_unchanged(config.publishing, candidates.dataset, None, Run.start(candidates.workspace, config))


def test_what_was_refused_is_not_judged_again_before_something_changes(candidates):
    run, worse = candidates.train(GOOD), candidates.train(WORSE, seed=2)
    first, refused = candidates.publish(run), candidates.publish(worse)
    assert refused.status == "refused"
    for _ in range(2):
        found = retrain(candidates, worse)
        assert (found.status, found.version, found.champion) == ("unchanged", refused.version, first.version)
        assert f"; nothing changed since it was judged; the champion is {first.version}; " in found.sentence
    assert retrain(candidates, run).version == first.version

    better = candidates.train(BETTER, seed=3)
    second = candidates.publish(better)
    assert retrain(candidates, worse) is None  # there is another champion
    assert candidates.publish(candidates.again(worse)).status == "refused"
    assert retrain(candidates, worse).version == refused.version
    assert retrain(candidates, candidates.train(WORSE, seed=4)) is None  # another configuration

    candidates.registry.rollback("digits", reason="false alarms", who="anna@night")
    assert retrain(candidates, better) is None
    assert "no run undoes that" in candidates.publish(candidates.again(better)).reasons[0]
    assert retrain(candidates, better).version == second.version


def test_what_waits_for_approval_is_told_once(candidates):
    run = candidates.train(GOOD)
    gate = LENIENT.model_copy(update={"approval": "person"})
    waiting = candidates.publish(run, gate=gate.model_dump(mode="json"))
    assert waiting.status == "pending"
    found = retrain(candidates, run)
    assert (found.status, found.version, found.champion) == ("unchanged", waiting.version, None)
    candidates.registry.reject("digits", waiting.version, reason="blurred")
    assert retrain(candidates, run) is None
