"""Chess as a task: one legal move after another, for one side or both.

The board is the truth: after an answer that can't be played it goes on with a seeded legal
substitute, and `after_error` decides what the model's own context shows from then on.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from typing import Literal

import chess
import chess.pgn

from agent.errors import ParseFailure, UsageError
from agent.types import AfterError, Answer, Frozen, Json, Message, Question, Score
from tasks.chess import engine, prompts
from tasks.chess.rules import MOVE_NUMBER, long_algebraic, read_move
from tasks.chess.starts import random_opening, replayed, starts

Side = Literal["white", "black", "both"]

_CASTLING = re.compile(
    r"castl(?:e|es|ing)\b(?:[ -](?:king|queen)[ -]?side\b|[ -](?:short|long)\b)?", re.IGNORECASE
)

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
    styles: Sequence[str] = prompts.STYLES

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
        side: `white`, `black` or `both`; default both against itself or a replayed game, else
            white.
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
        if opponent in ("random", "stockfish") and side == "both":
            raise UsageError(
                f"side 'both' leaves opponent {opponent!r} nothing to move: white or black"
            )
        self.horizon, self.style, self.opponent = horizon, style, opponent
        self.side: Side = side or ("both" if opponent in ("self", "replay") else "white")
        self.start_option, self.replay_option = start, replay
        if quality_nodes < 0:
            quality_nodes = QUALITY_NODES if engine.find() else 0
        self.quality_nodes, self.engine_nodes = quality_nodes, engine_nodes
        self.engine_lines, self.engine_spread = engine_lines, engine_spread
        self._starts = starts(start)
        self._replay = replayed(replay, self._starts) if replay else []
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
        for uci in moves if moves is not None else random_opening(fen, self.start_option, seed):
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
        opponent = "Stockfish" if self.opponent == "stockfish" else "Opponent"
        return Question(
            messages=(
                Message(role="system", content=prompts.system(self.style)),
                Message(
                    role="user",
                    content=prompts.chat(self.style, board, state.start, state.texts, opponent),
                ),
            ),
            prefix=prompts.plain(self.style, board, state.start, state.texts),
            state=snapshot,
            aside=" {{critique}}",
        )

    def parse(self, text: str, state: ChessState) -> str:
        """The move: after the last `Move:`, else a text that begins with a move."""
        tagged = re.findall(r"\bmove[\s*_`]*:[\s*_`]*(.*)", text, re.IGNORECASE)
        found = tagged[-1].strip() if tagged else text.strip().lstrip("*")
        number = MOVE_NUMBER.match(found)
        # It stays with its move: a wrong one is a sign of a lost state.
        numbered = "".join(number[0].split()) if number else ""
        found = found[number.end() :] if number else found
        castling = _CASTLING.match(found)
        if castling:
            return numbered + castling[0]
        words = found.split()
        if not words:
            raise ParseFailure("There is no move in the answer. End with a line `Move: `.")
        if tagged or len(words) == 1 or _is_move_like(words[0]):
            return numbered + words[0].rstrip(",;*_`")
        raise ParseFailure("No move could be found in the answer. End with a line `Move: `.")

    def advance(self, state: ChessState, answer: Answer, after_error: AfterError) -> ChessState:
        """Play the answer, or a seeded legal substitute; then the opponent moves."""
        board = chess.Board(state.fen)
        move = None if answer is None else read_move(board, str(answer)).move
        legal = move is not None
        shown = None if legal or answer is None else MOVE_NUMBER.sub("", str(answer))
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


def _is_move_like(word: str) -> bool:
    return bool(re.match(r"^[\W_]*([KQRBNP]?[a-h]?[1-8]?[x-]?[a-h][1-8]|[O0][-\u2013][O0])", word))


def _choice(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value!r} is not one of: {', '.join(known)}")
