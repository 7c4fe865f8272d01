"""A job in sections, for tasks that run anywhere: plan, score each section, join.

All of it happens within `outputs.claim`; what is stored where, and what an interrupted job leaves, is as in `score`.
The rows are those of one process that scores everything: a section is made of the very same shards.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from mnist_pipeline.config import ScoreConfig
from mnist_pipeline.files import write_json
from mnist_pipeline.files.names import printable
from mnist_pipeline.progress import ReportProgress, no_progress
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.rejection.rule import choose_threshold
from mnist_pipeline.schema import Record
from mnist_pipeline.scoring.job import (
    check_machine,
    finished,
    make_settings,
    recipe,
    reusable,
    summarise,
)
from mnist_pipeline.scoring.outputs import Outputs, tidy
from mnist_pipeline.scoring.records import Location, ScoredSection, ScoreSummary, ScoringSettings, Section, Shard
from mnist_pipeline.scoring.score import list_names, open_output, take_pictures, write_report
from mnist_pipeline.scoring.shards import cut, cut_sections, names_at, shards_of
from mnist_pipeline.scoring.sources.listing import Skipped
from mnist_pipeline.scoring.sources.reading import open_reader
from mnist_pipeline.scoring.statistics import Tally
from mnist_pipeline.scoring.workers.shared import SharedPools

logger = logging.getLogger(__name__)


class Plan(Record):
    """A job that is cut into sections, for tasks that run anywhere.

    Each section says where its names are: a machine that sees the same files can score it. The folder of
    ``output`` must be where all of them can write.
    """

    settings: ScoringSettings
    output: Path
    report: Path | None
    images: int
    sections: list[Section]
    skipped: dict[str, int]
    unreadable_folders: list[str]


def plan_sections(
    config: ScoreConfig,
    location: Location,
    names: BinaryIO | None,
    output: Path,
    model: ScoringModel,
    task_images: int,
    report_progress: ReportProgress = no_progress,
    report: Path | None = None,
) -> Plan:
    """List the images and cut the listing. To be called within `outputs.claim`, like `join_sections`.

    Args:
        config: how.
        location: of the images.
        names: as `score_images`.
        output: of the job.
        model: that is to answer.
        task_images: images per section, at least.
        report_progress: is told how many images there are.
        report: HTML file that is to be written as well.
    """
    outputs = Outputs.of(output, report)
    outputs.parts.mkdir(parents=True, exist_ok=True)
    settings, skipped = make_settings(config, location, model), Skipped()
    found = list_names(location, names, outputs, skipped, report_progress)
    shards = cut(found, outputs.listing, outputs.parts, settings, config.shard_images)
    sections = list(cut_sections(shards, config.shard_images, task_images))
    found.close()
    return Plan(
        settings=settings,
        output=outputs.output,
        report=outputs.report,
        images=sum(section.images for section in sections),
        sections=sections,
        skipped=dict(skipped.entries),
        unreadable_folders=skipped.unreadable,
    )


def up_to_date(config: ScoreConfig, plan: Plan, model: ScoringModel, *, keep: bool = False) -> ScoreSummary | None:
    """The manifest of the plan's output, where that is whole and what the plan would make; else None.

    Args:
        config: how.
        plan: what would be scored.
        model: that would answer.
        keep: as `join_sections`.
    """
    outputs = Outputs(plan.output, plan.report)
    reader = open_reader(plan.settings.location, plan.settings.limits.bytes)
    names = chain.from_iterable(names_at(each.listing, each.offset, each.length) for each in plan.sections)
    summary = finished(outputs, recipe(config, plan.settings, model), names, reader)
    if summary is not None:
        logger.info("%s is complete and up to date", printable(plan.output))
        tidy(outputs, {part.name for part in outputs.parts.iterdir()} if keep else None)
    return summary


def score_section(
    config: ScoreConfig,
    section: Section,
    pools: SharedPools,
    workers: int = 1,
    scored: Callable[[int], None] = lambda _: None,
) -> ScoredSection:
    """Store the rows of the section's shards. Rows that are there already, and still true, are not made again.

    Args:
        config: how.
        section: of a plan.
        pools: where the worker processes come from.
        workers: how many of them at most.
        scored: is told how many images are done, after each shard.

    Raises:
        PipelineError: as `score_folder`; or this machine does not see what the plan names, or would preprocess
            in another way.
    """
    check_machine(section)
    reader = open_reader(section.settings.location, section.settings.limits.bytes)
    reused = 0

    def missing() -> Iterator[Shard]:
        nonlocal reused
        for shard in shards_of(section):
            if reusable(shard, reader):
                reused += shard.images
                scored(shard.images)
            else:
                yield shard

    shards = missing()
    if first := next(shards, None):
        with pools.pool(section.settings, workers, config.max_memory_megabytes) as pool:
            for shard in pool.score(chain([first], shards)):
                scored(shard.images if shard is not None else 0)
    return ScoredSection(images=section.images, reused=reused)


def join_sections(
    config: ScoreConfig,
    plan: Plan,
    model: ScoringModel,
    *,
    reused: int,
    workers: int,
    started: float,
    pools: SharedPools,
    keep: bool = False,
) -> ScoreSummary:
    """The output and its manifest from the rows of all shards, in order.

    Args:
        config: how.
        plan: its sections are all scored.
        model: that answered.
        reused: images whose rows were there already, for the manifest.
        workers: how many processes worked at once, for the manifest.
        started: `time.monotonic` when the job began.
        pools: draws the pictures of the report.
        keep: leave the rows of the shards for the next job on the same output.

    Raises:
        DataError: the rows of a shard are missing.
    """
    outputs = Outputs(plan.output, plan.report)
    tally = Tally(choose_threshold(config.min_confidence, model), reused=reused)
    kept = set()
    with open_output(outputs, config, tally) as add:
        for shard in chain.from_iterable(map(shards_of, plan.sections)):
            add(shard)
            kept.add(shard.part.name)
    skipped = Skipped(Counter(plan.skipped), plan.unreadable_folders)
    seconds = time.monotonic() - started
    summary = summarise(config, plan.settings, model, outputs, tally, skipped, workers, seconds)
    if outputs.report is not None:
        with pools.pool(plan.settings, 1, config.max_memory_megabytes) as pool:
            pictures = take_pictures(tally, pool)
        write_report(outputs.report, summary, tally, pictures)
    write_json(outputs.manifest, summary.model_dump(mode="json"))
    tidy(outputs, kept if keep else None)
    return summary
