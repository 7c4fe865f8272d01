"""Prefect flows: wiring, retries, reuse and artifacts. The work itself is in `mnist_pipeline.steps`."""
