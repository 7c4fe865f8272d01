"""However a command ends, it says so in one line, with the exit code of its contract."""

import asyncio
import errno
import json
import os
from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.registry import lookup
from mnist_pipeline.registry.history import Publication

PLEASE = "; this is a bug of mnist-pipeline, please report it with the output of the same command and -v"


def system(number: int, *names: str) -> OSError:
    return OSError(number, os.strerror(number), *names[:1], None, *names[1:])


RAISED = [
    (system(errno.EROFS, "/data/x"), 1, "/data/x: Read-only file system; name a place that can be written"),
    (system(errno.ENOSPC, "a", "b"), 1, "a -> b: No space left on device; make room there, or name another place"),
    (system(errno.EINVAL), 1, "Invalid argument"),
    (system(errno.EACCES, b"/a\xff"), 1, r"/a\xff: Permission denied; give this user access, or name another place"),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, "Broken pipe"),
    (OSError(), 1, "OSError"),
    (MemoryError(), 1, "not enough memory; end other programs, or give this one more"),
    (ImportError("no libGL.so.1"), 1, "no libGL.so.1; see what is missing with: mnist-pipeline doctor"),
    (KeyboardInterrupt(), 130, "interrupted; the same command goes on where this one stopped"),
    (ValueError("two\n  lines"), 1, f"unexpected ValueError: two lines{PLEASE}"),
    (EOFError(), 1, f"unexpected EOFError: no message{PLEASE}"),
    (KeyError("\x1b[2J"), 1, rf"unexpected KeyError: '\x1b[2J'{PLEASE}"),
    (asyncio.CancelledError("by a timeout"), 1, f"unexpected CancelledError: by a timeout{PLEASE}"),
    (ExceptionGroup("of tasks", [RuntimeError("one"), ValueError("two")]), 1, f"unexpected RuntimeError: one{PLEASE}"),
]  # fmt: skip


def fail_with(monkeypatch, error: BaseException) -> None:
    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(lookup, "find_registry", raising)


@pytest.mark.parametrize(("error", "code", "line"), RAISED, ids=lambda value: type(value).__name__)
def test_no_library_shows_its_exception(monkeypatch, error, code, line):
    fail_with(monkeypatch, error)
    result = CliRunner().invoke(app, ["models", "list"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"error: {line}\n")


def test_a_value_that_pydantic_refuses_is_told_by_its_field(monkeypatch):
    with pytest.raises(ValueError, match="validation error") as caught:
        Publication.model_validate({"accuracy": []})
    fail_with(monkeypatch, caught.value)
    result = CliRunner().invoke(app, ["models", "list"])
    said = "Publication: accuracy: Input should be a valid number"
    assert result.stderr == f"error: unexpected ValidationError: {said}{PLEASE}\n"


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_shows_where_an_error_came_from_and_ends_with_the_same_line(monkeypatch, flag):
    fail_with(monkeypatch, ValueError("odd"))
    lines = CliRunner().invoke(app, ["models", "list", flag]).stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert any("in list_" in line for line in lines)
    assert lines[-1] == f"error: unexpected ValueError: odd{PLEASE}"


def test_with_json_a_failure_is_one_object_on_stdout(monkeypatch):
    fail_with(monkeypatch, ValueError("odd"))
    result = CliRunner().invoke(app, ["models", "list", "--json"])
    assert json.loads(result.stdout) == {"status": "failed", "error": f"unexpected ValueError: odd{PLEASE}"}
    assert result.stderr == f"error: unexpected ValueError: odd{PLEASE}\n"


USAGE = [
    (["models", "list", "--nmae", "x"], "no such option: --nmae (Possible options: --name); see: mnist-pipeline "),
    (["run-all", "--device", "tpu"], "invalid value for '--device' (env var: 'MNIST_PIPELINE_DEVICE'): 'tpu' is "),
    (["no-such-command"], "no such command 'no-such-command'; see: mnist-pipeline --help"),
    (["models", "promote", "abc"], "missing option '--reason'; see: mnist-pipeline models promote --help"),
    (["models", "prune", "--keep", "x"], "invalid value for '--keep': 'x' is not a valid"),
    (["models", "show", "a", "b"], "got unexpected extra argument(s) (b); see: mnist-pipeline models show --help"),
    (["runs"], "missing command; see: mnist-pipeline runs --help"),
    (["--versoin"], "no such option: --versoin"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "line"), USAGE)
def test_what_the_parser_refuses_is_one_line_too(words, line):
    result = CliRunner().invoke(app, words)
    (error,) = result.stderr.splitlines()
    assert result.exit_code == 2
    assert error.startswith(f"error: {line}")


@pytest.mark.parametrize("words", [words for words, _ in USAGE])
def test_with_json_what_the_parser_refuses_is_one_object(words):
    result = CliRunner().invoke(app, [*words, "--json"])
    (error,) = result.stderr.splitlines()
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {"status": "failed", "error": error.removeprefix("error: ")}


def test_without_a_command_the_help_comes_before_the_error():
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "run-all" in result.stdout
    assert result.stderr == "error: missing command; see: mnist-pipeline --help\n"


def test_every_command_takes_json_quiet_and_verbose():
    def leaves(command):
        children = getattr(command, "commands", {}).values()
        return [leaf for child in children for leaf in leaves(child)] if children else [command]

    for command in leaves(get_command(app)):
        assert {"--json", "--quiet", "--verbose"} <= {name for option in command.params for name in option.opts}


def parameters() -> Iterator[tuple[list[str], str]]:
    """Every option that takes a value, of every command."""

    def walk(command, path):
        for option in command.params:
            if option.param_type_name == "option" and not option.is_flag:
                yield path, option.opts[0]
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, [*path, name])

    return walk(get_command(app), [])


def test_a_blank_value_of_any_option_of_any_command_is_refused_with_its_name():
    every = list(parameters())
    assert len(every) > 80
    for path, option in every:
        result = CliRunner().invoke(app, [*path, option, " "])
        line = f"error: the argument after {option} is blank; give it a value or leave it out\n"
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", line)


@pytest.mark.parametrize("word", ["--name=", "--name= \t", "--name=\u3000"])
def test_so_is_one_that_is_joined_to_its_option(word):
    result = CliRunner().invoke(app, ["models", "list", word])
    assert (result.exit_code, result.stderr) == (2, "error: --name is blank; give it a value or leave it out\n")


BLANK = [(["score", "", "--output", "x.csv"], "score"), (["models", "show", " "], "show"), (["report", ""], "report")]


@pytest.mark.parametrize(("words", "before"), BLANK)
def test_a_blank_argument_is_refused(words, before):
    result = CliRunner().invoke(app, words)
    line = f"error: the argument after {before} is blank; give it a value or leave it out\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line)


def test_a_blank_variable_is_refused_and_an_empty_one_counts_as_unset(monkeypatch, tmp_path):
    monkeypatch.setenv("MNIST_PIPELINE_REGISTRY", "  ")
    result = CliRunner().invoke(app, ["models", "list", "--workspace", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (
        2,
        "error: MNIST_PIPELINE_REGISTRY is blank; give it a value or unset it\n",
    )
    monkeypatch.setenv("MNIST_PIPELINE_REGISTRY", "")
    assert CliRunner().invoke(app, ["models", "list", "--workspace", str(tmp_path)]).exit_code == 0
