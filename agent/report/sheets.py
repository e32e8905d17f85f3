"""T1 to T10: every table of the report, with the definitions of what stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent.measure import Comparison
from agent.measure.compare import ArmFigures, Contrast
from agent.measure.models import LikelihoodRatio, ModelComparison
from agent.measure.statistics import Difference, holm
from agent.report.cells import (
    band,
    joined,
    number,
    p_value,
    parameter,
    percent,
    points,
    signed,
    with_n,
)


@dataclass
class Sheet:
    """One table. Its first column holds names, all others figures but for those in `texts`."""

    title: str
    """Number and subject."""
    columns: Sequence[str]
    """Headings."""
    note: str = ""
    """Definitions, and why figures are missing."""
    rows: list[Sequence[str]] = field(default_factory=list)
    """Cells, as many in each as there are columns."""
    texts: Sequence[str] = ()
    """Columns of words."""

    def add(self, *cells: str) -> None:
        """One row."""
        self.rows.append(cells)


def sheets(c: Comparison) -> Iterator[Sheet]:
    """Those that the data give."""
    yield _primary(c)
    if c.differences:
        yield _differences(c)
    yield _growth(c)
    yield _transitions(c)
    yield _survival(c)
    if c.differences:
        yield _first_errors(c)
    yield _models(c)
    yield _attempts(c)
    if any(a.correction for a in c.arms.values()):
        yield _correction(c)
    if c.verifiers:
        yield _verifiers(c)
    if any(a.error_classes for a in c.arms.values()):
        yield _classes(c)
    if any(a.measures for a in c.arms.values()):
        yield _measures(c)
    if any(a.drift for a in c.arms.values()):
        yield _drift(c)
    if any(a.tokens or a.seconds for a in c.arms.values()):
        yield _cost(c)
    if any(a.outcomes for a in c.arms.values()):
        yield _outcomes(c)


def missing(c: Comparison) -> list[str]:
    """Tables that the data don't give, with the reason."""
    arms = list(c.arms.values())
    gone = {
        "paired differences": (not c.differences, "one arm has no pairs"),
        "does correction pay": (not any(a.correction for a in arms), "no second attempt was made"),
        "T6 verifiers": (not c.verifiers, "no verdict is told"),
        "T7 errors by class": (
            not any(a.error_classes for a in arms),
            "no error was made"
            if not any(a.error_rate.value for a in arms)
            else "their classes are not told",
        ),
        "T8 other measures": (not any(a.measures for a in arms), "none is told"),
        "drift": (
            not any(a.drift for a in arms),
            "it needs the model's log-probabilities (--logprobs) and a task that knows the true P",
        ),
        "T9 cost": (
            not any(a.tokens or a.seconds for a in arms),
            "neither tokens nor time are told",
        ),
        "T10 ends of episodes": (not any(a.outcomes for a in arms), "they are not told"),
    }
    return [f"{what}, {why}" for what, (is_gone, why) in gone.items() if is_gone]


# -- T1: the error -----------------------------------------------------------------------------


def _primary(c: Comparison) -> Sheet:
    sheet = Sheet(
        "T1  Error of the accepted answers",
        ("arm", "error", "95 %", "steps judged", "of steps", "episodes", "lost to infrastructure"),
        "Share of the judged steps whose accepted answer the oracle calls wrong; interval over "
        "episodes. A step that a broken verifier or the oracle left unjudged is in no rate.",
    )
    for name, arm in c.arms.items():
        sheet.add(name, *percent(arm.error_rate), f"{arm.steps:,}",
                  f"{arm.steps + arm.unjudged_steps:,}", f"{arm.episodes:,}",
                  f"{arm.infrastructure_errors:,}")  # fmt: skip
    return sheet


def _differences(c: Comparison) -> Sheet:
    sheet = Sheet(
        "    Paired differences, in points of error (* primary, the rest exploratory)",
        ("arms", "points", "95 %", "p", "pairs", "lost", "at equal tokens", "95 %", "p", "tokens/step"),
    )  # fmt: skip
    notes = [
        "a-b is the error of a less that of b over whole pairs (one seed, or one instance); p by exchanging the arms within "
        "pairs. At equal tokens both are cut off where they have spent as much as the cheaper one "
        "spent in all."
    ]
    none: dict[str, list[str]] = {}
    for name, contrast in c.differences.items():
        d, fair = contrast.error_rate, contrast.equal_tokens
        star = "*" if name == c.primary else ""
        sheet.add(
            name + star, *points(d), p_value(d.p), str(d.n), str(contrast.pairs_lost),
            *points(fair.error_rate), p_value(fair.error_rate.p), number(fair.tokens, "-", 1),
        )  # fmt: skip
        if fair.reason:
            none.setdefault(fair.reason, []).append(name)
    notes += [f"None at equal tokens of {', '.join(v)}: {why}." for why, v in none.items()]
    notes += [f"Lost of {name}: {why_lost(d)}." for name, d in c.differences.items() if d.lost]
    sheet.note = " ".join(notes)
    return sheet


