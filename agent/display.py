"""What a person sees while it runs: a live table, plain lines, or one episode in full."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agent.arms import Arm
from agent.budget import Budget
from agent.experiment import Progress
from agent.types import Attempt, Environment, Question, Score, Step, Trace, Usage, total


class _Tally:
    """What is known of one arm so far."""

    def __init__(self) -> None:
        self.episodes = self.steps = self.errors = self.scored = self.failed = 0
        self.ended_steps = 0
        """Steps of episodes that have ended."""
        self.fresh_steps = 0
        """Steps of this start, and what its attempts cost: what speed is told from."""
        self.fresh = Usage()
        self.earlier = Usage()
        """What earlier starts of the run have spent on it."""

    @property
    def usage(self) -> Usage:
        return self.earlier + self.fresh


class Counting(Progress):
    """Keeps the tallies; shows nothing. Errors are known of ended episodes only: an episode is
    scored when it is sealed."""

    def __init__(self, arms: Sequence[Arm], episodes: int, horizon: int, budget: Budget) -> None:
        self.tallies = {arm.name: _Tally() for arm in arms}
        self.episodes, self.horizon, self.budget = episodes, horizon, budget
        self.began = time.monotonic()

    def __enter__(self) -> Counting:
        self.began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def on_attempt(
        self, arm: Arm, seed: int, step: int, question: Question, attempt: Attempt
    ) -> None:
        self.tallies[arm.name].fresh += total([attempt.usage, *(v.usage for v in attempt.verdicts)])

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        self.tallies[arm.name].steps += 1
        self.tallies[arm.name].fresh_steps += 1

    def on_start(self, arm: Arm, seed: int, earlier: Sequence[Step]) -> None:
        tally = self.tallies[arm.name]
        tally.steps += len(earlier)
        tally.earlier += total(s.usage for s in earlier)

    def on_episode(self, trace: Trace, scores: list[list[Score]]) -> None:
        tally = self.tallies[trace.arm]
        tally.episodes += 1
        tally.ended_steps += len(trace.steps)
        tally.failed += trace.error is not None
        judged = [row[s.accepted] for s, row in zip(trace.steps, scores, strict=True)]
        tally.scored += sum(s.correct is not None for s in judged)
        tally.errors += sum(s.correct is False for s in judged)

    def already(self, trace: Trace, scores: list[list[Score]]) -> None:
        """Count an episode that an earlier start of the same run sealed."""
        self.tallies[trace.arm].steps += len(trace.steps)
        self.tallies[trace.arm].earlier += trace.usage
        self.on_episode(trace, scores)

    # -- what is told of the tallies ------------------------------------------------------

    def speed(self, *tallies: _Tally) -> float:
        """Tokens read and written per second of this start."""
        elapsed = max(time.monotonic() - self.began, 1e-9)
        return sum(t.fresh.total for t in tallies) / elapsed

    def ahead(self, tally: _Tally) -> int:
        """Steps still to be made if no episode ends before its horizon."""
        open_steps = tally.steps - tally.ended_steps
        return (self.episodes - tally.episodes) * self.horizon - open_steps

    def left(self, *tallies: _Tally) -> str:
        """The time left at the speed of this start; `-` where it can't be told yet."""
        ahead, done = sum(map(self.ahead, tallies)), sum(t.fresh_steps for t in tallies)
        if ahead and not done:
            return "-"
        elapsed = time.monotonic() - self.began
        return str(timedelta(seconds=round(elapsed * ahead / max(done, 1))))

    def cost(self, *tallies: _Tally) -> str:
        """USD spent, earlier starts included; empty where the price is unknown."""
        cost = self.budget.cost_of(sum((t.usage for t in tallies), Usage()))
        return "" if cost is None else f"{cost:.2f}"


