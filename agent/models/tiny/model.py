"""`tiny`: the language model that ships with this package, as a `Model`.

It continues the text of a game by sampling tokens, and errs for real. Calls of concurrent
episodes are run as one batch.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from threadpoolctl import ThreadpoolController

from agent.errors import ModelError, UsageError
from agent.models.tiny import tokenizer
from agent.models.tiny.network import MAX_TOKENS, Network
from agent.types import Completion, Json, Question, Usage

WEIGHTS = Path(__file__).with_name("weights.safetensors")

TIE = 1e-3
"""Two candidates nearer than this (in logits) are decided in double precision.

Single precision gives slightly other logits for another batch or another processor; that
must not decide what is sampled, or a resumed run would differ from an undisturbed one.
"""

MAX_TEXTS = 128
"""Texts remembered, and the largest batch."""


@dataclass(eq=False)
class _Request:
    ids: list[int]
    seed: int
    future: asyncio.Future[Completion]


class Tiny:
    """The embedded model.

    temperature: 1 samples as it was taught, 0 always takes the likeliest token.
    """

    preferred_style = "lan"

    def __init__(self, *, temperature: float = 1.0, weights: str | None = None) -> None:
        if not 0 <= temperature <= 10:
            raise UsageError(f"temperature must lie in 0 to 10, got {temperature!r}")
        self.name = "tiny"
        self.temperature = temperature
        path = Path(weights) if weights else WEIGHTS
        self._network, self._precise, self.metadata = _load(path)
        self._memory = self._network.memory()
        # Remembered texts by age, each with its first tokens, which tell most games apart.
        self._heads: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        self._pending: list[_Request] = []
        # Its own: in the shared pool it would queue behind the scoring of other episodes.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tiny")
        self._worker: asyncio.Task[None] | None = None

    def configuration(self) -> dict[str, Json]:
        """Temperature, which weights, and that it continues the plain form."""
        weights = self.metadata.get("fingerprint")
        return {"temperature": self.temperature, "weights": weights, "api": "completions"}

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        """`n` continuations of `question.prefix`, one move each.

        Raises `ModelError` for a text longer than the network reads.
        """
        ids, _ = tokenizer.encode(question.prefix)
        if len(ids) > MAX_TOKENS - 8:
            raise ModelError(
                f"the text has {len(ids)} tokens and tiny reads {MAX_TOKENS - 8}: "
                "take a smaller horizon"
            )
        loop = asyncio.get_running_loop()
        futures = []
        for i in range(n):
            future: asyncio.Future[Completion] = loop.create_future()
            self._pending.append(_Request(ids, seed + i, future))
            futures.append(future)
        if self._worker is None or self._worker.done() or self._worker.get_loop() is not loop:
            self._worker = loop.create_task(self._work())
        return list(await asyncio.gather(*futures))

    async def _work(self) -> None:
        """Run what is pending, batch after batch, until nothing is."""
        while self._pending:
            for _ in range(3):  # let episodes that are about to ask join the batch
                await asyncio.sleep(0)
            batch, self._pending = self._pending[:MAX_TEXTS], self._pending[MAX_TEXTS:]
            try:
                texts = [(r.ids, r.seed) for r in batch]
                loop = asyncio.get_running_loop()
                results = await loop.run_in_executor(self._thread, self.complete, texts)
            except Exception as error:
                for request in batch:
                    if not request.future.done():
                        request.future.set_exception(ModelError(f"tiny failed: {error!r}"))
                raise
            for request, result in zip(batch, results, strict=True):
                if not request.future.done():
                    request.future.set_result(result)

    def complete(self, batch: list[tuple[list[int], int]]) -> list[Completion]:
        """One continuation for each of at most `MAX_TEXTS` (token ids, seed).

        The seed alone decides the sampling.
        """
        places: list[int] = []
        for ids, _ in batch:
            places.append(self._place(ids, places))
        # Two BLAS threads on a shared machine are slower than one.
        with _threads().limit(limits=1, user_api="blas"):
            written = [[first] for first in self._sample(places, batch, 0)]
            more = [i for i, [(t, _)] in enumerate(written) if tokenizer.FROM <= t < tokenizer.TO]
            longer = [([*batch[i][0], written[i][0][0]], batch[i][1]) for i in more]
            second = self._sample([places[i] for i in more], longer, 1)
        for i, token in zip(more, second, strict=True):
            written[i].append(token)
        return [
            _completion(len(ids), tokens) for (ids, _), tokens in zip(batch, written, strict=True)
        ]

    def _sample(
        self, places: list[int], texts: list[tuple[list[int], int]], position: int
    ) -> list[tuple[int, float]]:
        """The next token of each text (with its seed) and its log-probability."""
        if not texts:
            return []
        known = self._memory.ids
        new = {p: ids[len(known[p]) :] for p, (ids, _) in zip(places, texts, strict=True)}
        rows = self._network.forward(self._memory, new).astype(np.float64)
        # A move begins a new word, so what only continues the last one can't begin it.
        barred = tokenizer.CONTINUATIONS if position == 0 else []
        rows[:, barred] = -np.inf
        noise = np.array(
            [
                np.random.default_rng((seed, position)).gumbel(size=rows.shape[1])
                for _, seed in texts
            ]
        )
        near = _gaps(self._perturbed(rows, noise)) < TIE / max(self.temperature, TIE)
        for i in np.flatnonzero(near):
            precise = self._precise()
            memory = precise.memory()
            rows[i] = precise.forward(memory, {memory.add(): texts[i][0]})[0]
            rows[i, barred] = -np.inf
        tokens = self._perturbed(rows, noise).argmax(1)
        logprobs = self._log_probabilities(rows)[np.arange(len(rows)), tokens]
        # Further digits depend on the batch: they are noise, and would be stored.
        return [(int(t), round(float(p), 4)) for t, p in zip(tokens, logprobs, strict=True)]

    def _perturbed(
        self, rows: NDArray[np.float64], noise: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Each row's maximum is a sample from softmax(row / temperature): the Gumbel trick."""
        return rows if self.temperature == 0 else rows / self.temperature + noise

    def _log_probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the distribution that is sampled, at its temperature; at 0 the choice is certain."""
        if self.temperature == 0:
            return np.zeros_like(rows)
        scaled = rows / self.temperature
        top = scaled.max(1, keepdims=True)
        result: NDArray[np.float64] = (
            scaled - top - np.log(np.exp(scaled - top).sum(1, keepdims=True))
        )
        return result

    def _place(self, ids: list[int], taken: list[int]) -> int:
        """Where in memory `ids` is written: the free text that shares most with it, cut back
        to what is shared, so that at least one token is new."""
        best, shared, head = -1, 0, tuple(ids[:8])
        for place, other in self._heads.items():
            if other == head and place not in taken:
                common = _common(self._memory.ids[place], ids)
                if common > shared:
                    best, shared = place, common
        if best < 0 and len(self._heads) < MAX_TEXTS:
            best = self._memory.add()
        elif best < 0:
            best = next(p for p in self._heads if p not in taken)
        self._heads[best] = head
        self._heads.move_to_end(best)
        del self._memory.ids[best][min(shared, len(ids) - 1) :]
        return best


@cache
def _threads() -> ThreadpoolController:
    """Found once: to look for the loaded libraries takes longer than a token."""
    return ThreadpoolController()


def _gaps(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each row's largest score is from its second largest."""
    top = np.partition(scores, -2, axis=1)[:, -2:]
    result: NDArray[np.float64] = top[:, 1] - top[:, 0]
    return result


def _common(a: list[int], b: list[int]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def _completion(prompt: int, tokens: list[tuple[int, float]]) -> Completion:
    ids = [t for t, _ in tokens]
    move = tokenizer.decode_move(ids[0], ids[1]) if len(ids) == 2 else None
    return Completion(
        text=move or " ".join(tokenizer.VOCABULARY[i] for i in ids),
        usage=Usage(prompt_tokens=prompt, completion_tokens=len(ids), calls=1),
        logprobs=tuple(p for _, p in tokens),
        finish_reason="stop",
    )


@cache
def _load(path: Path):  # type: ignore[no-untyped-def]
    """The network, a maker of its double-precision twin, and the file's metadata."""
    try:
        with safe_open(str(path), "numpy") as file:
            metadata = dict(file.metadata() or {})
            weights = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the weights of tiny can't be read from {str(path)!r}: {error}") from None
    if json.loads(metadata["vocabulary"]) != tokenizer.fingerprint():
        raise ModelError(f"the weights in {str(path)!r} belong to another vocabulary")
    heads = int(metadata["heads"])
    twin = cache(lambda: Network(weights, heads, np.float64))
    return Network(weights, heads), twin, metadata
