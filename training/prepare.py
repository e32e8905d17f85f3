"""Games (one a line, SAN) -> token arrays with what the auxiliary losses need.

    python training/prepare.py GAMES.txt[.gz] OUT.npz [--limit N]

For each ply: the tokens, every legal continuation (which first tokens, and which second
tokens after the first one played) and the board after it. The legal sets and boards are
only teaching material: the exported network sees tokens alone.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import chess
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from agent.models.tiny import tokenizer as tk

MAX_FROM, MAX_TO = 16, 28
SYMBOLS = {p: i + 1 for i, p in enumerate(tk.PIECES)}


def long_algebraic(board: chess.Board, move: chess.Move) -> str:
    """`move` as the tokenizer reads it; `board` is the position before it."""
    text = board.lan(move)
    if board.is_en_passant(move):
        core = text.rstrip("+#")
        text = core + "e.p." + text[len(core) :]
    return text


def token_pair(board: chess.Board, move: chess.Move) -> tuple[int, int]:
    piece = board.piece_at(move.from_square)
    assert piece is not None
    index = tk.PIECES.index(piece.symbol())
    after = index
    if move.promotion:
        after = tk.PIECES.index(chess.Piece(move.promotion, piece.color).symbol())
    return tk.FROM + index * 64 + move.from_square, tk.TO + after * 64 + move.to_square


def board_array(board: chess.Board) -> np.ndarray:
    out = np.zeros(64, np.int8)
    for square, piece in board.piece_map().items():
        out[square] = SYMBOLS[piece.symbol()]
    return out


def castling_bits(board: chess.Board) -> int:
    """Castling rights as bits, in the order KQkq."""
    fen = board.castling_xfen()
    return sum(1 << i for i, c in enumerate("KQkq") if c in fen)


def game_arrays(line: str) -> dict[str, np.ndarray] | None:
    board = chess.Board()
    tokens, starts = [tk.ID[tk.START]], []
    froms, tos, boards, rights = [], [], [], []
    for san in line.split()[:-1]:
        move = board.parse_san(san)
        source: set[int] = set()
        target: list[int] = []
        played = token_pair(board, move)
        for legal in board.generate_legal_moves():
            a, b = token_pair(board, legal)
            source.add(a)
            if a == played[0]:
                target.append(b)
        row = np.zeros(MAX_FROM, np.int16)
        row[: len(source)] = list(source)[:MAX_FROM]
        froms.append(row)
        row = np.zeros(MAX_TO, np.int16)
        row[: len(target)] = target[:MAX_TO]
        tos.append(row)
        boards.append(board_array(board))
        rights.append(castling_bits(board))
        starts.append(len(tokens))
        tokens += tk.move_tokens(long_algebraic(board, move), board.turn)
        board.push(move)
    if len(starts) < 8:
        return None
    return {
        "tokens": np.array(tokens, np.int16),
        "starts": np.array(starts, np.int16),
        "froms": np.stack(froms),
        "tos": np.stack(tos),
        "boards": np.stack(boards),
        "rights": np.array(rights, np.int8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("games", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    opener = gzip.open if args.games.suffix == ".gz" else open
    with opener(args.games, "rt") as file:
        lines = file.read().splitlines()[args.skip :][: args.limit]
    with ProcessPoolExecutor(args.workers) as pool:
        games = [g for g in pool.map(game_arrays, lines, chunksize=100) if g]
    out = {key: np.concatenate([g[key] for g in games]) for key in games[0]}
    out["token_counts"] = np.array([len(g["tokens"]) for g in games], np.int32)
    out["ply_counts"] = np.array([len(g["starts"]) for g in games], np.int32)
    np.savez(args.out, **out)
    print(f"{len(games)} games, {out['ply_counts'].sum()} plies, {len(out['tokens'])} tokens")


if __name__ == "__main__":
    main()
