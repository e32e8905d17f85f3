"""The decoder in numpy: embeddings, blocks of attention and squared ReLU, tied output.

Several texts are run at once: everything but attention is one product over all their new
tokens, so that a batch costs little more than a single text. Keys and values of each text are
kept in a `Memory` and only its new tokens are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

EPSILON = 1e-5
MAX_TOKENS = 640
"""Longest text; the network was taught on half of it."""


class Memory:
    """Tokens, keys and values of some texts: [layers, texts, heads, tokens, width].

    Room for more texts and for longer ones is made by doubling.
    """

    def __init__(self, layers: int, heads: int, width: int, dtype: type) -> None:
        self.ids: list[list[int]] = []
        self.keys: Array = np.zeros((layers, 1, heads, 64, width), dtype)
        self.values: Array = np.zeros((layers, 1, heads, 64, width), dtype)

    def add(self) -> int:
        """A new, empty text: its number."""
        self.ids.append([])
        if len(self.ids) > self.keys.shape[1]:
            self._double(axis=1)
        return len(self.ids) - 1

    def room_for(self, tokens: int) -> None:
        """Let each text have so many."""
        while self.keys.shape[3] < tokens:
            self._double(axis=3)

    def _double(self, axis: int) -> None:
        # Zeros: what lies after a text is multiplied by an attention of 0, so it must be finite.
        self.keys = np.concatenate([self.keys, np.zeros_like(self.keys)], axis)
        self.values = np.concatenate([self.values, np.zeros_like(self.values)], axis)


@dataclass(frozen=True)
class _Run:
    """Neighbouring texts with equally many new tokens: their attention is one product."""

    texts: slice
    tokens: slice
    positions: NDArray[np.intp]
    """Of the new tokens, [texts, new]."""

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """Which positions lie after a new token, [texts, 1, new, all]."""
        everything = np.arange(self.positions.max() + 1)
        result: NDArray[np.bool_] = everything > self.positions[:, None, :, None]
        return result


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

    def memory(self) -> Memory:
        """A place for texts, without any."""
        return Memory(self.layers, self.heads, self.width, self.dtype)

    def forward(self, memory: Memory, new: Mapping[int, Sequence[int]]) -> Array:
        """Append `new` tokens (at least one) to each of these texts.

        Returns the logits of the token that follows each text, [texts, vocabulary], in the
        order of `new`.
        """
        texts = sorted(new)
        tokens = [token for text in texts for token in new[text]]
        runs = _runs(memory, [(text, len(new[text])) for text in texts])
        where = np.concatenate([run.positions.ravel() for run in runs])
        memory.room_for(int(where.max()) + 1)
        cos, sin = self.cos[where][:, None, :], self.sin[where][:, None, :]
        hidden_from = [run.hidden for run in runs]
        x = self.embedding[tokens]
        for i, block in enumerate(self.blocks):
            qkv = _product(_normalised(x), block["qkv"])
            qkv = qkv.reshape(len(tokens), 3, self.heads, self.width)
            q, k = _rotate(qkv[:, 0], cos, sin), _rotate(qkv[:, 1], cos, sin)
            attended = np.empty((len(tokens), self.heads, self.width), self.dtype)
            for run, hidden in zip(runs, hidden_from, strict=True):
                shape = (*run.positions.shape, self.heads, self.width)
                keys, values = memory.keys[i, run.texts], memory.values[i, run.texts]
                each = np.arange(shape[0])[:, None]
                keys[each, :, run.positions] = k[run.tokens].reshape(shape)
                values[each, :, run.positions] = qkv[run.tokens, 2].reshape(shape)
                end = hidden.shape[-1]
                attended[run.tokens] = _attend(
                    q[run.tokens].reshape(shape), keys[:, :, :end], values[:, :, :end], hidden
                ).reshape(-1, self.heads, self.width)
            x = x + _product(attended.reshape(len(tokens), -1), block["out"])
            wide = np.maximum(_product(_normalised(x), block["up"]), 0)
            x = x + _product(wide * wide, block["down"])
        last = dict(zip(texts, np.cumsum([len(new[text]) for text in texts]) - 1, strict=True))
        for text in texts:
            memory.ids[text].extend(new[text])
        x = x[[last[text] for text in new]]
        result: Array = _product(_normalised(x) * self.norm, self.unembedding)
        return result


def _runs(memory: Memory, counts: Sequence[tuple[int, int]]) -> list[_Run]:
    """Split texts (by number, each with its count of new tokens) into runs."""
    breaks = [
        i for i, ((a, m), (b, n)) in enumerate(pairwise(counts), start=1) if b != a + 1 or m != n
    ]
    runs, token = [], 0
    for begin, end in pairwise([0, *breaks, len(counts)]):
        first, count = counts[begin]
        total = (end - begin) * count
        starts = np.array([len(memory.ids[text]) for text, _ in counts[begin:end]])
        runs.append(
            _Run(
                slice(first, first + end - begin),
                slice(token, token + total),
                starts[:, None] + np.arange(count),
            )
        )
        token += total
    return runs


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


def _attend(q: Array, keys: Array, values: Array, hidden: NDArray[np.bool_]) -> Array:
    """q [texts, new, heads, width], keys and values [texts, heads, all, width] -> as q."""
    scores = q.swapaxes(1, 2) @ keys.swapaxes(2, 3)
    scores *= scores.dtype.type(q.shape[-1] ** -0.5)
    np.copyto(scores, -np.inf, where=hidden)
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    result: Array = (scores @ values).swapaxes(1, 2)
    return result
