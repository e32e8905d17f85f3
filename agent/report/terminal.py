"""A comparison on a terminal: who played what, the sentences, the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from agent.measure import Comparison
from agent.report.sheets import Sheet, missing, sheets, why_lost
from agent.report.stacked import Stacked
from agent.report.words import verdict
from agent.types import Json


def tables(comparison: Comparison, *, oracle_verifiers: Sequence[str] = ()) -> Group:
    """Everything the terminal shows of a finished comparison."""
    words = [Text(sentence, style="italic") for sentence in verdict(comparison, oracle_verifiers)]
    shown = [line for sheet in sheets(comparison) for line in drawn(sheet)]
    gone = missing(comparison)
    notes = [Text(f"Not to be had: {'; '.join(gone)}.", style="dim")] if gone else []
    return Group(*words, Text(""), *shown, *notes)


def drawn(sheet: Sheet) -> Iterator[RenderableType]:
    """A table under its title, and its note."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(sheet.columns):
        words = i < sheet.keys or column in sheet.texts
        justify: JustifyMethod = "left" if words else "right"
        table.add_column(Text(column), justify=justify, no_wrap=i < sheet.keys)
    for row in sheet.rows:
        table.add_row(*map(Text, row))  # a name in brackets is no markup
    yield Text(sheet.title, style="bold")
    yield Stacked(table)
    yield Text(f" {sheet.note}\n" if sheet.note else "", style="dim")


def name(title: Json) -> str:
    """What was measured, in a few words."""
    identity = title["identity"]
    model = identity["model"]["name"]
    return f"{identity['task']['name']} by {model}" if model else str(identity["task"]["name"])


def header(title: Json, c: Comparison | None = None) -> Text:
    """T0: what was played by what, and what can be said of its fairness."""
    identity = title["identity"]
    model, task, seeds = identity["model"], identity["task"], identity["seeds"]
    parts = [f"T0  {name(title)}"]
    for what, settings, apart in (("model", model, ("name",)), ("task", task, _TOLD)):
        told = [f"{k}={v}" for k, v in settings.items() if k not in apart and v is not None]
        parts += [f"{what} {', '.join(told)}"] if told else []
    parts += [
        f"horizon {identity['horizon']}",
        _seeds(seeds) if model["name"] else f"{len(seeds):,} pairs",
        f"arms {', '.join(identity['arms'])}",
        *_verifier_versions(identity["arms"]),
    ]
    if title.get("isolation"):
        parts.append(f"programs run in isolation {title['isolation']}")
    if "prompts" in task:
        parts.append(f"prompts version {task['prompts']}")
    if c is not None:
        parts += _prompts(c)
        parts += [f"pairs lost {_lost(c)}"] if c.differences else []
    parts.append(f"errata {title['errata']}")
    return Text("; ".join(parts))


_TOLD = ("name", "horizon", "prompts")
"""Settings of the task that have a place of their own."""


def _seeds(seeds: Sequence[int]) -> str:
    if not seeds:
        return "no seeds"
    return (
        f"{len(seeds):,} seeds ({seeds[0]} to {seeds[-1]})"
        if len(seeds) > 1
        else f"seed {seeds[0]}"
    )


def _prompts(c: Comparison) -> list[str]:
    """Hashes of what the arms were first asked, once where they agree."""
    if not c.first_prompts:
        return []
    hashes = set(c.first_prompts.values())
    told = ", ".join(f"{arm} {h}" for arm, h in c.first_prompts.items())
    parts = [f"hash of the first prompts {hashes.pop() if len(hashes) == 1 else told}"]
    if c.same_prompts is not None and c.same_prompts[1]:
        same, of = c.same_prompts
        parts.append(f"first prompts of the arms identical in {same} of {of} pairs")
    return parts


def _lost(c: Comparison) -> str:
    lost = {name: d for name, d in c.differences.items() if d.lost}
    return ", ".join(f"of {name}: {why_lost(d)}" for name, d in lost.items()) or "none"


def _verifier_versions(arms: Json) -> list[str]:
    found = {v["name"]: v.get("version") for arm in arms.values() for v in arm.get("verifiers", ())}
    told = [f"{name} {version}" if version else name for name, version in found.items()]
    return [f"verifiers {', '.join(told)}"] if told else []
