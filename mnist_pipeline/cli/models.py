"""Published models: look at them, decide about them, verify, prune."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnist_pipeline.cli.options import RegistryOptions
from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import UsageError
from mnist_pipeline.runs.wording import moment, plain_percent
from mnist_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mnist_pipeline.publishing.explain import Explanation
    from mnist_pipeline.registry import Registry

ROWS_SHOWN = 8
Reference = Annotated[str, typer.Argument(help="champion, another alias, a version or the beginning of one.")]
Waiting = Annotated[str, typer.Argument(help="The version that waits, or the beginning of it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.")]


def list_(terminal: Terminal, where: RegistryOptions) -> None:
    """Every version, newest first."""
    store = where.open()
    models = [where.name] if where.name else store.models()
    found = [(model, row) for model in models for row in store.versions(model)]
    if not found:
        terminal.say(f"no versions in {store.storage.location}; publish one with: mnist-pipeline run-all")
    rows = [
        (model, row.version, plain_percent(row.accuracy), ", ".join(row.aliases), moment(row.created), row.preset)
        for model, row in found
    ]
    terminal.result(
        {"versions": [{"model": model, **row.model_dump(mode="json")} for model, row in found]},
        table=Table(["model", "version", "accuracy", "aliases", "created", "preset"], rows, needed=3),
    )


def show(
    terminal: Terminal,
    *,
    reference: Reference = "champion",
    where: RegistryOptions,
) -> None:
    """The manifest of one version, every file verified."""
    store, model = where.find()
    found = store.resolve(model, reference)
    manifest = found.manifest
    aliases = sorted(alias for alias, version in store.history(found.model).aliases.items() if version == found.version)
    terminal.result(
        manifest.model_dump(mode="json") | {"aliases": aliases, "path": str(found.path)},
        f"{manifest.model} {manifest.version}, published {moment(manifest.created)}",
        f"accuracy   {plain_percent(manifest.metrics.accuracy)} on {manifest.metrics.samples:,} test images",
        f"aliases    {', '.join(aliases) or 'none'}",
        f"gate       then {'passed' if manifest.gate.promoted else 'refused: ' + '; '.join(manifest.gate.reasons)}",
        f"dataset    {manifest.lineage.dataset} {manifest.lineage.dataset_digest[:12]}",
        f"run        {manifest.lineage.run}, preset {manifest.lineage.preset}, seed {manifest.lineage.seed}",
        f"champion   then {manifest.lineage.parent or 'none'}",
        f"model      {found.path}",
        *(f"  {file}  sha256 {entry.sha256}  {entry.bytes} bytes" for file, entry in manifest.files.items()),
    )


def verify(
    terminal: Terminal,
    *,
    version: Annotated[str | None, typer.Argument(help="A version or an alias; by default all versions.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All versions of all models.")] = False,
    public_key: Annotated[Path | None, typer.Option("--public-key", help="PEM file; check the signatures.")] = None,
    where: RegistryOptions,
) -> None:
    """Hash every published file again; exit 1 if any differs."""
    if every:
        store = where.open()
        models = store.models()
    else:
        store, model = where.find()
        models = [model]
    findings = [finding for model in models for finding in store.verify(model, version, public_key=public_key)]
    value = {"findings": [finding.model_dump(mode="json") for finding in findings]}
    if not findings:
        terminal.result(value, f"{', '.join(models)}: every file is as it was published")
        return
    rows = [(finding.model, finding.version or "", finding.file, finding.problem) for finding in findings]
    many = "1 file is" if len(findings) == 1 else f"{len(findings)} files are"
    terminal.failed_table(
        f"{many} not as published; restore what is named from a copy, or roll back",
        value,
        Table(["model", "version", "file"], rows, needed=3, prose="problem"),
    )


def history(terminal: Terminal, where: RegistryOptions) -> None:
    """Every change of versions and aliases, oldest first."""
    store, model = where.find()
    changes = store.history(model).changes
    rows = [
        (moment(one.time), one.action, one.after or "", one.before or "", one.alias or "", one.who, one.reason)
        for one in changes
    ]
    terminal.result(
        {"changes": [change.model_dump(mode="json") for change in changes]},
        table=Table(["time", "action", "to", "from", "alias", "who"], rows, needed=3, prose="reason"),
    )


def at(
    terminal: Terminal,
    when: Annotated[str, typer.Argument(help="A date (its end, UTC) or an ISO time.")],
    where: RegistryOptions,
) -> None:
    """Which version was champion at that time."""
    from mnist_pipeline.registry import parse_when

    store, model = where.find()
    instant = parse_when(when)
    change = store.history(model).at(instant)
    if change is None:
        raise UsageError(f"{model} had no champion at {moment(instant)}; see: mnist-pipeline models history")
    terminal.result(
        change.model_dump(mode="json"),
        f"{change.after} since {moment(change.time)}, by {change.who}: {change.reason}",
    )


def prune(
    terminal: Terminal,
    *,
    keep: Annotated[int, typer.Option("--keep", min=0, help="How many of the newest versions to keep.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the history.")] = "prune",
    where: RegistryOptions,
) -> None:
    """Delete old versions; never one that an alias, a rollback or the last two champions need."""
    store, model = where.find()
    deleted = store.prune(model, keep=keep, reason=reason, dry_run=dry_run)
    verb = "would delete" if dry_run else "deleted"
    terminal.result(
        {"dry_run": dry_run, "versions": deleted}, *(f"{verb} {version}" for version in deleted or ["nothing"])
    )


def explain(terminal: Terminal, *, reference: Reference = "champion", where: RegistryOptions) -> None:
    """Why a version is, was or is not champion: checks, images, what differs, who and when."""
    from mnist_pipeline.publishing.explain import explain

    store, model = where.find()
    found = explain(store, Workspace(where.workspace), model, reference)
    terminal.result(found.model_dump(mode="json"), *_explanation(found))


def promote(
    terminal: Terminal,
    version: Annotated[str, typer.Argument(help="A version or the beginning of one.")],
    reason: Reason,
    where: RegistryOptions,
) -> None:
    """Make a version the champion, by a person's decision."""
    _move(terminal, where, lambda store, model, before: store.promote(model, version, reason=reason, expected=before))


