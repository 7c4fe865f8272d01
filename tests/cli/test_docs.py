"""What the documentation says about the command line is what the command line says."""

import re
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from mnist_pipeline.cli.app import app

ROOT = Path(__file__).parents[2]


def test_the_command_reference_is_up_to_date(tmp_path):
    made = tmp_path / "commands.md"
    command = [sys.executable, "-m", "typer", "mnist_pipeline.cli.app", "utils", "docs", "--name", "mnist-pipeline"]
    subprocess.run([*command, "--output", str(made)], check=True, capture_output=True)
    assert (ROOT / "docs" / "commands.md").read_text() == made.read_text(), "run: make docs"


def test_every_command_that_the_readme_names_exists():
    known = get_command(app).commands
    named = re.findall(r"mnist-pipeline ((?:models |runs )?[a-z][a-z-]+)", (ROOT / "README.md").read_text())
    assert len(named) >= 10
    for words in map(str.split, named):
        command = known[words[0]]
        if len(words) > 1:
            assert words[1] in command.commands
