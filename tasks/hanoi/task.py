"""The tower of Hanoi as a task: one move an answer, from the position alone.

A text and a state take the same room at any step, so that 20 discs and 1,048,575 moves can be
played. Legality can be checked by rule and is not the whole truth: most legal moves lead astray.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from agent.errors import ParseFailure, UsageError
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.answers import answer_line
from tasks.hanoi import prompts, rules


class HanoiState(Frozen):
    """A position, and how many moves were made."""

    pegs: str
    """Peg of every disc, the smallest first."""
    step: int
    """Number of the next move, 0 for the first."""
    ended: str | None = None
    """Why the episode is over."""


class Hanoi:
    """The task. Every option can be given on the command line as `--set name=value`."""

    name = "hanoi"
    verifiers: Sequence[str] = ("hanoi-legality",)
    oracle_verifiers: Sequence[str] = ()

    def __init__(self, *, horizon: int = 60, discs: int = 8, start: str = "seeded") -> None:
        """Raises `UsageError` for a value out of range.

        horizon: moves of an episode; all it takes with `discs` discs is 2^discs - 1.
        discs: how many, 1 to 1000.
        start: number of the move to begin with, 0 for all on A; `seeded` leaves it to the seed,
            with the horizon still ahead where the way is long enough.
        """
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {horizon!r}")
        if not 1 <= discs <= 1000:
            raise UsageError(f"discs must be 1 to 1000, got {discs!r}")
        last = (1 << discs) - 2
        if start != "seeded" and not (start.isascii() and start.isdigit() and int(start) <= last):
            raise UsageError(f"start {start!r} is neither seeded nor a move from 0 to {last}")
        self.horizon, self.discs, self.start_option = horizon, discs, start

    def configuration(self) -> dict[str, Json]:
        """Everything that decides an episode besides its seed."""
        return {
            "horizon": self.horizon, "discs": self.discs, "start": self.start_option,
            "prompts": prompts.VERSION,
        }  # fmt: skip

    # -- an episode -----------------------------------------------------------------

    def start(self, seed: int) -> HanoiState:
        """A position of the shortest way."""
        if self.start_option == "seeded":
            latest = max(0, (1 << self.discs) - 1 - self.horizon)
            step = random.Random(f"hanoi:{seed}").randint(0, latest)
        else:
            step = int(self.start_option)
        return HanoiState(pegs=rules.after(self.discs, step), step=step)

    def question(self, state: HanoiState) -> Question:
        """The position and the number of the move."""
        user = prompts.USER.format(
            discs=self.discs, position=rules.position(state.pegs), step=state.step
        )
        return Question(
            messages=(
                Message(role="system", content=prompts.SYSTEM),
                Message(role="user", content=user),
            ),
            prefix=rules.plain(state.pegs, state.step),
            state={"pegs": state.pegs, "step": state.step},
            aside=prompts.ASIDE,
        )

    def parse(self, text: str, state: HanoiState) -> str:
        """The move that the answer's line begins with."""
        try:
            return str(rules.read(answer_line(text)))
        except ValueError as error:
            raise ParseFailure(f"{error}.") from None

    def advance(self, state: HanoiState, answer: Answer, after_error: AfterError) -> HanoiState:
        """Make the move; the right one where it is illegal or to be repaired."""
        best = rules.best_move(state.pegs)
        move = _read(answer)
        if move != best and after_error == "stop":
            return state.model_copy(update={"ended": "first error"})
        if move is None or after_error == "repair" or rules.illegal(state.pegs, move):
            move = best
        assert move is not None, "at the goal nothing is asked"
        pegs = rules.moved(state.pegs, move)
        ended = "solved" if rules.best_move(pegs) is None else None
        return HanoiState(pegs=pegs, step=state.step + 1, ended=ended)

    def done(self, state: HanoiState) -> str | None:
        """`solved` or `first error`."""
        return state.ended

    # -- the truth --------------------------------------------------------------------

    def score(self, question: Question, answer: Answer) -> Score:
        """Right is the first move of the shortest way from the position, wherever it came from.

        On track is a position of the shortest way from the beginning, early or late. Key are
        moves of disc 3 and larger, a quarter of all. `moves_lost`: 0 for the best move, 1 or 2
        for another legal one.
        """
        pegs = question.state["pegs"]
        best, move = rules.best_move(pegs), _read(answer)
        key = best is not None and best.disc >= 3
        broken = ("unparsable", "") if move is None else rules.illegal(pegs, move)
        if move is None or broken:
            return Score(correct=False, error_class=broken[0] if broken else None, on_track=False,
                         key=key, measures={"legal": False, "moves_lost": None})  # fmt: skip
        then = rules.moved(pegs, move)
        lost = 1 + rules.distance(then) - rules.distance(pegs)
        return Score(
            correct=move == best,
            error_class=None if move == best else "detour",
            on_track=rules.on_shortest_way(then),
            key=key,
            measures={"legal": True, "moves_lost": float(lost)},
        )

    def picture(self, question: Question) -> str:
        """The pegs, from the bottom up."""
        return rules.position(question.state["pegs"])


def _read(answer: Answer) -> rules.Move | None:
    try:
        return rules.read(str(answer))
    except ValueError:
        return None
