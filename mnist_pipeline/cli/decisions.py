"""Decisions of persons about published models: promote, roll back, approve, reject."""

from typing import Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.lookup import find_model
from mnist_pipeline.cli.options import WORKSPACE
from mnist_pipeline.cli.terminal import Terminal

Waiting = Annotated[str, typer.Argument(help="The version that waits, or the beginning of it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.")]


def promote(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="A version or the beginning of one.")],
    reason: Reason,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Make a version the champion, by a person's decision."""
    terminal: Terminal = ctx.obj
    store, model = find_model(workspace, registry, name)
    before = store.champion(model)
    chosen = store.promote(model, version, reason=reason, expected=before)
    _show_move(terminal, model, before, chosen)


def rollback(
    ctx: typer.Context,
    reason: Reason,
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Go back to the champion before this one; again goes further back."""
    terminal: Terminal = ctx.obj
    store, model = find_model(workspace, registry, name)
    before = store.champion(model)
    _show_move(terminal, model, before, store.rollback(model, reason=reason))


def approve(
    ctx: typer.Context,
    reason: Reason,
    version: Waiting = "pending",
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Let the version that waits for approval become champion."""
    terminal: Terminal = ctx.obj
    store, model = find_model(workspace, registry, name)
    before = store.champion(model)
    _show_move(terminal, model, before, store.approve(model, version, reason=reason))


def reject(
    ctx: typer.Context,
    reason: Reason,
    version: Waiting = "pending",
    name: options.ModelName = None,
    workspace: options.Workspace = WORKSPACE,
    registry: options.Registry = None,
) -> None:
    """Turn down the version that waits for approval; no run promotes it after that."""
    terminal: Terminal = ctx.obj
    store, model = find_model(workspace, registry, name)
    rejected, champion = store.reject(model, version, reason=reason), store.champion(model)
    terminal.result(
        {"model": model, "rejected": rejected, "champion": champion},
        f"rejected {rejected}; champion of {model}: {champion or 'none'}",
    )


def _show_move(terminal: Terminal, model: str, before: str | None, after: str) -> None:
    terminal.result(
        {"model": model, "before": before, "champion": after},
        f"champion of {model}: {after} (before: {before or 'none'})",
    )
