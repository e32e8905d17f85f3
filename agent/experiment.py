"""Arms x seeds -> traces and scores, concurrently, resumably, within a budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.arms import Arm
from agent.budget import Budget
from agent.errors import BudgetExhausted
from agent.loop import rollout
from agent.store import Store
from agent.types import Attempt, Model, Question, Score, Step, Task, Trace
from agent.watch import Watcher


class Progress(Watcher):
    """What a comparison tells while it runs."""

    def on_start(self, arm: Arm, seed: int, earlier: Sequence[Step]) -> None:
        """An episode begins, or goes on after the steps of an earlier start."""

    def on_episode(self, trace: Trace, scores: list[list[Score]]) -> None:
        """An episode is sealed, scored and stored."""


@dataclass
class Experiment:
    """A comparison: every arm meets every seed."""

    task: Task[Any]
    model: Model
    arms: Sequence[Arm]
    seeds: Sequence[int]
    store: Store
    concurrency: int = 16
    budget: Budget = field(default_factory=Budget)
    progress: Progress = field(default_factory=Progress)

    async def run(self) -> str | None:
        """Play what is not yet stored. Returns why it stopped early, or None when complete.

        Seeds are the outer order, so that a run that stops early has whole pairs.
        """
        done = self.store.finished()
        queue = [(a, s) for s in self.seeds for a in self.arms if (a.name, s) not in done]
        queue.reverse()
        stopped: list[str] = []

        async def work() -> None:
            while queue and not stopped:
                arm, seed = queue.pop()
                try:
                    await self._episode(arm, seed)
                except BudgetExhausted as error:
                    stopped.append(str(error))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.concurrency, len(queue))):
                group.create_task(work())
        return stopped[0] if stopped else None

    async def _episode(self, arm: Arm, seed: int) -> None:
        earlier = self.store.steps(arm.name, seed)
        self.progress.on_start(arm, seed, earlier)
        trace = await rollout(
            self.task, self.model, arm, seed,
            earlier=earlier, budget=self.budget, watcher=_Both(self.store, self.progress),
        )  # fmt: skip
        scores = await asyncio.to_thread(score_trace, self.task, trace)
        await self.store.finish(trace, scores)
        self.progress.on_episode(trace, scores)


def score_trace(task: Task[Any], trace: Trace) -> list[list[Score]]:
    """What the oracle says of every attempt of a sealed trace, by step."""
    return [[task.score(s.question, a.answer) for a in s.attempts] for s in trace.steps]


class _Both(Watcher):
    """Store first, then show: what is shown is never lost."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store, self._progress = store, progress

    def on_attempt(
        self, arm: Arm, seed: int, step: int, question: Question, attempt: Attempt
    ) -> None:
        self._progress.on_attempt(arm, seed, step, question, attempt)

    async def on_step(self, arm: Arm, seed: int, step: Step) -> None:
        await self._store.add_step(arm.name, seed, step)
        await self._progress.on_step(arm, seed, step)