def why_lost(contrast: Contrast) -> str:
    """The pairs that are in no difference, by reason."""
    return ", ".join(f"{n} {why}" for why, n in contrast.lost.items())


# -- T2 to T4: over the steps ------------------------------------------------------------------


def _growth(c: Comparison) -> Sheet:
    sheet = Sheet(
        "T2  Does the error grow?",
        ("arm", "growth", "slope", "95 %", "trend p", "Page p", "% wrong by tenths of the horizon",
         "(1-e)^n", "recovery"),
        "Slope of the log-hazard per 10 steps: binomial GLM, complementary log-log, all steps, "
        "covariance by episode; flat is within 0.1 of 0. Trend p exchanges the steps within each "
        "episode, and must agree with rising or falling; Page p is for a rise. (1-e)^n is rejected "
        "by one return to the track.",
        texts=("growth", "(1-e)^n", "recovery"),
    )  # fmt: skip
    reasons: dict[str, list[str]] = {}
    for name, arm in c.arms.items():
        g = arm.growth
        slope, interval = "-", ""
        if g.slope.value is not None:
            slope = signed(g.slope.value, 2)
            if g.slope.low is not None and g.slope.high is not None:
                interval = f"[{signed(g.slope.low, 2)}..{signed(g.slope.high, 2)}]"
        blocks = " ".join(
            number(None if b.error.value is None else 100 * b.error.value, "-") for b in g.blocks
        )
        sheet.add(name, g.word, slope, interval, p_value(g.trend_p), p_value(g.page_p), blocks,
                  arm.claim.word, arm.claim.recovery)  # fmt: skip
        if g.word == "undecided":
            reasons.setdefault(g.reason, []).append(name)
    for reason, names in reasons.items():
        sheet.note += f" Undecided, {', '.join(names)}: {reason}."
    return sheet


def _transitions(c: Comparison) -> Sheet:
    sheet = Sheet(
        "T3  On and off track",
        ("arm", "e", "95 %", "n", "r", "95 %", "n", "off in the long run", "reversals"),
        "e: P(a step begun on track ends off it), r: P(one begun off track ends on it), n such "
        "steps; r = 0 is (1-e)^n. In the long run e/(e+r) is off track. A reversal is one return.",
    )
    for name, arm in c.arms.items():
        t = arm.transitions
        sheet.add(
            name, *percent(t.e), f"{t.e.n:,}",
            *(percent(t.r) if t.r.n else ("not observed", "")), f"{t.r.n:,}",
            joined(*percent(t.stationary_off)), f"{t.reversals:,}",
        )  # fmt: skip
    return sheet


def _survival(c: Comparison) -> Sheet:
    marks = list(next(iter(c.arms.values())).survival.at) if c.arms else []
    sheet = Sheet(
        "T4  Steps without any error",
        ("arm", *(f"S({t})" for t in marks), "median", "95 %", "S >= 80 % to step", "mean"),
        "S(t): P(no error in steps 1 to t), Kaplan-Meier. Median and mean are of the step of the "
        "first error; the mean takes the last step for it where an episode had none.",
    )
    for name, arm in c.arms.items():
        s, last = arm.survival, f"> {c.horizon}"
        sheet.add(
            name, *(joined(*percent(s.at[t])) for t in marks),
            number(s.median.value, last if s.episodes else "-"),
            f"{number(s.median.low, '?')}..{number(s.median.high, last)}" if s.episodes > 1 else "",
            number(s.horizon_80, last if s.episodes else "-"), number(s.restricted_mean, "-", 1),
        )  # fmt: skip
    return sheet


def _first_errors(c: Comparison) -> Sheet:
    sheet = Sheet(
        "    First errors, arm beside arm (exploratory)",
        ("arms", "log-rank p", "pairs", "only the first without error", "only the second", "McNemar p"),
        "Log-rank: is S(t) the same; it takes arms for independent, which pairs make cautious. "
        "McNemar: of the pairs in which one episode alone had no error at all, are as many of each.",
    )  # fmt: skip
    for name, contrast in c.differences.items():
        s = contrast.survival
        sheet.add(name, p_value(s.log_rank_p), str(s.pairs), str(s.only_a), str(s.only_b),
                  p_value(s.mcnemar_p))  # fmt: skip
    return sheet


