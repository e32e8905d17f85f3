"""The whole way in one call, for scripts and notebooks.

from agent import compare
print(compare("chess", "tiny", episodes=10, horizon=30).differences)
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from agent import resolve
from agent.arms import Arm, arm
from agent.budget import Budget
from agent.errors import UsageError
from agent.experiment import Experiment, Progress, score_trace
from agent.measure import Comparison, StepTable
from agent.measure import compare as measure_table
from agent.measure.statistics import by_episode, rate
from agent.measure.table import from_traces
from agent.measure.votes import VotePlan, vote_plan
from agent.selection import leads
from agent.store import Store
from agent.types import AfterError, Answer, AnyVerifier, Json, Model, Question, Score, Task, Trace
from agent.verification import Check, preflight


def compare(task: str | Task[Any], model: str | Model, **options: Any) -> Comparison:
    """Play matched episodes with every arm and measure them; see `compare_async`.

    Where an event loop already runs, as in a notebook, `await compare_async(...)` instead.
    """
    return asyncio.run(compare_async(task, model, **options))


async def compare_async(
    task: str | Task[Any],
    model: str | Model,
    *,
    arms: Sequence[str | Arm] = ("baseline", "resample", "critique"),
    verifiers: Sequence[str | AnyVerifier] | None = None,
    episodes: int = 40,
    horizon: int = 60,
    seed: int = 1,
    out: str | Path | None = None,
    concurrency: int = 48,
    max_attempts: int | None = None,
    after_error: AfterError = "leave",
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Names or objects for task, model, arms and verifiers; figures of what was played.

    With `out`, the run is kept there and the same call resumes it. At a limit of `budget`
    the figures are of what was played until then. Raises `UsageError` and its kinds before
    anything is played, `ModelUnusable` where no call can succeed.
    """
    the_model = resolve.model(model) if isinstance(model, str) else model
    the_task = _named(task, the_model, horizon) if isinstance(task, str) else task
    the_arms = arms_for(
        the_task,
        arms,
        verifiers,
        model=the_model,
        max_attempts=max_attempts,
        after_error=after_error,
    )
    await preflight(checks_of(the_arms))
    seeds = list(range(seed, seed + episodes))
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(out or f"{temporary}/run"), header(the_task, the_model, the_arms, seeds))
        experiment = Experiment(
            the_task, the_model, the_arms, seeds, store, concurrency,
            budget or Budget(), progress or Progress(),
        )  # fmt: skip
        try:
            await experiment.run()
            return measure(store)
        finally:
            store.close()
            if isinstance(task, str):
                close(the_task)


def checks_of(arms: Sequence[Arm]) -> list[Check]:
    """Every verifier that any arm uses, once."""
    return list({c.name: c for a in arms for c in a.checks}.values())


def close(part: Task[Any] | Model) -> None:
    """End what a task or model keeps open, such as an engine's process; many keep nothing.

    Raises `UsageError` for a scripted model with replies that nobody asked for.
    """
    end = getattr(part, "close", None)
    if end:
        end()


def arms_for(
    task: Task[Any],
    arms: Sequence[str | Arm],
    verifiers: Sequence[str | AnyVerifier] | None = None,
    *,
    model: Model | None = None,
    max_attempts: int | None = None,
    after_error: AfterError = "leave",
) -> list[Arm]:
    """Arms with their verifiers: their own, or the given ones, or the task's.

    `model` is for verifiers that ask one. Raises `UnknownName`, and `UsageError` for none or for one named twice. An `Arm` given as
    an object keeps its own settings.
    """

    def checks_for(named: Sequence[str | AnyVerifier]) -> list[Check]:
        found = [resolve.verifier(v, model) if isinstance(v, str) else v for v in named]
        return [Check.of(v) for v in found]

    checks = checks_for(task.verifiers if verifiers is None else verifiers)
    out = []
    for given in arms:
        if isinstance(given, str):
            chosen = arm(given)
            update: dict[str, Any] = {"after_error": after_error}
            if max_attempts is not None and chosen.max_attempts > 1:
                update["max_attempts"] = max_attempts
            chosen = chosen.model_copy(update=update)
        else:
            chosen = given
        if not chosen.checks:
            chosen = chosen.with_checks(checks_for(chosen.own) if chosen.own else checks)
        out.append(chosen)
    names = [a.name for a in out]
    if not names:
        raise UsageError("no arm is given")
    if len(set(names)) < len(names):
        raise UsageError(f"an arm is given twice: {', '.join(names)}")
    return out


