"""What the gate's policies do over simulated years of weekly candidates: luck promoted, progress missed, words kept.

    python benchmarks/gate.py --years 2000 --output gate.json

In each year, one champion and 52 candidates meet the same 10,000 test images. Image i is hard: a training gets it
wrong with probability q_i, and independently of other trainings, so that the same images are wrong again and again.
The q_i follow a beta distribution whose moments are those that `MEASURED` says of real trainings. Where there is
progress, all q_i fall by the same factor. The policies are those of the gate, not copies.

- promotions a year: without progress, each of them is needless;
- weeks until through: until a champion is at least 0.05 points better, where accuracy gains 0.05 points a quarter;
- stated minus true: accuracy that was stated of the year's last champion when it was promoted (corrected for the
  number of candidates, as the report states it, and as it was measured), less its accuracy on other images; points.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.config import GateConfig
from mnist_pipeline.publishing.evidence import Pairs, corrected_accuracy, score_variance
from mnist_pipeline.publishing.policies import POLICIES, is_significantly_worse

IMAGES, WEEKS, HARD = 10_000, 52, 200
QUARTER = 13
GAIN = 5.0
"""Images in a quarter: 0.05 points."""
MEASURED = {"errors": 75, "discordant": 74}
"""Of six seeds of the preset standard on MNIST's test images: wrong ones of each, and discordant ones of two."""
WORLDS = {"no progress": 0.0, "progress": GAIN}


class Year(NamedTuple):
    """One simulated year under one policy; weeks count from 1."""

    promotions: int
    through: int | None
    """Week in which the planted gain was through; None: not in this year."""
    stated_too_good: float
    """Corrected accuracy minus true accuracy of the last champion, images."""
    measured_too_good: float


def hard_images(rng: np.random.Generator) -> NDArray[np.float64]:
    """float64 [HARD]: the probability that a training gets each wrong."""
    mean = MEASURED["errors"] / HARD
    spread = MEASURED["discordant"] / 2 / (HARD * mean * (1 - mean))  # (a + b) / (a + b + 1) of Beta(a, b)
    total = spread / (1 - spread)
    return rng.beta(mean * total, (1 - mean) * total, HARD)


def draw_answers(rng: np.random.Generator, gain: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Wrong answers [WEEKS + 1, HARD] of the first champion and the candidates, and the true gain of each, images."""
    wrong_share = hard_images(rng)
    true_gain = gain / QUARTER * np.arange(WEEKS + 1)
    factor = 1 - true_gain / wrong_share.sum()
    return rng.random((WEEKS + 1, HARD)) < factor[:, None] * wrong_share, true_gain


def simulate_year(config: GateConfig, wrong: NDArray[np.bool_], true_gain: NDArray[np.float64]) -> Year:
    """One year of one policy."""
    rule = POLICIES[config.policy or "better"]
    accuracies = (1 - wrong.sum(axis=1) / IMAGES).tolist()
    champion, stated, promotions = 0, accuracies[0], 0
    through = None
    challengers: list[Pairs] = []
    for week in range(1, WEEKS + 1):
        now = Pairs(int((wrong[champion] & ~wrong[week]).sum()), int((~wrong[champion] & wrong[week]).sum()))
        if rule(config, now, IMAGES, challengers).passed:
            variance = score_variance([*challengers, now]) / IMAGES**2
            stated = corrected_accuracy(accuracies[week], accuracies[:week], variance)
            champion, promotions, challengers = week, promotions + 1, []
            through = week if through is None and true_gain[week] >= GAIN else through
        elif not is_significantly_worse(config, now):
            challengers.append(now)
    # The mean over the hard images, not this year's: what other images of the same kind would say.
    truth = IMAGES - MEASURED["errors"] + true_gain[champion]
    return Year(promotions, through, stated * IMAGES - truth, accuracies[champion] * IMAGES - truth)


def summarise(years: Sequence[Year], *, progress: bool) -> dict[str, Any]:
    """The figures of one policy in one world."""
    points = 100 / IMAGES
    found: dict[str, Any] = {
        "promotions_a_year": float(np.mean([year.promotions for year in years])),
        "stated_minus_true_points": points * float(np.mean([year.stated_too_good for year in years])),
        "measured_minus_true_points": points * float(np.mean([year.measured_too_good for year in years])),
        "standard_error_points": points * float(np.std([year.stated_too_good for year in years])) / len(years) ** 0.5,
    }
    if progress:
        weeks = [WEEKS + 1 if year.through is None else year.through for year in years]
        found["weeks_until_through"] = {
            "median": float(np.median(weeks)),
            "p90": float(np.quantile(weeks, 0.9)),
            "not_in_this_year": float(np.mean([year.through is None for year in years])),
        }
    return found


def simulate(years: int, seed: int = 0) -> Mapping[str, Any]:
    """Every policy in every world, on the same answers."""
    worlds = {
        name: [draw_answers(np.random.default_rng([seed, y]), gain) for y in range(years)]
        for name, gain in WORLDS.items()
    }
    return {
        "years": years,
        "measured": MEASURED,
        "policies": {
            policy: {
                world: summarise(
                    [simulate_year(GateConfig(policy=policy), *answers) for answers in drawn],
                    progress=bool(WORLDS[world]),
                )
                for world, drawn in worlds.items()
            }
            for policy in POLICIES
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON file; standard output where none is given")
    options = parser.parse_args(arguments)
    text = json.dumps(simulate(options.years, options.seed), indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
