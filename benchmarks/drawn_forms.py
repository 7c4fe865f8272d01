"""What benchmarks/forms.py draws: one function a form. Lengths are in heights of a digit where nothing else is said."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mnist_pipeline.imaging import painting
from mnist_pipeline.imaging.painting import Ink

Grey = NDArray[np.uint8]

STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [[(0.5, 0), (0.15, 0.2), (0.05, 0.5), (0.15, 0.82), (0.5, 1), (0.82, 0.8), (0.92, 0.5), (0.8, 0.15), (0.5, 0)]],
    1: [[(0.25, 0.25), (0.55, 0), (0.55, 1)]],
    2: [[(0.1, 0.25), (0.25, 0.04), (0.6, 0), (0.82, 0.2), (0.75, 0.45), (0.05, 1), (0.9, 1)]],
    3: [
        [(0.1, 0.1), (0.5, 0), (0.8, 0.18), (0.7, 0.4), (0.4, 0.48)],
        [(0.4, 0.48), (0.82, 0.6), (0.85, 0.85), (0.5, 1), (0.1, 0.9)],
    ],
    4: [[(0.55, 0), (0.08, 0.65), (0.92, 0.65)], [(0.65, 0.35), (0.62, 1)]],
    5: [[(0.85, 0), (0.22, 0.02), (0.17, 0.42), (0.55, 0.38), (0.85, 0.6), (0.8, 0.88), (0.45, 1), (0.1, 0.9)]],
    6: [
        [
            (0.7, 0),
            (0.3, 0.3),
            (0.12, 0.7),
            (0.3, 0.97),
            (0.65, 0.98),
            (0.85, 0.75),
            (0.65, 0.52),
            (0.3, 0.58),
            (0.14, 0.75),
        ]
    ],
    7: [[(0.08, 0.02), (0.9, 0), (0.55, 0.45), (0.4, 1)]],
    8: [
        [
            (0.75, 0.1),
            (0.4, 0),
            (0.18, 0.2),
            (0.5, 0.45),
            (0.8, 0.72),
            (0.6, 0.98),
            (0.25, 0.95),
            (0.15, 0.72),
            (0.5, 0.45),
            (0.8, 0.22),
            (0.75, 0.1),
        ]
    ],
    9: [
        [
            (0.8, 0.25),
            (0.55, 0.02),
            (0.2, 0.12),
            (0.18, 0.4),
            (0.5, 0.5),
            (0.78, 0.28),
            (0.8, 0.2),
            (0.75, 0.6),
            (0.6, 1),
        ]
    ],
}
"""A hand of our own: strokes of each digit in a unit box, x and y."""


def by_hand(label: int, height: float, width: float, random: np.random.Generator) -> Ink:
    """A digit of `STROKES`, unsteady, ``height`` pixels high, by a pen ``width`` pixels wide."""
    canvas = np.zeros((round(height * 1.5), round(height * 1.3)), np.float32)
    lean, narrow = random.normal(0, 0.1), random.uniform(0.6, 0.85)
    for points in STROKES[label]:
        smooth = painting.rounded(np.array(points) + random.normal(0, 0.015, (len(points), 2)))
        x = (smooth[:, 0] * narrow + lean * (0.5 - smooth[:, 1]) + 0.25) * height
        painting.stroke(canvas, list(zip(x, (smooth[:, 1] + 0.2) * height, strict=True)), width)
    return painting.cropped(canvas)


class Pick(Protocol):
    """Writes a digit."""

    def __call__(self, height: float, pen: float, *, other: bool = False) -> Ink:
        """So many pixels high, by a pen so many pixels wide; ``other``: not the one that the page shows."""
        ...


@dataclass
class Page:
    """A page that is being drawn.

    Attributes:
        random: numbers.
        pick: writes digits.
        label: the digit that it shows.
        size: height of the digit, pixels.
        pen: width of its strokes, pixels.
        wide, tall: sides of the page.
        digit: the ink of the digit.
        ink: float32 [h, w], what else is drawn.
        grey: of the paper, and of the ink.
    """

    random: np.random.Generator
    pick: Pick
    label: int
    size: float = 0.0
    pen: float = 0.0
    wide: float = 2.2
    tall: float = 2.2
    grey: tuple[float, float] = (235, 40)
    light: NDArray[np.float32] | float = 1.0
    texture: NDArray[np.float32] | float = 0.0
    blur: float = 0.0
    one: bool = True
    after: list[Callable[[Grey], Grey]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.size or float(self.random.uniform(45, 190))
        self.pen = self.pen or self.size * float(self.random.uniform(0.06, 0.13))
        self.digit = self.pick(self.size, self.pen)
        self.lay()

    def lay(self, wide: float = 0.0, tall: float = 0.0) -> None:
        """An empty page, so many heights of a digit wide and tall, with the digit near its middle."""
        self.wide, self.tall = wide or self.wide, tall or self.tall
        height, width = self.digit.shape
        self.shape = (max(round(self.tall * self.size), height + 2), max(round(self.wide * self.size), width + 2))
        self.ink = np.zeros(self.shape, np.float32)
        free = np.array([self.shape[1] - width, self.shape[0] - height])
        self.middle = np.array(self.shape[::-1]) / 2 + free * self.random.uniform(-0.25, 0.25, 2)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the digit."""
        (x, y), (height, width) = self.middle, self.digit.shape
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def uniform(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def line(self, *points: tuple[float, float], width: float = 0.0) -> None:
        painting.stroke(self.ink, points, width or self.pen * 0.6)

    def finish(self) -> Grey:
        """uint8 [h, w]: the page as a camera sees it."""
        painting.put(self.ink, self.digit, (self.middle[0], self.middle[1]))
        paper = np.full(self.shape, self.grey[0], np.float32) + self.texture
        found = painting.expose(paper, self.ink, self.grey[1], light=self.light, blur=self.blur)
        for change in self.after:
            found = change(found)
        return found


Form = Callable[[Page], None]
FORMS: dict[str, Form] = {}
NO_DIGIT: set[str] = set()
BY_MACHINE: set[str] = set()


def form(draw: Form) -> Form:
    """Register a form that shows one digit."""
    FORMS[draw.__name__.replace("_", " ")] = draw
    return draw


def no_digit(draw: Form) -> Form:
    """Register a form that shows no single digit."""
    NO_DIGIT.add(draw.__name__.replace("_", " "))
    return form(draw)


def by_machine(draw: Form) -> Form:
    """Register a form that shows one digit as displays and printers make it: it may be refused as well."""
    BY_MACHINE.add(draw.__name__.replace("_", " "))
    return form(draw)


def rewrite(page: Page, *, size: float = 0.0, pen: float = 0.0) -> None:
    """Write the digit again, at another size or by another pen (shares of the height)."""
    page.size = size or page.size
    page.pen = page.size * pen if pen else page.size * 0.09
    page.digit = page.pick(page.size, page.pen)
    page.lay()


# Pens, sizes and grounds.


@form
def plain(page: Page) -> None:
    pass


@form
def hard_pencil(page: Page) -> None:
    rewrite(page, pen=0.025)
    page.grey = (page.uniform(225, 250), page.uniform(120, 190))


@form
def marker(page: Page) -> None:
    rewrite(page, pen=page.uniform(0.2, 0.26))


@form
def chalk(page: Page) -> None:
    page.grey = (page.uniform(30, 70), page.uniform(190, 240))
    page.after.append(lambda seen: with_noise(seen, page.random, 14))


@form
def inverted(page: Page) -> None:
    page.grey = (0, 255)


@form
def ballpoint(page: Page) -> None:
    rewrite(page, pen=0.04)
    page.grey = (240, page.uniform(70, 110))


@form
def without_margin(page: Page) -> None:
    page.lay(0.01, 0.01)


@form
def marker_without_margin(page: Page) -> None:
    rewrite(page, pen=0.24)
    page.lay(0.01, 0.01)


@form
def in_a_corner(page: Page) -> None:
    page.lay(3.2, 3.2)
    height, width = page.digit.shape
    page.middle = np.array([width * 0.65, height * 0.65])


@form
def small(page: Page) -> None:
    rewrite(page, size=page.uniform(26, 40))
    page.lay(page.uniform(9, 12), page.uniform(9, 12))


@form
def tiny_on_a_large_page(page: Page) -> None:
    rewrite(page, size=page.uniform(24, 36))
    page.lay(1000 / page.size, 1000 / page.size)
    page.after.append(lambda seen: with_noise(seen, page.random, 3))


@form
def large_photo(page: Page) -> None:
    rewrite(page, size=page.uniform(420, 600))
    page.lay(1.8, 1.8)
    page.after.append(lambda seen: with_noise(seen, page.random, 6))


@form
def coarse_squares(page: Page) -> None:
    page.lay(1.3, 1.3)
    page.after.append(lambda seen: resized(resized(seen, 12, cv2.INTER_AREA), 150, cv2.INTER_NEAREST))


@form
def very_coarse_squares(page: Page) -> None:
    page.lay(1.15, 1.15)
    page.after.append(lambda seen: resized(resized(seen, 9, cv2.INTER_AREA), 180, cv2.INTER_NEAREST))


@form
def coarse_and_smooth(page: Page) -> None:
    page.lay(1.3, 1.3)
    page.after.append(lambda seen: resized(resized(seen, 12, cv2.INTER_AREA), 150, cv2.INTER_LINEAR))


@form
def fourteen_pixels(page: Page) -> None:
    page.lay(1.25, 1.25)
    page.after.append(lambda seen: resized(seen, 14, cv2.INTER_AREA))


@form
def out_of_focus(page: Page) -> None:
    page.blur = page.size * 0.06


@form
def shaken(page: Page) -> None:
    length = max(3, round(page.size * 0.1))
    page.after.append(lambda seen: np.asarray(cv2.blur(seen, (length, 1)), np.uint8))


@form
def grainy(page: Page) -> None:
    page.after.append(lambda seen: with_noise(seen, page.random, 28))


@form
def faint_and_grainy(page: Page) -> None:
    page.grey = (150, 110)
    page.after.append(lambda seen: with_noise(seen, page.random, 10))


@form
def salt_and_pepper(page: Page) -> None:
    def change(seen: Grey) -> Grey:
        grains = page.random.random(seen.shape)
        return np.where(grains < 0.01, 0, np.where(grains > 0.99, 255, seen)).astype(np.uint8)

    page.after.append(change)


@form
def strongly_compressed(page: Page) -> None:
    page.after.append(lambda seen: compressed(seen, 8))


@form
def low_contrast(page: Page) -> None:
    page.grey = (132, 116)


@form
def light_from_the_side(page: Page) -> None:
    page.light = painting.slope_of_light(page.shape, *page.random.choice([-1.2, 1.2, 0.9, -0.9], 2))


@form
def dark_corners(page: Page) -> None:
    y, x = np.mgrid[-1 : 1 : page.shape[0] * 1j, -1 : 1 : page.shape[1] * 1j]
    page.light = np.asarray(1 - 0.35 * (x * x + y * y), np.float32)


@form
def hand_shadow(page: Page) -> None:
    page.light = shadow(page, page.uniform(0.35, 0.55), 2)


@form
def soft_shadow(page: Page) -> None:
    page.light = shadow(page, page.uniform(0.4, 0.65), page.size * 0.5)


@form
def two_shadows(page: Page) -> None:
    page.light = shadow(page, 0.3, 3) * shadow(page, 0.35, 3)


@form
def stained_paper(page: Page) -> None:
    coarse = page.random.normal(0, 22, (6, 6)).astype(np.float32)
    page.texture = np.asarray(cv2.resize(coarse, page.shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
    page.grey = (200, 50)


@form
def folded_paper(page: Page) -> None:
    crease = np.zeros(page.shape, np.float32)
    x = page.uniform(0.1, 0.9) * page.shape[1]
    painting.stroke(crease, [(x, 0), (x + 4, page.shape[0])], max(1.0, page.size * 0.015))
    page.texture = -45 * crease


@form
def tilted(page: Page) -> None:
    turned(page, page.random.choice([-1, 1]) * page.uniform(10, 16))


@form
def narrow(page: Page) -> None:
    page.digit = painting.resized(page.digit, (max(3, page.digit.shape[1] // 2), page.digit.shape[0]))


@form
def wide(page: Page) -> None:
    page.digit = painting.resized(page.digit, (page.digit.shape[1], max(4, round(page.digit.shape[0] * 0.5))))
    page.lay()


@form
def hollow(page: Page) -> None:
    rewrite(page, pen=0.16)
    page.digit = painting.hollow(page.digit, page.size * 0.025)
    page.lay()


@form
def dotted(page: Page) -> None:
    page.digit = painting.dotted(page.digit, max(4.0, page.size * 0.11), 0.85)


@form
def dashed(page: Page) -> None:
    period = max(5, round(page.size * 0.14))
    rows, columns = np.mgrid[: page.digit.shape[0], : page.digit.shape[1]]
    page.digit = page.digit * (((rows + columns) % period) > 0.22 * period)


@form
def broken_strokes(page: Page) -> None:
    for _ in range(3):
        row = int(page.random.integers(1, max(2, page.digit.shape[0] - 1)))
        page.digit[row : row + max(1, round(page.size * 0.035))] = 0


# Digits by machines.

SEGMENTS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
ENDS = {"a": (0, 0, 1, 0), "b": (1, 0, 1, 1), "c": (1, 1, 1, 2), "d": (0, 2, 1, 2), "e": (0, 1, 0, 2)}
ENDS |= {"f": (0, 0, 0, 1), "g": (0, 1, 1, 1)}
"""Segments of a display by their usual letters: x and y of both ends, in half heights."""
DOTS = [
    "01110100011001110101110011000101110",
    "00100011000010000100001000010001110",
    "01110100010000100010001000100011111",
    "11111000100010000010000011000101110",
    "00010001100101010010111110001000010",
    "11111100001111000001000011000101110",
    "00110010001000011110100011000101110",
    "11111000010001000100010000100001000",
    "01110100011000101110100011000101110",
    "01110100011000101111000010001001100",
]
"""Rows of five dots, seven of them, as the usual 5x7 character displays have them."""


@by_machine
def seven_segments(page: Page) -> None:
    page.digit = segments(page, gap=page.uniform(0.1, 0.16))
    page.lay()


@by_machine
def seven_segments_that_glow(page: Page) -> None:
    page.digit = segments(page, gap=page.uniform(0.06, 0.12), lean=page.uniform(0.05, 0.15))
    page.grey = (page.uniform(10, 50), page.uniform(190, 250))
    page.blur = page.size * 0.02
    page.lay()


@by_machine
def dot_matrix(page: Page) -> None:
    bits = np.array([int(bit) for bit in DOTS[page.label]], np.float32).reshape(7, 5)
    cell = max(3, round(page.size / 7))
    dot = np.zeros((cell, cell), np.float32)
    painting.oval(dot, (cell / 2, cell / 2), (cell * 0.3, cell * 0.3), cell * 0.3)
    page.digit = np.kron(bits, dot).astype(np.float32)
    page.lay()


def segments(page: Page, *, gap: float, lean: float = 0.0) -> Ink:
    """The digit on a display, with gaps between its segments (shares of one)."""
    half = page.size / 2
    canvas = np.zeros((round(page.size * 1.3), round(page.size * 0.95)), np.float32)
    for name in SEGMENTS[page.label]:
        x0, y0, x1, y1 = ENDS[name]
        along = np.array([[x0, y0], [x1, y1]], float)
        along += gap * (along[::-1] - along)
        x = (along[:, 0] + lean * (2 - along[:, 1]) + 0.3) * half
        painting.stroke(canvas, list(zip(x, (along[:, 1] + 0.3) * half, strict=True)), page.size * 0.1)
    return painting.cropped(canvas)


# What stands around a digit.


@form
def circled(page: Page) -> None:
    page.lay(2.6, 2.6)
    ring(page, 1.25)


@form
def circled_by_a_marker(page: Page) -> None:
    page.lay(2.8, 2.8)
    ring(page, 1.4, width=page.size * 0.12)


@form
def circle_not_closed(page: Page) -> None:
    page.lay(2.6, 2.6)
    ring(page, 1.3, sweep=page.uniform(295, 335))


@form
def circle_overlapping_itself(page: Page) -> None:
    page.lay(2.6, 2.6)
    ring(page, 1.3, sweep=400, grow=1.12)


@form
def boxed(page: Page) -> None:
    page.lay(2.4, 2.4)
    frame(page, page.uniform(0.18, 0.4))


@form
def boxed_by_dashes(page: Page) -> None:
    page.lay(2.4, 2.4)
    frame(page, 0.3)
    page.ink *= ((np.add.outer(np.arange(page.shape[0]), np.arange(page.shape[1])) % 14) > 4).astype(np.float32)


@form
def on_a_diamond(page: Page) -> None:
    page.lay(3.4, 3.4)
    (x, y), reach = page.middle, page.size * 1.15
    page.line((x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y), (x, y - reach))


@form
def table_cell(page: Page) -> None:
    page.lay(2.6, 2.0)
    cells(page, 0.2)


@form
def touching_its_cell(page: Page) -> None:
    page.lay(2.6, 2.0)
    cells(page, -0.01)


@form
def comb_of_a_form(page: Page) -> None:
    page.lay(2.4, 1.8)
    left, _, right, bottom = page.box
    y = bottom + 0.12 * page.size
    page.line((0, y), (page.shape[1], y))
    for x in (left - 0.2 * page.size, right + 0.2 * page.size):
        page.line((x, y), (x, y - 0.3 * page.size))


@form
def note_on_a_table(page: Page) -> None:
    enclose(page, 1.7, (90, None), texture=12)


@form
def turned_note_on_a_table(page: Page) -> None:
    enclose(page, 1.7, (70, None), texture=8)
    angle = page.uniform(-9, 9)
    page.after.append(lambda seen: rotated(seen, angle))


@form
def dark_canvas_on_a_page(page: Page) -> None:
    enclose(page, 1.5, (250, 10), inner=(10, 245))


@form
def light_card_on_black(page: Page) -> None:
    enclose(page, 1.6, (5, None), inner=(225, 60))


@form
def program_window(page: Page) -> None:
    enclose(page, 1.9, (120, None), inner=(250, 20))

    def bar(seen: Grey) -> Grey:
        seen = seen.copy()
        seen[: max(3, len(seen) // 14)] = 60
        return seen

    page.after.append(bar)


@form
def plot_with_axes(page: Page) -> None:
    enclose(page, 1.5, (255, None), inner=(0, 255))

    def ticks(seen: Grey) -> Grey:
        seen = seen.copy()
        for share in np.linspace(0.2, 0.8, 4):
            place = (int(share * seen.shape[1]), seen.shape[0] - 3)
            cv2.putText(seen, str(int(share * 28)), place, cv2.FONT_HERSHEY_PLAIN, max(0.5, len(seen) / 400), 0, 1)
        return seen

    page.after.append(ticks)


@form
def dark_edge_of_a_scanner(page: Page) -> None:
    page.light = np.ones(page.shape, np.float32)
    page.light[:, -max(2, page.shape[1] // 12) :] = 0.15


@form
def punched_hole(page: Page) -> None:
    page.lay(3.0, 2.4)
    painting.oval(
        page.ink, (0.12 * page.size, page.shape[0] * 0.4), (0.14 * page.size, 0.14 * page.size), 0.1 * page.size
    )


@form
def ruled(page: Page) -> None:
    rule(page, page.uniform(0.45, 1.5), level=True)


@form
def ruled_with_margin(page: Page) -> None:
    rule(page, page.uniform(0.5, 1.2), level=True)
    x = max(2.0, page.box[0] - page.size * 0.2)
    page.line((x, 0), (x, page.shape[0]), width=max(1.0, page.size * 0.02))


@form
def squared(page: Page) -> None:
    pitch = page.uniform(0.4, 0.9)
    rule(page, pitch, level=True)
    rule(page, pitch, level=False)


@form
def faint_millimetres(page: Page) -> None:
    lines = np.zeros(page.shape, np.float32)
    for step in np.arange(0, max(page.shape), max(4.0, page.size * 0.11)):
        painting.stroke(lines, [(0, step), (page.shape[1], step)], 1)
        painting.stroke(lines, [(step, 0), (step, page.shape[0])], 1)
    page.texture = -28 * lines


@form
def underlined(page: Page) -> None:
    underline(page, page.uniform(0.08, 0.25))


@form
def underlined_twice(page: Page) -> None:
    underline(page, 0.12)
    underline(page, 0.26)


@form
def underlined_in_shadow(page: Page) -> None:
    underline(page, 0.15)
    page.light = shadow(page, 0.4, page.size * 0.2)


@form
def specks(page: Page) -> None:
    for _ in range(25):
        place = page.random.uniform(0, 1, 2) * page.shape[::-1]
        painting.oval(page.ink, (place[0], place[1]), (0.5, 0.5), max(1.0, page.size * page.uniform(0.01, 0.035)))


@form
def decimal_point(page: Page) -> None:
    _, _, right, bottom = page.box
    page.line(
        (right + 0.1 * page.size, bottom), (right + 0.1 * page.size + 0.2, bottom), width=max(1.0, page.pen * 0.8)
    )


@form
def cut_off_neighbours(page: Page) -> None:
    page.lay(2.6, 1.5)
    for x in (-0.14 * page.size, page.shape[1] + 0.14 * page.size):
        painting.put(page.ink, page.pick(page.size * 0.9, page.pen, other=True), (x, page.middle[1]))


# No single digit.


@no_digit
def minus_before(page: Page) -> None:
    sign(page, lambda x, y, reach: page.line((x - reach, y), (x + reach, y), width=page.pen))


@no_digit
def plus_before(page: Page) -> None:
    def plus(x: float, y: float, reach: float) -> None:
        page.line((x - reach, y), (x + reach, y), width=page.pen)
        page.line((x, y - reach), (x, y + reach), width=page.pen)

    sign(page, plus)


@no_digit
def equals_before(page: Page) -> None:
    def equals(x: float, y: float, reach: float) -> None:
        for step in (-0.4, 0.4):
            page.line((x - reach, y + step * reach), (x + reach, y + step * reach), width=page.pen)

    sign(page, equals)


@no_digit
def bracket_before(page: Page) -> None:
    sign(page, lambda x, y, r: painting.oval(page.ink, (x + r, y), (r, 2.6 * r), page.pen, start=120, sweep=120))


@no_digit
def two_digits(page: Page) -> None:
    beside(page, 1, 0.12)


@no_digit
def three_digits(page: Page) -> None:
    beside(page, 2, 0.1)


@no_digit
def two_touching_digits(page: Page) -> None:
    beside(page, 1, -0.06)


@no_digit
def two_digits_in_a_box(page: Page) -> None:
    beside(page, 1, 0.12)
    page.lay(3.4, 2.2)
    frame(page, 0.2)


@no_digit
def one_above_another(page: Page) -> None:
    page.one = False
    other = page.pick(page.size, page.pen, other=True)
    width = max(page.digit.shape[1], other.shape[1])
    stack = np.zeros((page.digit.shape[0] + other.shape[0] + round(0.15 * page.size), width), np.float32)
    painting.put(stack, page.digit, (width / 2, page.digit.shape[0] / 2))
    painting.put(stack, other, (width / 2, stack.shape[0] - other.shape[0] / 2))
    page.digit = stack
    page.lay(2, 2.8)


@no_digit
def struck_out(page: Page) -> None:
    left, top, right, bottom = page.box
    out = 0.2 * page.size
    page.line((left - out, bottom + 0.05 * page.size), (right + out, top - 0.05 * page.size), width=page.pen)


@no_digit
def struck_through(page: Page) -> None:
    left, top, right, bottom = page.box
    for step in (-0.08, 0.08):
        y = (top + bottom) / 2 + step * page.size
        page.line((left - 0.25 * page.size, y), (right + 0.25 * page.size, y + 3), width=page.pen)


@no_digit
def crossed_out(page: Page) -> None:
    left, top, right, bottom = page.box
    out = 0.15 * page.size
    page.line((left - out, bottom), (right + out, top), width=page.pen)
    page.line((left - out, top), (right + out, bottom), width=page.pen)


@no_digit
def scribbled_out(page: Page) -> None:
    left, top, right, bottom = page.box
    x = np.linspace(left - 3, right + 3, 14)
    y = np.where(np.arange(14) % 2, top, bottom) + page.random.normal(0, 0.04 * page.size, 14)
    page.line(*zip(x, y, strict=True), width=page.pen)


@no_digit
def letter(page: Page) -> None:
    typed(page, str(page.random.choice(list("AEFHKMNPRTWXaefhkmnrtwx"))))


@no_digit
def word(page: Page) -> None:
    typed(page, str(page.random.choice(["total", "name", "date", "Nr", "cm", "kg", "page", "exam", "ok", "yes"])))


@no_digit
def amount(page: Page) -> None:
    typed(page, str(page.random.choice(["12.50", "7 kg", "3/4", "20 %", "x=4", "No 5", "1st", "24"])))


@no_digit
def arrow(page: Page) -> None:
    figure(page, [[(0, 0.5), (1, 0.5)], [(0.7, 0.2), (1, 0.5), (0.7, 0.8)]])


@no_digit
def star(page: Page) -> None:
    angles = np.arange(6) * 4 * np.pi / 5
    figure(page, [list(zip(0.5 + 0.5 * np.sin(angles), 0.5 - 0.5 * np.cos(angles), strict=True))])


@no_digit
def house(page: Page) -> None:
    figure(page, [[(0, 0.5), (0.5, 0), (1, 0.5), (1, 1), (0, 1), (0, 0.5), (1, 0.5)]])


@no_digit
def spiral(page: Page) -> None:
    turn = np.linspace(0, 6 * np.pi, 60)
    figure(page, [list(zip(0.5 + turn / 38 * np.cos(turn), 0.5 + turn / 38 * np.sin(turn), strict=True))])


@no_digit
def tick(page: Page) -> None:
    figure(page, [[(0, 0.6), (0.35, 1), (1, 0)]])


@no_digit
def barcode(page: Page) -> None:
    page.one = False
    bars = page.random.random(30) < 0.5
    page.digit = np.repeat(
        np.repeat(bars[None].astype(np.float32), round(page.size), 0), max(1, round(page.size / 30)), 1
    )


@no_digit
def empty_page(page: Page) -> None:
    empty(page)
    page.after.append(lambda seen: with_noise(seen, page.random, page.uniform(0, 12)))


@no_digit
def empty_page_in_uneven_light(page: Page) -> None:
    empty(page)
    page.light = shadow(page, 0.4, page.size * page.uniform(0.02, 0.6))


@no_digit
def empty_box(page: Page) -> None:
    frame(page, 0.25)
    empty(page, keep=True)


@no_digit
def empty_ruled_page(page: Page) -> None:
    rule(page, 0.6, level=True)
    empty(page, keep=True)


@no_digit
def grains(page: Page) -> None:
    empty(page)
    page.after.append(lambda seen: with_noise(np.full_like(seen, 128), page.random, 70))


# What forms are made of.


def with_noise(seen: Grey, random: np.random.Generator, deviation: float) -> Grey:
    return np.clip(seen + random.normal(0, deviation, seen.shape), 0, 255).astype(np.uint8)


def resized(seen: Grey, longer: int, method: int) -> Grey:
    scale = longer / max(seen.shape)
    size = (max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale)))
    return np.asarray(cv2.resize(seen, size, interpolation=method), np.uint8)


def compressed(seen: Grey, quality: int) -> Grey:
    data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def rotated(seen: Grey, angle: float) -> Grey:
    matrix = cv2.getRotationMatrix2D((seen.shape[1] / 2, seen.shape[0] / 2), angle, 1)
    return np.asarray(cv2.warpAffine(seen, matrix, seen.shape[::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


def turned(page: Page, angle: float) -> None:
    margin = page.digit.shape[0] // 2
    padded = np.pad(page.digit, margin)
    matrix = cv2.getRotationMatrix2D((padded.shape[1] / 2, padded.shape[0] / 2), angle, 1)
    page.digit = painting.cropped(np.asarray(cv2.warpAffine(padded, matrix, padded.shape[::-1]), np.float32))
    page.lay()


def shadow(page: Page, depth: float, width: float) -> NDArray[np.float32]:
    place = page.random.uniform(0.15, 0.85, 2) * page.shape[::-1]
    return painting.edge_of_shadow(page.shape, (place[0], place[1]), page.uniform(0, 2 * np.pi), depth, width)


def ring(page: Page, reach: float, *, width: float = 0.0, sweep: float = 360, grow: float = 1.0) -> None:
    radius = np.hypot(*page.digit.shape) / 2 * reach
    angles = np.radians(page.uniform(0, 360) + np.linspace(0, sweep, 80))
    away = radius * np.linspace(1, grow, 80) * (1 + 0.03 * np.sin(2 * angles))
    points = zip(page.middle[0] + away * np.cos(angles), page.middle[1] + away * np.sin(angles), strict=True)
    page.line(*points, width=width)


def frame(page: Page, gap: float) -> None:
    left, top, right, bottom = page.box
    g = gap * page.size
    page.line(
        (left - g, top - g), (right + g, top - g), (right + g, bottom + g), (left - g, bottom + g), (left - g, top - g)
    )


def cells(page: Page, gap: float) -> None:
    left, top, right, bottom = page.box
    g, width = gap * page.size, max(1.0, page.size * 0.03)
    for y in (top - abs(g) - 0.05 * page.size, bottom + g):
        page.line((0, y), (page.shape[1], y), width=width)
    step = right - left + 2 * max(g, 0.1 * page.size)
    for number in (-1.5, -0.5, 0.5, 1.5):
        x = page.middle[0] + number * step
        page.line((x, 0), (x, page.shape[0]), width=width)


def enclose(
    page: Page,
    share: float,
    outer: tuple[float, float | None],
    *,
    inner: tuple[float, float] = (230, 40),
    texture: float = 0.0,
) -> None:
    """A ground of the grey ``outer`` around a sheet with the digit."""
    page.lay(share, share)
    page.grey = inner
    ground = outer[0]

    def around(seen: Grey) -> Grey:
        height, width = seen.shape
        whole = np.full(
            (round(height * page.uniform(1.3, 2.0)), round(width * page.uniform(1.3, 2.0))), ground, np.float32
        )
        whole += page.random.normal(0, texture, whole.shape)
        top, left = ((np.array(whole.shape) - seen.shape) * page.random.uniform(0.3, 0.7, 2)).astype(int)
        whole[top : top + height, left : left + width] = seen
        return np.clip(whole, 0, 255).astype(np.uint8)

    page.after.append(around)


def rule(page: Page, pitch: float, *, level: bool) -> None:
    width = max(1.0, page.size * page.uniform(0.012, 0.03))
    length = page.shape[0] if level else page.shape[1]
    for place in np.arange(page.uniform(0, pitch) * page.size, length, pitch * page.size):
        page.line(
            *([(0, place), (page.shape[1], place)] if level else [(place, 0), (place, page.shape[0])]), width=width
        )


def underline(page: Page, gap: float) -> None:
    left, _, right, bottom = page.box
    y = bottom + gap * page.size
    page.line(
        (left - page.uniform(0.05, 0.3) * page.size, y),
        (right + page.uniform(0.05, 0.3) * page.size, y + page.uniform(-0.03, 0.03) * page.size),
    )


def sign(page: Page, draw: Callable[[float, float, float], None]) -> None:
    page.one = False
    page.lay(3.2, 1.8)
    page.middle[0] = page.shape[1] * 0.68
    left, top, _, bottom = page.box
    draw(left - 0.35 * page.size, (top + bottom) / 2, 0.2 * page.size)


def beside(page: Page, count: int, gap: float) -> None:
    page.one = False
    row = [page.digit, *(page.pick(page.size, page.pen, other=True) for _ in range(count))]
    step = round(gap * page.size)
    line = np.zeros((max(map(len, row)), sum(part.shape[1] + step for part in row) + row[0].shape[1]), np.float32)
    x = 0.0
    for part in row:
        painting.put(line, part, (x + part.shape[1] / 2, line.shape[0] / 2))
        x += part.shape[1] + step
    page.digit = painting.cropped(line)
    page.lay(3.2, 1.8)


def typed(page: Page, text: str) -> None:
    page.one = False
    font = int(page.random.integers(painting.FONTS))
    page.digit = painting.type_text(text, page.size * 0.8, font, max(1.0, page.size * 0.04))
    page.lay(max(2.0, page.digit.shape[1] / page.size * 1.3), 1.8)


def figure(page: Page, lines: list[list[tuple[float, float]]]) -> None:
    page.one = False
    page.digit = np.zeros((round(page.size * 1.3),) * 2, np.float32)
    for points in lines:
        painting.stroke(page.digit, [((x + 0.15) * page.size, (y + 0.15) * page.size) for x, y in points], page.pen)
    page.digit = painting.cropped(page.digit)
    page.lay()


def empty(page: Page, *, keep: bool = False) -> None:
    page.one = False
    page.digit = np.zeros((1, 1), np.float32)
    if not keep:
        page.lay()
