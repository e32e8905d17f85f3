"""The decoder in numpy: embeddings, blocks of attention and squared ReLU, tied output.

Several texts are run at once: everything but attention is one product over all their new
tokens, so that a batch costs little more than a single text. Each text keeps its keys and
values in a `Session` and only its new tokens are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

EPSILON = 1e-5
MAX_TOKENS = 640
"""Longest text; the network was taught on half of it."""


class Session:
    """The tokens of one text with their keys and values, [layers, heads, tokens, width]."""

    def __init__(self, layers: int, heads: int, width: int, dtype: type) -> None:
        self.ids: list[int] = []
        self.keys: Array = np.empty((layers, heads, 64, width), dtype)
        self.values: Array = np.empty((layers, heads, 64, width), dtype)

    def room_for(self, tokens: int) -> None:
        """Grow by doubling until `tokens` fit."""
        while self.keys.shape[2] < tokens:
            self.keys = np.concatenate([self.keys, np.empty_like(self.keys)], axis=2)
            self.values = np.concatenate([self.values, np.empty_like(self.values)], axis=2)


class Network:
    """Weights of one decoder in one precision."""

    def __init__(self, weights: Mapping[str, Array], heads: int, dtype: type = np.float32) -> None:
        get: dict[str, Array] = {k: np.ascontiguousarray(v, dtype) for k, v in weights.items()}
        self.dtype, self.heads = dtype, heads
        self.embedding = get["embedding.weight"]
        self.unembedding = np.ascontiguousarray(self.embedding.T)
        self.layers = 1 + max(int(k.split(".")[1]) for k in get if k.startswith("blocks."))
        self.width = self.embedding.shape[1] // heads
        self.norm = get["norm.weight"]
        self.blocks = [
            {
                # A norm's gains are folded into the product that follows it.
                "qkv": np.ascontiguousarray(
                    (get[f"blocks.{i}.qkv.weight"] * get[f"blocks.{i}.norm1.weight"]).T
                ),
                "out": np.ascontiguousarray(get[f"blocks.{i}.out.weight"].T),
                "up": np.ascontiguousarray(
                    (get[f"blocks.{i}.up.weight"] * get[f"blocks.{i}.norm2.weight"]).T
                ),
                "down": np.ascontiguousarray(get[f"blocks.{i}.down.weight"].T),
            }
            for i in range(self.layers)
        ]
        half = self.width // 2
        angles = np.outer(np.arange(MAX_TOKENS), 10000.0 ** (-np.arange(half) / half))
        self.cos: Array = np.cos(angles).astype(dtype)
        self.sin: Array = np.sin(angles).astype(dtype)

    @property
    def parameters(self) -> int:
        """Trained numbers, the tied table counted once."""
        gains = (2 * self.layers + 1) * self.embedding.shape[1]
        return int(
            self.embedding.size + gains + sum(w.size for b in self.blocks for w in b.values())
        )

    def session(self) -> Session:
        """An empty text."""
        return Session(self.layers, self.heads, self.width, self.dtype)

    def forward(self, texts: Sequence[tuple[Session, Sequence[int]]]) -> Array:
        """Append new tokens (at least one) to each text.

        Returns the logits of the token that follows each text, [texts, vocabulary].
        """
        spans: list[tuple[Session, int, int, int]] = []
        positions: list[int] = []
        tokens: list[int] = []
        for session, new in texts:
            start = len(session.ids)
            session.room_for(start + len(new))
            spans.append((session, len(tokens), len(new), start))
            positions.extend(range(start, start + len(new)))
            tokens.extend(new)
        x = self.embedding[tokens]
        where = np.array(positions)
        cos, sin = self.cos[where][:, None, :], self.sin[where][:, None, :]
        for i, block in enumerate(self.blocks):
            qkv = _product(_normalised(x), block["qkv"])
            qkv = qkv.reshape(len(tokens), 3, self.heads, self.width)
            q, k = _rotate(qkv[:, 0], cos, sin), _rotate(qkv[:, 1], cos, sin)
            attended: Array = np.empty((len(tokens), self.heads, self.width), self.dtype)
            for session, at, count, start in spans:
                span = slice(at, at + count)
                keys = session.keys[i]
                values = session.values[i]
                keys[:, start : start + count] = k[span].swapaxes(0, 1)
                values[:, start : start + count] = qkv[span, 2].swapaxes(0, 1)
                end = start + count
                attended[span] = _attend(q[span], keys[:, :end], values[:, :end], start)
            x = x + _product(attended.reshape(len(tokens), -1), block["out"])
            hidden = np.maximum(_product(_normalised(x), block["up"]), 0)
            x = x + _product(hidden * hidden, block["down"])
        for (session, new), _ in zip(texts, spans, strict=True):
            session.ids.extend(new)
        last = [at + count - 1 for _, at, count, _ in spans]
        result: Array = _product(_normalised(x[last]) * self.norm, self.unembedding)
        return result


def _product(x: Array, weights: Array) -> Array:
    """x @ weights; a few rows go one by one, which spares BLAS the packing of all weights."""
    if len(x) > 3:
        return x @ weights
    return np.stack([row @ weights for row in x])


def _normalised(x: Array) -> Array:
    scale: Array = np.sqrt(np.einsum("nd,nd->n", x, x) / x.dtype.type(x.shape[1]) + EPSILON)
    return x / scale[:, None].astype(x.dtype)


def _rotate(x: Array, cos: Array, sin: Array) -> Array:
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)


def _attend(q: Array, keys: Array, values: Array, start: int) -> Array:
    """q [new, heads, width], keys and values [heads, all, width] -> [new, heads, width]."""
    scores = q.swapaxes(0, 1) @ keys.swapaxes(1, 2)
    scores *= scores.dtype.type(q.shape[-1] ** -0.5)
    if q.shape[0] > 1:
        new = np.arange(q.shape[0])[:, None] + start
        scores[:, np.arange(keys.shape[1])[None, :] > new] = -np.inf
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    result: Array = (scores @ values).swapaxes(0, 1)
    return result
