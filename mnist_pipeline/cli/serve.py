"""The page and the HTTP interface."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnist_pipeline.cli import options
from mnist_pipeline.cli.options import RegistryOptions
from mnist_pipeline.cli.process import start_lean
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import MissingExtraError, UsageError
from mnist_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mnist_pipeline.labels.review import Review

PACKAGES = {"starlette", "uvicorn", "prometheus_client", "python_multipart"}
"""Of the ``web`` extra."""
TOKEN_CHARACTERS = 16
"""Of the shortest token that is accepted."""


def serve(
    terminal: Terminal,
    *,
    host: Annotated[str, options.setting("--host", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, options.setting("--port", "0: any that is free.", min=0, max=65_535)] = 8000,
    model: options.Model = "champion",
    where: RegistryOptions,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    token: Annotated[
        str | None, options.setting("--token", "Secret that requests must bring; needed beyond loopback.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond loopback without a token: anybody there may ask.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Further name under which the server is asked; repeatable."),
    ] = None,
    workers: Annotated[int | None, options.setting("--workers", "Processes; one per CPU.", min=1, max=256)] = None,
    max_megabytes: Annotated[
        float, typer.Option("--max-megabytes", min=0.001, max=1_000, help="Largest request.")
    ] = 16,
    review: Annotated[
        Path | None, typer.Option("--review", metavar="OUTPUT", help="Scored output whose images people answer.")
    ] = None,
    images: Annotated[
        str | None, typer.Option("--images", help="Folder of these images, where it is not the one that was scored.")
    ] = None,
    review_count: options.ReviewCount = options.REVIEW_COUNT,
    labels: options.Labels = None,
) -> None:
    """Serve the page (draw, watch runs, see models, review) and the HTTP interface; on loopback, until Ctrl-C."""
    start_lean()
    _check_access(host, token, insecure=insecure)
    if images is not None and review is None:
        raise UsageError("--images says where the images of --review OUTPUT are; name that as well")
    from mnist_pipeline.scoring.workers.start import start_forkserver

    start_forkserver()  # it loads while this process does
    try:
        from mnist_pipeline.web.app import Settings, create_app
        from mnist_pipeline.web.server import listen
        from mnist_pipeline.web.server import serve as serve_until_told
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise MissingExtraError("serve", "web") from None
    from mnist_pipeline import usable_cpus
    from mnist_pipeline.web.model import Wanted
    from mnist_pipeline.web.security import Access, own_names

    names = own_names(host) | {one.lower() for one in allow_host or ()}
    asked = None if review is None else _open_review(review, images, labels, review_count, where.workspace)
    settings = Settings(
        Wanted(model, **asdict(where)),
        Access(names, token or ""),
        workers=workers or usable_cpus(),
        max_bytes=int(max_megabytes * 1e6),
        review=asked,
    )
    listening = listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"
    page = f"{address}{'review' if review else ''}{f'?token={token}' if token else ''}"

    def started() -> None:
        terminal.result({"url": address}, f"{address}review" if review else address)
        if show:
            terminal.browse(page, address)

    with suppress(KeyboardInterrupt):  # this is how a server ends
        serve_until_told(create_app(settings), listening, started)


def _open_review(output: Path, images: str | None, labels: str | None, count: int, workspace: Path) -> "Review":
    from mnist_pipeline.labels.review import open_review
    from mnist_pipeline.labels.store import open_labels
    from mnist_pipeline.scoring.rows import location_of
    from mnist_pipeline.scoring.sources.reading import Location

    location = location_of(output) if images is None else Location.of(images)
    return open_review(output, location, open_labels(labels or Workspace(workspace).labels), count)


def _check_access(host: str, token: str | None, *, insecure: bool) -> None:
    from mnist_pipeline.network import listens_locally

    if token is not None and len(token) < TOKEN_CHARACTERS:
        raise UsageError(f"--token has {len(token)} characters; give it at least {TOKEN_CHARACTERS}")
    if not listens_locally(host) and token is None and not insecure:
        raise UsageError(
            f"--host {host} can be reached from other machines: add --token SECRET, "
            "or --insecure if anybody there may ask"
        )
