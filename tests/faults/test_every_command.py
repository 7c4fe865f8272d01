"""Every command in the environments that a machine may have: it ends with the exit code of its contract and with at
most one line of error, never with a traceback, and never cuts a value."""

import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.cells import cell_len
from typer.main import get_command
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from tests.support.fake_api import fake_api
from tests.support.forked_commands import LIGHT, Commands, forked_commands

COMMAND = str(Path(sys.executable).with_name("mnist-pipeline"))
PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
HOSTILE = ("random", "json", "numpy", "typing", "flows", "mnist_pipeline")
TRACEBACKS = ("Traceback", 'File "', "Exception ignored", "pydantic.dev")


@dataclass(frozen=True)
class Case:
    """A command as it is called here.

    Attributes:
        words: its arguments; ``{name}`` stands for a place of the small workspace.
        code: how it ends where nothing is amiss.
        writes: it cannot end well where the workspace cannot be written.
        only: the environments that can make a difference to it and are worth its time; all where none is named.
    """

    words: str
    code: int = 0
    writes: bool = False
    only: Sequence[str] = ()

    @property
    def command(self) -> str:
        """Its name: two words in a group, else one."""
        return " ".join(self.words.split()[: 2 if self.words.startswith(("labels", "models", "runs")) else 1])


EARLY = ("json", "bare", "closed")
"""Where a command that is refused before any work could still fail in another way."""
CASES = [
    Case("run-all --set training.epochs=0", 2, only=EARLY),
    Case("retrain --config {nowhere}/config.toml", 2, only=EARLY),
    Case("fetch --dataset digits"),
    Case("train --list-presets"),
    Case("export 20000101T000000-abcdef", 2, only=EARLY),
    Case("evaluate 20000101T000000-abcdef", 2, only=EARLY),
    Case("publish 20000101T000000-abcdef", 2, only=EARLY),
    Case("score {scans} --output {out}/rows.csv --overwrite --workers 1"),
    Case("classify {scans}/0.png"),
    Case("serve --host 0.0.0.0", 2, only=EARLY),
    Case("labels add {nowhere}/labels.csv --by anna", 2, only=EARLY),
    Case("labels list"),
    Case("labels conflicts", only=EARLY),  # it has nothing to say on standard output
    Case("report {version}"),
    Case("report", only=["bare"]),
    Case("report {run} --compare {run} --output {nowhere}/page.html", 1, only=["bare"]),
    Case("runs list"),
    Case("runs show"),
    Case("models list"),
    Case("models show"),
    Case("models explain {version}"),
    Case("models approve {version} --reason fine", 1, only=EARLY),
    Case("models reject {version} --reason wrong", 1, only=EARLY),
    Case("models promote {version} --reason again", writes=True),
    Case("models rollback --reason back", 1, only=[*EARLY, "read-only"]),
    Case("models verify"),
    Case("models history"),
    Case("models at 2999-01-01"),
    Case("models prune --keep 5", writes=True),
    Case("deploy", 2, only=EARLY),
    Case("doctor --dataset digits", only=["bare"]),
]
TABLES = ("models list", "models history", "runs list", "train")


def cases(environment: str) -> list[Case]:
    return [case for case in CASES if not case.only or environment in case.only]


