"""Programming as a task: one function an answer, alone or as a step of a longer program.

Visible tests are part of the question and may steer. Hidden tests are the truth, and are in no
question. In a program each function stands on the ones before it, so that an early error
spoils what comes later.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Sequence
from functools import cache

from agent.errors import ParseFailure, UsageError
from agent.sandbox import Limits, Result, Tests, runner
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.code import prompts
from tasks.code.problems import Function, Problem, load, shipped

_FENCED = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)


class CodeState(Frozen):
    """Where in the seeded order of problems the episode is, and the program so far."""

    seed: int
    """Of the episode."""
    problem: int = 0
    """How many problems are behind it."""
    step: int = 0
    """Function of the present problem."""
    before: tuple[str, ...] = ()
    """Accepted code of its earlier functions, as the context shows it."""
    ended: str | None = None
    """Why the episode is over."""


class Code:
    """The task. Every option can be given on the command line as `--set name=value`."""

    name = "code"
    verifiers: Sequence[str] = ("code-run",)
    oracle_verifiers: Sequence[str] = ()

    def __init__(
        self,
        *,
        horizon: int = 60,
        set: str = "functions",
        grade: str = "all",
        problems: str | None = None,
        seconds: float = 5.0,
    ) -> None:
        """Raises `UsageError` for an unknown option value or a file that can't be read.

        horizon: functions in an episode.
        set: `functions`, each on its own; `programs`, each built from several; or `family`,
            short functions from templates, as many as wanted.
        grade: of `functions`: all, or 1 (first steps) to 4 (hard).
        problems: a JSONL file as HumanEval or MBPP publish them, in place of the shipped ones.
        seconds: that a program may take.
        """
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {horizon!r}")
        self.horizon, self.set, self.grade, self.path = horizon, set, grade, problems
        self.limits = Limits(seconds=seconds)
        self._all = load(problems) if problems else shipped(set, grade)

    def configuration(self) -> dict[str, Json]:
        """Everything that decides an episode besides its seed."""
        return {
            "horizon": self.horizon, "set": self.set, "grade": self.grade,
            "problems": self.path, "seconds": self.limits.seconds, "prompts": prompts.VERSION,
        }  # fmt: skip

    # -- an episode -----------------------------------------------------------------

    def start(self, seed: int) -> CodeState:
        """The first function of the first problem in this seed's order."""
        return CodeState(seed=seed)

    def question(self, state: CodeState) -> Question:
        """The function to write, its visible tests, and the program so far."""
        problem, function = self._asked(state)
        before = "\n\n".join(state.before)
        visible = _shown(function)
        asked = prompts.FUNCTION.format(prompt=function.prompt, signature=function.signature)
        if visible and visible.code:
            asked += prompts.TESTS.format(tests=visible.code)
        if len(problem.steps) > 1:
            asked = prompts.PROGRAM.format(
                prompt=problem.prompt, before=before or prompts.NOTHING, function=asked
            )
        opening = f"{function.signature}\n"
        comment = "\n".join(f"# {line}" for line in function.prompt.splitlines())
        head = f"{before}\n\n" if before else ""
        return Question(
            messages=(
                Message(role="system", content=prompts.SYSTEM),
                Message(role="user", content=asked),
            ),
            prefix=f"{head}{comment}\n{opening}",
            opening=opening,
            aside="\n# error: {critique}\n" + opening,
            state={
                "problem": problem.id, "step": state.step, "entry": function.entry,
                "tests": visible.model_dump(mode="json") if visible else None, "before": before,
            },
        )  # fmt: skip

    def parse(self, text: str, state: CodeState) -> str:
        """The program: what is fenced, else all; a body alone is put under the signature."""
        _, function = self._asked(state)
        blocks = _FENCED.findall(text)
        defining = [b for b in blocks if f"def {function.entry}" in b]
        code = str((defining or blocks or [text])[-1]).strip("\n")
        if not code.strip():
            raise ParseFailure("There is no code in the answer.")
        if f"def {function.entry}" not in code and not blocks:
            body = code if code[:1].isspace() else textwrap.indent(code, "    ")
            code = f"{function.signature}\n{body}"
        return code.rstrip()

    def advance(self, state: CodeState, answer: Answer, after_error: AfterError) -> CodeState:
        """The next function; what `after_error` says of a wrong one is done to the program.

        `stop` and `repair` have to know, so they run the hidden tests here.
        """
        problem, function = self._asked(state)
        code = [] if answer is None else [str(answer)]
        if after_error != "leave" and not self.score(self.question(state), answer).correct:
            if after_error == "stop":
                return state.model_copy(update={"ended": "first error"})
            code = [function.solution]
        if state.step + 1 < len(problem.steps):
            later = {"step": state.step + 1, "before": (*state.before, *code)}
            return state.model_copy(update=later)
        return CodeState(seed=state.seed, problem=state.problem + 1)

    def with_errors(self, state: CodeState, share: float) -> CodeState:
        """The program so far with that share of its functions replaced by recorded wrong ones."""
        problem, _ = self._asked(state)
        before = list(state.before)
        for i, function in enumerate(problem.steps[: len(before)]):
            rng = random.Random(f"inject:{state.seed}:{state.problem}:{i}")
            if rng.random() < share and function.wrong:
                before[i] = rng.choice(function.wrong)
        return state.model_copy(update={"before": tuple(before)})

    def done(self, state: CodeState) -> str | None:
        """`first error`, or the end of the problems."""
        over = "every problem was asked" if state.problem >= len(self._all) else None
        return state.ended or over

    # -- the truth --------------------------------------------------------------------

    def score(self, question: Question, answer: Answer) -> Score:
        """Right is what passes the hidden tests, standing on right earlier functions.

        On track is a program whose functions so far pass theirs on one another as they are.
        `measures` holds the share of hidden tests that pass. Not judged where the sandbox broke.
        """
        problem = next(p for p in self._all if p.id == question.state["problem"])
        step = question.state["step"]
        if answer is None:
            return Score(correct=False, error_class="unparsable", on_track=False)
        result = self._run(problem.before(step), str(answer), problem.steps[step].hidden)
        if result.outcome not in ("pass", "fail"):
            return Score(correct=None)
        correct = result.outcome == "pass"
        return Score(
            correct=correct,
            error_class=None if correct else result.failure,
            on_track=self._on_track(problem, step, question.state["before"], str(answer), correct),
            measures={"hidden_passed": result.passed / result.tests if result.tests else 0.0},
        )

    def _on_track(
        self, problem: Problem, step: int, before: str, answer: str, correct: bool
    ) -> bool | None:
        if len(problem.steps) == 1:
            return None
        if before == problem.before(step):
            return correct
        every = "\n".join(f.hidden.code for f in problem.steps[: step + 1])
        return self._run(before, answer, Tests(code=every, hidden=True)).outcome == "pass"

    def _run(self, before: str, answer: str, tests: Tests) -> Result:
        program = f"{before}\n\n{answer}" if before else answer
        return runner(self.limits).run(program, tests)

    # -- inside -----------------------------------------------------------------------

    def _asked(self, state: CodeState) -> tuple[Problem, Function]:
        """The present problem and its function; past the last one, the last one."""
        order = _order(state.seed, len(self._all))
        problem = self._all[order[min(state.problem, len(order) - 1)]]
        return problem, problem.steps[state.step]


@cache
def _order(seed: int, count: int) -> tuple[int, ...]:
    """The order of the problems in an episode."""
    numbers = list(range(count))
    random.Random(f"problems:{seed}").shuffle(numbers)
    return tuple(numbers)


@cache
def _shown(function: Function) -> Tests | None:
    """Its visible tests, but none that its own solution fails: published examples may be wrong."""
    if function.visible is None or not function.visible.doctest:
        return function.visible
    result = runner().run(function.solution, function.visible)
    return function.visible if result.outcome == "pass" else None
