"""The course in the skills of the skills file: endless lessons, packed into rows.

Several lessons share a row and can't see one another. The loss is next-token cross-entropy on
what is taught, against the exact law where there is one, plus a teacher that is dropped at
export: a probe that names what an early layer should know, such as the square at every token of a drawn
board (`Piece.probe`).
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import lessons
import numpy as np
import torch
import torch.nn.functional as F
from lessons import NOTHING, Lesson, Piece, encoded
from network import Network
from torch import Tensor

from agent.models.tiny import text

LENGTHS = (96, 192, 320)
"""Tokens in a row: short texts are not to pay for the attention of long ones."""
LAWS = 3072
"""Room for the entries of exact laws in one batch; what is over is left out of it."""


class Row:
    """One row being filled."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.tokens: list[int] = []
        self.segments: list[int] = []
        self.weights: list[float] = []
        self.labels: list[int] = []
        self.laws: list[tuple[int, int, float]] = []
        """(index of the token that is to be told, possible token, its probability)"""
        self.lessons = 0

    @property
    def room(self) -> int:
        return self.length - len(self.tokens)

    def add(self, pieces: list[tuple[Piece, list[int]]]) -> None:
        """One more lesson, cut to the room there is."""
        self.lessons += 1
        for piece, ids in pieces:
            ids = ids[: self.room]
            if piece.law and ids:
                at = len(self.tokens)
                self.laws += [(at, text.ID[t], p) for t, p in piece.law.items()]
            self.tokens += ids
            self.segments += [self.lessons] * len(ids)
            self.weights += [float(piece.taught and not piece.law)] * len(ids)
            self.labels += piece.probe(ids) if piece.probe else [NOTHING] * len(ids)


def packed(supply: Iterator[Lesson], open_rows: int = 12) -> Iterator[Row]:
    """Rows with as little room left as a few open ones allow."""
    pools: dict[int, list[Row]] = {length: [] for length in LENGTHS}
    for lesson in supply:
        pieces = encoded(lesson)
        size = sum(len(ids) for _, ids in pieces)
        length = next((n for n in LENGTHS if size <= n), LENGTHS[-1])
        rows = pools[length]
        fitting = [row for row in rows if row.room >= min(size, length)]
        if not fitting:
            if len(rows) == open_rows:
                fullest = min(rows, key=lambda row: row.room)
                rows.remove(fullest)
                yield fullest
            fitting = [Row(length)]
            rows += fitting
        min(fitting, key=lambda row: row.room).add(pieces)


def collate(rows: list[Row]) -> dict[str, Tensor]:
    length = rows[0].length
    shape = (len(rows), length)
    tokens, segments = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    weights, named = np.zeros(shape, np.float32), np.full(shape, NOTHING, np.int64)
    laws = np.zeros((LAWS, 2), np.int64)
    shares = np.zeros(LAWS, np.float32)
    n = 0
    for r, row in enumerate(rows):
        size = len(row.tokens)
        tokens[r, :size], segments[r, :size] = row.tokens, row.segments
        weights[r, :size], named[r, :size] = row.weights, row.labels
        for at, token, p in row.laws[: LAWS - n]:
            # What is told of a token is told at the one before it.
            laws[n], shares[n] = (r * length + at - 1, token), p
            n += 1
    arrays = {"tokens": tokens, "segments": segments, "weights": weights, "labels": named,
              "laws": laws, "shares": shares}  # fmt: skip
    return {k: torch.from_numpy(v) for k, v in arrays.items()}


def read_corrections(path: Path, rng: random.Random) -> Iterator[Lesson]:
    """Lessons that `skill_corrections.py` wrote down, in random order, for ever."""
    lines = path.read_text().splitlines()
    while True:
        rng.shuffle(lines)
        for line in lines:
            yield [Piece(**piece) for piece in json.loads(line)]


def supply(
    seed: int, names: Sequence[str], corrections: Iterable[Path] = (), share: float = 0.0
) -> Iterator[Lesson]:
    """Lessons by the tokens that each skill is to have."""
    rng = random.Random(seed)
    written = [read_corrections(path, rng) for path in corrections]
    given = dict.fromkeys(names, 1.0)
    while True:
        if written and rng.random() < share:
            yield next(rng.choice(written))
            continue
        # The skill that lags behind its share most.
        name = min(names, key=lambda n: given[n] / lessons.SKILLS[n][1])
        lesson = lessons.SKILLS[name][0](rng)
        given[name] += sum(len(piece.text) for piece in lesson)
        yield lesson


