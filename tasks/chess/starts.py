"""Where a game begins: the initial position, a random opening, a FEN, a PGN file, the seed's game."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

import chess
import chess.pgn

from agent.errors import UsageError

SEED_GAME = [
    "d4",
    "Nf6",
    "c4",
    "e6",
    "Nf3",
    "d5",
    "e3",
    "Be7",
    "h3",
    "O-O",
    "Nbd2",
    "Nc6",
    "b3",
    "b6",
    "Bb2",
    "Bb7",
    "cxd5",
    "Nxd5",
    "Bc4",
    "Na5",
    "Be2",
    "c5",
    "O-O",
    "Rc8",
    "Bd3",
    "h6",
    "Ne5",
    "Nc6",
    "Nxc6",
    "Bxc6",
    "Qg4",
    "Nf6",
    "Qe2",
    "Qd7",
    "Nf3",
    "Rfd8",
    "Ne5",
    "Qb7",
    "dxc5",
    "Bxc5",
    "Ba6",
    "Qa8",
    "Bxc8",
    "Rxc8",
    "Nxc6",
    "Qxc6",
    "Rfd1",
    "Rcd8",
    "Rxd8+",
]
"""The game of the discussion, up to the move to which GPT-4 gave three illegal answers."""

Start = tuple[str, list[str] | None]
"""(FEN, moves from there in UCI) of a starting point; moves None: a random opening of the seed."""


def random_opening(fen: str, option: str, seed: int) -> list[str]:
    """Seeded random legal moves that leave a game to be played."""
    plies = int(option.partition(":")[2] or 4)
    for retry in range(100):
        rng = random.Random(f"opening:{seed}:{retry}")
        board = chess.Board(fen)
        while len(board.move_stack) < plies and not board.is_game_over():
            board.push(rng.choice(sorted(board.legal_moves, key=lambda m: m.uci())))
        if not board.is_game_over():
            return [m.uci() for m in board.move_stack]
    raise UsageError(f"start {option!r}: no random opening of {plies} plies leaves a game")


def starts(option: str) -> list[Start]:
    """Every starting point that the option names. Raises `UsageError` where it names none."""
    if option == "initial":
        return [(chess.STARTING_FEN, [])]
    if re.fullmatch(r"random(:\d{1,3})?", option):
        return [(chess.STARTING_FEN, None)]
    if option == "seed":
        board = chess.Board()
        return [(chess.STARTING_FEN, [board.push_san(san).uci() for san in SEED_GAME])]
    file = re.fullmatch(r"(.+\.pgn)(?::(\d+))?", option)
    if file:
        plies = int(file[2]) if file[2] else None
        return [(fen, moves[:plies]) for fen, moves in _games_of_file(Path(file[1]))]
    if option.count("/") != 7:
        raise UsageError(
            f"start {option!r} is not initial, random, random:PLIES, seed, a FEN, FILE.pgn or "
            "FILE.pgn:PLIES"
        )
    return [(_position(option), [])]


def _position(fen: str) -> str:
    """The FEN in full, of a position in which the game goes on."""
    if len(fen.split()) < 4:
        # The library would take it, and silently lose the right to castle.
        raise UsageError(f"start {fen!r}: a FEN says who moves, who may castle, and en passant")
    try:
        board = chess.Board(fen)
    except ValueError as error:
        raise UsageError(f"start {fen!r} is not a FEN: {error}") from None
    if not board.is_valid():
        raise UsageError(f"start {fen!r} is not a possible position: {board.status()!r}")
    if board.is_game_over():
        raise UsageError(f"start {fen!r}: the game is over in this position")
    return board.fen()


def _games_of_file(path: Path) -> list[tuple[str, list[str]]]:
    """Every game of a PGN file. Raises `UsageError` where there is none or one is broken."""
    try:
        file = path.open(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UsageError(f"PGN file {str(path)!r}: {error.strerror}") from None
    games: list[tuple[str, list[str]]] = []
    with file:
        while (game := chess.pgn.read_game(file)) is not None:
            if game.errors:
                raise UsageError(f"PGN file {str(path)!r}, game {len(games) + 1}: {game.errors[0]}")
            moves = [m.uci() for m in game.mainline_moves()]
            if moves or "FEN" in game.headers:
                games.append((game.board().fen(), moves))
    if not games:
        raise UsageError(f"PGN file {str(path)!r} holds no game")
    return games


def replayed(replay: str, starts: Sequence[Start]) -> list[str]:
    """The whole game to follow, in UCI, from where the record of the first start begins.

    `replay` is moves in SAN, with or without numbers, or a PGN file. Raises `UsageError`.
    """
    fen, before = starts[0]
    if before is None:
        raise UsageError("a replayed game needs a fixed start: initial, seed, a FEN or a PGN file")
    if replay.endswith(".pgn"):
        pgn_fen, moves = _games_of_file(Path(replay))[0]
        if pgn_fen != fen or moves[: len(before)] != before:
            raise UsageError(f"replay {replay!r} does not begin with the moves of the start")
        return moves
    board = chess.Board(fen)
    for uci in before:
        board.push_uci(uci)
    played = list(before)
    for word in replay.split():
        if re.fullmatch(r"\d+\.+|\*|1-0|0-1|1/2-1/2", word):
            continue
        try:
            played.append(board.push_san(re.sub(r"^\d+\.+", "", word)).uci())
        except ValueError:
            raise UsageError(f"replay: {word!r} is not legal after {len(played)} moves") from None
    return played
