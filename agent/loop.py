"""The heart: answer, verify, tell, answer again; step after step.

`rollout` is given an environment, never a score: what steers the run and what judges it
are different objects.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent import prompts
from agent.arms import Arm
from agent.budget import Budget
from agent.errors import ModelError, ModelUnusable, ParseFailure
from agent.selection import chosen, settled
from agent.types import (
    Answer,
    Attempt,
    Environment,
    Model,
    Question,
    Severity,
    Step,
    Trace,
    Verdict,
)
from agent.verification import judge
from agent.watch import Watcher

State = TypeVar("State")


async def rollout(
    task: Environment[State],
    model: Model,
    arm: Arm,
    seed: int,
    *,
    earlier: Sequence[Step] = (),
    budget: Budget | None = None,
    watcher: Watcher | None = None,
) -> Trace:
    """Play one episode and seal it.

    `earlier` steps of an interrupted episode are played back, not asked again. Raises
    `BudgetExhausted` at a limit and `ModelUnusable` where no call can succeed; a single call
    that fails for good is a trace with an error.
    """
    episode = _Episode(task, model, arm, seed, budget or Budget(), watcher or Watcher())
    return await episode.play(earlier)


@dataclass(frozen=True)
class _Episode(Generic[State]):
    """What stays the same from the first step to the last."""

    task: Environment[State]
    model: Model
    arm: Arm
    seed: int
    budget: Budget
    watcher: Watcher

    async def play(self, earlier: Sequence[Step]) -> Trace:
        """Step after step, until the task or the horizon ends it."""
        steps, state, failure = list(earlier), self.task.start(self.seed), None
        for step in earlier:
            state = self.task.advance(state, step.answer, self.arm.after_error)
        try:
            while not (reason := self.ended(state, steps)):
                step = await self.step(state, len(steps))
                steps.append(step)
                await self.watcher.on_step(self.arm, self.seed, step)
                state = self.task.advance(state, step.answer, self.arm.after_error)
        except ModelUnusable:
            raise
        except ModelError as error:
            reason, failure = "error", str(error)
        return self.seal(steps, reason, failure)

    async def step(self, state: State, index: int) -> Step:
        """Ask until an answer is settled on or the attempts are used up; then take the best."""
        question, rule = self.task.question(self.shown(state)), self.arm.rule
        attempts: list[Attempt] = []
        while len(attempts) < self.arm.max_attempts and not settled(attempts, *rule):
            attempts.append(await self.attempt(state, index, question, attempts))
            self.watcher.on_attempt(self.arm, self.seed, index, question, attempts[-1])
        accepted, exhausted = chosen(attempts, *rule)
        return Step(index=index, question=question, attempts=tuple(attempts), accepted=accepted,
                    exhausted=exhausted)  # fmt: skip

    async def attempt(
        self, state: State, index: int, question: Question, before: Sequence[Attempt]
    ) -> Attempt:
        """Ask once, with what is to be told of the last answer, and have the reply judged."""
        self.budget.check()
        began = time.perf_counter()
        candidates = _candidates(self.arm, question) if before else ()
        asked = prompts.ask(question, before, self.arm, candidates)
        sampling_seed = derive_seed(self.seed, index, len(before))
        [completion] = await self.model.generate(asked, 1, sampling_seed)
        last = len(before) + 1 == self.arm.max_attempts
        answer, verdicts = await self.judge(state, question, completion.text, last)
        attempt = Attempt(
            text=completion.text, answer=answer, verdicts=verdicts, prompt_hash=asked.hash,
            usage=completion.usage, seconds=round(time.perf_counter() - began, 6),
            logprob=None if completion.logprobs is None else sum(completion.logprobs),
            finish_reason=completion.finish_reason,
        )  # fmt: skip
        self.budget.spend(attempt)
        return attempt

    async def judge(
        self, state: State, question: Question, text: str, last: bool
    ) -> tuple[Answer, tuple[Verdict, ...]]:
        """The answer in `text` and what every verifier says of it."""
        try:
            answer = self.task.parse(text, state)
        except ParseFailure as failure:
            # Unreadable is wrong for every arm; only one that verifies may act on it.
            severity: Severity = "must" if self.arm.verified else "shadow"
            return None, (Verdict(verifier="parse", outcome="fail", critique=str(failure),
                                  severity=severity),)  # fmt: skip
        verdicts = [await judge(check, question, answer) for check in self.arm.checks]
        if last:  # a `should` is waived where there is no further attempt
            verdicts = [v.model_copy(update={"severity": "shadow"}) if v.severity == "should"
                        else v for v in verdicts]  # fmt: skip
        return answer, tuple(verdicts)

    def shown(self, state: State) -> State:
        """The state as the model is told of it: with injected errors where the arm says so."""
        if not self.arm.inject:
            return state
        with_errors: Callable[[State, float], State] = self.task.with_errors  # type: ignore[attr-defined]
        return with_errors(state, self.arm.inject)

    def ended(self, state: State, steps: Sequence[Step]) -> str | None:
        """Why the episode is over, or None."""
        over = "horizon" if len(steps) >= self.task.horizon else None
        return self.task.done(state) or over

    def seal(self, steps: Sequence[Step], reason: str, failure: str | None) -> Trace:
        """The record of everything that was asked, answered and said."""
        configuration = {
            "task": self.task.configuration(), "arm": self.arm.configuration(),
            "model": self.model.configuration(), "prompts": prompts.VERSION,
        }  # fmt: skip
        return Trace(
            task=self.task.name, arm=self.arm.name, model=self.model.name, seed=self.seed,
            configuration=configuration, steps=tuple(steps), stop_reason=reason, error=failure,
        )  # fmt: skip


def derive_seed(seed: int, step: int, attempt: int) -> int:
    """A 31-bit sampling seed; the same for all arms, so that first attempts are matched."""
    digest = hashlib.blake2b(f"{seed}:{step}:{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def _candidates(arm: Arm, question: Question) -> list[str]:
    return [c for check in arm.checks for c in check.candidates(question)] if arm.hint else []
