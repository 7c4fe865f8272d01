"""How many digits the page reads that are drawn on it: each digit in nine places and three sizes.

    python -m benchmarks.drawing MODEL [--workspace DIR] [--digits 0123456789] [--seed 0]

A real server, a headless Chromium that is driven by mouse, pen and touch by turns. Prints one JSON object: how many
were drawn and read, which were not, and what the page says of a blank page and of a scribble. Needs chromium,
chromedriver and the extra `dev`.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.browser import Browser, chromium
from tests.support.handwriting import SCRIBBLE, Stroke, written
from tests.support.served import served

SIZES = (0.25, 0.45, 0.7)
"""Heights of a digit, of the drawing area."""
PLACES = tuple(itertools.product((0.0, 0.5, 1.0), repeat=2))
MARGIN = 0.03
HANDS = ("mouse", "pen", "touch")
SETTLED = "const v = document.getElementById('verdict'); return v.ariaBusy === 'false' && v.className"


def main(words: list[str] | None = None) -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--workspace", type=Path, default=Path("artifacts"))
    parser.add_argument("--digits", default="0123456789")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    random, wrong = np.random.default_rng(arguments.seed), []
    forms = list(itertools.product(SIZES, PLACES, map(int, arguments.digits)))
    with served(arguments.workspace, model=arguments.model) as running, chromium() as browser:
        browser.open(running.url)
        blank = said(browser)
        for (size, place, digit), how in zip(forms, itertools.cycle(HANDS), strict=False):
            edge = size / 2 + MARGIN
            at = (edge + (1 - 2 * edge) * place[0], edge + (1 - 2 * edge) * place[1])
            found = draw(browser, written(digit, random, size=size, at=at), how)
            if found["digit"] != str(digit):
                wrong.append({"drawn": digit, "size": size, "at": at, "how": how} | found)
        scribble = draw(browser, SCRIBBLE, "mouse")
        messages = browser.messages()
    read = len(forms) - len(wrong)
    counts: dict[str, object] = {"drawn": len(forms), "read": read, "share": round(read / len(forms), 4)}
    print(json.dumps({**counts, "wrong": wrong, "blank": blank, "scribble": scribble, "console": messages}, indent=2))


def draw(browser: Browser, strokes: list[Stroke], how: str) -> dict[str, Any]:
    """What the page says of these strokes on a page that was cleared."""
    browser.run("document.getElementById('clear').click()")
    browser.draw(strokes, how=how)
    browser.wait(SETTLED)
    return said(browser)


def said(browser: Browser) -> dict[str, Any]:
    return {"digit": browser.text("#digit"), "sentence": browser.text("#sentence")}


if __name__ == "__main__":
    main()
