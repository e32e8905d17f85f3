"""The figures of the model card for the skills file: errors, second attempts, proofreading.

    python training/evaluate_skills.py --games games.txt.gz [--weights skills.safetensors]
        [--skills code hanoi] [--episodes 150]

Every question is judged by the exact oracle. An episode is a seeded lesson or game of the task
with its default settings; after every answer the right one is written down, so that each
question is judged on a sound history.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lessons
import numpy as np
from lessons import Judge
from skill_corrections import Pupil

from agent.errors import ParseFailure
from agent.measure.statistics import by_episode, rate
from agent.models.tiny import skills
from agent.models.tiny.language import described
from agent.models.tiny.model import SKILLS
from agent.report.terminal import with_n
from agent.types import Question, Task
from tasks.arithmetic.task import Arithmetic
from tasks.board_reading.task import BoardReading
from tasks.hanoi.task import Hanoi
from tasks.markov.task import Markov
from tasks.running_sum.task import RunningSum
from verifiers.board_lookup import board_lookup
from verifiers.equals_calculator import equals_calculator
from verifiers.hanoi_legality import hanoi_legality
from verifiers.markov_support import markov_support

SEED = 5_000_000
"""No lesson has such a seed."""


@dataclass(frozen=True)
class Case:
    """One question, and what is wrong with an answer; an empty critique: only that it is."""

    episode: int
    question: Question
    judge: Judge


def task_cases(task: Task[Any], verifier: Callable[..., Any], episodes: int) -> Iterator[Case]:
    for episode in range(episodes):
        state = task.start(SEED + episode)
        for _ in range(task.horizon):
            question = task.question(state)
            yield Case(episode, question, _task_judge(task, state, question, verifier))
            if task.done(state):
                break
            state = task.advance(state, None, "repair")


def _task_judge(task: Task[Any], state: Any, question: Question, verifier: Any) -> Judge:
    def judge(text: str) -> str | None:
        try:
            answer = task.parse(text, state)
        except ParseFailure as failure:
            return str(failure)
        if task.score(question, answer).correct:
            return None
        verdict = verifier(question, answer)
        return str(getattr(verdict, "critique", verdict) or "")

    return judge


def lesson_cases(make: Callable[[random.Random], lessons.Lesson], episodes: int) -> Iterator[Case]:
    for episode in range(episodes):
        *before, piece = make(random.Random(SEED + episode))
        prefix = "".join(p.text for p in before)
        assert piece.judge is not None
        yield Case(episode, Question(messages=(), prefix=prefix, aside=piece.aside), piece.judge)


def held_out_code(rng: random.Random) -> lessons.Lesson:
    """A problem of a combination that is never taught, without a wrong answer before it."""
    first, *_, last = lessons.code(rng, held_out=True)
    return [first, last]


class Examination:
    """The answers of one pupil to some cases, and the table rows they make."""

    def __init__(self, name: str, cases: list[Case], weights: Path) -> None:
        self.name, self.cases = name, cases
        self.episode = np.array([case.episode for case in cases])
        self.warm, self.cold = Pupil(weights, 1.0), Pupil(weights, 0.0)
        began = time.process_time()
        self.answers = self.ask(self.warm, [case.question for case in cases], 1)
        self.seconds = time.process_time() - began
        self.wrong = self.judged(self.answers)

    def ask(self, pupil: Pupil, questions: list[Question], seed: int) -> list[str]:
        answers = pupil.answers([question.prefix for question in questions], seed)
        return [a if a.startswith("    ") else a.strip() for a in answers]

    def judged(self, answers: list[str]) -> np.ndarray:
        """1 where the answer is wrong."""
        pairs = zip(self.cases, answers, strict=True)
        return np.array([float(case.judge(answer) is not None) for case, answer in pairs])

    def second(self, arm: str, among: np.ndarray) -> str:
        """Share of right second answers where the first was rejected, as that arm asks."""
        chosen = np.flatnonzero(among)
        if not len(chosen):
            return "-"
        questions = []
        for i in chosen:
            case, answer = self.cases[i], self.answers[i]
            critique = case.judge(answer) or ""
            told = arm if critique or arm == "resample" else "flag"
            questions.append(lessons.again(case.question, answer, critique, told))
        answers = self.ask(self.warm, questions, 77_000)
        right = [self.cases[i].judge(a) is None for i, a in zip(chosen, answers, strict=True)]
        return with_n(rate(*by_episode(self.episode[chosen], np.array(right, float))))

    def rows(self) -> str:
        cold = self.judged(self.ask(self.cold, [case.question for case in self.cases], 1))
        e = with_n(rate(*by_episode(self.episode, self.wrong)))
        e0 = with_n(rate(*by_episode(self.episode, cold)))
        retries = [self.second(arm, self.wrong) for arm in ("resample", "flag", "critique")]
        # A right answer that is rejected all the same: does the model give it up?
        held = self.second("flag", 1 - self.wrong) if self.name == "code" else ""
        line = f"| {self.name} | {e} | {e0} | {' | '.join(retries)} |"
        pace = f"{len(self.cases) / self.seconds:.0f} answers/s of processor time"
        return (
            f"{line}\n<!-- {self.name}: {pace}{'; kept when rejected ' + held if held else ''} -->"
        )


def proofread(name: str, make: Callable[..., Any], cases: int, weights: Path, n: int) -> str:
    """False accepts and rejects of one reading, and of the majority of `n`."""
    examined = list(lesson_cases(make, cases))
    texts = [case.question for case in examined]
    pupil = Pupil(weights, 1.0)
    truth = np.array([case.judge("ok") is None for case in examined])
    votes = np.zeros(len(examined))
    rows = []
    for i in range(n):
        answers = [a.strip() for a in pupil.answers([q.prefix for q in texts], 1000 * i + 7)]
        votes += [a.startswith("ok") for a in answers]
        if i not in (0, n - 1):
            continue
        accepted = votes > (i + 1) / 2
        episode = np.arange(len(examined))
        accept = rate(*by_episode(episode[~truth], accepted[~truth].astype(float)))
        reject = rate(*by_episode(episode[truth], (~accepted)[truth].astype(float)))
        rows.append(f"| {name} | {i + 1} | {with_n(accept)} | {with_n(reject)} |")
    return "\n".join(rows)


def examinations(args: argparse.Namespace) -> Iterator[tuple[str, list[Case]]]:
    n, horizon = args.episodes, 20
    yield "arithmetic", list(task_cases(Arithmetic(horizon=horizon), equals_calculator, n))
    yield "running-sum", list(task_cases(RunningSum(horizon=horizon), equals_calculator, n))
    keys2 = RunningSum(horizon=horizon, keys=2)
    yield "running-sum, 2 keys", list(task_cases(keys2, equals_calculator, n))
    for discs in (8, 20):
        task = Hanoi(horizon=horizon, discs=discs)
        yield f"hanoi, {discs} discs", list(task_cases(task, hanoi_legality, n))
    yield "markov", list(task_cases(Markov(horizon=horizon), markov_support, n))
    for style in BoardReading.styles[1:]:
        task = BoardReading(horizon=horizon, style=style)
        yield f"board-reading, {style}", list(task_cases(task, board_lookup, n))
    yield "code", list(lesson_cases(held_out_code, n * horizon // 2))


def has(weights: Path, name: str) -> bool:
    """Whether the file holds a network for the skill that a row's name begins with."""
    part = next(s.part for s in skills.SKILLS if s.name == name.partition(",")[0])
    return f"{part}heads" in described(weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=SKILLS)
    parser.add_argument("--skills", nargs="+", help="beginnings of the names to examine")
    parser.add_argument("--episodes", type=int, default=150)
    args = parser.parse_args()
    lessons.GAMES = args.games
    wanted = tuple(args.skills or [""])
    print("| skill | wrong, temperature 1 | wrong, temperature 0 | right at attempt 2: resample "
          "| flag | critique |\n|---|---|---|---|---|---|")  # fmt: skip
    for name, cases in examinations(args):
        if name.startswith(wanted) and has(args.weights, name):
            print(Examination(name, cases, args.weights).rows(), flush=True)
    print("\n| proofreader | readings | false accept | false reject |\n|---|---|---|---|")
    for name, make in (("proofread-arithmetic", lessons.proofread_arithmetic),
                       ("proofread-chess", lessons.proofread_chess)):  # fmt: skip
        if name.startswith(wanted) and has(args.weights, name):
            print(proofread(name, make, args.episodes * 10, args.weights, 9), flush=True)


if __name__ == "__main__":
    main()
