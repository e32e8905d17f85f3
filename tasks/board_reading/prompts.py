"""The styles in which a board is described; `VERSION` changes with any character."""

from __future__ import annotations

import chess

from tasks.answers import FORM
from tasks.chess.prompts import in_words

VERSION = 1

STYLES = ("fen", "ascii", "words", "squares", "pieces")
"""`words` counts empty squares in words, `squares` in digits and names them."""

WANTED_SQUARE = "Answer with the square alone. "
WANTED_PIECE = "Answer with colour and kind of the piece alone, or with empty if there is none. "
SYSTEM = "You read a chess board. {wanted}" + FORM.format(what="answer")

USER = "{intro}\n{board}\n\n{question}"

INTRO = {
    "fen": "A chess position (the board field of its FEN):",
    "ascii": "A chess board, rank 8 first, capitals are White's, a dot is an empty square:",
    "words": "A chess board:",
    "squares": "A chess board:",
    "pieces": "The pieces of a chess board:",
}

ASIDE = " # {{critique}}\n{question}\n"


def described(board: chess.BaseBoard, style: str) -> str:
    """The board in one of `STYLES`.

    >>> print(described(chess.BaseBoard("3R2k1/8/8/8/8/8/8/K7"), "pieces"))
    White: king a1, rook d8.
    Black: king g8.
    """
    if style == "fen":
        return board.board_fen()
    if style == "ascii":
        return str(board)
    if style == "pieces":
        return "\n".join(f"{name}: {_pieces(board, white)}." for name, white in _SIDES)
    return in_words(board, squares=style == "squares")


_SIDES = (("White", chess.WHITE), ("Black", chess.BLACK))


def _pieces(board: chess.BaseBoard, color: chess.Color) -> str:
    return ", ".join(
        f"{chess.piece_name(kind)} {chess.square_name(square)}"
        for kind in reversed(chess.PIECE_TYPES)
        for square in board.pieces(kind, color)
    )


def plain(description: str, question: str) -> str:
    """The text that a base model continues: the description, and the question on a line."""
    return f"{description}\n{question}\n"
