"""Runs: what was done is remembered, and not done again.

``run.json`` is the only memory between runs. A step whose key (config, inputs, code and
packages) stands in the record of any run of the workspace is not done again: its files are
verified by SHA-256 and copied into the new run, so that every run directory is whole.
"""

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from mnist_pipeline import __version__
from mnist_pipeline.config import PipelineConfig
from mnist_pipeline.errors import IntegrityError, PipelineError, UsageError
from mnist_pipeline.files import canonical_json, open_atomic, sha256_bytes, write_json
from mnist_pipeline.files.writing import refusals
from mnist_pipeline.network import public_url
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.runs.artifacts import Output
from mnist_pipeline.runs.fingerprint import Sources
from mnist_pipeline.runs.record import RunRecord, Status, StepRecord
from mnist_pipeline.schema import Config, first_problem
from mnist_pipeline.workspace import RunDirectory, Workspace

logger = logging.getLogger(__name__)

OutputT = TypeVar("OutputT", bound=Output)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the pipeline: a handle of what is on disk."""

    workspace: Workspace
    directory: RunDirectory
    fresh: bool = False
    """Reuse nothing."""
    report_progress: ReportProgress = no_progress
    """Is told how far a step is."""

    @staticmethod
    def start(
        workspace: Workspace,
        config: PipelineConfig,
        *,
        fresh: bool = False,
        report_progress: ReportProgress = no_progress,
    ) -> "Run":
        """Create a run directory with its ``config.json`` and an empty record."""
        now = datetime.now(UTC)
        directory = workspace.run(f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
        directory.path.mkdir(parents=True)
        stored = config.model_dump(mode="json")
        source = stored["fetch"]["source"] or ""
        if "://" in source:
            stored["fetch"]["source"] = public_url(source)  # without user name, password and signed query
        write_json(directory.config, stored)
        run = Run(workspace, directory, fresh, report_progress)
        run._save(RunRecord(run_id=directory.id, status="running", started=now, code_version=__version__))
        return run

    @staticmethod
    def open(workspace: Workspace, run_id: str | None = None) -> "Run":
        """An existing run; the latest one where no id is given.

        Raises:
            UsageError: there is no such run.
        """
        found = {run.directory.id: run for run in runs(workspace)}
        if run_id is None and found:
            return next(iter(found.values()))
        if run_id not in found:
            wanted = f"no run {run_id!r}" if run_id else "no run"
            known = ", ".join(list(found)[:5]) or "none"
            raise UsageError(
                f"{wanted} in {workspace.runs}; runs there: {known}; start one with: mnist-pipeline run-all"
            )
        return found[run_id]

    @property
    def record(self) -> RunRecord:
        """``run.json`` as it is now."""
        return RunRecord.model_validate_json(self.directory.record.read_bytes())

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Write into the record that the run failed, and why, if the block raises."""
        try:
            with refusals(self.workspace.root):
                yield
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        """Write that the run failed; where that cannot be written, the error itself is still told."""
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        try:
            self.finish("failed", reason if isinstance(error, PipelineError | KeyboardInterrupt) else repr(error))
        except OSError as unwritten:
            logger.warning("the record of run %s does not say so: %s", self.directory.id, unwritten)

    def finish(self, status: Status, reason: str | None = None) -> None:
        """Write how the run ended, and why."""
        self._save(self.record.model_copy(update={"status": status, "reason": reason, "finished": datetime.now(UTC)}))

    def peek(self, kind: type[OutputT]) -> OutputT | None:
        """What a step of this run returned, its files not verified; None where it has not run."""
        record = self.record.steps.get(kind.step)
        return None if record is None else self._load(record, kind)

    def replace(self, output: Output) -> None:
        """Enter other files for a finished step: what it made was drawn again, and is not reused for the step's."""
        changes = {"key": "", "output": self._dump(output)}
        self._enter(output.step, self.record.steps[output.step].model_copy(update=changes))

    def output(self, kind: type[OutputT]) -> OutputT:
        """What a finished step of this run returned, verified.

        Raises:
            UsageError: the step has not run.
            IntegrityError: its files changed.
        """
        found = self.peek(kind)
        if found is None:
            raise UsageError(
                f"run {self.directory.id} has no finished step {kind.step!r}; run: mnist-pipeline {kind.step}"
            )
        return found.verify()

    def once(
        self,
        kind: type[OutputT],
        *,
        config: Config,
        inputs: Sequence[Output],
        sources: Sources,
        work: Callable[[str], OutputT],
        circumstances: Mapping[str, str | bool] = MappingProxyType({}),
    ) -> OutputT:
        """The output of a step: of an earlier run where nothing that it depends on changed, else of ``work(key)``.

        Args:
            kind: class of its output.
            config: what it does.
            inputs: what it reads.
            sources: its code and packages.
            work: does it; the key names what it depends on.
            circumstances: what else its result tells of.
        """
        depends = {
            "step": kind.step,
            "config": config.model_dump(mode="json"),
            "inputs": [handle.identity for handle in inputs],
            "sources": sources.fingerprint(),
            "circumstances": dict(circumstances),
        }
        key = sha256_bytes(canonical_json(depends))
        started = time.perf_counter()
        output, origin = self.reuse(key, kind) or (work(key), None)
        self.note(key, output, time.perf_counter() - started, origin)
        return output

    def note(self, key: str, output: Output, seconds: float, reused_from: str | None) -> None:
        """Enter a finished step into the record."""
        entry = StepRecord(key=key, output=self._dump(output), seconds=round(seconds, 3), reused_from=reused_from)
        self._enter(output.step, entry)

    def reuse(self, key: str, kind: type[OutputT]) -> tuple[OutputT, str] | None:
        """What a step with this key returned in an earlier run, and the run that did the work.

        Its files are verified, and copied into this run. None where no earlier one is whole, and in a fresh run.
        """
        if self.fresh:
            return None
        for run in runs(self.workspace, mentioning=key):
            record = run.record.steps.get(kind.step)
            if record is None or record.key != key:
                continue
            try:
                found = run._load(record, kind).verify()
                return self._adopt(found), record.reused_from or run.directory.id
            except (PipelineError, OSError) as error:
                logger.warning("step %s of run %s cannot be reused: %s", kind.step, run.directory.id, error)
        return None

    def _adopt(self, found: OutputT) -> OutputT:
        """Copy a run's files into this run; what lies outside the runs stays where it is."""
        if found.directory == self.directory.path or not found.directory.is_relative_to(self.workspace.runs):
            return found
        for name in found.files:
            with (found.directory / name).open("rb") as source, open_atomic(self.directory.path / name) as target:
                shutil.copyfileobj(source, target)
        return found.model_copy(update={"directory": self.directory.path})

    def _dump(self, output: Output) -> dict[str, Any]:
        directory = output.directory.relative_to(self.workspace.root).as_posix()
        return output.model_dump(mode="json") | {"directory": directory}

    def _load(self, record: StepRecord, kind: type[OutputT]) -> OutputT:
        output = record.output | {"directory": self.workspace.root / record.output["directory"]}
        try:
            return kind.model_validate(output)
        except ValidationError:
            raise IntegrityError(
                f"{self.directory.record} was written by another version of this program; run the step again"
            ) from None

    def _enter(self, step: str, entry: StepRecord) -> None:
        record = self.record
        self._save(record.model_copy(update={"steps": {**record.steps, step: entry}}))

    def _save(self, record: RunRecord) -> None:
        write_json(self.directory.record, record.model_dump(mode="json"))


def runs(workspace: Workspace, *, mentioning: str = "") -> Iterator[Run]:
    """Every readable run, the latest first; of those only whose record contains the text ``mentioning``."""
    if not workspace.runs.is_dir():
        return
    directories = map(RunDirectory, sorted(workspace.runs.iterdir(), reverse=True))
    for _, same_second in groupby(directories, key=lambda directory: directory.id.partition("-")[0]):
        found = [(record.started, directory) for directory in same_second if (record := _read(directory, mentioning))]
        for _, directory in sorted(found, key=itemgetter(0), reverse=True):
            yield Run(workspace, directory)


def _read(directory: RunDirectory, mentioning: str) -> RunRecord | None:
    """Its record; None where it is missing, cannot be read, or does not contain the text."""
    if directory.id.startswith(".") or not directory.record.is_file():
        return None
    try:
        text = directory.record.read_bytes()
        return RunRecord.model_validate_json(text) if mentioning.encode() in text else None
    except (ValidationError, OSError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error
        logger.warning("skipping the unreadable run %s: %s: %s", directory.id, directory.record.name, reason)
        return None
