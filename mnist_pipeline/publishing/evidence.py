"""How much a series of candidates says, all measured on the same test images: pure functions of counts.

What is random, and what is not. The test images are drawn once, and every candidate meets the same ones. So the weekly
comparisons with one champion are not independent: an image on which the champion was unlucky is counted in its
disfavour every week. A product of weekly evidence (or a sum of discordant pairs) would take that one piece of bad luck
for news fifty times over. What is independent, given the images, are the trainings: candidates of one recipe scatter
around that recipe's score on these very images, and the champion is one draw among them. `log_evidence` therefore
asks whether the champion and its candidates, in the order of their coming, could all be draws of one recipe; only
differences between their scores count, and the champion's own luck is part of the model.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

NORMAL = NormalDist()
SLOPE = 0.07
"""The steady gain that is looked for, standard deviations of a score a candidate: some 0.05 points in 13 candidates."""
STEADY = 0.7
"""Weight of steady gains among what is looked for; the rest is for sudden ones."""
STEPS = (1.0, 2.0, 4.0)
"""Sudden gains that are looked for, standard deviations of a score."""
LEAST_VARIANCE = 0.5
"""Of a score, images squared: one discordant image."""
PLANNED_CANDIDATES = 52
"""A year of weekly candidates: over about so many, the level of a test of each is spread evenly."""

RECENT = 13
"""Candidates that tell the present level: a quarter of weekly ones."""


class Pairs(NamedTuple):
    """The discordant images of a candidate and the champion."""

    fixed: int
    """Only the candidate gets them right."""
    broken: int
    """Only the champion gets them right."""

    @property
    def gain(self) -> int:
        return self.fixed - self.broken


def share_of_level(number: int) -> float:
    """The share of a level that the test of the ``number``-th candidate (from 1) may use up.

    m / ((m + number - 1)(m + number)) with m = `PLANNED_CANDIDATES`; the shares of all candidates, without end, add up
    to 1, so that the level holds for all of them together however they depend on each other (Bonferroni).
    """
    before = PLANNED_CANDIDATES + number - 1
    return PLANNED_CANDIDATES / (before * (before + 1))


def score_variance(pairs: Sequence[Pairs]) -> float:
    """Variance of one training's score on fixed test images, images squared.

    Two trainings of one recipe get image i wrong with probability q_i, independently: both the variance of a score and
    half the expected number of discordant images are the sum of q_i (1 - q_i).
    """
    return max(LEAST_VARIANCE, sum(sum(pair) for pair in pairs) / (2 * len(pairs)))


def log_evidence(pairs: Sequence[Pairs]) -> float:
    """Log of the evidence that the recipe gets more test images right than when the champion was made.

    The null hypothesis is that the scores of the champion and of all candidates are draws of one normal distribution
    of unknown mean, with the variance of `score_variance`. Against it stand steady progress (`SLOPE`) and one step
    (`STEPS`) at any candidate, mixed with fixed weights. For each, the likelihood ratio of
    the scores' differences (the invariant under a common shift, so that the mean need not be known; Lai, "On confidence
    sequences", 1976; Perez-Ortiz et al., "E-statistics, group invariance and anytime-valid testing", 2024) is a
    martingale with mean 1 as candidates come, and so is the mixture (Robbins 1970). By Ville's inequality (1939) it
    ever exceeds 1/level with probability at most ``level``: it may be looked at after every candidate, for ever.

    Args:
        pairs: of every candidate that stood against the champion, oldest first; at least one.
    """
    scores = np.array([0, *(pair.gain for pair in pairs)]) / math.sqrt(score_variance(pairs))
    order = np.arange(len(scores))
    starts = order[1:]
    gains = np.concatenate([[SLOPE * order], *(size * (order >= starts[:, None]) for size in STEPS)])
    gains -= gains.mean(axis=1, keepdims=True)
    ratios = gains @ scores - (gains**2).sum(axis=1) / 2
    # A step at candidate k has the weight 1 / (k (k + 1)); what is left is for steps that are still to come.
    sudden = (1 - STEADY) / len(STEPS) / (starts * (starts + 1.0))
    weights = np.log(np.concatenate([[STEADY], np.tile(sudden, len(STEPS))]))
    to_come = math.log((1 - STEADY) / len(order))
    return float(np.logaddexp.reduce([*(weights + ratios), to_come]))


def loss_p_value(pairs: Pairs, samples: int, margin: float) -> float:
    """One-sided p-value against the hypothesis that the candidate loses ``margin`` of accuracy or more.

    Score test of a difference of two proportions of paired answers (Tango, "Equivalence test and confidence interval
    for the difference in proportions for the paired-sample design", 1998).

    Args:
        pairs: the discordant images.
        samples: all images.
        margin: accuracy in [0, 1]; negative: a gain.
    """
    difference = -margin
    b = -pairs.fixed - pairs.broken + (2 * samples - pairs.gain) * difference
    c = -pairs.broken * difference * (1 - difference)
    broken_share = (math.sqrt(max(0.0, b * b - 8 * samples * c)) - b) / (4 * samples)
    variance = samples * (2 * broken_share + difference * (1 - difference))
    if variance <= 0:  # no discordant image, and no margin
        return 0.5
    return 1 - NORMAL.cdf((pairs.gain - samples * difference) / math.sqrt(variance))


def corrected_accuracy(accuracy: float, others: Sequence[float], variance: float) -> float:
    """What a candidate's accuracy is likely to be on other images, after so many were compared on these.

    The best of many owes part of its score to luck. Empirical Bayes (Efron, "Tweedie's formula and selection bias",
    2011): the score is drawn towards the mean of it and the `RECENT` others, the more so the less these differ by more
    than trainings scatter. It is never drawn further than the best of as many equal candidates as there were in all
    would lie above their mean (limited translation: Efron and Morris 1972; expected extreme: Blom 1958), and never
    upwards.

    Args:
        accuracy: of the candidate, in [0, 1].
        others: accuracies of the other candidates on the same images, oldest first.
        variance: of one training's accuracy on fixed images.
    """
    if not others:
        return accuracy
    recent = others[-RECENT:]
    among = recent if len(recent) > 2 else [*recent, accuracy]
    real = max(0.0, float(np.var(among, ddof=1)) - variance)
    drawn = variance / (variance + real) * (accuracy - float(np.mean([*recent, accuracy])))
    extreme = NORMAL.inv_cdf(1 - 0.375 / (len(others) + 1.25))
    return accuracy - min(max(0.0, drawn), extreme * math.sqrt(variance))
