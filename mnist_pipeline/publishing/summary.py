"""How a run ended, from what it published or found."""

from pathlib import Path

from mnist_pipeline.publishing.publish import Release
from mnist_pipeline.registry import PublishedVersion
from mnist_pipeline.runs.artifacts import FetchedDataset, PublishedModel
from mnist_pipeline.runs.record import Outcome, Summary
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import REPORT_HTML


def note_release(release: Release, run: Run, seconds: float) -> None:
    """Enter into the record what became of the candidate, and that so the run ended."""
    judgement, version = release.judgement, release.version
    output = PublishedModel(
        directory=run.directory.path,
        files=judgement.files,
        model=version.model,
        version=version.version,
        promoted=release.outcome == "promoted",
        reasons=judgement.verdict.reasons,
    )
    run.note(judgement.key, output, seconds, judgement.reused_from or _made_again(release, run))
    run.finish(release.outcome, "; ".join(output.reasons) or None)


def _made_again(release: Release, run: Run) -> str | None:
    """The run that published the champion, where this one did nothing but judge it again."""
    publisher = release.version.manifest.lineage.run
    reused = release.outcome == "unchanged" and run.record.steps["evaluate"].reused_from
    return publisher if reused and publisher != run.directory.id else None


def summarise_release(release: Release, dataset: FetchedDataset, accuracy: float, run: Run) -> Summary:
    """The summary of a run whose candidate was judged."""
    new = release.version.manifest.lineage.run == run.directory.id
    return _summarise(
        run,
        release.outcome,
        release.version,
        dataset,
        accuracy=accuracy,
        champion=release.champion,
        report=release.version.directory / REPORT_HTML if new else run.directory.report_html,
        reasons=release.judgement.verdict.reasons,
    )


def summarise_unchanged(version: PublishedVersion, champion: str | None, dataset: FetchedDataset, run: Run) -> Summary:
    """The summary of a run that trained nothing, because it would have made a version again that was judged before."""
    return _summarise(
        run,
        "unchanged",
        version,
        dataset,
        accuracy=version.manifest.metrics.accuracy,
        champion=champion,
        report=version.directory / REPORT_HTML,
        reasons=[],
    )


def _summarise(
    run: Run,
    outcome: Outcome,
    version: PublishedVersion,
    dataset: FetchedDataset,
    *,
    accuracy: float,
    champion: str | None,
    report: Path,
    reasons: list[str],
) -> Summary:
    record = run.record
    return Summary(
        run_id=record.run_id,
        status=outcome,
        model=version.model,
        version=version.version,
        promoted=outcome == "promoted",
        reasons=reasons,
        champion=champion,
        published_by=version.manifest.lineage.run,
        accuracy=accuracy,
        dataset=dataset.name,
        fallback=dataset.fallback,
        onnx=version.path,
        report=report,
        reused=record.reused,
        seconds={name: step.seconds for name, step in record.steps.items()},
    )
