"""Says in sentences how two runs differ and what could not be told, for the terminal and the page alike."""

from statistics import median

from gradest_bench.results.accuracy_change import BETTER, FALSE_ACCURACY_CHANGE, SAME, WORSE
from gradest_bench.results.run_comparison import (
    CANNOT_TELL,
    FASTER,
    MINIMUM_EFFECT,
    NO_CHANGE,
    SLOWER,
    TOO_DISTURBED,
    TOO_FEW_STARTS,
    RunComparison,
)
from gradest_bench.results.significance import FALSE_CHANGE


def comparison_sentences(found: RunComparison) -> list[str]:
    """Return how many times, accuracies and outcomes changed, and how often any of that is said falsely."""
    words = (BETTER, WORSE, SAME, CANNOT_TELL)
    errors = {word: sum(1 for change in found.accuracies if change.verdict == word) for word in words}
    # two sides of which each start was measured beside one of the other had the same minutes; runs can only hope so
    alike = "" if found.paired else ", if the machine was alike in both runs"
    curves = f"training: {found.trained} cells; curves are not compared: show both reports" if found.trained else ""
    return [
        f"time: {time_sentence(found)}",
        f"accuracy: {errors[BETTER]} better, {errors[WORSE]} worse, {errors[SAME]} the same, "
        f"{errors[CANNOT_TELL]} cannot tell",
        f"outcomes: {len(found.outcomes)} differ; cells of the first run alone: {found.only_before}, of the second: "
        f"{found.only_after}",
        f"The probability of any false change: {FALSE_CHANGE:.0%} over all times together{alike}, and "
        f"{FALSE_ACCURACY_CHANGE:.0%} over all accuracies.",
        *filter(None, [curves]),
    ]


def time_sentence(found: RunComparison) -> str:
    """Return how many times changed, did not, and could not be told, with the change that would have been seen."""
    counts = {
        word: sum(1 for change in found.times if change.verdict == word)
        for word in (SLOWER, FASTER, NO_CHANGE, CANNOT_TELL, TOO_FEW_STARTS, TOO_DISTURBED)
    }
    parts = [f"{counts[SLOWER]} slower", f"{counts[FASTER]} faster"]
    parts.append(f"{counts[NO_CHANGE]} without a change of more than {MINIMUM_EFFECT:.0%}")
    visible = [c.ratio.visible for c in found.times if c.ratio is not None and c.verdict == CANNOT_TELL]
    parts.append(
        f"{counts[CANNOT_TELL]} cannot tell" + (f" (median: would see x{median(visible):.2f})" if visible else "")
    )
    if counts[TOO_FEW_STARTS]:
        more = "compare-now SUITE --starts" if found.paired else "run SUITE --repeat"
        parts.append(
            f"{counts[TOO_FEW_STARTS]} with too few starts of the workers (each run needs {found.least_starts}: "
            f"gradest bench {more})"
        )
    if counts[TOO_DISTURBED]:
        parts.append(
            f"{counts[TOO_DISTURBED]} not judged as the machine was too disturbed (fewer than {found.least_starts} "
            "starts are left: run again when it is quiet)"
        )
    return ", ".join(parts)
