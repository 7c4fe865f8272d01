# Shortcuts for the commands of README.md and .ci/run; nothing is defined here alone.
.PHONY: setup run test lint format docs ci

setup:
	python3 -m venv .venv
	.venv/bin/pip install -c constraints.txt -e '.[dev]'

run:
	.venv/bin/mnist-pipeline run-all

test:
	.venv/bin/pytest -n 3

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/hadolint docs/Dockerfile

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs:
	.venv/bin/python -m typer mnist_pipeline.cli.app utils docs --name mnist-pipeline --output docs/commands.md

ci:
	bash .ci/run