def _models(c: Comparison) -> Sheet:
    sheet = Sheet(
        "    Models of the time to the first error, and of the whole sequence",
        ("arm", "model", "parameters", "log L", "AIC", "BIC", "held out"),
        "By maximum likelihood, in nats. Held out: per episode, of episodes that the fit did not "
        "see (five folds); the higher, the better. (1-e)^n is the geometric, and the absorbing one. ",
        texts=("model", "parameters"),
    )
    reasons: dict[str, list[str]] = {}
    for name, arm in c.arms.items():
        fits = [("first error", k, f) for k, f in arm.models.first_error.items()]
        fits += [("sequence", k, f) for k, f in arm.models.sequence.items()]
        for i, (what, model, fit) in enumerate(fits):
            label = f"{what}: {model.replace('_', '-')}"
            values = ", ".join(parameter(k, v) for k, v in fit.parameters.items())
            sheet.add(
                "" if i else name, label, values or fit.reason or "-",
                *(number(x, "-", d) for x, d in ((fit.log_likelihood, 1), (fit.aic, 1),
                                                 (fit.bic, 1), (fit.held_out, 3))),
            )  # fmt: skip
            if values and fit.reason:
                reasons.setdefault(fit.reason, []).append(f"{name} {model.replace('_', '-')}")
    sheet.note += " ".join(f"{name}: {_ratios(arm.models)}." for name, arm in c.arms.items())
    for reason, names in reasons.items():
        sheet.note += f" {reason.capitalize()} ({', '.join(names)})."
    return sheet


def _ratios(models: ModelComparison) -> str:
    return (
        f"frailty, beta-geometric against geometric, {likelihood_ratio(models.frailty)}; ageing, "
        f"Weibull against geometric, {likelihood_ratio(models.shape)}"
    )


def likelihood_ratio(test: LikelihoodRatio) -> str:
    """Its statistic and p, or why there is none."""
    if test.statistic is None:
        return f"not tested ({test.reason})"
    return f"LR {test.statistic:.1f}, p {'' if (test.p or 0) < 0.001 else '= '}{p_value(test.p)}"


# -- T5 and T6: attempts and verifiers ----------------------------------------------------------


def _attempts(c: Comparison) -> Sheet:
    most = max((max(a.attempts.recovery, default=1) for a in c.arms.values()), default=1)
    ks = range(2, most + 1)
    sheet = Sheet(
        "T5  Attempts",
        ("arm", "first attempt wrong", *(f"right at attempt {k}" for k in ks), "same again",
         "exhausted", "per step"),
        "First attempts are those before any critique. Right at attempt k: of those made after a "
        "wrong one. Same again: further attempts that repeat the answer before them. Exhausted: steps "
        "at which none passed. Per step: attempts.",
    )  # fmt: skip
    for name, arm in c.arms.items():
        a = arm.attempts
        sheet.add(name, with_n(a.first_attempt_error), *(with_n(a.recovery.get(k)) for k in ks),
                  with_n(a.repeats), number(a.exhausted, "-"), f"{a.per_step:.2f}")  # fmt: skip
    return sheet


def _correction(c: Comparison) -> Sheet:
    sheet = Sheet(
        "    Does correction pay?",
        ("arm", "mends a wrong one", "breaks a right one", "net, points per step", "verdict"),
        "First attempt against accepted answer. It pays only if mended/broken > right/wrong of first "
        "attempts, which is a net above 0: go where its interval is above 0, no-go where below.",
        texts=("verdict",),
    )
    for name, arm in c.arms.items():
        k = arm.correction
        if k is not None:
            sheet.add(name, with_n(k.mended), with_n(k.broken), joined(*points(k.net)), k.word)
    return sheet


def _verifiers(c: Comparison) -> Sheet:
    sheet = Sheet(
        "T6  Verifiers against the oracle",
        ("verifier", "judged", "false accept", "false reject", "broke", "abstained"),
        "Over all attempts of all arms. False accept: passes, of those that the oracle calls wrong; "
        "false reject: fails, of those that it calls right.",
    )
    for name, v in c.verifiers.items():
        sheet.add(name, f"{v.judged:,}", with_n(v.false_accept), with_n(v.false_reject),
                  str(v.errors), str(v.abstained))  # fmt: skip
    return sheet


# -- T7 to T10: kinds, quality, cost, ends -------------------------------------------------------


