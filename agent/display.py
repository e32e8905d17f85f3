"""What a person sees while it runs: a live table, plain lines, or one episode in full."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.columns import Columns
from rich.console import Console, Group
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.text import Text

from agent.arms import Arm
from agent.budget import Budget
from agent.experiment import Progress
from agent.types import Attempt, Environment, Question, Score, Step, Trace, Usage


class _Tally:
    """What is known of one arm so far."""

    def __init__(self) -> None:
        self.episodes = self.steps = self.errors = self.scored = self.failed = 0
        self.usage = Usage()

    def error_share(self) -> str:
        return f"{self.errors} of {self.scored}" if self.scored else "-"


class Counting(Progress):
    """Keeps the tallies; shows nothing."""

    def __init__(self, arms: Sequence[Arm], episodes: int, horizon: int, budget: Budget) -> None:
        self.tallies = {arm.name: _Tally() for arm in arms}
        self.episodes, self.horizon, self.budget = episodes, horizon, budget
        self.began = time.monotonic()

    def on_attempt(
        self, arm: Arm, seed: int, step: int, question: Question, attempt: Attempt
    ) -> None:
        self.tallies[arm.name].usage += attempt.usage

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        self.tallies[arm.name].steps += 1

    def on_start(self, arm: Arm, seed: int, earlier: int) -> None:
        self.tallies[arm.name].steps += earlier

    def on_episode(self, trace: Trace, scores: list[list[Score]]) -> None:
        tally = self.tallies[trace.arm]
        tally.episodes += 1
        tally.failed += trace.error is not None
        judged = [row[s.accepted] for s, row in zip(trace.steps, scores, strict=True)]
        tally.scored += sum(s.correct is not None for s in judged)
        tally.errors += sum(s.correct is False for s in judged)

    def already(self, arm: str, trace: Trace, scores: list[list[Score]]) -> None:
        """Count an episode that an earlier start of the same run sealed."""
        self.tallies[arm].steps += len(trace.steps)
        self.on_episode(trace, scores)

    def speed(self) -> float:
        """Tokens read and written per second of this start."""
        elapsed = max(time.monotonic() - self.began, 1e-9)
        return sum(t.usage.total for t in self.tallies.values()) / elapsed


class Live(Counting):
    """A bar per arm that grows with every step."""

    def __init__(
        self, arms: Sequence[Arm], episodes: int, horizon: int, budget: Budget, console: Console
    ) -> None:
        super().__init__(arms, episodes, horizon, budget)
        self._bars = Bars(
            TextColumn("[bold]{task.description:<10}"),
            BarColumn(bar_width=18),
            TextColumn("{task.fields[line]}"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {
            arm.name: self._bars.add_task(arm.name, total=episodes * horizon, line="")
            for arm in arms
        }

    def __enter__(self) -> Live:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.tallies:
            self._show(name)
        self._bars.stop()

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        await super().on_step(arm, seed, step)
        self._show(arm.name)

    def on_episode(self, trace: Trace, scores: list[list[Score]]) -> None:
        super().on_episode(trace, scores)
        self._show(trace.arm)

    def _show(self, name: str) -> None:
        tally = self.tallies[name]
        elapsed = max(time.monotonic() - self.began, 1e-9)
        line = (
            f"{tally.episodes:>3}/{self.episodes} episodes  {tally.steps:>6,} steps  errors {tally.error_share():<13}"
            f"{tally.usage.total:>10,} tokens  {tally.usage.total / elapsed:>7,.0f}/s"
        )
        if self.budget.cost is not None:
            line += f"  {self.budget.cost:.2f} USD"
        if tally.failed:
            line += f"  [red]{tally.failed} failed[/red]"
        # Episodes may end before their horizon: then the bar is full before its steps are.
        whole = tally.episodes == self.episodes
        done = self.episodes * self.horizon if whole else tally.steps
        self._bars.update(self._tasks[name], line=line, completed=done)


class Plain(Counting):
    """A line now and then, for logs and pipes."""

    EVERY = 5.0
    """Seconds between lines."""

    def __init__(
        self, arms: Sequence[Arm], episodes: int, horizon: int, budget: Budget, console: Console
    ) -> None:
        super().__init__(arms, episodes, horizon, budget)
        self._console, self._last = console, time.monotonic()

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self._print()

    def on_episode(self, trace: Trace, scores: list[list[Score]]) -> None:
        super().on_episode(trace, scores)
        if time.monotonic() - self._last >= self.EVERY:
            self._print()

    def _print(self) -> None:
        self._last = time.monotonic()
        parts = [
            f"{name} {t.episodes}/{self.episodes} episodes, {t.steps} steps, "
            f"errors {t.error_share()}, {t.usage.total} tokens"
            for name, t in self.tallies.items()
        ]
        money = "" if self.budget.cost is None else f"; {self.budget.cost:.2f} USD"
        line = f"{'; '.join(parts)}; {self.speed():.0f} tokens/s{money}"
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


class Silent(Counting):
    """Nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Episode(Progress):
    """One episode in full: every attempt, its critique, and the picture beside it."""

    def __init__(self, task: Environment[object], console: Console) -> None:
        self._picture = getattr(task, "picture", None)
        self._console = console
        self._lines: list[Text] = []

    def on_attempt(
        self, arm: Arm, seed: int, step: int, question: Question, attempt: Attempt
    ) -> None:
        shown = attempt.answer if attempt.answer is not None else attempt.text
        self._lines.append(_attempt_line(len(self._lines) // 2 + 1, str(shown), attempt))
        told = " ".join(v.critique for v in attempt.failed) or _broken(attempt)
        self._lines.append(Text("   " + told, style="dim") if told else Text(""))

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        title = Text(f"step {step.index + 1}", style="bold")
        if step.exhausted:
            title.append("  no attempt passed; the best one is taken", style="yellow")
        words = Group(title, *(line for line in self._lines if line.plain))
        self._lines = []
        if self._picture is None:
            self._console.print(words)
            return
        board = Text(self._picture(step.question))
        self._console.print(Columns([Padding(board, (0, 3, 1, 0)), words], expand=False))


def _attempt_line(number: int, shown: str, attempt: Attempt) -> Text:
    if not attempt.verdicts:
        mark, style = "-", "white"
    elif attempt.failed:
        mark, style = "x", "red"
    elif attempt.broken:
        mark, style = "?", "yellow"
    else:
        mark, style = "ok", "green"
    line = Text(f"{number}. {shown:<10} ", style="bold")
    line.append(mark, style=style)
    classes = [str(v.evidence["class"]) for v in attempt.failed
               if isinstance(v.evidence, dict) and v.evidence.get("class")]  # fmt: skip
    if classes:
        line.append("  " + ", ".join(classes), style=style)
    return line


def _broken(attempt: Attempt) -> str:
    errors = [v for v in attempt.verdicts if v.outcome == "error"]
    return "; ".join(f"{v.verifier} broke: {(v.evidence or {}).get('error')}" for v in errors)
