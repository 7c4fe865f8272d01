"""Runs and their journals: which steps finished, from which inputs, with which files.

``run.json`` is the only memory between runs. A step whose key (config, inputs, code and
packages) stands in the journal of any run of the workspace is not done again: its files are
verified by SHA-256 and copied into the new run, so that every run directory is whole.
"""

import importlib.metadata
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from mnist_pipeline import __version__
from mnist_pipeline.config import Config
from mnist_pipeline.errors import IntegrityError, PipelineError, UsageError
from mnist_pipeline.files import canonical_json, open_atomic, sha256_bytes, write_json
from mnist_pipeline.outputs import Output
from mnist_pipeline.records import Record
from mnist_pipeline.workspace import RunDirectory, Workspace

logger = logging.getLogger(__name__)

OutputT = TypeVar("OutputT", bound=Output)
Status = Literal["running", "promoted", "refused", "unchanged", "finished", "failed"]

PACKAGE = Path(__file__).parent


class StepRecord(Record):
    """One finished step."""

    key: str
    """Digest of everything that the step's files depend on."""
    output: dict[str, Any]
    """The step's `Output`; its directory is relative to the workspace."""
    seconds: float
    reused_from: str | None
    """The run that did the work; none: this one."""


class RunRecord(Record):
    """One run: ``run.json``."""

    run_id: str
    status: Status
    error: str | None
    started: datetime
    finished: datetime | None
    version: str
    """Of this package."""
    steps: dict[str, StepRecord]

    @property
    def reused(self) -> list[str]:
        return [name for name, step in self.steps.items() if step.reused_from]


@dataclass(frozen=True, slots=True)
class Sources:
    """What a step's result depends on, besides its config and inputs."""

    code: tuple[str, ...]
    """Files and folders of this package."""
    packages: tuple[str, ...]
    """Installed distributions; those that are absent count as absent."""

    def fingerprint(self) -> dict[str, str]:
        return {"code": code_digest(self.code), **{name: installed_version(name) for name in self.packages}}


@cache
def code_digest(parts: tuple[str, ...] = (".",)) -> str:
    """Hex SHA-256 of the Python and data files under ``parts`` of this package."""
    files = {file for part in parts for file in _source_files(PACKAGE / part)}
    return sha256_bytes(
        canonical_json({f.relative_to(PACKAGE).as_posix(): sha256_bytes(f.read_bytes()) for f in sorted(files)})
    )


def _source_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc")


