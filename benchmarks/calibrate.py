"""The acceptance list of the method on synthetic truth, as its own coverage table (Markdown).

    python benchmarks/calibrate.py [--simulations 400] [--seed 1]

A row passes where the share observed lies in its band, or within two standard errors of the
nearest edge (`pass, near`): so many simulations can't tell it from the band. Exit code 1 on
any FAIL. The last table runs the same checks with estimators that are wrong on purpose.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import synthetic as s

from agent.measure.statistics import wilson

SIGMAS = 2

Check = Callable[[np.random.Generator, int], "s.Row | list[s.Row]"]

SUITE: list[Check] = [
    lambda rng, n: s.flat_where_constant(rng, n, 300, 60, 0.05),
    lambda rng, n: s.flat_where_constant(rng, n, 100, 60, 0.2),
    lambda rng, n: s.no_trend_where_constant(rng, n, 20, 20, 0.1),
    lambda rng, n: s.no_trend_where_constant(rng, n, 40, 60, 0.03),
    lambda rng, n: s.not_falling_where_mixed(rng, n, 40, 60),
    lambda rng, n: s.not_falling_where_mixed(rng, n, 100, 60),
    lambda rng, n: s.not_fooled_by_first_errors(rng, n, 200, 60),
    lambda rng, n: s.not_fooled_by_early_ends(rng, n, 200, 60),
    lambda rng, n: s.trend_is_seen(rng, n, 200, 60, 0.05, 0.1),
    lambda rng, n: s.trend_is_seen(rng, n, 200, 60, 0.1, 0.05),
    lambda rng, n: s.absorbed(rng, n, 15, 60, 0.03),
    lambda rng, n: s.absorbed(rng, n, 40, 60, 0.03),
    lambda rng, n: s.absorbed(rng, n, 200, 60, 0.03),
    lambda rng, n: s.censored_recovery_is_zero(rng, n, 40, 60, 0.03),
    lambda rng, n: s.recovering(rng, n, 20, 60, 0.08, 0.3),
    lambda rng, n: s.recovering(rng, n, 40, 60, 0.08, 0.3),
    lambda rng, n: s.differing_chains_are_covered(rng, n, 20, 60),
    lambda rng, n: s.differing_chains_are_covered(rng, n, 40, 60),
    lambda rng, n: s.unjudged_steps_hide_no_error(rng, n, 400, 20, 0.05),
    lambda rng, n: s.rate_is_covered(rng, n, 20, 60, 2, 18),
    lambda rng, n: s.rate_is_covered(rng, n, 40, 60, 2, 18),
    lambda rng, n: s.rate_is_covered(rng, n, 40, 60, 0.6, 11.4),
    lambda rng, n: s.pooling_covers_too_little(rng, n, 40, 60),
    lambda rng, n: s.breakdowns_are_no_errors(rng, n, 40, 60),
    lambda rng, n: s.equal_arms_are_equal(rng, n, 12, 60),
    lambda rng, n: s.equal_arms_are_equal(rng, n, 40, 60),
    lambda rng, n: s.equal_tokens_are_equal(rng, n, 12, 30),
    lambda rng, n: s.equal_tokens_are_equal(rng, n, 40, 30),
    lambda rng, n: s.correction_is_judged(rng, n, 40, 60),
    lambda rng, n: s.drift_is_the_closed_form(rng, n, 12, 60),
    lambda rng, n: s.drift_is_the_closed_form(rng, n, 40, 60),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    # Each check has a source of its own: adding one leaves the others' figures as they are.
    streams = [np.random.default_rng([args.seed, i]) for i in range(len(SUITE) + 1)]
    heading("simulated", "what should be seen", "required", "observed", "of", "95 %", "")
    failed = 0
    for check, rng in zip(SUITE, streams, strict=False):
        found = check(rng, args.simulations)
        for row in found if isinstance(found, list) else [found]:
            word = "pass" if row.inside else "pass, near" if row.holds(SIGMAS) else "**FAIL**"
            failed += word == "**FAIL**"
            line(row, word)
    print("\nThe same checks with estimators that are wrong on purpose must fail:\n")
    heading("simulated", "what should be seen", "required", "observed", "of", "95 %", "")
    for row in s.of_broken_estimators(streams[-1], args.simulations):
        missed = row.holds(SIGMAS)
        failed += missed
        line(row, "**NOT CAUGHT**" if missed else "fails: caught")
    print(f"\n{failed} failed." if failed else "\nAll hold.")
    return int(failed > 0)


def heading(*names: str) -> None:
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))


def line(row: s.Row, word: str) -> None:
    seen = wilson(row.hits, row.of)
    low, high = (100 * (x or 0.0) for x in (seen.low, seen.high))
    band = (
        f"{100 * row.low:g}..{100 * row.high:g} %" if row.low < row.high else f"{100 * row.low:g} %"
    )
    share = f"{100 * row.share:.1f} %"
    cells = (row.simulated, row.claim, band, share, str(row.of), f"{low:.1f}..{high:.1f}", word)
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