def measure(store: Store) -> Comparison:
    """The figures of a run directory, from what is stored."""
    return measure_run(store)[1]


def measure_run(store: Store) -> tuple[StepTable, Comparison]:
    """The step table of a run directory and its figures."""
    return measure_episodes(store.episodes(), store.header)


def measure_episodes(
    episodes: Iterable[tuple[Trace, list[list[Score]]]], title: Json
) -> tuple[StepTable, Comparison]:
    """The step table of sealed, scored episodes and their figures; `title` is their header."""
    identity = title["identity"]
    table = from_traces(episodes, list(identity["arms"]))
    return table, measure_table(table, identity["horizon"])


async def plan_votes(
    task: Task[Any],
    model: Model,
    *,
    steps: int,
    target: float = 0.9,
    sample: int = 200,
    red_flag: int | None = None,
    seed: int = 1,
    concurrency: int = 32,
) -> tuple[VotePlan, float]:
    """How far ahead a vote must be won for all of `steps` steps to be right, from a sample.

    About `sample` questions are answered once each, on sound histories. Returns the plan and the
    tokens of one answer.
    """
    arm = Arm(name="sample", max_attempts=1, verified=False, after_error="repair")
    episodes = max(2, -(-sample // task.horizon))
    seeds = range(seed, seed + episodes)
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(temporary) / "run", header(task, model, [arm], seeds))
        await Experiment(task, model, [arm], seeds, store, concurrency).run()
        rows = [
            (trace.seed, attempt, row[0].correct)
            for trace, scores in store.episodes()
            for step, row in zip(trace.steps, scores, strict=True)
            for attempt in step.attempts
            if row[0].correct is not None
        ]
        store.close()
    if not rows:
        raise UsageError("no answer of the sample could be judged")
    episode, attempts, correct = (np.array(column) for column in zip(*rows, strict=True))
    votes = np.array([leads([a], 1, red_flag) is not None for a in attempts])
    right = rate(*by_episode(episode[votes], correct[votes].astype(bool)))
    tokens = sum(a.usage.total for a in attempts) / len(attempts)
    return vote_plan(right, rate(*by_episode(episode, votes)), steps, target), tokens


def score_again(store: Store) -> int:
    """Ask the task's oracle once more about every stored answer; returns how many changed.

    Raises `UsageError` where the task can't be made again.
    """
    task = task_of(store.header)
    changed = 0
    try:
        for trace, before in list(store.episodes()):
            scores = score_trace(task, trace)
            changed += sum(a != b for r, s in zip(before, scores, strict=True)
                           for a, b in zip(r, s, strict=True))  # fmt: skip
            store.replace_scores(trace, scores)
    finally:
        close(task)
    return changed


def task_of(title: Json) -> Task[Any]:
    """The task of a run, from its header. Raises `UsageError` where it can't be made again."""
    if "task_class" not in title:
        raise UsageError("this run does not say which class its task is of")
    return resolve.task_again(title["task_class"], title["identity"]["task"])


def sketch_of(title: Json) -> Callable[[Question, Answer], Json] | None:
    """How the task of a run draws an answer; None where it does not, or is no longer there."""
    try:
        task = task_of(title)
    except UsageError:
        return None
    sketch: Callable[[Question, Answer], Json] | None = getattr(task, "sketch", None)
    return sketch


def header(
    task: Task[Any],
    model: Model,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    command: Sequence[str] = (),
) -> dict[str, Json]:
    """What a run directory says of itself; `identity` must agree for it to be gone on with."""
    return {
        "errata": version("errata-agent"),
        "command": list(command),
        "oracle_verifiers": list(task.oracle_verifiers),
        "isolation": _isolation(arms),
        "task_class": _class_of(task),
        "identity": {
            "task": {"name": task.name, **task.configuration()},
            "model": {"name": model.name, **model.configuration()},
            "arms": {a.name: a.configuration() for a in arms},
            "seeds": list(seeds),
            "horizon": task.horizon,
        },
    }


def _isolation(arms: Sequence[Arm]) -> str | None:
    """How programs are run, where a verifier runs any."""
    levels = {getattr(c.verify, "isolation", "") for c in checks_of(arms)}
    return ", ".join(sorted(levels - {""})) or None


def _class_of(task: Task[Any]) -> str:
    inner = getattr(task, "task", task)
    return f"{type(inner).__module__}:{type(inner).__qualname__}"


def _named(name: str, model: Model, horizon: int) -> Task[Any]:
    return resolve.task(name, {"horizon": str(horizon)}, prefers=resolve.preferences(model))