class Ended(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error:")]


@dataclass(frozen=True)
class Environment:
    """Where commands run.

    Attributes:
        places: what the words of a case may name.
        folder: the current one.
        variables: added to the environment; None takes one away.
        commands: where the processes come from; None means that the interpreter starts for each.
        streams: as `Commands.run` takes them.
    """

    places: Mapping[str, Path | str]
    folder: Path
    variables: Mapping[str, str | None] = field(default_factory=dict)
    commands: Commands | None = None
    streams: Mapping[int, str | None] = field(default_factory=dict)

    @property
    def all_variables(self) -> dict[str, str]:
        variables = {**clean(), "MNIST_PIPELINE_WORKSPACE": str(self.places["workspace"]), **self.variables}
        return {name: value for name, value in variables.items() if value is not None}

    def run(self, words: str) -> Ended:
        if self.commands:
            done = self.commands.run(self.words(words), self.all_variables, self.folder, self.streams)
        else:
            command = [COMMAND, *self.words(words)]
            options = {
                "cwd": self.folder,
                "env": self.all_variables,
                "capture_output": True,
                "text": True,
                "timeout": 240,
            }
            done = subprocess.run(command, stdin=subprocess.DEVNULL, **options, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, words: str, width: int) -> Ended:
        """What it writes to a terminal of so many columns."""
        ours, theirs = os.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        with ThreadPoolExecutor(1) as pool:
            out = pool.submit(read_terminal, ours)
            ended = replace(self, streams={1: os.ttyname(theirs)}).run(words)
            os.close(theirs)
        return ended._replace(out=out.result().decode())

    def words(self, words: str) -> list[str]:
        return [word.format(**self.places) for word in words.split()]


def clean() -> dict[str, str]:
    """The variables of this process, without those that a developer may have set for this package."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MNIST", "COLUMNS"))}


def read_terminal(ours: int) -> bytes:
    """All that is written to the terminal, until nobody has it open any more."""
    found = b""
    try:
        while data := os.read(ours, 65_536):
            found += data
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(ours)
    return found.replace(b"\r\n", b"\n")


@pytest.fixture(scope="module")
def places(small_workspace, tmp_path_factory) -> dict[str, Path | str]:
    """A copy of the small workspace, and a file in the place of a folder."""
    folder = tmp_path_factory.mktemp("places")
    workspace = folder / "workspace"
    shutil.copytree(small_workspace.root, workspace)
    (folder / "out").mkdir()
    (folder / "file").touch()
    found = {"workspace": workspace, "scans": workspace / "scans", "out": folder / "out", "nowhere": folder / "file"}
    return {**found, "version": small_workspace.version, "run": small_workspace.run}


@pytest.fixture(scope="module")
def plain(places) -> Iterator[Environment]:
    with forked_commands(places["out"], clean(), f"{LIGHT}import sklearn.datasets") as commands:
        yield Environment(places, places["out"], {"PREFECT_HOME": str(places["out"]), "TERM": "xterm"}, commands)


def run_all_cases(environment: Environment, name: str) -> Iterator[tuple[Case, Ended]]:
    """Run every case that this environment is worth."""
    return ((case, environment.run(case.words)) for case in cases(name))


def check(case: Case, ended: Ended, code: int) -> None:
    """The exit code is the expected one, and what is said fits it."""
    assert ended.code == code, (case, ended)
    assert len(ended.errors) == bool(code), (case, ended)
    assert not any(word in ended.out + ended.err for word in TRACEBACKS), (case, ended)
    if code == 2:  # nothing was begun that could have been told
        assert ended.err.splitlines() == ended.errors, (case, ended)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from leaves(child, (*path, name))
    if not children:
        yield " ".join(path)


def test_no_command_is_forgotten():
    assert sorted({case.command for case in CASES}) == sorted(leaves(get_command(app)))


@pytest.mark.parametrize("case", cases("json"), ids=lambda case: case.words)
def test_with_json_there_is_one_object_on_stdout_and_nothing_else(plain, places, monkeypatch, case):
    for name in os.environ.keys() - clean().keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("MNIST_PIPELINE_WORKSPACE", str(places["workspace"]))
    monkeypatch.setenv("PREFECT_HOME", str(places["out"]))
    result = CliRunner().invoke(app, [*plain.words(case.words), "--json"])
    ended = Ended(result.exit_code, result.stdout, result.stderr)
    check(case, ended, case.code)
    found = json.loads(ended.out)
    assert isinstance(found, dict)
    if case.code:
        assert found == {"status": "failed", "error": ended.errors[0].removeprefix("error: ")}


def test_without_a_home_and_beside_hostile_modules_with_dead_proxies_and_in_ascii(plain, tmp_path, monkeypatch):
    for module in HOSTILE:
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(tmp_path)
    missing = {"HOME": None, "XDG_CACHE_HOME": None, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", **PROXIES}
    bare = Environment(plain.places, tmp_path, {**plain.variables, **missing})
    with fake_api() as api, forked_commands(plain.folder, bare.all_variables, LIGHT) as commands:
        server = {**bare.variables, "PREFECT_API_URL": api.url}
        for case in cases("bare"):
            variables = server if case.command == "doctor" else bare.variables
            check(case, replace(bare, commands=commands, variables=variables).run(case.words), case.code)


def test_with_standard_input_and_output_closed(plain):
    for case, ended in run_all_cases(replace(plain, streams={0: None, 1: None}), "closed"):
        check(case, ended, case.code)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_with_a_full_disk_behind_standard_output(plain):
    for case, ended in run_all_cases(replace(plain, streams={1: "/dev/full"}), "full"):
        check(case, ended, case.code or 1)
        if not case.code:
            assert ended.errors[0].startswith("error: standard output: No space left on device"), case


def test_in_a_workspace_that_cannot_be_written(plain):
    workspace = plain.places["workspace"]
    mount = f"mount --bind {workspace} {workspace} && mount -o remount,bind,ro {workspace}"
    before = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        subprocess.run([*before, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no read-only mount can be made here: {error}")
    with forked_commands(plain.folder, clean(), LIGHT, before) as commands:
        for case, ended in run_all_cases(replace(plain, commands=commands), "read-only"):
            check(case, ended, 1 if case.writes and not case.code else case.code)


def test_on_a_terminal_of_40_columns_no_table_is_wider_and_no_value_is_cut(plain):
    for case in cases("terminal"):
        ended = plain.on_terminal(case.words, 40)
        check(case, ended, case.code)
        if case.command in TABLES:
            check_table(case.command, ended.out, plain.places["version"], 40)


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", TABLES)
def test_on_wider_terminals_neither(plain, command, width):
    (case,) = [case for case in CASES if case.command == command]
    ended = plain.on_terminal(case.words, width)
    check(case, ended, case.code)
    check_table(command, ended.out, plain.places["version"], width)


def check_table(command: str, out: str, version: str, width: int) -> None:
    """Every line fits, but for a single value; and the values that the narrowest terminal must show are whole."""
    whole = {"models list": [version, "champion", " %"], "models history": [version, " UTC", "gate passed"]}
    for value in whole.get(command, []):
        assert value in out, (command, out)
    for line in out.splitlines():
        assert cell_len(line) <= width or "  " not in line.strip(), (command, line)


def test_a_pipe_is_never_wrapped_however_narrow_the_terminal_is_said_to_be(plain):
    environment = Environment(plain.places, plain.folder, {"COLUMNS": "20"})
    (line,) = environment.run("models list").out.splitlines()
    model, version, accuracy, aliases, created, preset = line.split("\t")
    assert (model, version, aliases, preset) == ("digits", plain.places["version"], "champion", "linear")
    assert (accuracy[-2:], created[-4:]) == (" %", " UTC")
