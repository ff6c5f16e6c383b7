"""Difference quotients along the coordinates by a rule: chunks of displaced losses in, derivatives out.

One estimate runs: the steps (on the host, in the parameters' own dtypes), the displaced losses (in the framework, a few
chunks ahead), the quotients (on the host, in float64 or wider). This module knows no estimator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.coordinates import Chunk, Positions, dense_chunks, pipeline, row_chunks
from gradest.directions.keys import Rng, generator_of
from gradest.errors import InvalidInputError, unknown_name
from gradest.estimate import Cost, KernelResult
from gradest.estimator import PreparedKernel
from gradest.evaluation import ValuesSeen, warn_if_whole
from gradest.finite_differences.bending import Surroundings
from gradest.finite_differences.crossings import KINKS, Crossings, prepare_crossings, warn_of_crossings
from gradest.finite_differences.displaced_losses import (
    Displacement,
    Evaluation,
    Unperturbed,
    as_displacement,
    prepare_black_box,
    prepare_exact,
    prepare_structured,
)
from gradest.finite_differences.error_estimates import Doubts, Quotients
from gradest.finite_differences.findings import Findings
from gradest.finite_differences.noise_level import EVALUATIONS
from gradest.finite_differences.plain_rounding import PlainRounding
from gradest.finite_differences.quotients import Begun, Quotient, begin, weighted, wide
from gradest.finite_differences.rules import QuotientRule
from gradest.finite_differences.step_choice import StepChoice, points_of
from gradest.finite_differences.steps import (
    MODES,
    Scale,
    check_step,
    displacement,
    require_visible,
    typical_sizes,
)
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray

Floats = NumpyArray

STRUCTURED_DISPLACEMENTS = 512
"""How many structured displacements go together: each has a copy of the logits, and more leave the cache."""


@dataclass(frozen=True)
class QuotientSweep:
    """A rule with its step and its coordinates, ready to run on an objective; see `FiniteDifference` for the fields."""

    rule: QuotientRule
    step: str | float
    step_mode: str
    path: str
    differences: str = "plain"
    coordinates: tuple[int, ...] | int | None = None
    chunk_size: int | None = None
    kinks: str = "ignore"
    scale: Scale = 1.0

    def __post_init__(self) -> None:
        check_step(self.step, ("auto", "noise"))
        for asked, known, what in (
            (self.step_mode, MODES, "step_mode"),
            (self.path, ("auto", "black-box", "structured"), "path"),
            (self.differences, ("plain", "exact"), "kind of differences"),
            (self.kinks, KINKS, "answer to kinks"),
        ):
            if asked not in known:
                raise unknown_name(what, asked, known)

    def cost(self, layout: Layout) -> Cost:
        """Return the evaluations of one sweep: exact differences evaluate the loss itself once a chunk."""
        displaced = self.num_coordinates(layout) * self.rule.evaluations
        values = displaced
        if self.differences == "exact":
            values += len(self._plan(layout, None)) * self.rule.evaluations
        elif self._needs_value:
            values += 1
        if self.kinks != "ignore":
            values += displaced + 1
        return Cost(values=values + (EVALUATIONS if self.step == "noise" else 0))

    @property
    def _needs_value(self) -> bool:
        """Whether the loss at the point is subtracted, or held against the two sides of it."""
        return self.differences == "plain" and (self.rule.side != 0 or self.rule.lower is not None)

    def num_coordinates(self, layout: Layout) -> int:
        """Return how many coordinates have their derivative taken."""
        if self.coordinates is None:
            return layout.num_parameters
        return self.coordinates if isinstance(self.coordinates, int) else len(self.coordinates)

    def prepare(self, objective: Objective) -> PreparedKernel:
        """Return the kernel for an objective; the module says what it runs.

        Raises
        ------
        InvalidInputError
            There are fewer parameters than the coordinates asked for.
        UnsupportedError
            Structure, exact differences or kinks were asked for of an opaque function.
        """
        layout, lower = objective.layout, self.rule.lower
        self._check_coordinates(layout)
        typical_sizes(self.scale, layout)  # refuses those of other parameters, before anything is evaluated
        look = None if self.kinks == "ignore" else prepare_crossings(objective)
        sampled = isinstance(self.coordinates, int)
        fixed = () if sampled else self._plan(layout, objective)
        evaluation = self._prepare_evaluation(objective, fixed)
        evaluate, value_of = evaluation.losses, evaluation.value_for(objective)
        scale = layout.num_parameters / self.num_coordinates(layout) if sampled else 1.0
        around = self._choice.look_around(objective, evaluation)

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            moves, steps, noise = self._displacements(objective, leaves, rng, around)
            plan = self._draw(layout, rng) if sampled else fixed
            crossings = None if look is None else self._crossings(layout, look, leaves, moves, plan)
            before = value_of(leaves, moves[0][0].unperturbed) if self._needs_value else None
            at = 0.0 if before is None else wide(objective, before)
            findings = Findings(objective, scale=scale, around=around)
            doubts = None if lower is None else Doubts(objective, scale=scale, chosen=isinstance(self.step, str))
            values: list[Array | None] = []  # each chunk has one, where differences come with it: all the same

            def finish(chunk: Chunk, begun: Sequence[Begun]) -> None:
                quotients = [each.awaited(objective) for each in begun]
                slopes, of = self._combine(objective, chunk, quotients, at, steps, noise, around)
                findings.add(chunk, slopes, quotients)
                if doubts is not None and lower is not None and of is not None:
                    doubts.add(chunk, self.rule, slopes, lower, of)
                if not values:
                    values.append(begun[0].value)

            pipeline(plan, lambda chunk: [begin(evaluate, leaves, chunk, sides) for sides in moves], finish)
            seen, rounding = findings.noted()
            if not seen.warn(objective.first_look, remedy=_NOT_FINITE):
                self._tell_rounding(objective, leaves, rounding, seen)
            value = before if self._needs_value else values[0]
            stated = (None, crossings) if doubts is None else (doubts.leaves(), crossings, doubts.status())
            return KernelResult(value, findings.leaves(), *stated)

        return PreparedKernel(kernel, evaluation.path)

    def _tell_rounding(self, objective: Objective, leaves: Leaves, rounding: PlainRounding, seen: ValuesSeen) -> None:
        """Warn where quotients that state no error are mostly rounding, and all where the loss never changes.

        Exact differences have no rounding. Where every difference is zero, the loss at the point itself, one evaluation
        more, tells a loss that moves by less than its rounding from one that is the same on both sides of its least
        value.
        """
        if self.differences == "exact":
            return
        if self.rule.lower is None:
            rounding.warn(seen)
        # That a loss does not change with some entries, as with pixels that are zero in all images, is no fault of it,
        # nor that it is zero on both sides, as behind a relu: it has no digits to lose.
        if seen.level and seen.size > 0 and self.coordinates is None:
            seen.warn_if_level_at(float(wide(objective, objective.separate().prepare_value()(leaves))))

    def kink_crossings(self, objective: Objective, leaves: Leaves, rng: Rng = None) -> NDArray[np.bool_]:
        """Return which coordinates have a displacement that crosses a kink, `(P,)`.

        All are looked at, unless some are named; where some are drawn, those of an estimate are not known here.
        """
        look = prepare_crossings(objective)
        self._check_coordinates(objective.layout)
        around = self._choice.look_around(objective, self._prepare_evaluation(objective, ()))
        moves, *_ = self._displacements(objective, leaves, rng, around)
        return look(leaves, self._dense_plan(objective.layout), [move for sides in moves for move in sides])

    # -- internals ----------------------------------------------------------------------------------------
    @property
    def _choice(self) -> StepChoice:
        return StepChoice(self.rule, self.step, self.step_mode, self.scale, exact=self.differences == "exact")

    def _check_coordinates(self, layout: Layout) -> None:
        size, asked = layout.num_parameters, self.coordinates
        if asked is not None and (asked if isinstance(asked, int) else max(asked) + 1) > size:
            raise InvalidInputError(f"coordinates={asked} were asked for; the objective has {size} parameters")

    def _crossings(
        self,
        layout: Layout,
        look: Crossings,
        leaves: Leaves,
        moves: Sequence[tuple[Displacement, ...]],
        drawn: Sequence[Chunk],
    ) -> NDArray[np.bool_]:
        """Return the kinks that an estimate's own displacements cross, and warn of them if asked."""
        plan = drawn if isinstance(self.coordinates, int) else self._dense_plan(layout)
        found = look(leaves, plan, [move for sides in moves for move in sides])
        if self.kinks == "warn":
            warn_of_crossings(layout, found)
        return found

    def _whole_rows(self, objective: Objective | None) -> bool:
        """Whether chunks are whole rows: structure is used where it can be, unless the black box was asked for."""
        if self.coordinates is not None or self.path == "black-box":
            return False
        return (
            self.path == "structured"
            or self.differences == "exact"
            or (objective is not None and objective.text is not None)
        )

    def _plan(self, layout: Layout, objective: Objective | None) -> tuple[Chunk, ...]:
        if self._whole_rows(objective):
            return row_chunks(layout, self.chunk_size, default=STRUCTURED_DISPLACEMENTS)
        return self._dense_plan(layout)

    def _dense_plan(self, layout: Layout) -> tuple[Chunk, ...]:
        """Return chunks of single entries: of those that are named, else of all."""
        chosen = self.coordinates if isinstance(self.coordinates, tuple) else None
        return dense_chunks(
            layout, None if chosen is None else np.sort(np.array(chosen, dtype=np.intp)), self.chunk_size
        )

    def _draw(self, layout: Layout, rng: Rng) -> tuple[Chunk, ...]:
        size, count = layout.num_parameters, self.num_coordinates(layout)
        # Unshuffled: the draw is a set, and chunks want it sorted.
        drawn: Positions = generator_of(rng).choice(size, count, replace=False, shuffle=False)
        return dense_chunks(layout, np.sort(drawn), self.chunk_size)

    def _prepare_evaluation(self, objective: Objective, plan: Sequence[Chunk]) -> Evaluation:
        whole_rows = self._whole_rows(objective)
        exact = self.differences == "exact"
        if exact or whole_rows:
            asked = "differences='exact'" if exact else "path='structured'"
            objective.require_text(asked, instead="'fd-central', or path='black-box' with differences='plain'")
        if exact:
            return prepare_exact(objective, plan, whole_rows=whole_rows)
        objective.look(tells_noise=self.step != "noise")
        found = prepare_structured(objective, plan) if whole_rows else prepare_black_box(objective, plan)
        warn_if_whole(objective.first_look)
        return found

    def _displacements(
        self, objective: Objective, leaves: Leaves, rng: Rng, around: Surroundings | None
    ) -> tuple[list[tuple[Displacement, ...]], tuple[Floats, ...], float]:
        """Return the displacements of each quotient, the steps, and the noise where it was measured.

        Raises
        ------
        StepTooSmallError
            A step vanishes in rounding.
        """
        points = points_of(objective, leaves)
        steps, noise = self._choice.steps(objective, points, rng, around)
        return self._moves(objective, points, steps), steps, noise

    def _moves(
        self, objective: Objective, points: Sequence[Floats], steps: Sequence[Floats]
    ) -> list[tuple[Displacement, ...]]:
        """Return, for each quotient of the rule, the displacements to its sides.

        Raises
        ------
        StepTooSmallError
            A step vanishes in rounding.
        """
        exact = self.differences == "exact"  # takes any displacement; a plain one leads to a number of the dtype
        sides = (self.rule.side,) if self.rule.side else (1, -1)

        def flat(multiple: float) -> list[Floats]:
            return [
                (multiple * step).astype(x.dtype) if exact else displacement(x.reshape(-1), step, multiple, dtype)
                for x, step, dtype in zip(points, steps, objective.dtypes, strict=True)
            ]

        moves = [[flat(m * side) for side in sides] for m in self.rule.multiples]
        if not exact:
            shortest = int(np.argmin(self.rule.multiples))
            require_visible(
                objective.layout, points, steps, self.rule.multiples[shortest], moves[shortest], objective.dtypes
            )
        common = Unperturbed()
        return [tuple(as_displacement(objective, side, common) for side in each) for each in moves]

    def _combine(
        self,
        objective: Objective,
        chunk: Chunk,
        quotients: Sequence[Quotient],
        before: Floats | float,
        steps: Sequence[Floats],
        noise: float,
        around: Surroundings | None,
    ) -> tuple[Floats, Quotients | None]:
        """Return a chunk's weighted sums of quotients, computed in float64 or wider on the host.

        What they are of comes with them where their error is to be stated.

        Float32 losses that are near each other subtract without rounding; dividing and weighing them in float32 would
        round again, and framework by framework in its own way.
        """
        exact, lower = self.differences == "exact", self.rule.lower
        with np.errstate(invalid="ignore"):  # values that are not finite are warned of once, by number
            values = [quotient.divide(before) for quotient in quotients]
            slopes, gaps = weighted(self.rule.weights, values), []
            if lower is not None and not self.rule.side:
                gaps = [quotient.gap(0.0 if exact else before) for quotient in quotients]
        if lower is None:
            return slopes, None
        noise = max(noise, self._noise(objective, quotients, around))
        step = steps[chunk.block][chunk.place].astype(np.float64)
        hidden = self._choice.hidden(around, chunk, step)
        return slopes, Quotients(values, gaps, noise, step, hidden)

    def _noise(self, objective: Objective, quotients: Sequence[Quotient], around: Surroundings | None) -> float:
        """Return how far one loss (or exact difference) may be off: a spacing of the dtype, or noise that was seen."""
        size = max(quotient.size for quotient in quotients)
        seen = 0.0 if objective.first_look is None else 3.0 * objective.first_look.noise
        return max(objective.value_epsilon * size, seen, 0.0 if around is None else around.noise(size))


_NOT_FINITE = "try a shorter step, or a point further inside the region where the loss is defined"
