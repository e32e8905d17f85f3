"""Let a checkpoint err, criticise the errors, and write them down followed by what is right.

    python training/corrections.py --data games.npz --checkpoint run/last.pt --out corrections.npz

For every game the model proposes a move at each ply; at some plies where its proposal is
illegal the game's text gets what the loop would show: the rejected move, the verifier's
words (or only that it was wrong, or the reason and the legal moves), then the game's move.
The rejected move and the critique carry no weight in the loss.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import chess
import numpy as np
import torch
from games import BUCKETS, Chess, Games, collate
from network import Network
from train import network

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from agent import prompts
from agent.arms import ARMS
from agent.models.tiny import tokenizer as tk
from agent.types import Attempt, Question, Usage, Verdict
from tasks.chess.rules import read_move
from verifiers.chess_legality import ChessLegality, critique

#: Shares of the kinds of feedback: what is rare in use is rare here.
KINDS = (("critique", 0.6), ("flag", 0.25), ("hint", 0.15))
PER_ROW = 7
"""Corrections in one game: more would leave no room for the game itself."""


@torch.no_grad()
def proposals(net: Network, games: Games, picked: list[int], rng: np.random.Generator):
    """(game, ply, first token, second token): what the model would play at every ply.

    The second tokens of all plies come from one pass: each sampled first token is appended
    to its game as a continuation that sees the game up to its ply and nothing after.
    """
    rows = [games.row(i, rng, 0.0) for i in picked]
    length = BUCKETS[-1]
    batch = collate(rows, length)
    with torch.autocast("cpu", torch.bfloat16):
        seen, _ = net(batch["tokens"])
    most = max(len(row["starts"]) for row in rows)
    tokens = torch.cat([batch["tokens"], torch.zeros(len(rows), most, dtype=torch.long)], 1)
    positions = torch.arange(length + most).clamp_max(length - 1).repeat(len(rows), 1)
    hidden = torch.ones(length + most, length + most, dtype=torch.bool).triu(1)
    hidden = hidden.repeat(len(rows), 1, 1, 1)
    hidden[:, :, length:, :] = True
    for r, row in enumerate(rows):
        at = torch.from_numpy(row["starts"])
        p = net.logits(seen[r, at - 1].float()).softmax(-1)
        plies = torch.arange(len(at))
        tokens[r, length + plies] = torch.multinomial(p, 1).squeeze(1)
        positions[r, length + plies] = at
        sees = torch.arange(length)[None, :] < at[:, None]
        hidden[r, 0, length + plies, :length] = ~sees
        hidden[r, 0, length + plies, length + plies] = False
    with torch.autocast("cpu", torch.bfloat16):
        seen, _ = net(tokens, positions, hidden)
    out = []
    for r, row in enumerate(rows):
        count = len(row["starts"])
        p = net.logits(seen[r, length : length + count].float()).softmax(-1)
        second = torch.multinomial(p, 1).squeeze(1).tolist()
        first = tokens[r, length : length + count].tolist()
        out += [(picked[r], k, first[k], second[k]) for k in range(count)]
    return out


def board_of(games: Games, ply: int, white: bool) -> chess.Board:
    board = chess.Board(None)
    for square, value in enumerate(games.boards[ply]):
        if value:
            board.set_piece_at(square, chess.Piece.from_symbol(tk.PIECES[value - 1]))
    board.turn = white
    rights = games.rights[ply]
    board.set_castling_fen("".join(c for i, c in enumerate("KQkq") if rights >> i & 1) or "-")
    return board


def comment(board: chess.Board, text: str, kind: str, legality: ChessLegality) -> list[int] | None:
    """Tokens of the rejected move and what the loop says of it; None for a legal move."""
    reading = read_move(board, text)
    if reading.move is not None:
        return None
    verdict = Verdict(verifier="v", outcome="fail", critique=critique(board, reading, {}))
    attempt = Attempt(text=text, answer=text, verdicts=(verdict,), prompt_hash="", usage=Usage())
    number = "1." if board.turn else "1..."
    question = Question(messages=(), prefix=number, aside=" {{critique}}",
                        state={"fen": board.fen(), "style": "lan"})  # fmt: skip
    options = legality.candidates(question) if ARMS[kind].hint else ()
    asked = prompts.ask(question, [attempt], ARMS[kind], options)
    return tk.encode(asked.prefix)[0][1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--games", type=int, default=12000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    state = torch.load(args.checkpoint)
    net = network(Chess, state["size"])
    net.load_state_dict(state["net"])
    rng = np.random.default_rng(args.seed)
    torch.manual_seed(args.seed)
    games, legality = Games(args.data), ChessLegality()
    names, shares = zip(*KINDS, strict=True)
    classes: Counter[str] = Counter()
    unknown: Counter[bool] = Counter()
    out: dict[str, list[np.ndarray]] = {k: [] for k in (
        "tokens", "weights", "starts", "froms", "tos", "boards", "rights")}  # fmt: skip
    counts: dict[str, list[int]] = {"token_counts": [], "ply_counts": []}
    order = rng.permutation(games.count)[: args.games]
    began, proposed = time.time(), 0
    for start in range(0, len(order), 16):
        if time.time() - began > args.minutes * 60:
            break
        picked = [int(i) for i in order[start : start + 16]]
        found: dict[int, list[tuple[int, list[int]]]] = {}
        for game, k, first, second in proposals(net, games, picked, rng):
            proposed += 1
            text = tk.decode_move(first, second) or tk.VOCABULARY[first]
            at = games.token_at[game] + games.starts[games.ply_at[game] + k]
            white = tk.VOCABULARY[int(games.tokens[at])][0].isupper()
            board = board_of(games, games.ply_at[game] + k, white)
            kind = str(rng.choice(names, p=shares))
            block = comment(board, text, kind, legality)
            if block is None:
                continue
            classes[str(read_move(board, text).error_class)] += 1
            unknown.update(t == tk.ID[tk.UNK] for t in block)
            found.setdefault(game, []).append((k, block))
        for game, every in found.items():
            chosen = rng.permutation(len(every))[:PER_ROW]
            blocks = [every[i] for i in chosen]
            tokens = games.tokens[games.token_at[game] : games.token_at[game + 1]]
            plies = slice(games.ply_at[game], games.ply_at[game + 1])
            starts = games.starts[plies].astype(np.int64)
            pieces, weights, shift, last = [], [], np.zeros(len(starts), np.int64), 0
            for k, block in sorted(blocks):
                cut = int(starts[k])
                pieces += [tokens[last:cut], np.array(block, np.int16)]
                weights += [np.ones(cut - last, np.int8), np.zeros(len(block), np.int8)]
                shift[k:] += len(block)
                last = cut
            pieces.append(tokens[last:])
            weights.append(np.ones(len(tokens) - last, np.int8))
            out["tokens"].append(np.concatenate(pieces))
            out["weights"].append(np.concatenate(weights))
            out["starts"].append((starts + shift).astype(np.int16))
            for key in ("froms", "tos", "boards", "rights"):
                out[key].append(getattr(games, key)[plies])
            counts["token_counts"].append(len(out["tokens"][-1]))
            counts["ply_counts"].append(len(starts))
    arrays = {k: np.concatenate(v) for k, v in out.items()}
    arrays |= {k: np.array(v, np.int32) for k, v in counts.items()}
    np.savez(args.out, **arrays)
    print(f"{len(counts['ply_counts'])} games, {sum(classes.values())} errors in {proposed} "
          f"proposals; unknown words {unknown[True] / max(1, unknown.total()):.4f}")  # fmt: skip
    print(dict(classes.most_common()))


if __name__ == "__main__":
    main()
