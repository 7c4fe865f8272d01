"""What follows from all answers: labels, sides, conflicts. Pure."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from mnist_pipeline.labels.schema import Answer, Side
from mnist_pipeline.schema import Record


class LabelledImage(Record):
    """One image and all that was said of it."""

    digest: str
    side: Side
    """own-test where any answer says so: where two people added copies at once, answers may differ."""
    answers: list[Answer]
    """Oldest first."""

    @property
    def standing(self) -> list[Answer]:
        """The answers that count: each person's last one, of those since the last decision (that included).

        Who has withdrawn the last one says nothing.
        """
        settled = max((place for place, answer in enumerate(self.answers) if answer.settles), default=0)
        last = {answer.by: answer for answer in self.answers[settled:]}
        return [answer for answer in last.values() if not answer.withdrawn]

    @property
    def people(self) -> set[str]:
        """Who says anything of it, be it that a decision has come since."""
        last = {answer.by: answer for answer in self.answers}
        return {by for by, answer in last.items() if not answer.withdrawn}

    @property
    def label(self) -> str | None:
        """What all agree on; None where they do not, or nobody says anything."""
        labels = {answer.label for answer in self.standing}
        return labels.pop() if len(labels) == 1 else None


class Summary(Record):
    """``labels list``: how many images there are."""

    train: int
    own_test: int
    conflicts: int
    classes: dict[str, dict[str, int]]
    """Side -> label -> images."""
    people: dict[str, int]
    """Who -> answers."""


class Catalogue:
    """All answers of one store.

    Args:
        answers: oldest first.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = tuple(answers)

    @cached_property
    def images(self) -> dict[str, LabelledImage]:
        """Digest -> image, in the order in which they were first added."""
        grouped: dict[str, list[Answer]] = {}
        for answer in self.answers:
            grouped.setdefault(answer.digest, []).append(answer)
        return {
            digest: LabelledImage(digest=digest, side=_side(answers), answers=answers)
            for digest, answers in grouped.items()
        }

    @property
    def conflicts(self) -> list[LabelledImage]:
        """Images that are left out until somebody decides."""
        return [image for image in self.images.values() if len({one.label for one in image.standing}) > 1]

    def settled(self, side: Side) -> list[LabelledImage]:
        """The images of a side on whose label all agree."""
        return [image for image in self.images.values() if image.side == side and image.label is not None]

    def summarise(self) -> Summary:
        train, own = self.settled("train"), self.settled("own-test")
        return Summary(
            train=len(train),
            own_test=len(own),
            conflicts=len(self.conflicts),
            classes={
                side: dict(sorted(Counter(str(one.label) for one in images).items()))
                for side, images in (("train", train), ("own-test", own))
            },
            people=dict(sorted(Counter(answer.by for answer in self.answers if not answer.withdrawn).items())),
        )


def _side(answers: Sequence[Answer]) -> Side:
    return "own-test" if any(answer.side == "own-test" for answer in answers) else "train"
