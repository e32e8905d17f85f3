"""The figures as the sentences that a careful author would write about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.measure import Comparison
from agent.measure.compare import ArmFigures, Contrast
from agent.measure.statistics import Difference, Estimate
from agent.report.cells import joined, percent, points
from agent.report.sheets import likelihood_ratio


def verdict(c: Comparison, oracle: Sequence[str] = ()) -> list[str]:
    """The primary result first, then each arm, then what must be said beside it."""
    out = [] if c.primary is None else [primary(c.differences[c.primary])]
    for name, arm in c.arms.items():
        out.append(" ".join(_arm(name, arm)))
    used = [v for v in oracle if v in c.verifiers]
    if used:
        out.append(
            f"{', '.join(used)} equals the oracle of this task, so what it passed is right by "
            "construction; what correction achieved must be read from first attempts, retries "
            "and the measures that no verifier saw."
        )
    out += list(_infrastructure(c))
    return out


def primary(contrast: Contrast) -> str:
    """The headline: at equal tokens where the data allow it."""
    a, b = contrast.arms
    fair = contrast.equal_tokens
    if fair.tokens is None:
        d, where = contrast.error_rate, f"at unequal tokens ({fair.reason})"
    else:
        d, where = fair.error_rate, f"at equal tokens ({fair.tokens:,.1f} per step)"
    if d.value is None:
        return f"{a} against {b}: not enough data for a comparison."
    return f"{a} against {b} {where}: {_difference(d, a, b)}"


def _difference(d: Difference, a: str, b: str) -> str:
    assert d.value is not None
    value, interval = points(d)
    figures = f"{value} points of error"
    if d.low is None or d.high is None:
        return f"{figures} over {d.n} pairs; too few for an interval."
    figures += f" {interval}"
    if d.p is not None:
        figures += ", p < .001" if d.p < 0.001 else f", p = {d.p:.3f}"
    figures += f", over {d.n} pairs"
    if d.low <= 0 <= d.high or (d.p is not None and d.p >= 0.05):
        return f"{figures}: no difference is shown."
    return f"{figures}: {a if d.value < 0 else b} errs less."


def _arm(name: str, arm: ArmFigures) -> Iterator[str]:
    rate = arm.error_rate
    if rate.value is None:
        yield f"{name}: no step could be judged."
        return
    yield f"{name}: {_share(rate)} of {rate.n:,} accepted answers are wrong."
    yield _growth(arm)
    yield _claim(arm)
    if arm.correction is not None:
        yield _correction(arm)


def _growth(arm: ArmFigures) -> str:
    g = arm.growth
    if g.slope.value is None:
        return f"Whether the error grows can't be told: {g.reason}."
    slope = f"{g.slope.value:+.2f}"
    if g.slope.low is not None and g.slope.high is not None:
        slope += f" [{g.slope.low:+.2f}..{g.slope.high:+.2f}]"
    words = {
        "rising": "The error rises from step to step",
        "falling": "The error falls from step to step",
        "flat": "The error is flat over the steps",
        "undecided": f"Whether the error grows is undecided, {g.reason}",
    }
    text = f"{words[g.word]} ({slope} log-hazard per 10 steps)."
    if g.word == "falling":
        text += (
            " Episodes of differing difficulty alone make a first-error hazard fall: of such "
            f"frailty, beta-geometric against geometric, {likelihood_ratio(arm.models.frailty)}."
        )
    return text


def _claim(arm: ArmFigures) -> str:
    return f"(1-e)^n is {arm.claim.word}: {arm.claim.reason}; recovery is {arm.claim.recovery}."


def _correction(arm: ArmFigures) -> str:
    c = arm.correction
    assert c is not None
    if c.word == "not enough data":
        return "Whether correction pays can't be told yet."
    return (
        f"Correction is a {c.word}: it mends {_share(c.mended)} of wrong first attempts and "
        f"breaks {_share(c.broken)} of right ones."
    )


def _infrastructure(c: Comparison) -> Iterator[str]:
    lost = {n: a.infrastructure_errors for n, a in c.arms.items() if a.infrastructure_errors}
    if lost:
        parts = ", ".join(f"{count} of {name}" for name, count in lost.items())
        yield f"Infrastructure ended episodes early: {parts}; they count as neither right nor wrong."
    unjudged = {n: a.unjudged_steps for n, a in c.arms.items() if a.unjudged_steps}
    if unjudged:
        parts = ", ".join(f"{count:,} of {name}" for name, count in unjudged.items())
        yield f"Steps that nobody could judge are in no rate: {parts}."


def _share(e: Estimate) -> str:
    return "an unknown share" if e.value is None else joined(*percent(e))
