"""Examines one block of a gradient after another: by values of the loss, by forward and by reverse mode."""

import math
from collections.abc import Sequence

import numpy as np

from gradest.checking.claims import Gradients, forward_slopes
from gradest.checking.diagnosis import likely_cause
from gradest.checking.landscape import Landscape
from gradest.checking.line import Slope, noise_of, slope_along
from gradest.checking.result import BlockCheck, Defect, Verdict
from gradest.dtypes import epsilon
from gradest.lengths import norm_of, unit_of
from gradest.operations import NumpyArray

DIRECTIONS = 4
"""Random directions in each block: an error of ten resolutions hides from all of them with probability 4e-5."""
MOST_ENTRIES = 64
"""Entries of a wrong block whose values are looked for one by one, where no other gradient tells them."""
_SHIFT = 0.7  # a suspicion is tried again at steps between those of the first sweep
_AGAIN = 64  # roundings by which two calls at one point may differ: parallel sums add up in any order
_KINK = 1.5  # as in `Slope.told`: near outside the slopes of both sides none can tell
_DOUBT = 3.0  # resolutions that the values must show against an exact gradient; ten are what is promised to be seen
_COARSE = 64  # epsilons of the coarsest part by which two exact gradients of a loss may differ
_CLEAR = 4.0  # roundings by which two exact gradients must differ to be told apart