class Live(Counting):
    """A table with a row and a bar for each arm, on a terminal of 80 columns or more."""

    def __init__(
        self, arms: Sequence[Arm], episodes: int, horizon: int, budget: Budget, console: Console
    ) -> None:
        super().__init__(arms, episodes, horizon, budget)
        self._screen = Screen(get_renderable=self.table, console=console)

    def __enter__(self) -> Live:
        super().__enter__()
        self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.stop()

    def table(self) -> Table:
        """As it stands now."""
        money = self.budget.price is not None
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        for heading in ("arm", "", "episodes", "steps", "wrong", "tokens", "per s",
                        *(["USD"] if money else []), "left"):  # fmt: skip
            text = heading in ("arm", "")
            table.add_column(heading, justify="left" if text else "right", no_wrap=bool(heading))
        for name, tally in self.tallies.items():
            cost = [self.cost(tally)] if money else []
            table.add_row(name, self._bar(tally), *self._cells(tally), *cost, self.left(tally))
        return table

    def _bar(self, tally: _Tally) -> ProgressBar:
        whole = tally.steps + self.ahead(tally)
        return ProgressBar(total=max(whole, 1), completed=tally.steps, width=8)

    def _cells(self, tally: _Tally) -> tuple[str, ...]:
        failed = f"[red]({tally.failed} lost)[/red] " if tally.failed else ""
        return (
            f"{failed}{tally.episodes}/{self.episodes}",
            f"{tally.steps:,}",
            f"{tally.errors:,}/{tally.scored:,}" if tally.scored else "-",
            f"{tally.usage.total:,}",
            f"{self.speed(tally):,.0f}",
        )


class Plain(Counting):
    """A line now and then, for logs and pipes."""

    EVERY = 5.0
    """Seconds between lines."""

    def __init__(
        self, arms: Sequence[Arm], episodes: int, horizon: int, budget: Budget, console: Console
    ) -> None:
        super().__init__(arms, episodes, horizon, budget)
        self._console, self._last = console, time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._print()

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        await super().on_step(arm, seed, step)
        if time.monotonic() - self._last >= self.EVERY:
            self._print()

    def _print(self) -> None:
        self._last = time.monotonic()
        everything = self.tallies.values()
        parts = [self._words(name, tally) for name, tally in self.tallies.items()]
        parts.append(f"{self.speed(*everything):,.0f} tokens/s")
        if cost := self.cost(*everything):
            parts.append(f"{cost} USD")
        parts.append(f"{self.left(*everything)} left")
        self._console.print("; ".join(parts), soft_wrap=True, highlight=False, markup=False)

    def _words(self, name: str, t: _Tally) -> str:
        wrong = f"{t.errors:,} of {t.scored:,} wrong, " if t.scored else ""
        lost = f", {t.failed} lost" if t.failed else ""
        return (f"{name} {t.episodes}/{self.episodes} episodes, {t.steps:,} steps, {wrong}"
                f"{t.usage.total:,} tokens{lost}")  # fmt: skip


class Episode(Progress):
    """One episode in full: every attempt and its critique as it happens, the picture beside it.

    To be entered, so that the terminal is left in order whatever ends the episode.
    """

    def __init__(self, task: Environment[object], console: Console) -> None:
        self._picture = getattr(task, "picture", None)
        self._console = console
        self._lines: list[RenderableType] = []
        self._screen: Screen | None = None

    def __enter__(self) -> Episode:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._close()

    def on_attempt(
        self, arm: Arm, seed: int, step: int, question: Question, attempt: Attempt
    ) -> None:
        if self._screen is None:
            self._lines = [Text(f"step {step + 1}", style="bold")]
            self._screen = Screen(console=self._console, auto_refresh=False)
            self._screen.start()
            self._number = 0
        self._number += 1
        shown = attempt.answer if attempt.answer is not None else attempt.text
        self._lines.append(_attempt_line(self._number, str(shown), attempt))
        told = " ".join(v.critique for v in attempt.failed) or _broken(attempt)
        if told:
            self._lines.append(Padding(Text(told, style="dim"), (0, 0, 0, 3)))
        self._show(question)

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        if step.exhausted or step.accepted < len(step.attempts) - 1:
            none = "no answer won the vote" if arm.select == "vote" else "no attempt passed"
            taken = f"{none + '; ' if step.exhausted else ''}number {step.accepted + 1} is taken"
            self._lines.append(Text(taken, style="yellow"))
            self._show(step.question)
        self._close()

    def _show(self, question: Question) -> None:
        assert self._screen is not None
        beside = Table.grid(padding=(0, 3, 0, 0))
        words = Group(*self._lines)
        if self._picture is None:
            beside.add_row(words)
        else:
            beside.add_row(Text(self._picture(question), no_wrap=True), words)
        self._screen.update(Padding(beside, (0, 0, 1, 0)), refresh=True)

    def _close(self) -> None:
        if self._screen is not None:
            self._screen.stop()
            self._screen = None


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
