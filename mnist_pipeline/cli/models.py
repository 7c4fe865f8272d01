"""Published models: look at them, promote them, roll back, verify."""

from pathlib import Path
from typing import Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.lookup import find_registry, pick_model
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import UsageError

app = typer.Typer(help="Published models: versions, aliases, history.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(help="champion, another alias, a version or the beginning of one.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.")]


@app.command("list")
def list_versions(
    ctx: typer.Context,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    as_json: options.Json = False,
) -> None:
    """Every version, newest first."""
    terminal = Terminal.open(ctx, as_json=as_json)
    store = find_registry(workspace, registry)
    models = [name] if name else store.models()
    rows = [{"model": model, **row.model_dump(mode="json")} for model in models for row in store.versions(model)]
    if not rows and not as_json:
        terminal.say(f"no versions in {store.storage.location}; publish one with: mnist-pipeline run-all")
        return
    terminal.table(rows, columns=["model", "version", "aliases", "created", "accuracy", "preset"])


@app.command()
def show(
    ctx: typer.Context,
    reference: Reference = "champion",
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    as_json: options.Json = False,
) -> None:
    """The manifest of one version, every file verified."""
    terminal = Terminal.open(ctx, as_json=as_json)
    store = find_registry(workspace, registry)
    found = store.resolve(pick_model(store, name), reference)
    manifest = found.manifest
    aliases = sorted(alias for alias, version in store.aliases(found.model).items() if version == found.version)
    terminal.result(
        manifest.model_dump(mode="json") | {"aliases": aliases, "path": str(found.path)},
        f"{manifest.model} {manifest.version}, published {manifest.created:%Y-%m-%d %H:%M} UTC",
        f"accuracy   {manifest.metrics.accuracy:.2%} on {manifest.metrics.samples} test images",
        f"aliases    {', '.join(aliases) or 'none'}",
        f"gate       then {'passed' if manifest.gate.promoted else 'refused: ' + '; '.join(manifest.gate.reasons)}",
        f"dataset    {manifest.lineage.dataset} {manifest.lineage.dataset_digest[:12]}",
        f"run        {manifest.lineage.run}, preset {manifest.lineage.preset}, seed {manifest.lineage.seed}",
        f"champion   then {manifest.lineage.parent or 'none'}",
        f"model      {found.path}",
        *(f"  {file}  sha256 {entry.sha256}  {entry.bytes} bytes" for file, entry in manifest.files.items()),
    )


@app.command()
def promote(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="A version or the beginning of one.")],
    reason: Reason,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    as_json: options.Json = False,
) -> None:
    """Make a version the champion, by a person's decision."""
    terminal = Terminal.open(ctx, as_json=as_json)
    store = find_registry(workspace, registry)
    model = pick_model(store, name)
    before = store.champion(model)
    chosen = store.promote(model, version, reason=reason, expected=before)
    _show_move(terminal, model, before, chosen)


@app.command()
def rollback(
    ctx: typer.Context,
    reason: Reason,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    as_json: options.Json = False,
) -> None:
    """Go back to the champion before this one; again goes further back."""
    terminal = Terminal.open(ctx, as_json=as_json)
    store = find_registry(workspace, registry)
    model = pick_model(store, name)
    before = store.champion(model)
    _show_move(terminal, model, before, store.rollback(model, reason=reason))


@app.command()
def verify(
    ctx: typer.Context,
    version: Annotated[str | None, typer.Argument(help="A version or an alias; all versions where none.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All versions of all models.")] = False,
    public_key: Annotated[Path | None, typer.Option("--public-key", help="PEM file; check the signatures.")] = None,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    as_json: options.Json = False,
) -> None:
    """Hash every published file again; exit 1 if any differs."""
    terminal = Terminal.open(ctx, as_json=as_json)
    store = find_registry(workspace, registry)
    models = store.models() if every else [pick_model(store, name)]
    findings = [
        {"model": model, **finding.model_dump(mode="json")}
        for model in models
        for finding in store.verify(model, version, public_key=public_key)
    ]
    if findings:
        terminal.table(findings)
        terminal.warn(f"{len(findings)} findings: restore the files from a copy, or roll back")
        raise typer.Exit(1)
    terminal.result([], f"{', '.join(models)}: every file is as it was published")


@app.command()
def history(
    ctx: typer.Context,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    as_json: options.Json = False,
) -> None:
    """Every change of versions and aliases, oldest first."""
    terminal = Terminal.open(ctx, as_json=as_json)
    store = find_registry(workspace, registry)
    rows = [change.model_dump(mode="json") for change in store.history(pick_model(store, name))]
    terminal.table(rows, columns=["time", "action", "alias", "from", "to", "who", "reason"])


@app.command()
def at(
    ctx: typer.Context,
    when: Annotated[str, typer.Argument(help="A date (its end, UTC) or an ISO time.")],
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
    as_json: options.Json = False,
) -> None:
    """Which version was champion at that time."""
    terminal = Terminal.open(ctx, as_json=as_json)
    from mnist_pipeline.registry import parse_when

    store = find_registry(workspace, registry)
    model = pick_model(store, name)
    change = store.at(model, parse_when(when))
    if change is None:
        raise UsageError(f"{model} had no champion at {when}")
    terminal.result(
        change.model_dump(mode="json"),
        f"{change.after} since {change.time:%Y-%m-%d %H:%M:%S} UTC, by {change.who}: {change.reason}",
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
    as_json: options.Json = False,
) -> None:
    """Delete old versions; never one that an alias, a rollback or the last two champions need."""
    terminal = Terminal.open(ctx, as_json=as_json)
    store = find_registry(workspace, registry)
    deleted = store.prune(pick_model(store, name), keep=keep, reason=reason, dry_run=dry_run)
    verb = "would delete" if dry_run else "deleted"
    terminal.result(
        {"dry_run": dry_run, "versions": deleted}, *(f"{verb} {version}" for version in deleted or ["nothing"])
    )


def _show_move(terminal: Terminal, model: str, before: str | None, after: str) -> None:
    terminal.result(
        {"model": model, "before": before, "champion": after},
        f"champion of {model}: {after} (before: {before or 'none'})",
    )