class Examination:
    """A claimed gradient on the landscape of its loss; `again` is what a second call gave, where two were made.

    Attributes
    ----------
    disagreements
        What else disagrees with the claim where the values of the loss side with it, in words.
    """

    def __init__(
        self,
        landscape: Landscape,
        gradient: NumpyArray,
        entry_noise: NumpyArray,
        *,
        again: NumpyArray | None = None,
        reverse: NumpyArray | None,
        generator: np.random.Generator,
        forward: bool = True,
    ) -> None:
        self._landscape = landscape
        unit = landscape.unit = unit_of(*(g * landscape.scales for g in (gradient, reverse) if g is not None))
        self._gradient = gradient / unit
        self._again = None if again is None else again / unit
        self._entry_noise = entry_noise / unit
        self._reverse = None if reverse is None else reverse / unit
        self._generator = generator
        self.disagreements: list[str] = []
        self.forward_used = False
        self._compares_forward = forward
        layout = landscape.objective.layout
        self._parts = [slice(a, a + n) for a, n in zip(layout.offsets, layout.sizes, strict=True)]
        signs = generator.integers(0, 2, landscape.start.size) * 2 - 1
        # 4 roundings an entry: each takes another value at every point of the line.
        line = 4 * landscape.epsilon * np.maximum(np.abs(landscape.start), 1e-3 * landscape.scales) * signs
        found = noise_of(landscape.loss, landscape.start, line, landscape.value_epsilon)
        first = landscape.objective.first_look
        self._noise = max(found, 0.0 if first is None else first.noise / unit)

    @property
    def noise(self) -> float:
        """The standard deviation of the rounding of the loss."""
        return self._noise * self._landscape.unit

    @property
    def _coarser(self) -> float:
        """The relative spacing of a loss that computes more coarsely than its parameters are held, else 0.

        Points beside the start then show nothing of its rounding: they are one point to it.
        """
        land = self._landscape
        return land.value_epsilon if land.value_epsilon > land.epsilon else 0.0

    @property
    def shares(self) -> list[float]:
        """The length of each block of the gradient, each entry in units of its scale, beside that of the whole."""
        scaled = self._gradient * self._landscape.scales
        whole = norm_of(scaled)
        return [norm_of(scaled[part]) / whole if whole > 0 else 0.0 for part in self._parts]

    def slope(self, direction: NumpyArray, *, shift: float = 1.0) -> Slope:
        """Return what the values along a flat direction say."""
        land = self._landscape
        return slope_along(
            land.loss,
            land.start,
            direction,
            self._gradient,
            steps=[shift * t for t in land.steps],
            noise=self._noise,
            value_epsilon=land.value_epsilon,
            claim_noise=self._claim_noise(direction),
        )

    def _claim_noise(self, direction: NumpyArray) -> float:
        # Two standard deviations, entries rounding independently of each other.
        return 2.0 * norm_of(self._entry_noise * direction)

    def block(self, number: int) -> tuple[BlockCheck, Defect | None]:
        """Return what was found of a block, and where it is wrong if it is."""
        part, name = self._parts[number], self._landscape.objective.layout.names[number]
        if part.start == part.stop:  # no entries, no error
            return BlockCheck(name, Verdict.RIGHT, 0.0, math.nan, kink=False), None
        if (changing := self._not_the_same_twice(number)) is not None:
            return BlockCheck(name, Verdict.WRONG, changing.relative_size, math.nan, kink=False), changing
        directions = [self._direction(part) for _ in range(DIRECTIONS)]
        slopes = [self.slope(direction) for direction in directions]
        jump = max(abs(s.jump) for s in slopes)
        told = [(d, s) for d, s in zip(directions, slopes, strict=True) if s.told]
        suspected = [(d, s) for d, s in told if not self._in_doubt(d, s, jump)]
        confirmed = [(d, s) for d, s in suspected if self._confirmed(d, s)]
        size = norm_of((self._gradient * self._landscape.scales)[part])
        size = max(size, max(abs(s.claimed + s.defect) for s in slopes) if not size else 0.0)
        hidden = len(suspected) < len(told)
        coarsest = max(max(s.resolution, abs(s.defect) if hidden and s.told else 0.0) for s in slopes)
        resolution = coarsest / size if size > 0 else coarsest
        kink = any(s.jump for s in slopes)
        rates = sorted(s.rate for s in slopes if not math.isnan(s.rate))
        rate = rates[len(rates) // 2] if rates else math.nan
        coarse = _COARSE * max(self._coarser, *(s.stairs for s in slopes))
        exact = math.inf if kink else self._apart_from_exact(number, directions, coarse)
        if confirmed or exact < 0:
            defect = self._defect(number, confirmed[0] if confirmed else None)
            return BlockCheck(name, Verdict.WRONG, resolution, rate, kink), defect
        if size > 0 and resolution > 1.0:  # the values hide it all: agreement of two exact methods tells more
            resolution = min(resolution, exact / size)
        outside = any(s.jump and abs(s.defect) > abs(s.jump) + s.resolution for s in slopes)
        untold = hidden or outside or (size > 0 and resolution > 1.0) or not math.isfinite(resolution)
        return BlockCheck(name, Verdict.CANNOT_TELL if untold else Verdict.RIGHT, resolution, rate, kink), None

    def _not_the_same_twice(self, number: int) -> Defect | None:
        """Return where two calls at one point differ by more than the order of a sum could make them.

        Of a loss that changes itself from call to call that is no finding: its noise is told, and hides errors.
        """
        look = self._landscape.objective.first_look
        if self._again is None or (look is not None and look.noise > 0.0):
            return None
        part, layout = self._parts[number], self._landscape.objective.layout
        first, apart = self._gradient[part], np.abs(self._again - self._gradient)[part]
        size, difference = norm_of(first), norm_of(apart)
        if difference <= _AGAIN * epsilon(self._landscape.objective.dtypes[number]) * size:
            return None
        worst = int(np.argmax(apart))
        return Defect(
            block=layout.names[number],
            index=tuple(int(i) for i in np.unravel_index(worst, layout.shapes[number])),
            claimed=float(first[worst]) * self._landscape.unit,
            expected=float(self._again[part][worst]) * self._landscape.unit,
            expected_by="the same call made again",
            relative_size=difference / size if size > 0 else math.inf,
            cause="a gradient that changes from call to call: random numbers, or memory that nothing has filled",
        )

    def _direction(self, part: slice) -> NumpyArray:
        """Return normal numbers in one block, in units of its scale, of unit length on average."""
        direction = np.zeros_like(self._landscape.start)
        count = part.stop - part.start
        # A single entry has one direction; a normal number would now and then be so small that rounding hides it.
        drawn = self._generator.standard_normal(count) if count > 1 else np.ones(1)
        direction[part] = drawn * self._landscape.scales[part]
        return direction

    def _confirmed(self, direction: NumpyArray, slope: Slope) -> bool:
        """Return whether a sweep of other steps finds the same defect."""
        # Rounding that has made a defect at some steps makes another at steps between them; a wrong gradient the same.
        again = self.slope(direction, shift=_SHIFT)
        return again.told and abs(again.defect - slope.defect) <= 0.5 * abs(slope.defect)

    def _in_doubt(self, direction: NumpyArray, slope: Slope, jump: float) -> bool:
        """Return whether a defect may come of a kink that its own line is too coarse to show.

        Another exact gradient must show nothing of it, and it must be small: beside the kinks of other lines, or beside
        the resolution. In a deep float32 network of kinked layers the next kink may be nearer than the shortest step
        that is not rounding, and what it adds looks like a slope.
        """
        if slope.jump or abs(slope.defect) > max(_KINK * jump + slope.resolution, _DOUBT * slope.resolution):
            return False
        apart, _ = self._apart_from_forward([direction])
        if apart.size == 0 and self._reverse is not None:
            apart = np.abs(np.array([(self._reverse - self._gradient) @ direction]))
        return apart.size > 0 and float(apart[0]) < abs(slope.defect) / 3

    def _apart_from_exact(self, number: int, directions: Sequence[NumpyArray], coarse: float) -> float:
        """Return -1 where another exact gradient shows the claim wrong, else the least slope it would have shown.

        Infinite where there is none, or where the values of the loss side with the claim. A part of the gradient,
        `coarse`, may be rounding of a part of the loss that points nearby do not show.
        """
        name, part = self._landscape.objective.layout.names[number], self._parts[number]
        finest, scale = math.inf, float(np.mean(self._landscape.scales[part]))
        if self._reverse is not None:
            difference = np.zeros_like(self._gradient)
            difference[part] = (self._reverse - self._gradient)[part]
            length = norm_of(difference)
            rounding = max(_CLEAR * norm_of(self._entry_noise[part]), coarse * norm_of(self._gradient[part]))
            finest = rounding * scale
            if length > rounding:
                along = difference / length * scale
                return self._judge(along, length * scale, f"reverse mode, in {name!r}")
        apart, allowed = self._apart_from_forward(directions)
        if apart.size == 0:
            return finest
        allowed = np.maximum(allowed, coarse * norm_of((self._gradient * self._landscape.scales)[part]))
        worst = int(np.argmax(apart - allowed))
        if apart[worst] > allowed[worst]:
            return self._judge(directions[worst], float(apart[worst]), f"forward mode, in {name!r}")
        return min(finest, float(allowed.max()))

    def _apart_from_forward(self, directions: Sequence[NumpyArray]) -> tuple[NumpyArray, NumpyArray]:
        """Return how far forward mode is from the claim along directions, and how far rounding might put it."""
        land = self._landscape
        if not self._compares_forward:
            return np.empty(0), np.empty(0)
        points = [land.leaves_at(at) for at in (land.start, *(land.beside(self._generator) for _ in range(2)))]
        slopes = forward_slopes(land.objective, directions, points)
        if slopes is None:
            return np.empty(0), np.empty(0)
        self.forward_used = True
        slopes = slopes / land.unit
        claimed = np.array([self._gradient @ direction for direction in directions])
        rounding = np.array([self._claim_noise(direction) for direction in directions])
        return np.abs(slopes[0] - claimed), _CLEAR * (rounding + np.abs(slopes[1:] - slopes[0]).max(axis=0))

    def _judge(self, direction: NumpyArray, apart: float, other: str) -> float:
        return math.inf if self._sides_with_claim(direction, apart, other) else -1.0

    def _sides_with_claim(self, direction: NumpyArray, apart: float, other: str) -> bool:
        """Return whether the values show the claim right to less than a third of what another gradient is apart."""
        found = self.slope(direction)
        # At a kink either side may be meant, and rules of exact gradients choose by convention.
        if found.jump or (not found.told and found.resolution < apart / 3):
            self.disagreements.append(f"{other} (it disagrees, and the values of the loss side with the gradient)")
            return True
        return False

    def _defect(self, number: int, seen: tuple[NumpyArray, Slope] | None) -> Defect:
        """Return the worst entry of a wrong block, both values and the likely cause."""
        land, part = self._landscape, self._parts[number]
        layout = land.objective.layout
        reverse = self._reverse
        if reverse is not None and seen is not None:  # is it right itself?
            direction, slope = seen
            if abs(float((reverse - self._gradient) @ direction) - slope.defect) > max(
                slope.resolution, 0.3 * abs(slope.defect)
            ):
                reverse = None
        if reverse is not None:
            entries, right, by, tolerance = np.arange(part.start, part.stop), reverse[part], "reverse mode", 1e-6
            others = {n: reverse[p] for n, p in zip(layout.names, self._parts, strict=True) if p is not part}
        else:
            entries = self._suspicious(part)
            found = [self._along_entry(k) for k in entries]
            right = np.array([(s.claimed + s.defect) / land.scales[k] for k, s in zip(entries, found, strict=True)])
            spread = np.array([s.resolution / land.scales[k] for k, s in zip(entries, found, strict=True)])
            spread = np.where(np.isfinite(spread), spread, 0.0)
            by, others = "differences of the loss (numerical)", {}
            tolerance = norm_of(spread) / max(norm_of(right), float(np.finfo(float).tiny))
        claimed = self._gradient[entries]
        worst = int(np.argmax(np.abs(claimed - right)))
        start, shape = land.start[entries], layout.shapes[number]
        unit = unit_of(claimed, right)
        others = {name: block / unit for name, block in others.items()}
        cause = likely_cause(
            claimed / unit, right / unit, start, shape, tolerance=tolerance, others=others, unit=unit * land.unit
        )
        length = norm_of(right)
        return Defect(
            block=layout.names[number],
            index=tuple(int(i) for i in np.unravel_index(entries[worst] - part.start, shape)),
            claimed=float(claimed[worst]) * land.unit,
            expected=float(right[worst]) * land.unit,
            expected_by=by,
            relative_size=norm_of(claimed - right) / length if length > 0 else math.inf,
            cause=cause,
        )

    def _along_entry(self, entry: int) -> Slope:
        direction = np.zeros_like(self._landscape.start)
        direction[entry] = self._landscape.scales[entry]
        return self.slope(direction)

    def _suspicious(self, part: slice) -> NumpyArray:
        """Return at most `MOST_ENTRIES` entries of a block, those where halving it finds the larger defect."""
        entries = np.arange(part.start, part.stop)
        while entries.size > MOST_ENTRIES:
            halves = np.array_split(entries, 2)
            # Two draws of signs: errors of one half may cancel along one of them.
            sizes = [max(abs(self._along_some(half).defect) for _ in range(2)) for half in halves]
            entries = halves[int(np.argmax(sizes))]
        return entries

    def _along_some(self, entries: NumpyArray) -> Slope:
        direction = np.zeros_like(self._landscape.start)
        signs = self._generator.integers(0, 2, entries.size) * 2 - 1
        direction[entries] = signs * self._landscape.scales[entries]
        return self.slope(direction)


def gradients_nearby(landscape: Landscape, gradients: Gradients, generator: np.random.Generator) -> list[NumpyArray]:
    """Return two gradients at points that differ from the start by rounding."""
    return [gradients(landscape.leaves_at(landscape.beside(generator))) for _ in range(2)]
