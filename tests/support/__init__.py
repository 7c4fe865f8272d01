"""What tests of several rooms share: small models, runs before the gate, servers on loopback."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Of the repository: where processes that import this package start."""
