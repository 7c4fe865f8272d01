"""Who passes the gate waits for a person, where persons are asked; and every version can be explained."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.errors import RegistryError
from mnist_pipeline.publishing.explain import explain
from tests.support.candidates import LENIENT

GOOD, BETTER, BEST = 20, 60, 150
ASKED = LENIENT.model_copy(update={"approval": "person"})


@pytest.fixture
def waiting(candidates):
    """A champion, and a better version that waits."""
    first = candidates.publish(candidates.train(GOOD))
    second = candidates.publish(candidates.train(BETTER, gate=ASKED))
    return candidates, first, second


def invoke(candidates, *words: str):
    return CliRunner().invoke(app, ["models", *words, "--workspace", str(candidates.workspace.root)])


def aliases(candidates) -> dict[str, str]:
    return json.loads((candidates.workspace.models / "digits" / "aliases.json").read_text())


def test_a_candidate_that_passes_waits_and_the_champion_stays(waiting):
    candidates, first, second = waiting
    assert (second.status, second.promoted, second.reasons, second.champion) == ("pending", False, [], first.version)
    assert f"mnist-pipeline models approve {second.version} --name digits --reason TEXT" in second.sentence
    assert second.sentence.startswith("pending: digits ")
    assert aliases(candidates) == {"champion": first.version, "pending": second.version}
    assert explain(candidates.registry, candidates.workspace, "digits", "pending").standing == "pending"


def test_who_is_refused_does_not_wait(waiting):
    candidates, _, second = waiting
    assert candidates.publish(candidates.train(2, gate=ASKED)).status == "refused"
    assert aliases(candidates)["pending"] == second.version


def test_approved_it_is_champion_and_the_history_says_by_whom_and_why(waiting):
    candidates, first, second = waiting
    result = invoke(candidates, "approve", "--reason", "looked at ten scans", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"model": "digits", "before": first.version, "champion": second.version}
    assert aliases(candidates) == {"champion": second.version}
    promoted, approved = candidates.registry.history("digits").changes[-2:]
    assert (promoted.action, promoted.before, promoted.after) == ("promote", first.version, second.version)
    assert (approved.action, approved.alias, approved.before, approved.after) == (
        "approve",
        "pending",
        second.version,
        None,
    )
    assert {promoted.reason, approved.reason} == {"looked at ten scans"}
    # The champion before was not withdrawn: it may come back by the gate.
    assert candidates.registry.history("digits").withdrawn == {}


def test_rejected_no_run_promotes_it_and_the_next_candidate_is_free(waiting):
    candidates, first, second = waiting
    result = invoke(candidates, "reject", second.version[:6], "--reason", "sevens with a bar")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"rejected {second.version}; champion of digits: {first.version}\n"
    assert aliases(candidates) == {"champion": first.version}

    again = candidates.publish(candidates.train(BETTER, gate=ASKED))
    assert again.status == "refused"
    (reason,) = again.reasons
    assert "was rejected by " in reason
    assert "(sevens with a bar), and no run undoes that" in reason
    assert candidates.publish(candidates.train(BEST, seed=2)).status == "promoted"
    found = explain(candidates.registry, candidates.workspace, "digits", second.version)
    assert found.standing == "rejected"
    assert found.sentence.endswith(": sevens with a bar.")


def test_what_does_not_wait_cannot_be_approved(waiting):
    candidates, first, second = waiting
    result = invoke(candidates, "approve", first.version, "--reason", "x")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {first.version} does not wait for approval, {second.version} does; see: mnist-pipeline models list\n",
    )
    candidates.registry.reject("digits", "pending", reason="x")
    with pytest.raises(RegistryError, match="digits has no pending"):
        candidates.registry.approve("digits", "pending", reason="x")


def test_what_was_judged_against_an_older_champion_is_not_approved_unseen(waiting):
    candidates, first, _ = waiting
    third = candidates.publish(candidates.train(BEST, seed=2))
    assert third.status == "promoted"
    with pytest.raises(RegistryError, match=f"champion is {third.version}, expected was {first.version}"):
        candidates.registry.approve("digits", "pending", reason="late")
    assert candidates.champion == third.version


def test_a_newer_candidate_that_passes_waits_in_place_of_the_older(waiting):
    candidates, first, second = waiting
    third = candidates.publish(candidates.train(BEST, seed=2, gate=ASKED))
    assert third.status == "pending"
    assert aliases(candidates) == {"champion": first.version, "pending": third.version}
    standing = explain(candidates.registry, candidates.workspace, "digits", second.version).standing
    assert standing == "passed"


def test_the_explanation_tells_checks_images_differences_and_decisions_on_one_screen(candidates):
    first = candidates.publish(candidates.train(GOOD))
    second = candidates.publish(candidates.train(BETTER, seed=7))
    candidates.registry.rollback("digits", reason="false alarms", who="anna@night")

    found = explain(candidates.registry, candidates.workspace, "digits", second.version)

    assert found.standing == "former champion"
    assert found.sentence.endswith(" by anna@night: false alarms.")
    assert [check.name for check in found.checks][:2] == ["accuracy", "class accuracy"]
    comparison = json.loads((candidates.workspace.run(second.run_id).comparison).read_text())
    assert (found.compared_with, found.fixed, found.broken) == (
        first.version,
        comparison["fixed"],
        comparison["broken"],
    )
    assert found.fixed
    differing = {one.name: (one.here, one.there) for one in found.differences}
    assert differing["seed"] == differing["config.training.seed"] == ("7", "1")
    assert "dataset_digest" not in differing
    assert [change.action for change in found.changes] == ["publish", "promote", "rollback"]

    shown = invoke(candidates, "explain", second.version)
    assert shown.exit_code == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert len(lines) <= 24
    assert lines[0] == f"digits {second.version}: former champion"
    assert f"fixed      {len(found.fixed)} images: test rows {found.fixed[0]}," in shown.stdout
    assert "differs    seed: 7, there 1" in lines
    assert json.loads(invoke(candidates, "explain", second.version, "--json").stdout) == found.model_dump(mode="json")
    assert explain(candidates.registry, candidates.workspace, "digits", "champion").standing == "champion"


def test_a_refused_version_is_explained_by_what_refused_it(candidates):
    candidates.publish(candidates.train(GOOD))
    refused = candidates.publish(candidates.train(2))
    found = explain(candidates.registry, candidates.workspace, "digits", refused.version)
    assert found.standing == "refused"
    assert refused.reasons[0] in found.sentence


def test_without_the_runs_digests_tell_that_configurations_differ(candidates, tmp_path):
    candidates.publish(candidates.train(GOOD))
    second = candidates.publish(candidates.train(BETTER, seed=7))
    elsewhere = replace(candidates.workspace, root=tmp_path / "other")
    found = explain(candidates.registry, elsewhere, "digits", second.version)
    assert {one.name for one in found.differences} == {"seed", "config digest"}
