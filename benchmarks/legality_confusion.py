"""The classes of the legality verifier against independent logic, as a Markdown table.

python benchmarks/legality_confusion.py [PAIRS]
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path

import chess

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from independent_chess import Position
from wrong_moves import pairs

from tasks.chess.rules import ERROR_CLASSES, read_move

position_of = lru_cache(maxsize=1)(Position)


def main(wanted: int = 30_000) -> None:
    table: Counter[tuple[str, str]] = Counter()
    for board, text in pairs(seed=11):
        verdict = position_of(board.fen(en_passant="fen")).classify(text) or "legal"
        reading = read_move(chess.Board(board.fen()), text)
        table[verdict, reading.error_class or "legal"] += 1
        wrong = sum(n for (independent, _), n in table.items() if independent != "legal")
        if wrong >= wanted and all(table[c, c] >= 200 for c in ERROR_CLASSES):
            break
    print("| by independent logic | pairs | same class | other classes |\n|---|---|---|---|")
    for name in (*ERROR_CLASSES, "legal"):
        row = {other: n for (independent, other), n in table.items() if independent == name}
        others = ", ".join(f"{o}: {n}" for o, n in row.items() if o != name) or "none"
        print(f"| {name} | {sum(row.values())} | {row.get(name, 0)} | {others} |")
    agree = sum(n for (a, b), n in table.items() if a == b)
    print(f"\n{table.total()} pairs, {table.total() - agree} disagreements")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
