"""Batch scoring as a Prefect flow: list the images, score ranges of shards as tasks, join the rows.

On one machine the tasks are threads that share worker processes; with a Dask scheduler they run wherever its workers
are. The output is the one of `mnist-pipeline score`, byte for byte: all of them take the steps of `scoring.engine`.
"""

from contextlib import closing
from math import ceil
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows import scoring_artifacts, scoring_task
from flows.dask import Runner, on_dask
from flows.notification import notify
from flows.progress import listener
from mnist_pipeline import usable_cpus
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.registry.lookup import find_scoring_model
from mnist_pipeline.reporting.scoring import render_scoring_report
from mnist_pipeline.scoring import engine
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.engine import Plan, Work, up_to_date
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import claim
from mnist_pipeline.scoring.shards import ShardRange, split
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.scoring.summary import ScoreSummary, is_complete, remarks, unscored
from mnist_pipeline.scoring.workers import shared

TASK_IMAGES = 10_000
"""A task costs some 0.05 s of a core beside its work, 0.2 s on Dask; the work of so many is a second at the least."""
TASKS_AT_ONCE = 8
"""On one machine. More would only wait for each other in the one process that watches over them."""
TICK_SECONDS = 0.5
UP_TO_DATE = ScoreConfig(resume=True)

# Reuse is the shards' own: their keys and their images' signatures say whether rows are still true, and they
# survive the loss of Prefect's database. So Prefect neither caches nor stores results.
step = task(cache_policy=NO_CACHE, persist_result=False)


find_model = step(find_scoring_model).with_options(name="find_model")


@step
def list_images(job: ScoringJob) -> Plan:
    """Which images there are, in shards."""
    return engine.plan(job, report_progress=listener())


score_images = task(
    task_run_name="score-images-{shards.first}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=scoring_task.can_pass,
)(scoring_task.score_images)


@step
def join_rows(job: ScoringJob, plan: Plan, work: Work, keep: bool) -> ScoreSummary:
    """The output, the report and the manifest."""
    with shared.SHARED_POOLS.pool(job, 1) as pool:  # by its module's name: Dask copies what a flow's module holds
        return engine.finish(job, plan, work, pool, render_report=render_scoring_report, keep=keep)


@flow(name="score-folder", persist_result=False, on_failure=[notify])
def score_folder(
    folder: Annotated[str, Field(min_length=1)],
    output: Annotated[Path, Field(json_schema_extra={"pattern": r"\.(csv|jsonl|parquet)$"})],
    config: ScoreConfig = UP_TO_DATE,
    model: Annotated[str, Field(min_length=1)] = "champion",
    name: str | None = None,
    workspace: Path = Path("artifacts"),
    registry: str | None = None,
    dask_scheduler: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx)://\S+$")] | None = None,
    task_images: Annotated[int, Field(ge=256, le=1_000_000)] = TASK_IMAGES,
    keep_shards: bool = True,
    report: Path | None = None,
    strict: bool = False,
) -> ScoreSummary:
    """Label every image of a folder: path, status, digit, confidence, error; one row an image, in sorted order.

    Args:
        folder: Folder of images, at any depth; or s3://bucket/prefix.
        output: File for the rows: .csv, .jsonl or .parquet; a manifest appears beside it.
        config: How images are preprocessed and answered, and what becomes of an existing output.
        model: champion, another alias, a version, the beginning of one, or FILE.onnx.
        name: Name of the model in the registry; not needed where there is one.
        workspace: Folder whose registry is used, and where models from a remote one are kept.
        registry: Folder or s3://bucket/prefix of another registry.
        dask_scheduler: Address of a Dask scheduler, such as tcp://host:8786; None means processes on this machine. Its
            workers must see images, model and output under the same paths.
        task_images: Images per task, about; fewer where images are large.
        keep_shards: Leave the rows of each shard beside the output, so that the next run scores only what is new
            or changed.
        report: HTML page to write as well: what to check by eye first.
        strict: Fail if an image could not be scored, or no image was found; the output is written all the same.
    """
    job = ScoringJob.of(config, Location.of(folder), find_model(model, name, workspace, registry), output, report)
    with claim(job), closing(shared.SHARED_POOLS):
        plan = list_images(job)
        summary = up_to_date(job, keep=keep_shards) if config.resume else None
        if summary is None:
            ranges = split(job.outputs, plan.shards, task_images)
            summary = join_rows(job, plan, _score_all(job, ranges, dask_scheduler), keep_shards)
    scoring_artifacts.show(summary, job.outputs.output)
    said = remarks(summary)
    for remark in said:
        get_run_logger().warning(remark)
    if strict and not is_complete(summary):
        raise PipelineError("; ".join(said) or unscored(summary))
    return summary


def _score_all(job: ScoringJob, ranges: list[ShardRange], dask_scheduler: str | None) -> Work:
    """Every shard, on this machine or on a cluster."""
    progress = scoring_artifacts.ScoringProgress(sum(shards.images for shards in ranges), listener())
    if dask_scheduler is not None:
        with on_dask(dask_scheduler) as runner:
            return _run(runner, ranges, progress, job=job, workers=job.config.workers or 1)
    total = job.config.workers or usable_cpus()
    each = ceil(total / TASKS_AT_ONCE)
    threads: Runner = ThreadPoolTaskRunner(max_workers=ceil(total / each))
    with threads as runner:
        return _run(runner, ranges, progress, job=job, workers=each, count=progress.add)


def _run(
    runner: Runner, ranges: list[ShardRange], progress: scoring_artifacts.ScoringProgress, **arguments: Any
) -> Work:
    """The ranges as tasks. The first that fails ends them all; what is stored by then stays for the next run."""
    done: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()
    waiting = {}
    work = Work()
    try:
        for shards in ranges:
            future = runner.submit(score_images, {"shards": shards, **arguments})
            future.add_done_callback(done.put)
            waiting[future] = shards
        while waiting:
            progress.show()
            try:
                future = done.get(timeout=TICK_SECONDS)
            except Empty:
                continue
            work += future.result()
            progress.finish(waiting.pop(future).images)
        progress.show(last=True)
    except BaseException:
        progress.stop()
        raise
    return work
