"""Train the embedded model on prepared games.

    python training/train.py --data games.npz --held held.npz --out run/ --minutes 90
    python training/train.py --data games.npz --corrections corrections.npz \\
        --held held.npz --resume run/last.pt --out run2/ --minutes 40 --decay 1

The loss is next-token cross-entropy plus three teachers that are dropped at export: the
probability given to any legal first token, to any legal second token, and a probe that must
name what stands on each square. A played move says which one of some thirty legal moves was
chosen; the teachers say all thirty, so that rules are learnt from far fewer games.
"""

from __future__ import annotations

import argparse
import json
import os
import time
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
    guess = net.board(seen).float().view(-1, 13)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corrections", type=Path)
    parser.add_argument("--corrections-share", type=float, default=0.4)
    parser.add_argument("--held", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--decay", type=float, default=0.0, help="last share of the time")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=6144, help="tokens in a batch")
    parser.add_argument("--muon-lr", type=float, default=0.012)
    parser.add_argument("--adam-lr", type=float, default=2e-3)
    parser.add_argument("--setup-share", type=float, default=0.12)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)

    sources = [(Games(args.data), 1.0)]
    if args.corrections:
        share = args.corrections_share
        sources = [(sources[0][0], 1 - share), (Games(args.corrections), share)]
    held = Games(args.held)
    net = Network(VOCABULARY, args.width, args.layers, args.heads)
    matrices = [p for n, p in net.named_parameters() if p.ndim == 2 and "blocks" in n]
    others = [p for n, p in net.named_parameters() if not (p.ndim == 2 and "blocks" in n)]
    optimizers = [
        torch.optim.Muon(matrices, lr=args.muon_lr, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    done_tokens = 0
    done_minutes = 0.0
    if args.resume:
        state = torch.load(args.resume)
        net.load_state_dict(state["net"])
        done_tokens, done_minutes = state["tokens"], state["minutes"]
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    compiled = torch.compile(lambda batch: losses(net, batch), dynamic=False)
    torch._dynamo.config.cache_size_limit = 32
    base = [args.muon_lr, args.adam_lr]

    stream = batches(sources, args.tokens, rng, args.setup_share)
    began, step, running = time.time(), 0, torch.zeros(4)
    reported = saved_at = began
    weight = torch.tensor([1.0, 1.0, 1.0, 4.0])
    while (elapsed := (time.time() - began) / 60) < args.minutes:
        left = 1 - elapsed / args.minutes
        scale = min(1.0, left / args.decay) if args.decay else 1.0
        scale *= min(1.0, (step + 1) / 200)
        for optimizer, lr in zip(optimizers, base, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * scale
        batch = next(stream)
        with torch.autocast("cpu", torch.bfloat16):
            parts = compiled(batch)
        (parts * weight).sum().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        running += parts.detach()
        step += 1
        done_tokens += batch["tokens"].numel()
        if step % 100 == 0:
            now = time.time()
            rate = 100 * args.tokens / (now - reported)
            names = ("ce", "from", "to", "board")
            shown = {k: round(v, 4) for k, v in zip(names, (running / 100).tolist(), strict=True)}
            line = {"step": step, "minutes": round(elapsed, 1), "tokens": done_tokens,
                    "rate": round(rate), "lr": round(scale, 3), **shown}  # fmt: skip
            if step % 1000 == 0 or now - saved_at > 300:
                line |= evaluate(net, held)
                save(args.out / "last.pt", net, optimizers, done_tokens, done_minutes + elapsed)
                saved_at = now
            print(json.dumps(line), flush=True)
            running.zero_()
            reported = time.time()
    print(json.dumps({"final": True, "tokens": done_tokens, **evaluate(net, held)}), flush=True)
    save(args.out / "last.pt", net, optimizers, done_tokens, done_minutes + args.minutes)


def save(path: Path, net: Network, optimizers: list, tokens: int, minutes: float) -> None:
    """Written aside and renamed, so that a kill never leaves half a checkpoint."""
    state = {"net": net.state_dict(), "size": net.size, "tokens": tokens, "minutes": minutes,
             "optimizers": [o.state_dict() for o in optimizers]}  # fmt: skip
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


if __name__ == "__main__":
    main()
