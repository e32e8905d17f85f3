"""The tables of a comparison on a terminal, in the order in which one should read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from agent.measure import Comparison
from agent.measure.compare import ArmFigures
from agent.measure.statistics import Difference, Estimate, holm
from agent.report.stacked import Stacked
from agent.report.words import verdict
from agent.types import Json


def tables(
    comparison: Comparison,
    *,
    oracle_verifiers: Sequence[str] = (),
    price: tuple[float, float] | None = None,
) -> Group:
    """Everything the terminal shows of a finished comparison."""
    words = [Text(sentence, style="italic") for sentence in verdict(comparison, oracle_verifiers)]
    return Group(*words, Text(""), *map(Stacked, sheets(comparison, price)))


def sheets(c: Comparison, price: tuple[float, float] | None = None) -> Iterator[Table]:
    """T1 to T10, those that the data give."""
    yield _primary(c)
    if c.differences:
        yield _differences(c)
    yield _growth(c)
    yield _transitions(c)
    yield _survival(c)
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
    yield _cost(c, price)
    if any(a.outcomes for a in c.arms.values()):
        yield _outcomes(c)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold",
                  pad_edge=False)  # fmt: skip
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", no_wrap=i == 0)
    return table


def _primary(c: Comparison) -> Table:
    table = _table("T1  Error of the accepted answers (95 % interval over episodes)",
                   "arm", "episodes", "steps", "error", "95 %", "infrastructure", "unjudged")  # fmt: skip
    for name, arm in c.arms.items():
        table.add_row(name, str(arm.episodes), str(arm.steps), *percent(arm.error_rate),
                      str(arm.infrastructure_errors), str(arm.unjudged_steps))  # fmt: skip
    return table


def _differences(c: Comparison) -> Table:
    table = _table("    Paired difference on the same seeds, in points of error (* primary, the rest "
                   "exploratory)", "arms", "pairs", "lost", "points", "95 %", "p",
                   "at equal tokens", "95 %", "p", "tokens/step")  # fmt: skip
    for name, contrast in c.differences.items():
        d, fair = contrast.error_rate, contrast.equal_tokens
        star = "*" if name == c.primary else ""
        table.add_row(
            name + star, str(d.n), str(contrast.pairs_lost), *points(d), p_value(d.p),
            *points(fair.error_rate), p_value(fair.error_rate.p), number(fair.tokens, "-", 1),
        )  # fmt: skip
    return table


def _growth(c: Comparison) -> Table:
    table = _table("T2  Does the error grow? Slope of the log-hazard per 10 steps, on all steps",
                   "arm", "growth", "slope", "95 %", "trend p", "Page p", "P(wrong) by tenth of the horizon",
                   "(1-e)^n", "recovery")  # fmt: skip
    for name, arm in c.arms.items():
        g = arm.growth
        if g.slope.value is None:
            slope = ("-", g.reason)
        else:
            band = f"[{number(g.slope.low, '?', 2)}..{number(g.slope.high, '?', 2)}]"
            slope = (f"{g.slope.value:+.2f}", band)
        blocks = " ".join(number(_percents(b.error.value), "-") for b in g.blocks)
        table.add_row(name, g.word, *slope, p_value(g.trend_p), p_value(g.page_p), blocks,
                      arm.claim.word, arm.claim.recovery)  # fmt: skip
    return table


def _percents(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _models(c: Comparison) -> Table:
    table = _table("    Models of the time to the first error, and of the whole sequence: the higher "
                   "held out, the better", "arm", "model", "parameters", "log L", "AIC", "BIC",
                   "held out per episode")  # fmt: skip
    for name, arm in c.arms.items():
        fits = [("first error", k, f) for k, f in arm.models.first_error.items()]
        fits += [("sequence", k, f) for k, f in arm.models.sequence.items()]
        for what, model, fit in fits:
            values = ", ".join(f"{k} {v:.3g}" for k, v in fit.parameters.items())
            if fit.log_likelihood is None:
                values = fit.reason or "-"
            table.add_row(
                name, f"{model.replace('_', '-')} ({what})", values,
                *(number(x, "-", d) for x, d in ((fit.log_likelihood, 1), (fit.aic, 1),
                                                 (fit.bic, 1), (fit.held_out, 3))),
            )  # fmt: skip
    return table


def primaries(compared: Sequence[tuple[str, Comparison]]) -> Table:
    """The primary result of each run; p-values corrected for their number."""
    table = _table("Primary results of all runs, p corrected by Holm", "run", "arms", "points of error",
                   "95 %", "pairs", "p", "p (Holm)")  # fmt: skip
    rows = []
    for run, c in compared:
        if c.primary is not None:
            contrast = c.differences[c.primary]
            fair = contrast.equal_tokens
            rows.append((run, c.primary, fair.error_rate if fair.tokens else contrast.error_rate))
    for (run, arms, d), p in zip(rows, holm([d.p for _, _, d in rows]), strict=True):
        table.add_row(run, arms, *points(d), str(d.n), p_value(d.p), p_value(p))
    return table


def _correction(c: Comparison) -> Table:
    table = _table("    Does correction pay? Only if mended/broken > right/wrong of first attempts",
                   "arm", "mends a wrong one", "breaks a right one", "net per step", "verdict")  # fmt: skip
    for name, arm in c.arms.items():
        k = arm.correction
        if k is not None:
            table.add_row(name, with_n(k.mended), with_n(k.broken), " ".join(points(k.net)), k.word)
    return table


def _drift(c: Comparison) -> Table:
    table = _table("    Drift of first attempts from the true distribution P, nats per step",
                   "arm", "log Q - log P", "given no probability by P", "-log P", "entropy of P")  # fmt: skip
    for name, arm in c.arms.items():
        d = arm.drift
        if d is not None:
            table.add_row(name, _nats(d.kl), with_n(d.impossible), _nats(d.cross_entropy),
                          _nats(d.entropy))  # fmt: skip
    return table


def _nats(e: Estimate) -> str:
    if e.value is None:
        return "-"
    return f"{e.value:+.3f} [{number(e.low, '?', 3)}..{number(e.high, '?', 3)}]"


def _outcomes(c: Comparison) -> Table:
    names = list(dict.fromkeys(k for a in c.arms.values() for k in a.outcomes))
    table = _table("T10 Why episodes ended", "arm", *names)
    for name, arm in c.arms.items():
        table.add_row(name, *(str(arm.outcomes.get(k, 0)) for k in names))
    return table


def _transitions(c: Comparison) -> Table:
    table = _table("T3  On and off track: e leaves it, r returns (r = 0 would be (1-e)^n)",
                   "arm", "e", "95 %", "n", "r", "95 %", "n", "off in the long run", "reversals")  # fmt: skip
    for name, arm in c.arms.items():
        t = arm.transitions
        table.add_row(
            name, *percent(t.e), str(t.e.n),
            *(percent(t.r) if t.r.n else ("not observed", "")), str(t.r.n),
            " ".join(percent(t.stationary_off)), str(t.reversals),
        )  # fmt: skip
    return table


def _survival(c: Comparison) -> Table:
    marks = list(next(iter(c.arms.values())).survival.at) if c.arms else []
    table = _table("T4  Steps without any error (Kaplan-Meier)",
                   "arm", *(f"S({t})" for t in marks), "median", "95 %", "S >= 80 %", "mean, up to N")  # fmt: skip
    for name, arm in c.arms.items():
        s = arm.survival
        cells = [" ".join(percent(s.at[t])) if s.at[t].value is not None else "-" for t in marks]
        last = f"> {c.horizon}"
        table.add_row(
            name, *cells, last if s.median.value is None else f"{s.median.value:.0f}",
            f"{number(s.median.low, '?')}..{number(s.median.high, last)}",
            last if s.horizon_80 is None else f"{s.horizon_80:.0f}",
            number(s.restricted_mean, "-", 1),
        )  # fmt: skip
    return table


def _attempts(c: Comparison) -> Table:
    most = max((max(a.attempts.recovery, default=1) for a in c.arms.values()), default=1)
    retries = [f"right at attempt {k}" for k in range(2, most + 1)]
    table = _table("T5  Attempts: what a rejected answer is followed by",
                   "arm", "first attempt wrong", *retries, "same answer again", "exhausted", "per step")  # fmt: skip
    for name, arm in c.arms.items():
        a = arm.attempts
        cells = [with_n(a.recovery.get(k)) for k in range(2, most + 1)]
        table.add_row(name, " ".join(percent(a.first_attempt_error)), *cells,
                      with_n(a.repeats), str(a.exhausted), f"{a.per_step:.2f}")  # fmt: skip
    return table


def _verifiers(c: Comparison) -> Table:
    table = _table("T6  Verifiers against the oracle, over all attempts",
                   "verifier", "judged", "passes a wrong one", "fails a right one", "broke", "abstained")  # fmt: skip
    for name, v in c.verifiers.items():
        table.add_row(name, str(v.judged), with_n(v.false_accept), with_n(v.false_reject),
                      str(v.errors), str(v.abstained))  # fmt: skip
    return table


def _classes(c: Comparison) -> Table:
    names = list(dict.fromkeys(k for a in c.arms.values() for k in a.error_classes))
    table = _table("T7  Accepted errors by class", "class", *c.arms)
    for name in names:
        table.add_row(name, *(str(a.error_classes.get(name, 0)) for a in c.arms.values()))
    return table


def _measures(c: Comparison) -> Table:
    names = list(dict.fromkeys(k for a in c.arms.values() for k in a.measures))
    table = _table("T8  What else the oracle measured on accepted answers; median step of its "
                   "first failure", "measure", *c.arms)  # fmt: skip
    for name in names:
        table.add_row(name, *(_measure(a, name) for a in c.arms.values()))
    return table


def _measure(arm: ArmFigures, name: str) -> str:
    estimate = arm.measures.get(name)
    if estimate is None or estimate.value is None:
        return "-"
    cell = f"{estimate.value:.3f} [{number(estimate.low, '?', 3)}..{number(estimate.high, '?', 3)}]"
    fails = arm.timescales.get(name)
    return cell if fails is None else f"{cell}  step {number(fails.value, 'none')}"


def _cost(c: Comparison, price: tuple[float, float] | None) -> Table:
    first = next(iter(c.arms), "")
    table = _table(f"T9  Cost, beside {first}", "arm", "tokens", "calls", "tokens/step", "seconds",
                   "errors avoided per 1,000 extra tokens", "extra tokens per corrected error")  # fmt: skip
    for name, arm in c.arms.items():
        contrast = c.differences.get(f"{name}-{first}")
        avoided = paid = "-"
        if contrast is not None and contrast.error_rate.value is not None:
            avoided = number(contrast.errors_avoided_per_1000_tokens, "no extra tokens", 2)
            paid = number(contrast.tokens_per_corrected_error, _no_price(contrast.tokens), 0)
        table.add_row(name, f"{arm.tokens:,}", f"{arm.calls:,}", number(arm.tokens_per_step.value, "-", 1),
                      f"{arm.seconds:.1f}", avoided, paid)  # fmt: skip
    return table


def _no_price(tokens: Difference) -> str:
    return "infinite" if (tokens.value or 0) > 0 else "no extra tokens"


def percent(e: Estimate) -> tuple[str, str]:
    """(value, interval) in per cent."""
    if e.value is None:
        return "-", ""
    return f"{100 * e.value:.1f} %", _interval(e)


def _interval(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return ""
    return f"[{100 * e.low:.1f}..{100 * e.high:.1f}]"


def with_n(e: Estimate | None) -> str:
    """Value, interval and n in one cell."""
    if e is None or e.value is None:
        return "-"
    return f"{' '.join(percent(e))} of {e.n}"


def points(d: Estimate) -> tuple[str, str]:
    """(difference, interval) in percentage points."""
    if d.value is None:
        return "-", ""
    low, high = d.low, d.high
    band = "" if low is None or high is None else f"[{100 * low:+.1f}..{100 * high:+.1f}]"
    return f"{100 * d.value:+.1f}", band


def p_value(p: float | None) -> str:
    """As papers print it."""
    return "-" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def number(x: float | None, missing: str, digits: int = 0) -> str:
    """A number, or what stands for none."""
    return missing if x is None else f"{x:,.{digits}f}"


def name(title: Json) -> str:
    """What was measured, in a few words."""
    identity = title["identity"]
    model = identity["model"]["name"]
    return f"{identity['task']['name']} by {model}" if model else str(identity["task"]["name"])


def header(title: Json, c: Comparison | None = None) -> Text:
    """T0: what was played by what, and what can be said of its fairness."""
    identity = title["identity"]
    model, task, seeds = identity["model"], identity["task"], identity["seeds"]
    settings = ", ".join(f"{k}={v}" for k, v in model.items() if k != "name" and v is not None)
    parts = [
        f"T0  {name(title)}" + (f" ({settings})" if settings else ""),
        f"horizon {identity['horizon']}",
        f"{len(seeds)} seeds ({seeds[0]} to {seeds[-1]})" if seeds else "no seeds",
        f"arms {', '.join(identity['arms'])}",
        *_verifier_versions(identity["arms"]),
    ]
    if title.get("isolation"):
        parts.append(f"programs run in isolation {title['isolation']}")
    if "prompts" in task:
        parts.append(f"prompts version {task['prompts']}")
    if c is not None and c.same_prompts is not None:
        same, of = c.same_prompts
        parts.append(f"first prompts of the arms identical in {same} of {of} pairs")
    parts.append(f"errata {title['errata']}")
    return Text("; ".join(parts))


def _verifier_versions(arms: Json) -> list[str]:
    found = {v["name"]: v.get("version") for arm in arms.values() for v in arm.get("verifiers", ())}
    told = [f"{name} {version}" if version else name for name, version in found.items()]
    return [f"verifiers {', '.join(told)}"] if told else []