def rollback(terminal: Terminal, reason: Reason, where: RegistryOptions) -> None:
    """Go back to the champion before this one; again goes further back."""
    _move(terminal, where, lambda store, model, _: store.rollback(model, reason=reason))


def approve(
    terminal: Terminal,
    *,
    reason: Reason,
    version: Waiting = "pending",
    where: RegistryOptions,
) -> None:
    """Let the version that waits for approval become champion."""
    _move(terminal, where, lambda store, model, _: store.approve(model, version, reason=reason))


def reject(
    terminal: Terminal,
    *,
    reason: Reason,
    version: Waiting = "pending",
    where: RegistryOptions,
) -> None:
    """Turn down the version that waits for approval; no run promotes it after that."""
    store, model = where.find()
    rejected, champion = store.reject(model, version, reason=reason), store.champion(model)
    terminal.result(
        {"model": model, "rejected": rejected, "champion": champion},
        f"rejected {rejected}; champion of {model}: {champion or 'none'}",
    )


def _move(terminal: Terminal, where: RegistryOptions, decide: Callable[["Registry", str, str | None], str]) -> None:
    """Move the champion as ``decide(registry, model, champion)`` says, and tell."""
    store, model = where.find()
    before = store.champion(model)
    after = decide(store, model, before)
    terminal.result(
        {"model": model, "before": before, "champion": after},
        f"champion of {model}: {after} (before: {before or 'none'})",
    )


def _explanation(found: "Explanation") -> Iterator[str]:
    yield f"{found.model} {found.version}: {found.standing}"
    yield found.sentence
    yield f"accuracy   {_accuracy(found)}"
    for check in found.checks:
        yield f"{'passed' if check.passed else 'failed':<9}  {check.sentence}"
    if found.compared_with:
        yield f"against    {found.compared_with}, the champion of its day"
    for what, rows in (("fixed", found.fixed), ("broken", found.broken)):
        if rows is not None:
            more = f" and {len(rows) - ROWS_SHOWN:,} more" if len(rows) > ROWS_SHOWN else ""
            shown = f": test rows {', '.join(map(str, rows[:ROWS_SHOWN]))}{more}" if rows else ""
            yield f"{what:<9}  {len(rows):,} images{shown}"
    for one in found.differences:
        yield f"differs    {one.name}: {one.here or 'none'}, there {one.there or 'none'}"
    for change in found.changes:
        alias = f" {change.alias}" if change.alias else ""
        yield f"history    {moment(change.time)}, {change.action}{alias} by {change.who}: {change.reason}"


def _accuracy(found: "Explanation") -> str:
    text = plain_percent(found.accuracy)
    if found.corrected_accuracy is not None and found.compared > 1:
        corrected = plain_percent(found.corrected_accuracy)
        text += f"; on other images likely {corrected}, after {found.compared:,} candidates on the same ones"
    return text
