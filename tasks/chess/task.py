"""Chess as a task: one legal move after another, for one side or both.

The board is the truth: after an answer that can't be played it goes on with a seeded legal
substitute, and `after_error` decides what the model's own context shows from then on.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import chess
import chess.pgn

from agent.errors import ParseFailure, UsageError
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.chess import engine, prompts
from tasks.chess.rules import long_algebraic, read_move

Side = Literal["white", "black", "both"]

#: The game of the discussion, up to the move to which GPT-4 gave three illegal answers.
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

QUALITY_NODES = 400
"""Enough to see what a move hangs, at about two milliseconds a position."""

BLUNDER = 0.15
"""Expected points lost from which a move counts as a blunder."""


class ChessState(Frozen):
    """A game so far: what was played, and what the model's context shows of it."""

    seed: int
    """Of the episode."""
    start: str
    """FEN of the position in which the record begins."""
    moves: tuple[str, ...] = ()
    """Played on the real board, in UCI."""
    texts: tuple[str, ...] = ()
    """The same moves as the context shows them; under `leave` a rejected text stays."""
    fen: str
    """The real position."""
    answered: int = 0
    """Answers of the model so far."""
    ended: str | None = None
    """Why the game is over."""


class Chess:
    """The task. Every option can be given on the command line as `--set name=value`."""

    name = "chess"
    verifiers: Sequence[str] = ("chess-legality",)
    oracle_verifiers: Sequence[str] = ("chess-legality",)

    def __init__(
        self,
        *,
        horizon: int = 60,
        start: str = "random:4",
        side: Side | None = None,
        opponent: str = "self",
        style: str = "pgn",
        replay: str | None = None,
        quality_nodes: int = -1,
        engine_nodes: int = 200,
        engine_lines: int = 3,
        engine_spread: float = 60.0,
    ) -> None:
        """Raises `UsageError` for an unknown option value, `MissingTool` without Stockfish.

        horizon: answers of the model in an episode.
        start: `initial`, `random` or `random:PLIES`, `seed`, a FEN, a PGN file or
            `FILE.pgn:PLIES`.
        side: `white`, `black` or `both`; default both against itself, else who is to move.
        opponent: `self`, `random`, `stockfish`, or `replay` (the board follows `replay`,
            moves in SAN or a PGN file, whatever the model answers).
        style: one of `prompts.STYLES`.
        quality_nodes: nodes with which Stockfish judges moves after the run; 0 does not,
            -1 takes 400 where it is installed.
        """
        _choice("style", style, prompts.STYLES)
        _choice("opponent", opponent, ("self", "random", "stockfish", "replay"))
        if side is not None:
            _choice("side", side, ("white", "black", "both"))
        if horizon < 1:
            raise UsageError(f"horizon must be at least 1, got {horizon!r}")
        if opponent == "replay" and not replay:
            raise UsageError("opponent 'replay' needs replay=, moves in SAN or a PGN file")
        if opponent == "self" and side in ("white", "black"):
            raise UsageError(
                f"side {side!r} needs an opponent: random, stockfish or replay, not 'self'"
            )
        self.horizon, self.style, self.opponent = horizon, style, opponent
        self.side: Side = side or ("both" if opponent in ("self", "replay") else "white")
        self.start_option, self.replay_option = start, replay
        if quality_nodes < 0:
            quality_nodes = QUALITY_NODES if engine.find() else 0
        self.quality_nodes, self.engine_nodes = quality_nodes, engine_nodes
        self.engine_lines, self.engine_spread = engine_lines, engine_spread
        self._starts = _starts(start)
        self._replay = _replay_moves(replay, self._starts) if replay else []
        needs_engine = opponent == "stockfish" or self.quality_nodes > 0
        self._engine = engine.Stockfish() if needs_engine else None

    def configuration(self) -> dict[str, Json]:
        """Everything that decides an episode besides its seed."""
        return {
            "horizon": self.horizon, "start": self.start_option, "side": self.side,
            "opponent": self.opponent, "style": self.style, "replay": self.replay_option,
            "quality_nodes": self.quality_nodes, "engine_nodes": self.engine_nodes,
            "engine_lines": self.engine_lines, "engine_spread": self.engine_spread,
            "prompts": prompts.VERSION,
        }  # fmt: skip

    # -- an episode -----------------------------------------------------------------

    def start(self, seed: int) -> ChessState:
        """The position of this seed, after the opponent's move where it is theirs."""
        fen, moves = self._starts[seed % len(self._starts)]
        board = chess.Board(fen)
        state = ChessState(seed=seed, start=fen, fen=fen)
        for uci in moves if moves is not None else _random_opening(fen, self.start_option, seed):
            move = chess.Move.from_uci(uci)
            state = self._play(state, board, move)
        return self._opponent_moves(self._ended(state, board), board)

    def question(self, state: ChessState) -> Question:
        """The position in the words of the style."""
        board = chess.Board(state.fen)
        snapshot = {
            "fen": state.fen, "start": state.start, "moves": list(state.moves),
            "style": self.style,
        }  # fmt: skip
        movetext = prompts.movetext(state.start, list(state.texts))
        return Question(
            messages=(
                Message(role="system", content=_system(self.style)),
                Message(role="user", content=self._ask(state, board, movetext)),
            ),
            prefix=self._prefix(board, movetext),
            state=snapshot,
            aside=" {{critique}}",
        )

    def parse(self, text: str, state: ChessState) -> str:
        """The move: after the last `Move:`, else a text that begins with a move."""
        tagged = re.findall(r"\bmove\s*:[\s*_`]*(.*)", text, re.IGNORECASE)
        found = tagged[-1].strip() if tagged else text.strip()
        found = re.sub(r"^\**\s*(?:\d+\s*(?:\.{1,3}|\u2026)\s+)", "", found)
        words = found.split()
        if not words:
            raise ParseFailure("There is no move in the answer. End with a line `Move: `.")
        if words[0].lower() in ("castle", "castles", "castling"):
            return " ".join(words[:2]).rstrip(".,;")
        if tagged or len(words) == 1 or _is_move_like(words[0]):
            return words[0].rstrip(",;*_`")
        raise ParseFailure("No move could be found in the answer. End with a line `Move: `.")

    def advance(self, state: ChessState, answer: Answer, after_error: AfterError) -> ChessState:
        """Play the answer, or a seeded legal substitute; then the opponent moves."""
        board = chess.Board(state.fen)
        move = None if answer is None else read_move(board, str(answer)).move
        legal = move is not None
        shown = None if legal or answer is None else str(answer)
        if not legal and after_error == "stop":
            return state.model_copy(update={"ended": "first error", "answered": state.answered + 1})
        if self.opponent == "replay":
            move = chess.Move.from_uci(self._replay[len(state.moves)])
            shown = None
        elif move is None:
            rng = random.Random(f"substitute:{state.seed}:{len(state.moves)}")
            move = rng.choice(sorted(board.legal_moves, key=lambda m: m.uci()))
        state = self._play(state, board, move, shown if after_error == "leave" else None)
        state = state.model_copy(update={"answered": state.answered + 1})
        return self._opponent_moves(self._ended(state, board), board)

    def done(self, state: ChessState) -> str | None:
        """`checkmate`, `stalemate` and so on; `first error`; `end of the replayed game`."""
        if self.opponent == "replay" and len(state.moves) >= len(self._replay):
            return state.ended or "end of the replayed game"
        return state.ended

    # -- the truth --------------------------------------------------------------------

    def score(self, question: Question, answer: Answer) -> Score:
        """Legality on the real board; with an engine, the expected points that it lost. Key steps
        are answers to a check, where few moves are legal.

        `measures` holds the levels of ability on one answer: `well_formed`, `legal`,
        `strict`, `not_blunder` (None where no engine judged), `expected_score_loss`; and
        `log_p` and `entropy` of the distribution that is uniform over the legal moves.
        """
        fen = question.state["fen"]
        board = chess.Board(fen)
        key, entropy = board.is_check(), math.log(max(1, board.legal_moves.count()))
        if answer is None:
            measures: dict[str, float | bool | None] = {
                "well_formed": False, "legal": False, "strict": False,
                "not_blunder": None if not self.quality_nodes else False,
                "expected_score_loss": None, "entropy": entropy, "log_p": None,
            }  # fmt: skip
            return Score(correct=False, error_class="unparsable", key=key, measures=measures)
        reading = read_move(board, str(answer))
        loss = None
        if reading.move is not None and self._engine and self.quality_nodes:
            loss = self._loss(board, reading.move)
        return Score(
            correct=reading.move is not None,
            error_class=reading.error_class,
            key=key,
            measures={
                "well_formed": reading.well_formed,
                "legal": reading.move is not None,
                "strict": reading.strict,
                "not_blunder": None
                if not self.quality_nodes
                else loss is not None and loss < BLUNDER,
                "expected_score_loss": loss,
                # P is uniform over the legal moves.
                "entropy": entropy,
                "log_p": -entropy if reading.move else None,
            },
        )

    def _loss(self, board: chess.Board, move: chess.Move) -> float:
        assert self._engine is not None
        color = board.turn
        best = self._engine.expected_score(board.fen(), color, self.quality_nodes)
        board.push(move)
        after = self._engine.expected_score(board.fen(), color, self.quality_nodes)
        board.pop()
        return max(0.0, best - after)

    def picture(self, question: Question) -> str:
        """The board of a question, for people."""
        board = chess.Board(question.state["fen"])
        rows = board.unicode(empty_square="\u00b7", orientation=chess.WHITE).splitlines()
        lines = [f"{8 - i} {row}" for i, row in enumerate(rows)]
        return "\n".join([*lines, "  a b c d e f g h", f"  {prompts.side(board)} to move"])

    def sketch(self, question: Question, answer: Answer) -> Json:
        """What the report draws: the position and the answer's squares as far as it names them."""
        fen, text = question.state["fen"], "" if answer is None else str(answer)
        squares = re.findall(r"[a-h][1-8]", text)
        start = squares[-2] if len(squares) > 1 else None
        end = squares[-1] if squares else None
        if start is None and (move := read_move(chess.Board(fen), text).move) is not None:
            start, end = (chess.square_name(s) for s in (move.from_square, move.to_square))
        return {"kind": "chess", "fen": fen, "from": start, "to": end}

    def with_errors(self, state: ChessState, share: float) -> ChessState:
        """The game as it was, told with that share of its moves replaced by illegal ones.

        Each move has a chance of its own, so that a larger share holds every error of a
        smaller one.
        """
        board = chess.Board(state.start)
        texts = list(state.texts)
        for i, uci in enumerate(state.moves):
            rng = random.Random(f"inject:{state.seed}:{i}")
            if rng.random() < share:
                texts[i] = self._illegal(board, rng)
            board.push_uci(uci)
        return state.model_copy(update={"texts": tuple(texts)})

    def _illegal(self, board: chess.Board, rng: random.Random) -> str:
        """A move that one of the side's pieces can't make, as the style writes it."""
        own = sorted(s for s in chess.SQUARES if board.color_at(s) == board.turn)
        while True:
            start, end = rng.choice(own), rng.choice(chess.SQUARES)
            letter = board.piece_at(start).symbol().upper().replace("P", "")  # type: ignore[union-attr]
            begin = chess.square_name(start) + "-" if self.style == "lan" else ""
            text = f"{letter}{begin}{chess.square_name(end)}"
            if start != end and read_move(board, text).move is None:
                return text

    def close(self) -> None:
        """End the engine process, if any."""
        if self._engine:
            self._engine.close()

    # -- inside -----------------------------------------------------------------------

    def _play(
        self, state: ChessState, board: chess.Board, move: chess.Move, shown: str | None = None
    ) -> ChessState:
        """Push `move` on `board`; the context shows `shown`, or the move as it is written."""
        write = long_algebraic if self.style == "lan" else chess.Board.san
        text = shown if shown is not None else write(board, move)
        board.push(move)
        return state.model_copy(
            update={
                "moves": (*state.moves, move.uci()),
                "texts": (*state.texts, text),
                "fen": board.fen(),
            }
        )

    def _ended(self, state: ChessState, board: chess.Board) -> ChessState:
        outcome = board.outcome()
        if outcome is None:
            return state
        return state.model_copy(update={"ended": outcome.termination.name.lower()})

    def _opponent_moves(self, state: ChessState, board: chess.Board) -> ChessState:
        side = {"white": chess.WHITE, "black": chess.BLACK}.get(self.side)
        while state.ended is None and side is not None and board.turn != side:
            if self.opponent == "replay":
                if len(state.moves) >= len(self._replay):
                    return state
                move = chess.Move.from_uci(self._replay[len(state.moves)])
            else:
                rng = random.Random(f"opponent:{state.seed}:{len(state.moves)}")
                move = self._opponent(board, rng)
            state = self._ended(self._play(state, board, move), board)
        return state

    def _opponent(self, board: chess.Board, rng: random.Random) -> chess.Move:
        if self.opponent == "stockfish":
            assert self._engine is not None
            return self._engine.choose(
                board, rng, self.engine_nodes, self.engine_lines, self.engine_spread
            )
        return rng.choice(sorted(board.legal_moves, key=lambda m: m.uci()))

    def _ask(self, state: ChessState, board: chess.Board, movetext: str) -> str:
        side = prompts.side(board)
        if self.style == "fen":
            return prompts.FEN.format(fen=state.fen, side=side)
        if self.style == "history":
            return prompts.HISTORY.format(movetext=movetext, fen=state.fen, side=side)
        if self.style == "ascii":
            return prompts.ASCII.format(board=board, side=side)
        if self.style == "words":
            return prompts.WORDS.format(board=prompts.in_words(board), side=side)
        if self.style == "alphazero":
            last = state.texts[-1] if state.texts else "(you begin)"
            name = "Stockfish" if self.opponent == "stockfish" else "Opponent"
            return prompts.SEED.format(opponent=name, last=last, moves=" ".join(state.texts))
        if self.style == "recall":
            return prompts.RECALL.format(movetext=movetext, side=side)
        return prompts.PGN.format(movetext=movetext, side=side)

    def _prefix(self, board: chess.Board, movetext: str) -> str:
        side = prompts.side(board)
        if self.style == "fen":
            return f"FEN: {board.fen()}\nA legal move for {side}:"
        if self.style == "ascii":
            return f"{board}\n\nA legal move for {side}:"
        if self.style == "words":
            return f"{prompts.in_words(board)}\n\nA legal move for {side}:"
        return movetext


