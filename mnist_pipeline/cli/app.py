"""The application: which commands there are, and how any of them ends."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mnist_pipeline.cli import deploy, doctor, flows, models, pipeline, report, runs, score
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import PipelineError

INTERRUPTED = 130


class CommandGroup(TyperGroup):
    """Ends a command whose error is the user's with one line and the right exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            (ctx.obj or Terminal()).fail(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            (ctx.obj or Terminal()).fail("interrupted; the same command goes on where this one stopped")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="mnist-pipeline",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from mnist_pipeline import __version__

        typer.echo(f"mnist-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """From a labelled image sprite to a proven, published ONNX model; and scoring with it."""


app.command("run-all")(flows.run_all)
app.command("retrain")(flows.retrain)
app.command("fetch")(pipeline.fetch)
app.command("train")(pipeline.train)
app.command("export")(pipeline.export)
app.command("evaluate")(pipeline.evaluate)
app.command("publish")(pipeline.publish)
app.command("score")(score.score)
app.command("report")(report.report)
app.add_typer(runs.app, name="runs")
app.add_typer(models.app, name="models")
app.command("deploy")(deploy.deploy)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line."""
    app()
