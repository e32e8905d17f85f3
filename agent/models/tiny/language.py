"""One network with its vocabulary: it continues texts, and errs for real.

Calls of concurrent episodes are run as one batch. What a text is about is none of its business:
a `Form` says where an answer begins, ends, and how its tokens are written out.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from threadpoolctl import ThreadpoolController

from agent.errors import ModelError
from agent.models.tiny.network import Network
from agent.types import Completion, Usage

TIE = 1e-3
"""Two candidates nearer than this (in logits) are decided in double precision.

Single precision gives slightly other logits for another batch or another processor; that
must not decide what is sampled, or a resumed run would differ from an undisturbed one.
"""

MAX_TEXTS = 128
"""Texts remembered, and the largest batch."""


class Form(Protocol):
    """How an answer is written."""

    def barred(self, position: int) -> Sequence[int]:
        """Tokens that can't be its token number `position`."""
        ...

    def ended(self, written: Sequence[int]) -> bool:
        """Whether these tokens, one at least, are all of it."""
        ...

    def text(self, written: Sequence[int]) -> str:
        """The tokens as text."""
        ...


@dataclass(frozen=True, eq=False)
class Request:
    """One continuation that is asked for."""

    ids: list[int]
    """The text."""
    seed: int
    """It alone decides the sampling."""
    form: Form
    """Of the answer."""


class LanguageModel:
    """A network that answers concurrent requests in batches.

    part: the group of networks in the file, where it holds several.
    """

    def __init__(self, path: Path, vocabulary: str, temperature: float, part: str = "") -> None:
        """Raises `ModelError` for a file that can't be read or belongs to another vocabulary."""
        self.temperature = temperature
        self._network, self._precise, self.metadata = load(path, vocabulary, part)
        self._memory = self._network.memory()
        # Remembered texts by age, each with its first tokens, which tell most texts apart.
        self._heads: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        self._pending: list[tuple[Request, asyncio.Future[Completion]]] = []
        # Its own: in the shared pool it would queue behind the scoring of other episodes.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tiny")
        self._worker: asyncio.Task[None] | None = None

    async def generate(self, ids: list[int], form: Form, n: int, seed: int) -> list[Completion]:
        """`n` continuations of a text."""
        loop = asyncio.get_running_loop()
        futures = []
        for i in range(n):
            future: asyncio.Future[Completion] = loop.create_future()
            self._pending.append((Request(ids, seed + i, form), future))
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
                loop = asyncio.get_running_loop()
                requests = [request for request, _ in batch]
                results = await loop.run_in_executor(self._thread, self.complete, requests)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(ModelError(f"tiny failed: {error!r}"))
                raise
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def complete(self, batch: Sequence[Request]) -> list[Completion]:
        """One continuation for each of at most `MAX_TEXTS` requests."""
        places: list[int] = []
        for request in batch:
            places.append(self._place(request.ids, places))
        written: list[list[tuple[int, float]]] = [[] for _ in batch]
        going = list(range(len(batch)))
        # Two BLAS threads on a shared machine are slower than one.
        with _threads().limit(limits=1, user_api="blas"):
            while going:
                texts = [batch[i].ids + [t for t, _ in written[i]] for i in going]
                sampled = self._sample([places[i] for i in going], texts, [batch[i] for i in going])
                for i, token in zip(going, sampled, strict=True):
                    written[i].append(token)
                going = [i for i in going if not batch[i].form.ended([t for t, _ in written[i]])]
        return [_completion(r, tokens) for r, tokens in zip(batch, written, strict=True)]

    def _sample(
        self, places: list[int], texts: list[list[int]], requests: list[Request]
    ) -> list[tuple[int, float]]:
        """The next token of each text, written as far as that, and its log-probability."""
        known = self._memory.ids
        new = {p: ids[len(known[p]) :] for p, ids in zip(places, texts, strict=True)}
        rows = self._network.forward(self._memory, new).astype(np.float64)
        position = len(texts[0]) - len(requests[0].ids)
        for row, request in zip(rows, requests, strict=True):
            row[list(request.form.barred(position))] = -np.inf
        noise = np.array(
            [
                np.random.default_rng((request.seed, position)).gumbel(size=rows.shape[1])
                for request in requests
            ]
        )
        near = _gaps(self._perturbed(rows, noise)) < TIE / max(self.temperature, TIE)
        for i in np.flatnonzero(near):
            precise = self._precise()
            memory = precise.memory()
            rows[i] = precise.forward(memory, {memory.add(): texts[i]})[0]
            rows[i, list(requests[i].form.barred(position))] = -np.inf
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


def _completion(request: Request, tokens: list[tuple[int, float]]) -> Completion:
    ids = [t for t, _ in tokens]
    return Completion(
        text=request.form.text(ids),
        usage=Usage(prompt_tokens=len(request.ids), completion_tokens=len(ids), calls=1),
        logprobs=tuple(p for _, p in tokens),
        finish_reason="stop",
    )


@cache
def described(path: Path) -> dict[str, str]:
    """The metadata of a file of weights. Raises `ModelError` for one that can't be read."""
    with _opened(path) as file:
        return dict(file.metadata() or {})


@cache
def load(path: Path, vocabulary: str, part: str = ""):  # type: ignore[no-untyped-def]
    """The network, a maker of its double-precision twin, and the file's metadata.

    Raises `ModelError` for a file that can't be read or was made for another vocabulary.
    """
    metadata = described(path)
    if json.loads(metadata["vocabulary"]) != vocabulary:
        raise ModelError(f"the weights in {str(path)!r} belong to another vocabulary")
    with _opened(path) as file:
        mine = [k for k in file.keys() if k.startswith(part)]  # noqa: SIM118
        weights = {k.removeprefix(part): file.get_tensor(k) for k in mine}
    heads = int(metadata[f"{part}heads"])
    twin = cache(lambda: Network(weights, heads, np.float64))
    return Network(weights, heads), twin, metadata


def _opened(path: Path) -> Any:
    try:
        return safe_open(str(path), "numpy")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the weights of tiny can't be read from {str(path)!r}: {error}") from None