def unseen(segments: Tensor) -> Tensor:
    """What a token can't see, [rows, 1, tokens, tokens]: what follows it, and other lessons."""
    others = segments[:, None, :, None] != segments[:, None, None, :]
    return others | torch.ones(segments.shape[1], segments.shape[1], dtype=torch.bool).triu(1)


class Skills:
    """The course."""

    vocabulary = len(text.VOCABULARY)
    size = {"width": 96, "layers": 4, "heads": 3}
    probe, probe_layer = NOTHING + 1, 1
    losses = {"ce": 1.0, "probe": 0.3}

    @staticmethod
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--games", type=Path, required=True)
        parser.add_argument(
            "--skills", nargs="+", choices=lessons.SKILLS, default=list(lessons.SKILLS)
        )
        parser.add_argument("--corrections", type=Path, nargs="*", default=[])
        parser.add_argument("--corrections-share", type=float, default=0.3)

    def __init__(self, args: argparse.Namespace) -> None:
        lessons.GAMES = args.games
        self.skills = args.skills
        self.corrections, self.share = args.corrections, args.corrections_share

    def batches(self, size: int, seed: int) -> Iterator[dict[str, Tensor]]:
        full: dict[int, list[Row]] = {length: [] for length in LENGTHS}
        for row in packed(supply(seed, self.skills, self.corrections, self.share)):
            rows = full[row.length]
            rows.append(row)
            if len(rows) == size // row.length:
                yield collate(rows)
                rows.clear()

    def loss(self, net: Network, batch: dict[str, Tensor]) -> Tensor:
        tokens, weights = batch["tokens"], batch["weights"][:, 1:]
        hidden, probed = net(tokens, None, unseen(batch["segments"]))
        logits = net.logits(hidden).float()
        lse, width = logits.logsumexp(-1), logits.shape[-1]
        flat = logits.reshape(-1)
        at = torch.arange(tokens.numel()).view_as(tokens)[:, :-1]
        picked = flat[(at * width + tokens[:, 1:]).reshape(-1)].view_as(at)
        hard = ((lse[:, :-1] - picked) * weights).sum()
        position, token = batch["laws"].unbind(1)
        soft = (
            (lse.reshape(-1)[position] - flat[position * width + token]) * batch["shares"]
        ).sum()
        # A batch of texts that were cut before anything is taught has no loss.
        told = weights.sum() + batch["shares"].sum()
        ce = (hard + soft) / told.clamp_min(1)
        guess = net.probe(probed).float().view(-1, self.probe)
        on = (batch["labels"] != NOTHING).float().view(-1)
        probe = F.cross_entropy(guess, batch["labels"].view(-1), reduction="none")
        return torch.stack([ce, (probe * on).sum() / on.sum().clamp_min(1)])

    @torch.no_grad()
    def evaluate(self, net: Network) -> dict[str, object]:
        """By skill, teacher-forced on unseen lessons: cross-entropy of a taught piece, and the
        share of taught pieces whose every token is the likeliest."""
        out: dict[str, object] = {}
        for name in self.skills:
            rows = [row for row, _ in zip(packed(supply(-1, [name])), range(40), strict=False)]
            longest = max(row.length for row in rows)
            batch = collate([row for row in rows if row.length == longest][:12])
            tokens, weights = batch["tokens"], batch["weights"]
            hidden, _ = net(tokens, None, unseen(batch["segments"]))
            logp = net.logits(hidden.float()).log_softmax(-1)[:, :-1]
            told = logp.gather(2, tokens[:, 1:, None]).squeeze(2)
            taught = weights[:, 1:] > 0
            if not taught.any():  # all laws
                position, token = batch["laws"].unbind(1)
                full = net.logits(hidden.float()).log_softmax(-1).view(-1, self.vocabulary)
                p = batch["shares"]
                kl = (p * (p.clamp_min(1e-9).log() - full[position, token])).sum()
                out[name] = round(float(kl / p.sum()), 4)
                continue
            wrong = (logp.argmax(2) != tokens[:, 1:]) & taught
            starts = taught & ~torch.nn.functional.pad(taught, (1, 0))[:, :-1]
            piece = starts.cumsum(1) * taught
            bad = {(r, int(k)) for r, c in wrong.nonzero().tolist() if (k := piece[r, c])}
            out[name] = [round(float(-told[taught].mean()), 4),
                         round(1 - len(bad) / int(starts.sum()), 4)]  # fmt: skip
        return out
