"""Positions of real games with moves to be judged, every class of error sought on purpose."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import chess

GAMES = Path(__file__).resolve().parents[2] / "shared" / "data" / "stockfish-games.txt.gz"

PROSE = ["hello", "the knight takes", "e9", "Nf", "i4", "Knight f3", "++", "1.", "Nf3Nf6", "x"]


def games(seed: int) -> Iterator[list[chess.Move]]:
    """Games without end: of the file beside the repository where it is, else random ones."""
    rng = random.Random(seed)
    lines = gzip.decompress(GAMES.read_bytes()).decode().splitlines() if GAMES.exists() else None
    while True:
        board = chess.Board()
        if lines:
            for san in rng.choice(lines).split()[:-1]:
                board.push_san(san)
        else:
            while not board.is_game_over() and board.ply() < 160:
                board.push(rng.choice(list(board.legal_moves)))
        yield list(board.move_stack)


def pairs(seed: int) -> Iterator[tuple[chess.Board, str]]:
    """(board with its record, written move): without end, most of them wrong."""
    rng = random.Random(seed)
    for moves in games(seed):
        board = chess.Board()
        for move in moves:
            for text in _sought(board, rng):
                yield board, text
            if rng.random() < 0.05:
                for text in _random(board, rng):
                    yield board, text
            board.push(move)
        for text in ("e4", "Nf3", "O-O"):
            yield board, text


def _sought(board: chess.Board, rng: random.Random) -> Iterator[str]:
    """Texts that are likely to fall into the rare classes."""
    if rng.random() < 0.4 or any(board.attackers(not board.turn, s) for s in _castle_way(board)):
        yield rng.choice(["O-O", "O-O-O"])
    forward = 8 if board.turn else -8
    for pawn in board.pieces(chess.PAWN, board.turn):
        rank = chess.square_rank(pawn)
        if rank == (6 if board.turn else 1) and rng.random() < 0.5:
            yield chess.square_name(pawn + forward)
        if rank == (4 if board.turn else 3):
            for step in (-1, 1):
                file = chess.square_file(pawn) + step
                if 0 <= file < 8:
                    beside = board.piece_at(chess.square(file, rank))
                    if beside == chess.Piece(chess.PAWN, not board.turn):
                        target = chess.square_name(chess.square(file, rank) + forward)
                        yield f"{chess.FILE_NAMES[chess.square_file(pawn)]}x{target}"
    if rng.random() < 0.15:
        reach: dict[tuple[int | None, int], int] = {}
        for move in board.legal_moves:
            key = (board.piece_type_at(move.from_square), move.to_square)
            reach[key] = reach.get(key, 0) + 1
        for (kind, target), count in reach.items():
            if count > 1 and kind not in (chess.PAWN, chess.KING, None):
                yield f"{chess.piece_symbol(kind).upper()}{chess.square_name(target)}"
                break
    if rng.random() < (0.5 if board.is_check() else 0.1):
        unsafe = [m for m in board.pseudo_legal_moves if not board.is_legal(m)]
        for move in rng.sample(unsafe, min(2, len(unsafe))):
            if not board.is_castling(move):
                yield move.uci()[:4]


def _castle_way(board: chess.Board) -> list[int]:
    """The squares of a king's way, where a right to castle is left."""
    way = []
    rank = 0 if board.turn else 7
    if board.has_kingside_castling_rights(board.turn):
        way += [chess.square(f, rank) for f in (5, 6)]
    if board.has_queenside_castling_rights(board.turn):
        way += [chess.square(f, rank) for f in (3, 2)]
    return way


def _random(board: chess.Board, rng: random.Random) -> Iterator[str]:
    """Any spelling of any move, some right ones, some prose."""
    for _ in range(4):
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
