"""Does the board say what the answer says of it? For board reading this equals the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import chess

from agent.types import Answer, Question
from tasks.board_reading.positions import SEED_POSITION, Inquiry, on


class BoardLookup:
    """Reads `question.state["board"]` (the board field of a FEN) and `["about"]`."""

    name = "board-lookup"

    def __call__(self, question: Question, answer: Answer) -> str | None:
        """Pass what is so; of anything else say what is wrong with it, not what is right."""
        board, inquiry = _asked(question)
        if answer in inquiry.answers(board):
            return None
        if inquiry.wants_square:
            if answer not in chess.SQUARE_NAMES:
                return f"{answer} is no square."
            there = on(board, answer)
            return f"{answer} is empty." if there == "empty" else f"On {answer} is a {there}."
        if answer == "empty":
            return f"{inquiry.about} is not empty."
        return f"There is no {answer} on {inquiry.about}."

    def candidates(self, question: Question) -> list[str]:
        """The right answer, or all where a piece stands several times."""
        board, inquiry = _asked(question)
        return inquiry.answers(board)

    known_good: Sequence[tuple[Question, Answer]] = ()
    known_bad: Sequence[tuple[Question, Answer]] = ()


def _asked(question: Question) -> tuple[chess.BaseBoard, Inquiry]:
    return chess.BaseBoard(question.state["board"]), Inquiry(question.state["about"])


def _ask(about: str) -> Question:
    return Question(messages=(), prefix="", state={"board": SEED_POSITION, "about": about})


BoardLookup.known_good = [(_ask("white rook"), "d8"), (_ask("white rook"), "a1"),
                          (_ask("d8"), "white rook"), (_ask("c8"), "empty")]  # fmt: skip
BoardLookup.known_bad = [(_ask("white rook"), "c8"), (_ask("white rook"), "g8"),
                         (_ask("white rook"), None), (_ask("d8"), "empty"),
                         (_ask("d8"), "black rook"), (_ask("c8"), "white rook")]  # fmt: skip

board_lookup = BoardLookup()
