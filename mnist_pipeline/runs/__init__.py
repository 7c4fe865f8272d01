"""Runs and their records: what ran, what travels between steps, what is reused, who trains now."""

from mnist_pipeline.runs.run import Outcome, Run, RunRecord, Status, StepRecord, runs

__all__ = ["Outcome", "Run", "RunRecord", "Status", "StepRecord", "runs"]
