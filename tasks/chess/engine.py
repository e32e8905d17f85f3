"""Stockfish over UCI: found where it is installed, deterministic, weakened by our own dice."""

from __future__ import annotations

import asyncio
import math
import os
import random
import shutil
import threading
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeVar

import chess
import chess.engine

from agent.errors import MissingTool

T = TypeVar("T")

INSTALL = (
    "Stockfish is not installed. Install it (Debian, Ubuntu: `apt install stockfish`; "
    "macOS: `brew install stockfish`; Windows: `winget install Stockfish`), or set "
    "STOCKFISH to its path."
)


def find() -> str | None:
    """The path of Stockfish, or None. Debian puts games outside the usual PATH."""
    named = os.environ.get("STOCKFISH")
    if named:
        return shutil.which(named)
    return shutil.which("stockfish") or shutil.which("/usr/games/stockfish")


class Stockfish:
    """One engine process, opened at the first question, shared by all episodes of a task.

    With one thread, a node limit and a cleared hash, a position always gets the same answer
    (UCI_Elo and Skill Level would not).
    """

    def __init__(self) -> None:
        path = find()
        if path is None:
            raise MissingTool(INSTALL)
        self.path = path
        self._engine: chess.engine.UciProtocol | None = None
        # A daemon's loop of our own: SimpleEngine's thread would keep a program that forgot
        # to close its task from ending. The process ends when its input does.
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._expected = lru_cache(maxsize=100_000)(self._expected_uncached)

    def analyse(self, board: chess.Board, nodes: int, lines: int) -> list[chess.engine.InfoDict]:
        """The best `lines` moves after `nodes` nodes."""
        with self._lock:
            limit = chess.engine.Limit(nodes=nodes)
            # A new `game` clears the hash: the answer depends on the position alone.
            found = self._open().analyse(board, limit, multipv=lines, game=object())
            return self._wait(found)

    def choose(
        self, board: chess.Board, rng: random.Random, nodes: int, lines: int, spread: float
    ) -> chess.Move:
        """A move drawn among the best `lines` by softmax over centipawns / `spread`."""
        found = self.analyse(board, nodes, lines)
        moves, values = [], []
        for info in found:
            if info.get("pv"):
                moves.append(info["pv"][0])
                values.append(info["score"].pov(board.turn).score(mate_score=10_000))
        best = max(values)
        weights = [math.exp(max((v - best) / spread, -50.0)) for v in values]
        return rng.choices(moves, weights)[0]

    def expected_score(self, fen: str, color: chess.Color, nodes: int) -> float:
        """Expected points of `color` in [0, 1] by Stockfish's own win-draw-loss model."""
        return self._expected(fen, color, nodes)

    def _expected_uncached(self, fen: str, color: chess.Color, nodes: int) -> float:
        board = chess.Board(fen)
        outcome = board.outcome(claim_draw=True)
        if outcome:
            return 0.5 if outcome.winner is None else float(outcome.winner == color)
        [info] = self.analyse(board, nodes, 1)
        # The named model is that of Debian's engine; the default follows newer ones.
        wdl = info["score"].wdl(model="sf15.1", ply=board.ply())
        return wdl.pov(color).expectation()

    def _open(self) -> chess.engine.UciProtocol:
        if self._engine is None:
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
            _, self._engine = self._wait(chess.engine.popen_uci(self.path))
            self._wait(self._engine.configure({"Threads": 1, "Hash": 16}))
        return self._engine

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._engine is not None:
                self._wait(self._engine.quit())
                self._engine = None
                self._loop.call_soon_threadsafe(self._loop.stop)
