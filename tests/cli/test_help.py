"""Every command has help, answers quickly by importing little, and meets wrong use with one line."""

import json
import os
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app


def commands(command=None, path=()):
    command = command or get_command(app)
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_help_of_every_command_says_what_it_does(path):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert "--help" in result.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['mnist-pipeline', '--help']\n"
        "from mnist_pipeline.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'prefect', 'onnxruntime', 'onnx', 'matplotlib', 'numpy', 'PIL', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_of_a_narrow_terminal_cuts_no_name():
    words = [sys.executable, "-m", "mnist_pipeline", "score", "--help"]
    done = subprocess.run(words, env=os.environ | {"COLUMNS": "40"}, capture_output=True, text=True, check=True)
    command = get_command(app).commands["score"]
    names = [name for option in command.params for name in [*option.opts, option.envvar] if name]
    assert len(names) > 25
    assert [name for name in names if name not in done.stdout] == []
    assert "\u2026" not in done.stdout


def test_the_list_of_commands_says_of_each_what_its_own_help_says():
    listed = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    for name, command in get_command(app).commands.items():
        assert f"{name} {' '.join(command.help.partition(chr(10) * 2)[0].split())}" in listed


WRONG = [
    (["run-all", "--preset", "best"], 2, "training.preset: is not a preset; there are: codelab"),
    (["run-all", "--epochs", "0"], 2, "training.epochs: Input should be greater than or equal to 1, found 0"),
    (["train", "--batch-size", "-1"], 2, "training.batch_size: Input should be greater than or equal to 1, found -1"),
    (["train", "--set", "training.learning_rate=nan"], 2, "training.learning_rate: Input should be a finite number"),
    (["train", "--set", "epochs"], 2, "--set epochs: not of the form section.field=value"),
    (["train", "--config", "absent.toml"], 2, "--config absent.toml: No such file or directory"),
    (["train", "--set", f"training.epochs={'[' * 9_999}"], 2, "training.epochs: Input should be a valid integer"),
    (["fetch", "--dataset", "absent.toml"], 2, "absent.toml"),
    (["export"], 2, "no run in"),
    (["export", "20000101T000000-abcdef"], 2, "no run '20000101T000000-abcdef' in"),
    (["evaluate"], 2, "no run in"),
    (["publish"], 2, "no run in"),
    (["models", "show"], 2, "no models in"),
    (["models", "show", "--name", "../../etc"], 2, "'../../etc' is not a model name"),
    (["models", "rollback", "--name", "mnist", "--reason", "x"], 1, "mnist has no earlier champion"),
    (["models", "at", "yesterday", "--name", "mnist"], 2, "yesterday"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_use_is_one_clear_line_and_the_right_exit_code(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    errors = result.stderr.strip().splitlines()
    assert (result.exit_code, len(errors)) == (code, 1), result.stderr
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["run-all", "--device", "tpu"], ["no-such-command"], ["train", "--epochs", "x"]])
def test_what_the_parser_refuses_exits_with_2(arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_an_error_with_json_is_an_object_on_stdout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run-all", "--preset", "best", "--json"])
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert found["status"] == "failed"
    assert found["error"].startswith("training.preset: is not a preset")
