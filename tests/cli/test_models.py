"""What `models` says of versions that are not as they were published."""

import json
import shutil

from typer.testing import CliRunner

from mnist_pipeline.cli.app import app


def test_a_changed_file_is_an_error_and_named_in_the_one_object(small_workspace, tmp_path):
    shutil.copytree(small_workspace.root / "models", tmp_path / "models")
    (tmp_path / "models" / "digits" / small_workspace.version / "report.html").write_text("other")
    (tmp_path / "models" / "digits" / small_workspace.version / "more").touch()
    words = ["models", "verify", "--workspace", str(tmp_path)]
    line = "2 files are not as published; restore what is named from a copy, or roll back"
    result = CliRunner().invoke(app, [*words, "--json"])
    found = json.loads(result.stdout)
    assert (result.exit_code, found["status"], found["error"], result.stderr) == (1, "failed", line, f"error: {line}\n")
    assert [finding["file"] for finding in found["findings"]] == ["more", "report.html"]
    printed = CliRunner().invoke(app, words)
    assert (printed.exit_code, printed.stderr) == (1, f"error: {line}\n")
    more, report = (row.split("\t") for row in printed.stdout.splitlines())
    assert more == ["digits", small_workspace.version, "more", "unexpected: the manifest does not name it"]
    assert report[3].startswith("changed: SHA-256 is ")


def test_a_date_before_the_first_champion_is_told_as_the_instant_that_it_means(small_workspace):
    result = CliRunner().invoke(app, ["models", "at", "20000101", "--workspace", str(small_workspace.root)])
    line = "error: digits had no champion at 2000-01-01 23:59 UTC; see: mnist-pipeline models history\n"
    assert (result.exit_code, result.stderr) == (2, line)


def test_the_champion_of_today_is_found_by_a_date_without_hyphens(small_workspace):
    history = CliRunner().invoke(app, ["models", "history", "--json", "--workspace", str(small_workspace.root)])
    day = json.loads(history.stdout)["changes"][-1]["time"][:10]
    for text in (day, day.replace("-", "")):
        result = CliRunner().invoke(app, ["models", "at", text, "--workspace", str(small_workspace.root)])
        assert result.stdout.startswith(f"{small_workspace.version} since {day} ")
