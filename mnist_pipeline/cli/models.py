"""Published models: look at them, verify, prune."""

from pathlib import Path
from typing import Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.failures import FAILED
from mnist_pipeline.cli.lookup import find_model, find_registry
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.tables import Table
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import UsageError
from mnist_pipeline.runs.wording import moment, plain_percent

app = typer.Typer(help="Published models: versions, aliases, history.")

Reference = Annotated[str, typer.Argument(help="champion, another alias, a version or the beginning of one.")]


@app.command("list")
def list_versions(
    ctx: typer.Context,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Every version, newest first."""
    terminal: Terminal = ctx.obj
    store = find_registry(workspace, registry)
    models = [name] if name else store.models()
    found = [(model, row) for model in models for row in store.versions(model)]
    if not found:
        terminal.say(f"no versions in {store.storage.location}; publish one with: mnist-pipeline run-all")
    rows = [
        (model, row.version, plain_percent(row.accuracy), ", ".join(row.aliases), moment(row.created), row.preset)
        for model, row in found
    ]
    terminal.table(
        {"versions": [{"model": model, **row.model_dump(mode="json")} for model, row in found]},
        Table(["model", "version", "accuracy", "aliases", "created", "preset"], rows, needed=3),
    )


@app.command()
def show(
    ctx: typer.Context,
    reference: Reference = "champion",
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """The manifest of one version, every file verified."""
    terminal: Terminal = ctx.obj
    store, model = find_model(workspace, registry, name)
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


@app.command()
def verify(
    ctx: typer.Context,
    version: Annotated[str | None, typer.Argument(help="A version or an alias; by default all versions.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All versions of all models.")] = False,
    public_key: Annotated[Path | None, typer.Option("--public-key", help="PEM file; check the signatures.")] = None,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Hash every published file again; exit 1 if any differs."""
    terminal: Terminal = ctx.obj
    if every:
        store = find_registry(workspace, registry)
        models = store.models()
    else:
        store, model = find_model(workspace, registry, name)
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
    raise typer.Exit(FAILED)


@app.command()
def history(
    ctx: typer.Context,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Every change of versions and aliases, oldest first."""
    terminal: Terminal = ctx.obj
    store, model = find_model(workspace, registry, name)
    changes = store.history(model).changes
    rows = [
        (moment(one.time), one.action, one.after or "", one.before or "", one.alias or "", one.who, one.reason)
        for one in changes
    ]
    terminal.table(
        {"changes": [change.model_dump(mode="json") for change in changes]},
        Table(["time", "action", "to", "from", "alias", "who"], rows, needed=3, prose="reason"),
    )


@app.command()
def at(
    ctx: typer.Context,
    when: Annotated[str, typer.Argument(help="A date (its end, UTC) or an ISO time.")],
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Which version was champion at that time."""
    terminal: Terminal = ctx.obj
    from mnist_pipeline.registry import parse_when

    store, model = find_model(workspace, registry, name)
    instant = parse_when(when)
    change = store.history(model).at(instant)
    if change is None:
        raise UsageError(f"{model} had no champion at {moment(instant)}; see: mnist-pipeline models history")
    terminal.result(
        change.model_dump(mode="json"),
        f"{change.after} since {moment(change.time)}, by {change.who}: {change.reason}",
    )


@app.command()
def prune(
    ctx: typer.Context,
    keep: Annotated[int, typer.Option("--keep", min=0, help="How many of the newest versions to keep.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the history.")] = "prune",
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Delete old versions; never one that an alias, a rollback or the last two champions need."""
    terminal: Terminal = ctx.obj
    store, model = find_model(workspace, registry, name)
    deleted = store.prune(model, keep=keep, reason=reason, dry_run=dry_run)
    verb = "would delete" if dry_run else "deleted"
    terminal.result(
        {"dry_run": dry_run, "versions": deleted}, *(f"{verb} {version}" for version in deleted or ["nothing"])
    )
