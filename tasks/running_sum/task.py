"""A running sum as a task: look words up, add their numbers to the total, turn after turn.

The experiment of arXiv 2509.09677, which isolates execution from knowledge and planning, in
an implementation of its own: how long can a model go on, how much does it depend on the words
of a turn (`keys`), and do its own past errors (`--inject`) make it err more?
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

from agent.errors import ParseFailure, UsageError
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.answers import answer_line
from tasks.running_sum import prompts
from tasks.running_sum.ledger import WORDS, Ledger, calculation, plain

Context = Literal["full", "state"]

MAX_DIGITS = 30


class RunningSumState(Frozen):
    """Which turn it is, and the totals that the context shows."""

    seed: int
    """Of the episode."""
    turn: int = 0
    """Turns that are done."""
    totals: tuple[int, ...] = (0,)
    """As accepted, from before the first turn that is shown; from the last one it goes on."""
    ended: str | None = None
    """Why the episode is over."""


class RunningSum:
    """The task. Every option can be given on the command line as `--set name=value`."""

    name = "running-sum"
    verifiers: Sequence[str] = ("equals-calculator",)
    oracle_verifiers: Sequence[str] = ("equals-calculator",)

    def __init__(
        self,
        *,
        horizon: int = 60,
        keys: int = 1,
        entries: int = 10,
        largest: int = 20,
        context: Context = "full",
    ) -> None:
        """Raises `UsageError` for a value out of range.

        horizon: turns of an episode.
        keys: words a turn, at most 100.
        entries: words in the dictionary.
        largest: their numbers lie between minus this and this.
        context: `full` shows all turns so far, `state` the last total alone.
        """
        for option, given, most in (("horizon", horizon, None), ("keys", keys, 100),
                                    ("entries", entries, len(WORDS)),
                                    ("largest", largest, 10**6)):  # fmt: skip
            if given < 1 or (most and given > most):
                wanted = f"1 to {most}" if most else "at least 1"
                raise UsageError(f"{option} must be {wanted}, got {given!r}")
        if context not in get_args(Context):
            raise UsageError(f"context {context!r} is not one of: full, state")
        self.horizon, self.keys, self.entries, self.largest = horizon, keys, entries, largest
        self.context: Context = context
        self.ledger = lru_cache(maxsize=1000)(self._ledger)

    def configuration(self) -> dict[str, Json]:
        """Everything that decides an episode besides its seed."""
        return {
            "horizon": self.horizon, "keys": self.keys, "entries": self.entries,
            "largest": self.largest, "context": self.context, "prompts": prompts.VERSION,
        }  # fmt: skip

    # -- an episode -----------------------------------------------------------------

    def start(self, seed: int) -> RunningSumState:
        """A total of 0."""
        return RunningSumState(seed=seed)

    def question(self, state: RunningSumState) -> Question:
        """The dictionary, the turns so far with the totals as accepted, and the words to add."""
        ledger, words = self.ledger(state.seed), self.ledger(state.seed).turn(state.turn)
        first = state.turn - len(state.totals) + 1
        turns = [(ledger.turn(first + i), total) for i, total in enumerate(state.totals[1:])]
        told = " ".join(words)
        user = prompts.USER.format(
            dictionary=", ".join(f"{w} {n}" for w, n in ledger.values.items()),
            before=state.totals[0], words=told,
            turns="".join(prompts.TURN.format(words=" ".join(w), total=t) for w, t in turns),
        )  # fmt: skip
        numbers = [ledger.values[w] for w in words]
        return Question(
            messages=(
                Message(role="system", content=prompts.SYSTEM),
                Message(role="user", content=user),
            ),
            prefix=plain(ledger.values, state.totals[0], turns, words),
            state={
                "dictionary": dict(ledger.values), "words": list(words), "seed": state.seed,
                "turn": state.turn, "total": state.totals[-1],
                "calculation": calculation(state.totals[-1], numbers),
            },
            aside=prompts.CRITIQUE_ASIDE.format(words=told),
        )  # fmt: skip

    def parse(self, text: str, state: RunningSumState) -> int:
        """The number in the answer's line; after an equals sign or arrow where there is one."""
        line = answer_line(text).translate({0x2212: "-", 0x2013: "-"})
        last = re.split(r"=|->|\u2192", line)[-1]
        last = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", last)  # thousands
        found = re.findall(r"(?<![\w.])[-+]?[0-9]+(?![\w.])", last)
        if len(found) != 1 or len(found[0]) > MAX_DIGITS:
            what = "more than one number" if len(found) > 1 else "no number"
            raise ParseFailure(f"There is {what} in the answer. Reply with the new sum alone.")
        return int(found[0])

    def advance(
        self, state: RunningSumState, answer: Answer, after_error: AfterError
    ) -> RunningSumState:
        """Write the total down, or the right one where there is none or it is to be repaired."""
        ledger = self.ledger(state.seed)
        right = state.totals[-1] + sum(ledger.values[w] for w in ledger.turn(state.turn))
        if answer != right and after_error == "stop":
            return state.model_copy(update={"ended": "first error"})
        kept = after_error == "leave" and isinstance(answer, int)
        totals = (*state.totals, answer if kept else right)
        if self.context == "state":
            totals = totals[-1:]
        return state.model_copy(update={"turn": state.turn + 1, "totals": totals})

    def done(self, state: RunningSumState) -> str | None:
        """`first error`, else only the horizon ends it."""
        return state.ended

    # -- the truth --------------------------------------------------------------------

    def score(self, question: Question, answer: Answer) -> Score:
        """Right is the last total, as accepted, with the turn's numbers added.

        On track is the true total of all turns. Key are turns in which the tens or the sign
        change. `off_by`: distance from the right total.
        """
        shown = question.state
        right = shown["total"] + sum(shown["dictionary"][w] for w in shown["words"])
        truth = self.ledger(shown["seed"]).total(shown["turn"])
        key = abs(right) // 10 != abs(shown["total"]) // 10 or (right < 0) != (shown["total"] < 0)
        if not isinstance(answer, int):
            return Score(correct=False, error_class="unparsable", on_track=False, key=key,
                         measures={"off_by": None})  # fmt: skip
        return Score(
            correct=answer == right,
            error_class=None if answer == right else _fault(shown, answer, right),
            on_track=answer == truth,
            key=key,
            measures={"off_by": float(abs(answer - right))},
        )

    def with_errors(self, state: RunningSumState, share: float) -> RunningSumState:
        """The turns with that share of their totals off by 1 to 9.

        The first and the last stay: from the last the model has to go on.
        """
        totals, first = list(state.totals), state.turn - len(state.totals) + 1
        for i in range(1, len(totals) - 1):
            rng = random.Random(f"inject:{state.seed}:{first + i}")
            if rng.random() < share:
                totals[i] += rng.choice([-1, 1]) * rng.randint(1, 9)
        return state.model_copy(update={"totals": tuple(totals)})

    def picture(self, question: Question) -> str:
        """The turn and what it adds up."""
        shown = question.state
        return f"{' '.join(shown['words'])}: {shown['calculation']}"

    # -- inside -----------------------------------------------------------------------

    def _ledger(self, seed: int) -> Ledger:
        return Ledger(seed, self.entries, self.largest, self.keys)


def _fault(shown: Json, answer: int, right: int) -> str:
    """The class of a wrong total: what was done instead, where that can be told."""
    numbers = [shown["dictionary"][w] for w in shown["words"]]
    if answer == shown["total"] - sum(numbers):
        return "wrong_sign"
    if answer == sum(numbers):
        return "total_forgotten"
    if answer - shown["total"] in {right - shown["total"] - n for n in numbers}:
        return "word_left_out"
    if len(numbers) == 1 and answer - shown["total"] in shown["dictionary"].values():
        return "wrong_word"
    return "wrong_sum"
