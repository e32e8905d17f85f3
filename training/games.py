"""The course in chess: prepared games, and what is asked of the network at every move.

The loss is next-token cross-entropy plus three teachers that are dropped at export: the
probability given to any legal first token, to any legal second token, and a probe that must
name what stands on each square. A played move says which one of some thirty legal moves was
chosen; the teachers say all thirty, so that rules are learnt from far fewer games.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from network import Network
from torch import Tensor

VOCABULARY, FROM, SETUP, CASTLING, TO = 1856, 13, 8, 9, 13 + 768
BUCKETS = (64, 128, 192, 256, 320)


class Games:
    """Prepared games; `row` gives one training row."""

    def __init__(self, path: Path) -> None:
        data = np.load(path)
        self.tokens, self.starts = data["tokens"], data["starts"]
        self.froms, self.tos, self.boards = data["froms"], data["tos"], data["boards"]
        self.rights = data["rights"]
        self.weights = data.get("weights")
        self.token_at = np.concatenate([[0], np.cumsum(data["token_counts"])])
        self.ply_at = np.concatenate([[0], np.cumsum(data["ply_counts"])])
        self.count = len(data["token_counts"])

    def row(self, i: int, rng: np.random.Generator, setup_share: float) -> dict[str, np.ndarray]:
        tokens = self.tokens[self.token_at[i] : self.token_at[i + 1]]
        plies = slice(self.ply_at[i], self.ply_at[i + 1])
        starts = self.starts[plies].astype(np.int64)
        weights = np.ones(len(tokens), np.float32)
        if self.weights is not None:
            weights = self.weights[self.token_at[i] : self.token_at[i + 1]].astype(np.float32)
        first = 0
        if rng.random() < setup_share:
            first = int(rng.integers(0, len(starts) - 4))
            head = self._setup(plies.start + first)
            cut = starts[first]
            tokens = np.concatenate([head, tokens[cut:]])
            weights = np.concatenate([np.zeros(len(head), np.float32), weights[cut:]])
            starts = starts[first:] - cut + len(head)
        keep = starts + 2 <= BUCKETS[-1]
        starts, chosen = starts[keep], np.flatnonzero(keep) + plies.start + first
        tokens, weights = tokens[: BUCKETS[-1]], weights[: BUCKETS[-1]]
        return {
            "tokens": tokens,
            "weights": weights,
            "starts": starts,
            "froms": self.froms[chosen],
            "tos": self.tos[chosen],
            "boards": self.boards[chosen],
        }

    def _setup(self, ply: int) -> np.ndarray:
        board = self.boards[ply].astype(np.int64)
        # Rank 8 first, as in a FEN.
        order = np.arange(64).reshape(8, 8)[::-1].ravel()
        order = order[board[order] > 0]
        pieces = TO + (board[order] - 1) * 64 + order
        rights = [CASTLING + b for b in range(4) if self.rights[ply] >> b & 1]
        return np.concatenate([[SETUP], pieces, rights]).astype(np.int16)


def collate(rows: list[dict[str, np.ndarray]], length: int) -> dict[str, Tensor]:
    count, plies = len(rows), len(rows) * length // 2
    tokens = np.zeros((count, length), np.int64)
    weights = np.zeros((count, length), np.float32)
    at = np.zeros(plies, np.int64)
    valid = np.zeros(plies, np.float32)
    froms = np.zeros((plies, 16), np.int64)
    tos = np.zeros((plies, 28), np.int64)
    boards = np.zeros((plies, 64), np.int64)
    n = 0
    for r, row in enumerate(rows):
        tokens[r, : len(row["tokens"])] = row["tokens"]
        weights[r, : len(row["tokens"])] = row["weights"]
        m = min(len(row["starts"]), plies - n)
        at[n : n + m] = row["starts"][:m] + r * length
        valid[n : n + m] = 1
        froms[n : n + m] = row["froms"][:m]
        tos[n : n + m] = row["tos"][:m]
        boards[n : n + m] = row["boards"][:m]
        n += m
    arrays = {"tokens": tokens, "weights": weights, "at": at, "valid": valid,
              "froms": froms, "tos": tos, "boards": boards}  # fmt: skip
    return {k: torch.from_numpy(v) for k, v in arrays.items()}


def batches(sources: list[tuple[Games, float]], size: int, rng: np.random.Generator,
            setup_share: float):  # fmt: skip
    """Batches of about `size` tokens, rows of similar length together, for ever."""
    shares = np.array([s for _, s in sources])
    pools: dict[int, list[dict[str, np.ndarray]]] = {b: [] for b in BUCKETS}
    orders = [rng.permutation(g.count) for g, _ in sources]
    cursors = [0] * len(sources)
    while True:
        s = int(rng.choice(len(sources), p=shares / shares.sum()))
        games = sources[s][0]
        if cursors[s] == games.count:
            orders[s], cursors[s] = rng.permutation(games.count), 0
        row = games.row(int(orders[s][cursors[s]]), rng, setup_share)
        cursors[s] += 1
        bucket = next(b for b in BUCKETS if len(row["tokens"]) <= b)
        pools[bucket].append(row)
        if len(pools[bucket]) == size // bucket:
            yield collate(pools[bucket], bucket)
            pools[bucket] = []


def losses(net: Network, batch: dict[str, Tensor]) -> Tensor:
    """[cross-entropy, first-token illegality, second-token illegality, board], in nats."""
    tokens, weights = batch["tokens"], batch["weights"]
    hidden, probed = net(tokens)
    logits = net.logits(hidden).float()
    lse = logits.logsumexp(-1)
    flat, width = logits.reshape(-1), logits.shape[-1]
    rows = torch.arange(tokens.numel()).view_as(tokens)[:, :-1]
    picked = flat[(rows * width + tokens[:, 1:]).reshape(-1)].view_as(rows)
    weight = weights[:, 1:]
    ce = ((lse[:, :-1] - picked) * weight).sum() / weight.sum()

    at, valid = batch["at"], batch["valid"]
    total = valid.sum()

    def illegality(position: Tensor, legal: Tensor) -> Tensor:
        score = flat[(position[:, None] * width + legal).reshape(-1)].view_as(legal)
        mass = score.masked_fill(legal == 0, -1e9).logsumexp(-1) - lse.reshape(-1)[position]
        return (-mass * valid).sum() / total

    before = (at - 1).clamp_min(0)
    first = illegality(before, batch["froms"])
    second = illegality(at, batch["tos"])
    seen = probed.reshape(-1, probed.shape[-1])[before]
    guess = net.probe(seen).float().view(-1, 13)
    board = F.cross_entropy(guess, batch["boards"].view(-1), reduction="none")
    board = (board.view(-1, 64).mean(1) * valid).sum() / total
    return torch.stack([ce, first, second, board])


@torch.no_grad()
def evaluate(net: Network, held: Games) -> dict[str, object]:
    """Probability of a legal move on held-out games, by blocks of 20 plies; board accuracy."""
    rng = np.random.default_rng(0)
    mass, count = np.zeros(8), np.zeros(8)
    ce, n = 0.0, 0
    for start in range(0, min(held.count, 384), 32):
        rows = [held.row(i, rng, 0.0) for i in range(start, min(start + 32, held.count))]
        batch = collate(rows, 320)
        with torch.autocast("cpu", torch.bfloat16):
            hidden, _ = net(batch["tokens"])
            logits = net.logits(hidden)
        logp = logits.float().log_softmax(-1).view(-1, logits.shape[-1])
        real = batch["valid"] > 0
        at = batch["at"][real]

        def legal(position: Tensor, ids: Tensor, logp: Tensor = logp) -> Tensor:
            return logp[position].gather(1, ids).masked_fill(ids == 0, -1e9).logsumexp(1).exp()

        p = legal(at - 1, batch["froms"][real]) * legal(at, batch["tos"][real])
        ply = np.concatenate([np.arange(len(r["starts"])) for r in rows]) // 20
        np.add.at(mass, ply, p.numpy())
        np.add.at(count, ply, 1)
        w = batch["weights"][:, 1:]
        ids = batch["tokens"][:, 1:].unsqueeze(-1)
        logp = logp.view(*batch["tokens"].shape, -1)
        ce += float(-(logp[:, :-1].gather(2, ids).squeeze(-1) * w).sum())
        n += int(w.sum())
    return {"legal_by_20_plies": (mass / count.clip(1)).round(4).tolist(), "held_ce": ce / n}


class Chess:
    """The course: prepared games, and the model's own errors where they were written down."""

    vocabulary = VOCABULARY
    size = {"width": 192, "layers": 8, "heads": 6}
    probe, probe_layer = 64 * 13, 6
    losses = {"ce": 1.0, "from": 1.0, "to": 1.0, "board": 4.0}

    @staticmethod
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, required=True)
        parser.add_argument("--corrections", type=Path)
        parser.add_argument("--corrections-share", type=float, default=0.4)
        parser.add_argument("--held", type=Path, required=True)
        parser.add_argument("--setup-share", type=float, default=0.12)

    def __init__(self, args: argparse.Namespace) -> None:
        self.setup_share = args.setup_share
        self.sources = [(Games(args.data), 1.0)]
        if args.corrections:
            share = args.corrections_share
            self.sources = [(self.sources[0][0], 1 - share), (Games(args.corrections), share)]
        self.held = Games(args.held)

    def batches(self, size: int, seed: int) -> Iterator[dict[str, Tensor]]:
        return batches(self.sources, size, np.random.default_rng(seed), self.setup_share)

    def loss(self, net: Network, batch: dict[str, Tensor]) -> Tensor:
        return losses(net, batch)

    def evaluate(self, net: Network) -> dict[str, object]:
        return evaluate(net, self.held)
