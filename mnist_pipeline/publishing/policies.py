"""When a candidate may take the champion's place: one function for each policy. Pure.

``better``: it gets more images right, by however few; the choice of who looks at each candidate. A tie passes only
where ties are asked for. Repeated every week, it promotes luck: `benchmarks/gate.py` says how often.

``significant``: it gets more images right, and that is more than chance: by itself (exact McNemar test, at a level that
is spread over all candidates that this champion will meet), or together with the candidates before it
(`evidence.log_evidence`), so that slow progress gets through. The two share ``significance``, which so bounds the
probability that a champion is ever replaced though nothing was gained.

``not_worse``: it loses no more than ``margin`` (two one-sided tests: Schuirmann 1987), for a model that is trained
again on newer data and is wanted for these.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from mnist_pipeline.config import GateConfig
from mnist_pipeline.config.schema import Policy
from mnist_pipeline.evaluation.metrics import mcnemar
from mnist_pipeline.publishing.evidence import Pairs, log_evidence, loss_p_value, share_of_level
from mnist_pipeline.runs.wording import plain_percent as percent

ALONE = 0.1
"""Share of ``significance`` for candidates by themselves; the rest is for what they say together."""


class Ruling(NamedTuple):
    """Whether a policy lets the candidate pass, and the words that end the sentence about it."""

    passed: bool
    why: str


Rule = Callable[[GateConfig, Pairs, int, Sequence[Pairs]], Ruling]
"""Config, the candidate's discordant images, number of test images, and those of earlier candidates, oldest first."""


def better(config: GateConfig, now: Pairs, samples: int, _: Sequence[Pairs]) -> Ruling:
    """Any gain; a tie where ties are asked for."""
    if now.gain > 0:
        return Ruling(True, "better")
    if is_significantly_worse(config, now):
        return _significantly_worse(config)
    if now.gain / samples < -config.champion_margin:
        return Ruling(False, f"worse than the margin of {percent(config.champion_margin)} allows")
    return Ruling(
        config.promote_ties, f"a tie, and ties are {'' if config.promote_ties else 'refused unless '}asked for"
    )


def significant(config: GateConfig, now: Pairs, _: int, earlier: Sequence[Pairs]) -> Ruling:
    """A gain that is more than chance, by itself or together with the candidates before it."""
    if is_significantly_worse(config, now):
        return _significantly_worse(config)
    if now.gain <= 0:
        return Ruling(False, "no gain")
    level = ALONE * config.significance * share_of_level(len(earlier) + 1)
    if mcnemar(*now) <= level:
        return Ruling(True, f"better, and by more than chance (level {level:.1g} for each candidate)")
    found, asked = log_evidence([*earlier, now]), -math.log((1 - ALONE) * config.significance)
    many = {0: "by itself", 1: "with the one before it"}.get(len(earlier), f"with the {len(earlier):,} before it")
    words = "better, and by more than chance" if found >= asked else "perhaps better by chance alone"
    return Ruling(
        found >= asked, f"{words} ({many}: evidence {math.exp(min(found, 99)):.3g}, asked {math.exp(asked):.3g})"
    )


def not_worse(config: GateConfig, now: Pairs, samples: int, _: Sequence[Pairs]) -> Ruling:
    """No loss beyond the margin, at the level ``significance``; a gain beyond it is welcome."""
    worse = loss_p_value(now, samples, config.margin)
    more = 1 - loss_p_value(now, samples, -config.margin)
    margin = percent(config.margin)
    if worse >= config.significance:
        return Ruling(False, f"a loss of more than the margin of {margin} is not ruled out (p = {worse:.3g})")
    if more >= config.significance:
        return Ruling(True, f"not worse by more than the margin of {margin} (p = {worse:.3g}), and perhaps better")
    return Ruling(True, f"equivalent within the margin of {margin} (p = {max(worse, more):.3g})")


POLICIES: Mapping[Policy, Rule] = MappingProxyType(
    {"better": better, "significant": significant, "not_worse": not_worse}
)


def is_significantly_worse(config: GateConfig, now: Pairs) -> bool:
    """By the exact McNemar test, whatever the policy."""
    return now.gain < 0 and mcnemar(*now) < config.significance


def _significantly_worse(config: GateConfig) -> Ruling:
    return Ruling(False, f"significantly worse (level {config.significance:g})")