def _system(style: str) -> str:
    return prompts.ALPHAZERO if style == "alphazero" else prompts.SYSTEM


def _is_move_like(word: str) -> bool:
    return bool(re.match(r"^[\W_]*([KQRBNP]?[a-h]?[1-8]?[x-]?[a-h][1-8]|[O0][-\u2013][O0])", word))


def _choice(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value!r} is not one of: {', '.join(known)}")


def _random_opening(fen: str, option: str, seed: int) -> list[str]:
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


def _starts(option: str) -> list[tuple[str, list[str] | None]]:
    """(FEN, moves in UCI) of every starting point; moves None: a random opening of the seed."""
    if option == "initial":
        return [(chess.STARTING_FEN, [])]
    if re.fullmatch(r"random(:\d{1,3})?", option):
        return [(chess.STARTING_FEN, None)]
    if option == "seed":
        board = chess.Board()
        return [(chess.STARTING_FEN, [board.push_san(san).uci() for san in SEED_GAME])]
    file, _, plies = option.partition(".pgn:")
    if plies or option.endswith(".pgn"):
        path = Path(file + ".pgn" if plies else option)
        return [(fen, moves[: int(plies)] if plies.isdigit() else moves)
                for fen, moves in _pgn_games(path)]  # fmt: skip
    if option.count("/") != 7:
        raise UsageError(
            f"start {option!r} is not initial, random, random:PLIES, seed, a FEN or a PGN file"
        )
    try:
        board = chess.Board(option)
    except ValueError as error:
        raise UsageError(f"start {option!r} is not a FEN: {error}") from None
    if not board.is_valid():
        raise UsageError(f"start {option!r} is not a possible position: {board.status()!r}")
    if board.is_game_over():
        raise UsageError(f"start {option!r}: the game is over in this position")
    return [(board.fen(), [])]


def _pgn_games(path: Path) -> list[tuple[str, list[str]]]:
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


def _replay_moves(replay: str, starts: list[tuple[str, list[str] | None]]) -> list[str]:
    """The whole game to follow, in UCI, from where the record begins."""
    fen, before = starts[0]
    if before is None:
        raise UsageError("a replayed game needs a fixed start: initial, seed, a FEN or a PGN file")
    if replay.endswith(".pgn"):
        pgn_fen, moves = _pgn_games(Path(replay))[0]
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