def installed_version(package: str) -> str:
    """Version of an installed distribution, or "absent"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


class Run:
    """One run of the pipeline, and its journal on disk."""

    def __init__(self, workspace: Workspace, directory: RunDirectory, record: RunRecord, *, fresh: bool = False) -> None:
        self.workspace = workspace
        self.directory = directory
        self.record = record
        self._fresh = fresh

    @classmethod
    def start(cls, workspace: Workspace, config: Config, *, fresh: bool = False) -> "Run":
        """Create a run directory with its ``config.json``; ``fresh`` runs reuse nothing."""
        now = datetime.now(UTC)
        directory = workspace.run(f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
        directory.path.mkdir(parents=True)
        write_json(directory.config, config.model_dump(mode="json"))
        record = RunRecord(
            run_id=directory.id, status="running", error=None, started=now, finished=None, version=__version__, steps={}
        )
        run = cls(workspace, directory, record, fresh=fresh)
        run._save(record)
        return run

    @classmethod
    def open(cls, workspace: Workspace, run_id: str | None = None) -> "Run":
        """An existing run; the latest one where no id is given.

        Raises:
            UsageError: there is no such run.
        """
        found = list(runs(workspace))
        matches = [run for run in found if run_id is None or run.record.run_id == run_id]
        if not matches:
            known = ", ".join(run.record.run_id for run in found[:5]) or "none yet"
            raise UsageError(f"no run {run_id or ''} in {workspace.runs}; runs there: {known}".replace("  ", " "))
        return matches[0]

    def output(self, step: str, kind: type[OutputT]) -> OutputT:
        """What a finished step of this run returned, verified.

        Raises:
            UsageError: the step has not run.
            IntegrityError: its files changed.
        """
        if step not in self.record.steps:
            raise UsageError(f"run {self.record.run_id} has no finished step '{step}'; run: mnist-pipeline {step}")
        return self._load(self.record.steps[step], kind).verify()

    def once(
        self,
        step: str,
        kind: type[OutputT],
        *,
        config: Config,
        inputs: Sequence[Output],
        sources: Sources,
        work: Callable[[str], OutputT],
    ) -> OutputT:
        """The output of a step: of an earlier run where nothing that it depends on changed, else of ``work(key)``."""
        depends = {
            "step": step,
            "config": config.model_dump(mode="json"),
            "inputs": [handle.identity for handle in inputs],
            "sources": sources.fingerprint(),
        }
        key = sha256_bytes(canonical_json(depends))
        started = time.perf_counter()
        found = None if self._fresh else self._reuse(step, key, kind)
        output, origin = found or (work(key), None)
        self._note(step, key, output, time.perf_counter() - started, origin)
        return output

    def record_step(self, step: str, output: Output, seconds: float, *, reused: bool) -> None:
        """Enter a step that keeps its own cache."""
        self._note(step, "", output, seconds, "cache" if reused else None)

    def finish(self, status: Status, error: str | None = None) -> None:
        """Write how the run ended."""
        self._save(self.record.model_copy(update={"status": status, "error": error, "finished": datetime.now(UTC)}))

    def _note(self, step: str, key: str, output: Output, seconds: float, origin: str | None) -> None:
        dumped = output.model_dump(mode="json") | {"directory": self._relative(output.directory)}
        record = StepRecord(key=key, output=dumped, seconds=round(seconds, 3), reused_from=origin)
        self._save(self.record.model_copy(update={"steps": {**self.record.steps, step: record}}))

    def _reuse(self, step: str, key: str, kind: type[OutputT]) -> tuple[OutputT, str] | None:
        for run in runs(self.workspace, mentioning=key):
            record = run.record.steps.get(step)
            if record is None or record.key != key:
                continue
            try:
                found = run._load(record, kind).verify()
                return self._adopt(found), record.reused_from or run.record.run_id
            except (PipelineError, ValidationError, OSError) as error:
                logger.warning("step %s of run %s cannot be reused: %s", step, run.record.run_id, error)
        return None

    def _adopt(self, found: OutputT) -> OutputT:
        """Copy a run's files into this run; what lies outside the runs stays where it is."""
        if found.directory == self.directory.path or not found.directory.is_relative_to(self.workspace.runs):
            return found
        for name in found.files:
            with (found.directory / name).open("rb") as source, open_atomic(self.directory.path / name) as target:
                shutil.copyfileobj(source, target)
        return found.model_copy(update={"directory": self.directory.path})

    def _load(self, record: StepRecord, kind: type[OutputT]) -> OutputT:
        output = record.output | {"directory": self.workspace.root / record.output["directory"]}
        return kind.model_validate(output)

    def _relative(self, directory: Path) -> str:
        return directory.relative_to(self.workspace.root).as_posix()

    def _save(self, record: RunRecord) -> None:
        write_json(self.directory.journal, record.model_dump(mode="json"))
        self.record = record


def runs(workspace: Workspace, *, mentioning: str = "") -> Iterator[Run]:
    """Every readable run, the latest first; of those only whose journal contains the text ``mentioning``."""
    if not workspace.runs.is_dir():
        return
    for path in sorted(workspace.runs.iterdir(), reverse=True):
        directory = RunDirectory(path)
        if path.name.startswith(".") or not directory.journal.is_file():
            continue
        try:
            journal = directory.journal.read_bytes()
            if mentioning.encode() not in journal:
                continue
            record = RunRecord.model_validate_json(journal)
        except (ValidationError, OSError) as error:
            logger.warning("skipping the unreadable run %s: %s", path.name, str(error).splitlines()[0])
            continue
        yield Run(workspace, directory, record)
