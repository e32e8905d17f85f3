"""Matched prefixes: every arm answers from the same recorded histories.

A comparison of whole runs mixes what an arm does at a step with the histories that it made for
itself. Here the history is that of a recorded episode, whatever the arm answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agent.errors import UsageError
from agent.types import AfterError, Answer, Json, Question, Score, Task, Trace

State = tuple[int, int, Any]
"""Seed, steps taken, and the task's own state."""


class Recorded:
    """A task whose episodes follow recorded ones; a `Task` itself."""

    def __init__(self, task: Task[Any], traces: Iterable[Trace], source: str) -> None:
        """`source` names the recording. Raises `UsageError` where the task is set otherwise."""
        self.task, self.source = task, source
        self.name, self.horizon = task.name, task.horizon
        self.verifiers: Sequence[str] = task.verifiers
        self.oracle_verifiers: Sequence[str] = task.oracle_verifiers
        self.traces = {trace.seed: trace for trace in traces}
        for trace in self.traces.values():
            if trace.steps:
                asked = task.question(task.start(trace.seed))
                if asked.hash != trace.steps[0].question.hash:
                    raise UsageError(
                        f"{source}: its first question of seed {trace.seed} is another one than "
                        "this task asks: give the options with which it was recorded"
                    )

    def configuration(self) -> dict[str, Json]:
        """That of the task, and where the histories come from."""
        return {**self.task.configuration(), "prefix_from": self.source}

    def start(self, seed: int) -> State:
        """Raises `UsageError` for a seed that was not recorded."""
        if seed not in self.traces:
            known = ", ".join(str(s) for s in sorted(self.traces)[:5])
            raise UsageError(f"{self.source} has no episode of seed {seed}; it has: {known}, ...")
        return seed, 0, self.task.start(seed)

    def question(self, state: State) -> Question:
        """What the task asks after the recorded history."""
        return self.task.question(state[2])

    def parse(self, text: str, state: State) -> Answer:
        """As the task reads it."""
        return self.task.parse(text, state[2])

    def advance(self, state: State, answer: Answer, after_error: AfterError) -> State:
        """Goes on with the recorded answer: `answer` is judged and then forgotten."""
        seed, index, inner = state
        trace = self.traces[seed]
        rule: AfterError = (
            (trace.configuration or {}).get("arm", {}).get("after_error", after_error)
        )
        return seed, index + 1, self.task.advance(inner, trace.steps[index].answer, rule)

    def done(self, state: State) -> str | None:
        """Where the recording ends."""
        seed, index, inner = state
        over = "end of the recording" if index >= len(self.traces[seed].steps) else None
        return self.task.done(inner) or over

    def with_errors(self, state: State, share: float) -> State:
        """As the task does it. Raises `AttributeError` where it can't."""
        seed, index, inner = state
        return seed, index, self.task.with_errors(inner, share)  # type: ignore[attr-defined]

    def score(self, question: Question, answer: Answer) -> Score:
        """The truth, by the task's oracle."""
        return self.task.score(question, answer)

    def __getattr__(self, name: str) -> Any:
        # What a task may offer beside its role: a picture, a sketch, an end of its engine.
        if name.startswith("_") or name == "task":
            raise AttributeError(name)
        return getattr(self.task, name)
