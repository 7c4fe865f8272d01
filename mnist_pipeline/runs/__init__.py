"""Runs and their records: what ran, what travels between steps, what is reused, who trains now."""

from mnist_pipeline.runs.run import Run, RunRecord, Sources, Status, StepRecord, code_digest, installed_version, runs

__all__ = [
    "Run",
    "RunRecord",
    "Sources",
    "Status",
    "StepRecord",
    "code_digest",
    "installed_version",
    "runs",
]
