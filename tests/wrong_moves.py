"""Positions of real games with moves to be judged, every class of error sought on purpose."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import chess

GAMES = Path(__file__).with_name("games.txt.gz")
"""300 of the games that the embedded model was taught, one a line: moves in SAN, the result."""

PROSE = ["hello", "the knight takes", "e9", "Nf", "i4", "Knight f3", "++", "1.", "Nf3Nf6", "x"]


def games(seed: int) -> Iterator[list[str]]:
    """Games without end, in SAN."""
    rng = random.Random(seed)
    lines = gzip.decompress(GAMES.read_bytes()).decode().splitlines()
    while True:
        rng.shuffle(lines)
        yield from (line.split()[:-1] for line in lines)


def pairs(seed: int) -> Iterator[tuple[chess.Board, str]]:
    """(board with its record, written move): without end, most of them wrong."""
    rng = random.Random(seed)
    for moves in games(seed):
        board = chess.Board()
        for san in moves:
            for text in _sought(board, rng):
                yield board, text
            if rng.random() < 0.08:
                for text in _random(board, rng):
                    yield board, text
            board.push_san(san)
        for text in ("e4", "Nf3", "O-O"):
            yield board, text


def _sought(board: chess.Board, rng: random.Random) -> Iterator[str]:
    """Texts that are likely to fall into the rare classes."""
    for text, way in (("O-O", (5, 6)), ("O-O-O", (3, 2))):
        attacked = any(board.attackers(not board.turn, s) for s in _castle_way(board, text, way))
        if attacked or rng.random() < 0.05:
            yield text
    for move in filter(board.is_castling, board.legal_moves):
        if rng.random() < 0.1:
            yield f"K{chess.square_name(move.to_square)}"
    for pawn in board.pieces(chess.PAWN, board.turn):
        yield from _by_pawn(board, pawn, rng)
    if rng.random() < 0.15:
        yield from _ambiguous(board)
    if rng.random() < (0.5 if board.is_check() else 0.1):
        unsafe = [m for m in board.pseudo_legal_moves if not board.is_legal(m)]
        for move in rng.sample(unsafe, min(2, len(unsafe))):
            if not board.is_castling(move):
                yield move.uci()[:4]


def _by_pawn(board: chess.Board, pawn: chess.Square, rng: random.Random) -> Iterator[str]:
    """Promotions without a piece, captures of nothing, en passant too late."""
    forward, rank = (8 if board.turn else -8), chess.square_rank(pawn)
    file = chess.square_file(pawn)
    if rank == (6 if board.turn else 1):
        yield chess.square_name(pawn + forward)
    for to in (file - 1, file + 1):
        if 0 <= to < 8:
            beside = board.piece_at(chess.square(to, rank))
            passed = rank == (4 if board.turn else 3) and beside == chess.Piece(
                chess.PAWN, not board.turn
            )
            if rng.random() < (0.3 if passed else 0.01):
                target = chess.square_name(chess.square(to, rank) + forward)
                yield f"{chess.FILE_NAMES[file]}x{target}"


def _ambiguous(board: chess.Board) -> Iterator[str]:
    reach: dict[tuple[int | None, int], int] = {}
    for move in board.legal_moves:
        key = (board.piece_type_at(move.from_square), move.to_square)
        reach[key] = reach.get(key, 0) + 1
    for (kind, target), count in reach.items():
        if count > 1 and kind not in (chess.PAWN, chess.KING, None):
            yield f"{chess.piece_symbol(kind).upper()}{chess.square_name(target)}"
            return


def _castle_way(board: chess.Board, text: str, files: tuple[int, int]) -> list[int]:
    """The squares of a king's way, where the right to castle is left."""
    right = (
        board.has_kingside_castling_rights if text == "O-O" else board.has_queenside_castling_rights
    )
    return [chess.square(f, 0 if board.turn else 7) for f in files] if right(board.turn) else []


def _random(board: chess.Board, rng: random.Random) -> Iterator[str]:
    """Any spelling of any move, some right ones, some prose."""
    a, b = rng.choice(chess.SQUARE_NAMES), rng.choice(chess.SQUARE_NAMES)
    letter = rng.choice("KQRBN")
    yield from (letter + b, letter + a[0] + b, letter + a + b, a + b, b, a[0] + "x" + b)
    mine = [chess.square_name(s) for s in board.occupied_co[board.turn] and chess.SquareSet(
        board.occupied_co[board.turn])]  # fmt: skip
    yield rng.choice(mine) + rng.choice(chess.SQUARE_NAMES)
    yield rng.choice(mine) + rng.choice(mine)
    yield from rng.sample([board.san(m) for m in board.legal_moves], 1)
    yield rng.choice(["--", "0000", "Z0", "@@@@"])
    yield rng.choice(PROSE)
