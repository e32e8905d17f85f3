"""Seeded positions, what can be asked of one, and the exact answer: pure rules."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass

import chess

SEED_POSITION = "3R2k1/p4pp1/1pq1pn1p/2b5/8/1P2P2P/PB2QPP1/R5K1"
"""The position of the discussion that this software answers."""

PIECES = {
    f"{colour} {kind}": chess.Piece(chess.PIECE_NAMES.index(kind), colour == "white")
    for colour in ("white", "black")
    for kind in ("king", "queen", "rook", "bishop", "knight", "pawn")
}
"""By the words for them."""

_WORDS = {piece: words for words, piece in PIECES.items()}

_SET = (*["queen"], *["rook", "bishop", "knight"] * 2, *["pawn"] * 8)


@dataclass(frozen=True)
class Inquiry:
    """One thing asked of a board: where a piece stands, or what stands on a square.

    >>> Inquiry("white rook").words, Inquiry("d8").words
    ('Where is the white rook?', 'What is on d8?')
    """

    about: str
    """A key of `PIECES`, or the name of a square."""

    @property
    def words(self) -> str:
        """The question as it is put."""
        return f"Where is the {self.about}?" if self.wants_square else f"What is on {self.about}?"

    @property
    def wants_square(self) -> bool:
        """Whether the answer is a square; else it is a piece or `empty`."""
        return self.about in PIECES

    def answers(self, board: chess.BaseBoard) -> list[str]:
        """All right answers: one, but for a piece that there is several times.

        >>> Inquiry("white rook").answers(chess.BaseBoard(SEED_POSITION))
        ['a1', 'd8']
        """
        if not self.wants_square:
            return [on(board, self.about)]
        piece = PIECES[self.about]
        found = board.pieces(piece.piece_type, piece.color)
        return [chess.square_name(s) for s in found]


def on(board: chess.BaseBoard, square: str) -> str:
    """What is on a square: `white rook` and the like, or `empty`."""
    piece = board.piece_at(chess.parse_square(square))
    return "empty" if piece is None else _WORDS[piece]


def placed(rng: random.Random, count: int, wanted: str | None = None) -> chess.BaseBoard:
    """Both kings and others of a chess set, `count` in all, on random squares.

    No pawn stands on the first or last rank, and `wanted` is among them; otherwise any placing
    goes: nobody has to play from here.
    """
    others = [f"{colour} {kind}" for colour in ("white", "black") for kind in _SET]
    first = ["white king", "black king"]
    if wanted is not None and wanted not in first:
        others.remove(wanted)
        first.append(wanted)
    names = first + rng.sample(others, count - len(first))
    board = chess.BaseBoard(None)
    # Pawns first, while there is room for them.
    for name in sorted(names, key=lambda n: not n.endswith("pawn")):
        piece = PIECES[name]
        pawn = piece.piece_type == chess.PAWN
        free = [s for s in chess.SQUARES if board.piece_at(s) is None
                and not (pawn and chess.square_rank(s) in (0, 7))]  # fmt: skip
        board.set_piece_at(rng.choice(free), piece)
    return board


def inquiry(rng: random.Random, board: chess.BaseBoard, kind: str) -> Inquiry:
    """Something to ask: `where` a piece is that there is once, `what` is on a square.

    `both` is either; of the squares asked about half are empty.
    """
    if kind == "both":
        kind = rng.choice(["where", "what"])
    if kind == "where":
        return Inquiry(rng.choice(single(board)))
    occupied = rng.random() < 0.5
    squares = [s for s in chess.SQUARES if (board.piece_at(s) is not None) == occupied]
    return Inquiry(chess.square_name(rng.choice(squares or chess.SQUARES)))


def single(board: chess.BaseBoard) -> list[str]:
    """The pieces that there are once, kings among them."""
    present = Counter(_WORDS[piece] for piece in board.piece_map().values())
    return sorted(name for name, count in present.items() if count == 1)


def read(text: str, wants_square: bool) -> str:
    """The square or the piece that a text names. Raises `ValueError` where it names not one.

    >>> read("It is on d8.", True), read("a white Rook", False), read("The square is empty", False)
    ('d8', 'white rook', 'empty')
    """
    text = text.lower()
    if wants_square:
        found = set(re.findall(r"(?<![a-z0-9])[kqrbn]?([a-h][1-8])(?![a-z0-9])", text))
    else:
        kinds = "king|queen|rook|bishop|knight|pawn"
        found = {" ".join(p) for p in re.findall(rf"\b(white|black)(?:'s)?\s+({kinds})\b", text)}
        found |= {"empty"} if re.search(r"\b(empty|nothing|no piece)\b", text) else set()
    if len(found) != 1:
        what = "a square" if wants_square else "colour and kind of a piece, or empty"
        raise ValueError(f"The answer has to name {what}, and one alone.")
    return str(found.pop())
