"""Figures as they stand in a table: the same words on the terminal and in the page."""

from __future__ import annotations

from agent.measure.statistics import Estimate


def percent(e: Estimate) -> tuple[str, str]:
    """(value, interval) in per cent; what is not quite 0 or 100 never looks like it."""
    if e.value is None:
        return "-", ""
    text = f"{100 * e.value:.1f}"
    if text == "0.0" and e.value > 0:
        text = "< 0.1"
    elif text == "100.0" and e.value < 1:
        text = "> 99.9"
    return f"{text} %", _interval(e)


def _interval(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return ""
    return f"[{100 * e.low:.1f}..{100 * e.high:.1f}]"


def joined(*parts: str) -> str:
    """With spaces, without those that are empty."""
    return " ".join(p for p in parts if p)


def with_n(e: Estimate | None) -> str:
    """Value, interval and n in one cell."""
    if e is None or e.value is None:
        return "-"
    return joined(*percent(e), f"of {e.n:,}")


def points(d: Estimate) -> tuple[str, str]:
    """(difference, interval) in percentage points."""
    if d.value is None:
        return "-", ""
    low, high = d.low, d.high
    band = "" if low is None or high is None else f"[{signed(100 * low)}..{signed(100 * high)}]"
    return signed(100 * d.value), band


def signed(x: float, digits: int = 1) -> str:
    """With its sign; a zero has none to speak of."""
    text = f"{x:+,.{digits}f}"
    return text.replace("-", "+") if not text.strip("-+0.,") else text


def p_value(p: float | None) -> str:
    """As papers print it."""
    return "-" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def number(x: float | None, missing: str, digits: int = 0) -> str:
    """A number, or what stands for none."""
    if x is None:
        return missing
    text = f"{x:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def band(e: Estimate, digits: int = 3) -> str:
    """Value and interval of what is no share."""
    if e.value is None:
        return "-"
    if e.low is None or e.high is None:
        return number(e.value, "-", digits)
    return f"{e.value:.{digits}f} [{number(e.low, '', digits)}..{number(e.high, '', digits)}]"


def parameter(name: str, value: float) -> str:
    """Of a fitted model, to three digits; those near 1 by what they lack."""
    if 0.999 < value < 1:
        return f"1-{name} {1 - value:.3g}"
    return f"{name} {value:.3g}"
