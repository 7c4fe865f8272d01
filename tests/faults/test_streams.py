"""Whatever the shell connects to the standard streams, a command does its work and says what it can."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_pipeline.registry import Registry

COMMAND = str(Path(sys.executable).with_name("mnist-pipeline"))
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def shell(line: str, workspace: Path, **variables: str) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a line of a POSIX shell in which ``$M`` is the command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MNIST"))}
    environment = clean | {"M": COMMAND, "MNIST_PIPELINE_WORKSPACE": str(workspace)} | variables
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, timeout=240, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def workspace(small_workspace, tmp_path) -> Path:
    """A copy of the small workspace under a name that is not UTF-8."""
    copy = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    shutil.copytree(small_workspace.root, copy)
    return copy


@pytest.mark.parametrize("words", ["models list", "models history --json", "train --list-presets", "score --help"])
def test_a_reader_that_went_away_is_no_error(workspace, words):
    assert shell(f"{{ $M {words} -q; echo $? >&2; }} | true", workspace)[2] == "0\n"


def test_a_failure_keeps_its_exit_code_where_nobody_reads_it(workspace):
    assert shell("{ $M models show nosuch --json 2>&1; echo $? >&2; } | true", workspace)[2] == "1\n"


@FULL
@pytest.mark.parametrize("words", ["models list", "models list --json", "--version", "models --help"])
def test_a_full_disk_behind_stdout_is_one_line(workspace, words):
    code, _, said = shell(f"$M {words} >/dev/full", workspace)
    line = "error: standard output: No space left on device; make room there, or name another place\n"
    assert (code, said) == (1, line)


@FULL
def test_a_full_disk_behind_stderr_changes_nothing(workspace):
    assert shell("$M models show nosuch --json 2>/dev/full", workspace)[0] == 1
    code, out, _ = shell("$M models list 2>/dev/full", workspace)
    assert (code, out[:7]) == (0, b"digits\t")


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_rows_are_whole_whichever_streams_are_closed(small_workspace, tmp_path, streams):
    rows = tmp_path / "rows.csv"
    line = f"$M score {small_workspace.scans} -o {rows} --workers 1 -q {streams}"
    code, out, said = shell(line, small_workspace.root)
    assert (code, said) == (0, "")
    assert bool(out) == (">&-" not in streams.replace("2>&-", ""))
    names = [line.partition(",")[0] for line in rows.read_text().splitlines()]
    assert names == ["path", *(f"{row}.png" for row in range(8))]


def test_a_list_from_a_closed_input_is_one_line_and_not_an_empty_result(workspace, tmp_path):
    rows = tmp_path / "rows.csv"
    code, _, said = shell(f"$M score --files-from - -o {rows} <&-", workspace)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("error: standard input: Bad file descriptor")
    assert not rows.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_are_not_text_are_escaped_and_come_back_whole_from_json(workspace, encoding):
    printed = shell("$M runs show", workspace, PYTHONIOENCODING=encoding)[1].decode("ascii")
    assert r"/caf\xe9/runs/" in printed
    found = json.loads(shell("$M models show --json", workspace, PYTHONIOENCODING=encoding)[1])
    assert Path(found["path"]).is_file()


def test_characters_that_the_encoding_lacks_are_escaped(workspace):
    code, out, said = shell('$M models show "$V"', workspace, V="ä\n\x1b[2J", PYTHONIOENCODING="ascii")
    assert (code, out, said.count("\n")) == (2, b"", 1)
    assert said.startswith(r"error: '\xe4\n\x1b[2J' is not an alias")


def test_what_a_person_writes_takes_one_line_of_the_history(workspace, small_workspace):
    reason = ":bug: [red]two\n\tlines[/red] \x1b[2J é"
    Registry(workspace / "models").promote("digits", small_workspace.version, reason=reason, alias="candidate")
    lines = shell("$M models history", workspace)[1].decode().splitlines()
    assert lines[-1].split("\t")[-1] == r":bug: [red]two\n\tlines[/red] \x1b[2J é"
    (*_, last) = json.loads(shell("$M models history --json", workspace)[1])["changes"]
    assert last["reason"] == reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_what_stops_a_service_ends_a_command_as_ctrl_c_does(tmp_path, number):
    config = tmp_path / "config.toml"
    os.mkfifo(config)
    process = subprocess.Popen([COMMAND, "train", "--config", str(config)], stderr=subprocess.PIPE, text=True)
    with config.open("wb"):  # returns when the command has opened it, which now waits for what is in it
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    line = "error: interrupted; the same command goes on where this one stopped\n"
    assert (process.returncode, said) == (130, line)