def _classes(c: Comparison) -> Sheet:
    names = list(dict.fromkeys(k for a in c.arms.values() for k in a.error_classes))
    sheet = Sheet("T7  Accepted errors by class", ("class", *c.arms), "Numbers of steps.")
    for name in names:
        sheet.add(name, *(f"{a.error_classes.get(name, 0):,}" for a in c.arms.values()))
    return sheet


def _measures(c: Comparison) -> Sheet:
    names = list(dict.fromkeys(k for a in c.arms.values() for k in a.measures))
    sheet = Sheet(
        "T8  What else the oracle measured on accepted answers",
        ("measure", *c.arms),
        "Mean over the steps it applies to. First no: median step of an episode's first failure of a "
        "yes-no measure (Kaplan-Meier): abilities are lost at different times.",
    )
    for name in names:
        sheet.add(name, *(_measure(a, name, c.horizon) for a in c.arms.values()))
    return sheet


def _measure(arm: ArmFigures, name: str, horizon: int) -> str:
    estimate = arm.measures.get(name)
    if estimate is None or estimate.value is None:
        return "-"
    fails = arm.timescales.get(name)
    at = "" if fails is None else f"; first no {number(fails.value, f'> {horizon}')}"
    return band(estimate) + at


def _drift(c: Comparison) -> Sheet:
    sheet = Sheet(
        "    Drift of first attempts from the true distribution P, nats per step",
        ("arm", "log Q - log P", "given no probability by P", "-log P", "entropy of P"),
        "log Q is the model's own log-probability of what it wrote. D(Q||P) where P allows every "
        "answer; what it does not allow is in the second column alone. -log P above the entropy is "
        "drift out of P, below it sharpening.",
    )
    for name, arm in c.arms.items():
        d = arm.drift
        if d is not None:
            sheet.add(name, band(d.kl), with_n(d.impossible), band(d.cross_entropy),
                      band(d.entropy))  # fmt: skip
    return sheet


def _cost(c: Comparison) -> Sheet:
    first = next(iter(c.arms), "")
    sheet = Sheet(
        f"T9  Cost, beside {first}" if len(c.arms) > 1 else "T9  Cost",
        ("arm", "tokens", "calls", "tokens/step", "seconds", "errors avoided per 1,000 extra tokens",
         "extra tokens per corrected error"),
        "Read and written, failed attempts and verifiers included. Errors are net, over whole pairs. "
        "Seconds of attempts, summed over concurrent episodes.",
    )  # fmt: skip
    for name, arm in c.arms.items():
        contrast = c.differences.get(f"{name}-{first}")
        avoided = paid = "-"
        if contrast is not None and contrast.error_rate.value is not None:
            avoided = number(contrast.errors_avoided_per_1000_tokens, "no extra tokens", 2)
            paid = number(contrast.tokens_per_corrected_error, _no_price(contrast.tokens), 0)
        sheet.add(name, f"{arm.tokens:,}", f"{arm.calls:,}", number(arm.tokens_per_step.value, "-", 1),
                  f"{arm.seconds:.1f}", avoided, paid)  # fmt: skip
    return sheet


def _no_price(tokens: Difference) -> str:
    return "infinite" if (tokens.value or 0) > 0 else "no extra tokens"


def _outcomes(c: Comparison) -> Sheet:
    names = list(dict.fromkeys(k for a in c.arms.values() for k in a.outcomes))
    sheet = Sheet("T10  Why episodes ended", ("arm", *names), "Numbers of episodes.")
    for name, arm in c.arms.items():
        sheet.add(name, *(str(arm.outcomes.get(k, 0)) for k in names))
    return sheet


# -- several runs --------------------------------------------------------------------------------


def primaries(compared: Sequence[tuple[str, Comparison]]) -> Sheet:
    """The primary result of each run; p-values corrected for their number."""
    sheet = Sheet(
        "Primary results of all runs",
        ("run", "arms", "points of error", "95 %", "pairs", "p", "p (Holm)"),
        "At equal tokens where those can be had. One result a run, p corrected for their number.",
        texts=("arms",),
    )
    rows = []
    for run, c in compared:
        if c.primary is not None:
            contrast = c.differences[c.primary]
            fair = contrast.equal_tokens
            rows.append((run, c.primary, fair.error_rate if fair.tokens else contrast.error_rate))
    for (run, arms, d), p in zip(rows, holm([d.p for _, _, d in rows]), strict=True):
        sheet.add(run, arms, *points(d), str(d.n), p_value(d.p), p_value(p))
    return sheet
