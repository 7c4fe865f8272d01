"""How a run ended, from what it published or found."""

from pathlib import Path

from mnist_pipeline.publishing.publish import Release
from mnist_pipeline.registry import PublishedVersion
from mnist_pipeline.runs.artifacts import FetchedDataset, PublishedModel
from mnist_pipeline.runs.record import Outcome, Summary
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import REPORT_HTML


def end_judged(release: Release, dataset: FetchedDataset, accuracy: float, seconds: float, run: Run) -> Summary:
    """Enter into the run's record what became of its candidate, and that so it ended."""
    judgement, version = release.judgement, release.version
    reasons, published_here = judgement.verdict.reasons, version.manifest.lineage.run == run.directory.id
    output = PublishedModel(
        directory=run.directory.path,
        files=judgement.files,
        model=version.model,
        version=version.version,
        promoted=release.outcome == "promoted",
        reasons=reasons,
    )
    run.note(judgement.key, output, seconds, judgement.reused_from or _made_again(release, run))
    run.finish(release.outcome, "; ".join(reasons) or None)
    report = version.directory / REPORT_HTML if published_here else run.directory.report_html
    return _summarise(run, release.outcome, version, dataset, accuracy, release.champion, report, reasons)


def end_unchanged(version: PublishedVersion, champion: str | None, dataset: FetchedDataset, run: Run) -> Summary:
    """End a run that trained nothing, because it would have made a version again that was judged before."""
    run.finish("unchanged")
    accuracy, report = version.manifest.metrics.accuracy, version.directory / REPORT_HTML
    return _summarise(run, "unchanged", version, dataset, accuracy, champion, report, [])


def _made_again(release: Release, run: Run) -> str | None:
    """The run that published the champion, where this one did nothing but judge it again."""
    publisher = release.version.manifest.lineage.run
    reused = release.outcome == "unchanged" and run.record.steps["evaluate"].reused_from
    return publisher if reused and publisher != run.directory.id else None


def _summarise(
    run: Run,
    outcome: Outcome,
    version: PublishedVersion,
    dataset: FetchedDataset,
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
