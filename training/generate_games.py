"""Make games with Stockfish: random openings, weakened moves, some random ones.

    python training/generate_games.py OUT.txt.gz --games 1000 --seed 1 [--workers 2]

One game a line: SAN moves, then the result. Each game draws its own share of random moves, so
that a model also sees positions that good play never reaches.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import chess
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tasks.chess.engine import Stockfish

OPENING_PLIES = 4
SPREAD = 60.0
"""Centipawns of the softmax over the engine's lines."""
LINES = 3

_engine: Stockfish | None = None


def game(seed: int, nodes: int) -> str:
    global _engine
    _engine = _engine or Stockfish()
    rng = random.Random(seed)
    share, limit = rng.uniform(0.05, 0.3), rng.randint(60, 160)
    board, words = chess.Board(), []
    while len(words) < limit and not board.is_game_over(claim_draw=True):
        if len(words) < OPENING_PLIES or rng.random() < share:
            move = rng.choice(list(board.legal_moves))
        else:
            move = _engine.choose(board, rng, nodes, LINES, SPREAD)
        words.append(board.san(move))
        board.push(move)
    return " ".join([*words, board.result(claim_draw=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.games)
    with ProcessPoolExecutor(args.workers) as pool, gzip.open(args.out, "wt") as file:
        played = pool.map(partial(game, nodes=args.nodes), seeds, chunksize=8)
        for line in track(played, "games", total=args.games):
            file.write(line + "\n")


if __name__ == "__main__":
    main()
