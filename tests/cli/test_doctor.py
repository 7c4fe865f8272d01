"""The doctor tries things, and tells whether run-all could run."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from mnist_pipeline import doctor as doctor_module
from mnist_pipeline.cli.app import app
from tests.support.fake_api import FakeApi, fake_api


@pytest.fixture
def api(monkeypatch) -> Iterator[FakeApi]:
    """A Prefect server that lets everybody in, and that the environment names."""
    from prefect.context import refresh_global_settings_context

    from flows.connection import QUIET

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    with fake_api() as found:
        monkeypatch.setenv("PREFECT_API_URL", found.url)
        refresh_global_settings_context()
        yield found
    monkeypatch.undo()
    refresh_global_settings_context()


@pytest.fixture
def doctor(api, monkeypatch, tmp_path):
    monkeypatch.delenv("MNIST_PIPELINE_SOURCE", raising=False)

    def run(*arguments: str, workspace=tmp_path / "workspace"):
        result = CliRunner().invoke(app, ["doctor", "--json", "--workspace", str(workspace), *arguments])
        return result.exit_code, {row["name"]: row for row in json.loads(result.stdout)["checks"]}

    return run


def test_what_is_there_is_ok_and_what_is_not_yet_there_is_not_made(doctor, api, tmp_path):
    code, found = doctor("--dataset", "digits")
    assert code == 0
    assert found["prefect server"]["detail"] == f"{api.url} answers"
    assert found["onnx export"]["state"] == "ok"
    assert {found[name]["state"] for name in ("python", "tensorflow", "prefect", "workspace", "data source")} == {"ok"}
    assert found["tensorflow devices"]["detail"].startswith(("cpu", "gpu"))
    assert not (tmp_path / "workspace").exists()


def test_a_source_that_is_named_and_missing_is_broken(doctor, tmp_path):
    code, found = doctor("--source", str(tmp_path / "nowhere"))
    assert (code, found["data source"]["state"]) == (1, "broken")
    assert "nowhere" in found["data source"]["detail"]


def test_a_workspace_that_cannot_be_written_is_broken(doctor, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, found = doctor("--dataset", "digits", workspace=blocked / "workspace")
    assert (code, found["workspace"]["state"]) == (1, "broken")


def test_a_prefect_server_that_does_not_answer_is_broken(doctor, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    code, found = doctor("--dataset", "digits")
    assert (code, found["prefect server"]["state"]) == (1, "broken")
    assert "refused" in found["prefect server"]["detail"]


def test_a_prefect_server_that_lets_nobody_in_is_broken(doctor, api):
    api.status = 403
    code, found = doctor("--dataset", "digits")
    assert (code, found["prefect server"]["state"]) == (1, "broken")
    assert "answers 403 Forbidden" in found["prefect server"]["detail"]


@pytest.mark.usefixtures("api")
def test_what_is_broken_is_named_in_one_line_of_error_and_in_the_one_object(tmp_path):
    words = ["doctor", "--dataset", "digits", "--workspace", str(tmp_path / "file" / "workspace")]
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, [*words, "--json"])
    line = "run-all could not run here: workspace; mend what is marked XX"
    found = json.loads(result.stdout)
    assert (result.exit_code, found["status"], found["error"], result.stderr) == (1, "failed", line, f"error: {line}\n")
    printed = CliRunner().invoke(app, words)
    assert (printed.exit_code, printed.stderr) == (1, f"error: {line}\n")
    marks = {row.split("\t")[1]: row.split("\t")[0] for row in printed.stdout.splitlines()}
    assert (marks["workspace"], marks["python"]) == ("XX", "ok")


def test_a_dataset_that_is_not_there_is_said_before_anything_is_tried(monkeypatch, tmp_path):
    tried = []
    monkeypatch.setattr(doctor_module, "require_device", tried.append)
    result = CliRunner().invoke(app, ["doctor", "--dataset", "no-such", "--workspace", str(tmp_path)])
    assert (result.exit_code, result.stderr.count("\n"), tried) == (2, 1, [])
    assert "no-such" in result.stderr
