"""The two pictures of README.md, made from the real thing: the page with a drawn digit, the top of a report.

    PYTHONPATH=. python docs/pictures.py WORKSPACE

The workspace must have a champion and its run, whose report is drawn again. Needs chromium, chromedriver and the
extra `dev`.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mnist_pipeline.registry import CHAMPION, Registry
from mnist_pipeline.reporting.files import draw_report
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace
from tests.support.browser import Browser, chromium
from tests.support.handwriting import written
from tests.support.served import served

HERE = Path(__file__).parent
SIZE = (1280, 840)
COLOURS = 128
MAX_BYTES = 150_000
SETTLED = "const v = document.getElementById('verdict'); return v.ariaBusy === 'false' && v.className === 'ok'"


def main(workspace: Path) -> None:
    """Write both pictures beside this file."""
    place = Workspace(workspace.resolve())
    registry = Registry(place.models)
    name = registry.models()[0]
    run = Run(place, place.run(registry.manifest(name, CHAMPION).lineage.run))
    draw_report(run)
    with served(workspace, name=name) as running, chromium() as browser:
        browser.open(running.url, width=SIZE[0], height=SIZE[1])
        browser.draw(written(5, np.random.default_rng(5), size=0.66, at=(0.5, 0.5)))
        browser.wait(SETTLED)
        browser.run("document.activeElement.blur()")
        picture(browser, HERE / "page.png")
        browser.open(f"{running.url}runs/{run.directory.id}/report", width=SIZE[0], height=SIZE[1])
        picture(browser, HERE / "report.png")


def picture(browser: Browser, path: Path) -> None:
    """What the window shows, in few colours."""
    browser.screenshot(path, whole=False)
    few = Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    if len(out.getvalue()) > MAX_BYTES:
        raise SystemExit(f"{path} has {len(out.getvalue()):,} bytes")
    path.write_bytes(out.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
