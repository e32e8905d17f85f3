"""Arithmetic as a task: work out an expression, one operation an answer.

The wrong line that is accepted is what the model goes on from, as in a monologue of its own;
whether it leads to the true result is `on_track`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, get_args

from agent.errors import ParseFailure, UsageError
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.answers import answer_line
from tasks.arithmetic import expression as ex
from tasks.arithmetic import prompts

Context = Literal["full", "state"]

MAX_CHARACTERS = 1000
"""Of an answer that is read."""


class ArithmeticState(Frozen):
    """Where the work is, and what the context shows of it."""

    seed: int
    """Of the episode."""
    work: tuple[tuple[str, ...], ...]
    """Expressions with their accepted lines, as shown; the last is being worked out."""
    original: str
    """The expression being worked out, as it was given."""
    number: int = 0
    """How many expressions came before it."""
    ended: str | None = None
    """Why the episode is over."""

    @property
    def current(self) -> str:
        """The last line, which is to be reduced."""
        return self.work[-1][-1]


class Arithmetic:
    """The task. Every option can be given on the command line as `--set name=value`."""

    name = "arithmetic"
    verifiers: Sequence[str] = ("equals-calculator",)
    oracle_verifiers: Sequence[str] = ()

    def __init__(
        self,
        *,
        horizon: int = 60,
        operations: int = 5,
        smallest: int = 2,
        numbers: int = 9,
        largest: int = 999,
        endless: bool = True,
        context: Context = "full",
    ) -> None:
        """Raises `UsageError` for a value out of range.

        horizon: answers of the model in an episode.
        operations, smallest: most and fewest operations of an expression; the seed decides.
        numbers: expressions are of 1 to this.
        largest: size of the largest number that comes up on the way.
        endless: a finished expression is followed by another, which begins on track. Without,
            the episode ends with it, and what is off track can come back by the model alone.
        context: `full` shows all lines so far, `state` the last one alone.
        """
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {horizon!r}")
        if not 1 <= operations <= 40:
            raise UsageError(f"operations must be 1 to 40, got {operations!r}")
        if smallest < 1:
            raise UsageError(f"smallest must be at least 1, got {smallest!r}")
        if not 1 <= numbers <= 10**6:
            raise UsageError(f"numbers must be 1 to 1000000, got {numbers!r}")
        if not numbers <= largest <= 10**12:
            raise UsageError(f"largest must be {numbers} (numbers) to 10^12, got {largest!r}")
        if context not in get_args(Context):
            raise UsageError(f"context {context!r} is not one of: full, state")
        self.horizon, self.operations = horizon, operations
        self.smallest = min(smallest, operations)
        self.numbers, self.largest, self.endless = numbers, largest, endless
        self.context: Context = context

    def configuration(self) -> dict[str, Json]:
        """Everything that decides an episode besides its seed."""
        return {
            "horizon": self.horizon, "operations": self.operations, "smallest": self.smallest,
            "numbers": self.numbers, "largest": self.largest, "endless": self.endless,
            "context": self.context, "prompts": prompts.VERSION,
        }  # fmt: skip

    # -- an episode -----------------------------------------------------------------

    def start(self, seed: int) -> ArithmeticState:
        """The first expression of this seed."""
        first = self._expression(seed, 0)
        return ArithmeticState(seed=seed, work=((first,),), original=first)

    def question(self, state: ArithmeticState) -> Question:
        """The lines so far, or the last one alone."""
        user = prompts.USER.format(work=prompts.shown(state.work), current=state.current)
        return Question(
            messages=(
                Message(role="system", content=prompts.SYSTEM),
                Message(role="user", content=user),
            ),
            prefix=prompts.plain(state.work),
            state={"calculation": state.current, "original": state.original},
            aside=prompts.ASIDE,
        )

    def parse(self, text: str, state: ArithmeticState) -> str:
        """The expression after the last equals sign of the answer's line, in our notation."""
        last = answer_line(text).split("=")[-1]
        if len(last) > MAX_CHARACTERS:
            raise ParseFailure(f"The next line has more than {MAX_CHARACTERS} characters.")
        try:
            return ex.write(ex.parse(last))
        except ValueError as error:
            raise ParseFailure(f"The next line can't be read: {error}.") from None

    def advance(
        self, state: ArithmeticState, answer: Answer, after_error: AfterError
    ) -> ArithmeticState:
        """Write the answer down, or what `after_error` puts in the place of a wrong one.

        Where there is no expression in it, the right line takes its place.
        """
        before = ex.parse(state.current)
        after = _read(answer)
        wrong = ex.fault(before, after) is not None
        if wrong and after_error == "stop":
            return state.model_copy(update={"ended": "first error"})
        if after is None or (wrong and after_error == "repair"):
            after = ex.reduced(before)
        return self._written(state, after)

    def done(self, state: ArithmeticState) -> str | None:
        """`first error`, `worked out`, else only the horizon ends it."""
        return state.ended

    # -- the truth --------------------------------------------------------------------

    def score(self, question: Question, answer: Answer) -> Score:
        """Right is the last line with one operation worked out, whichever could be.

        On track is a line that comes to what the expression comes to. Key are steps in which
        the first operation of the line is not the first to be done. `by_rule`: it is the
        operation that the prompt asks for.
        """
        before = ex.parse(question.state["calculation"])
        after = _read(answer)
        wrong = ex.fault(before, after)
        truth = ex.value(ex.parse(question.state["original"]))
        return Score(
            correct=wrong is None,
            error_class=wrong,
            on_track=after is not None and ex.value(after) == truth,
            key=ex.order_matters(before),
            measures={"by_rule": after == ex.reduced(before)},
        )

    def with_errors(self, state: ArithmeticState, share: float) -> ArithmeticState:
        """The work with that share of its lines given another value.

        Expressions and the last line stay: from that one the model has to go on.
        """
        first = state.number - len(state.work) + 1
        work = [
            (given, *(_falsified(line, share, f"inject:{state.seed}:{first + i}:{j}")
                      for j, line in enumerate(lines)))
            for i, (given, *lines) in enumerate(state.work)
        ]  # fmt: skip
        work[-1] = (*work[-1][:-1], state.current)
        return state.model_copy(update={"work": tuple(work)})

    def picture(self, question: Question) -> str:
        """The expression as it was given, and as it stands."""
        original, current = question.state["original"], question.state["calculation"]
        return original if original == current else f"{original}\n= {current}"

    # -- inside -----------------------------------------------------------------------

    def _expression(self, seed: int, number: int) -> str:
        rng = random.Random(f"arithmetic:{seed}:{number}")
        count = rng.randint(self.smallest, self.operations)
        return ex.write(ex.drawn(rng, count, self.numbers, self.largest))

    def _written(self, state: ArithmeticState, line: ex.Expression) -> ArithmeticState:
        *earlier, lines = state.work
        now = (*lines, ex.write(line))
        if self.context == "state":
            now = now[-1:]
        work = (*earlier, now)
        if ex.operations(line):
            return state.model_copy(update={"work": work})
        if not self.endless:
            return state.model_copy(update={"work": work, "ended": "worked out"})
        following = self._expression(state.seed, state.number + 1)
        work = (*work, (following,)) if self.context == "full" else ((following,),)
        return state.model_copy(
            update={"work": work, "original": following, "number": state.number + 1}
        )


def _read(answer: Answer) -> ex.Expression | None:
    if answer is None:
        return None
    try:
        return ex.parse(str(answer))
    except ValueError:
        return None


def _falsified(line: str, share: float, seed: str) -> str:
    """With that chance, the line with one of its numbers changed so that its value is."""
    rng = random.Random(seed)
    if rng.random() >= share:
        return line
    right = wrong = ex.parse(line)
    while ex.value(wrong) == ex.value(right):
        wrong = ex.misread(wrong, rng)
    return ex.write(wrong)
