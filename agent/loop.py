"""The heart: answer, verify, tell, answer again; step after step.

`rollout` is given an environment, never a score: what steers the run and what judges it
are different objects.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import TypeVar

from agent import prompts
from agent.arms import Arm
from agent.budget import Budget
from agent.errors import ModelError, ModelUnusable, ParseFailure
from agent.types import (
    Attempt,
    Environment,
    Model,
    Question,
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
    budget, watcher = budget or Budget(), watcher or Watcher()
    steps, state, failure = list(earlier), task.start(seed), None
    for step in earlier:
        state = task.advance(state, step.answer, arm.after_error)
    try:
        while not (reason := _ended(task, state, steps)):
            step = await take_step(task, state, model, arm, seed, len(steps), budget, watcher)
            steps.append(step)
            watcher.on_step(arm, seed, step)
            state = task.advance(state, step.answer, arm.after_error)
    except ModelUnusable:
        raise
    except ModelError as error:
        reason, failure = "error", str(error)
    return Trace(
        task=task.name, arm=arm.name, model=model.name, seed=seed, steps=tuple(steps),
        stop_reason=reason, error=failure,
        configuration={"task": task.configuration(), "arm": arm.configuration(),
                       "model": model.configuration(), "prompts": prompts.VERSION},
    )  # fmt: skip


async def take_step(
    task: Environment[State],
    state: State,
    model: Model,
    arm: Arm,
    seed: int,
    index: int,
    budget: Budget,
    watcher: Watcher,
) -> Step:
    """Ask until an answer passes or the arm's attempts are used up; then take the best."""
    question = task.question(state)
    attempts: list[Attempt] = []
    while len(attempts) < arm.max_attempts:
        candidates = _candidates(arm, question) if attempts else ()
        asked = prompts.ask(question, attempts, arm, candidates)
        last_chance = len(attempts) + 1 == arm.max_attempts
        budget.check()
        began = time.perf_counter()
        [completion] = await model.generate(asked, 1, derive_seed(seed, index, len(attempts)))
        answer, verdicts = await _verdicts(task, state, question, completion.text, arm, last_chance)
        attempt = Attempt(
            text=completion.text, answer=answer, verdicts=verdicts, prompt_hash=asked.hash,
            usage=completion.usage, seconds=round(time.perf_counter() - began, 6),
            logprob=None if completion.logprobs is None else sum(completion.logprobs),
            finish_reason=completion.finish_reason,
        )  # fmt: skip
        budget.spend(attempt)
        attempts.append(attempt)
        watcher.on_attempt(arm, seed, index, question, attempt)
        if arm.select == "first_pass" and not attempt.failed:
            break
    accepted = best(attempts)
    return Step(index=index, question=question, attempts=tuple(attempts), accepted=accepted,
                exhausted=bool(attempts[accepted].failed))  # fmt: skip


async def _verdicts(
    task: Environment[State], state: State, question: Question, text: str, arm: Arm, last: bool
) -> tuple[object, tuple[Verdict, ...]]:
    """The answer in `text` and what every verifier says of it."""
    try:
        answer = task.parse(text, state)
    except ParseFailure as failure:
        # An unreadable answer is a wrong answer; only an arm that verifies acts on it.
        verdict = Verdict(verifier="parse", outcome="fail", critique=str(failure),
                          severity="must" if arm.verified else "shadow")  # fmt: skip
        return None, (verdict,)
    verdicts = [await judge(check, question, answer) for check in arm.checks]
    if last:  # a `should` is waived where there is no further attempt
        verdicts = [v.model_copy(update={"severity": "shadow"}) if v.severity == "should" else v
                    for v in verdicts]  # fmt: skip
    return answer, tuple(verdicts)


def best(attempts: Sequence[Attempt]) -> int:
    """Index of the best attempt: passed before unjudged before failed, then the likeliest."""

    def rank(index: int) -> tuple[int, float, float, int]:
        attempt = attempts[index]
        must = sum(v.severity == "must" for v in attempt.failed)
        readable = attempt.answer is not None
        likely = attempt.logprob if attempt.logprob is not None else 0.0
        # Likelihood breaks ties between passed answers only: among rejected ones it would
        # prefer the very mistake the model is surest of.
        clean = likely if not attempt.failed and not attempt.broken else 0.0
        return (must + (not readable), len(attempt.failed) + attempt.broken, -clean, index)

    return min(range(len(attempts)), key=rank)


def derive_seed(seed: int, step: int, attempt: int) -> int:
    """A 31-bit sampling seed; the same for all arms, so that first attempts are matched."""
    digest = hashlib.blake2b(f"{seed}:{step}:{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def _candidates(arm: Arm, question: Question) -> list[str]:
    return [c for check in arm.checks for c in check.candidates(question)] if arm.hint else []


def _ended(task: Environment[State], state: State, steps: Sequence[Step]) -> str | None:
    return task.done(state) or ("horizon" if len(steps) >= task.horizon else None)
