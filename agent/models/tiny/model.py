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
from agent.models.tiny.network import MAX_TOKENS, Network, Session
from agent.types import Completion, Json, Question, Usage

WEIGHTS = Path(__file__).with_name("weights.safetensors")

TIE = 1e-3
"""Two candidates nearer than this (in logits) are decided in double precision.

Single precision gives slightly other logits for another batch or another processor; that
must not decide what is sampled, or a resumed run would differ from an undisturbed one.
"""

MAX_SESSIONS = 128


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
        # By age, each with the first tokens of its text, which tell most games apart.
        self._sessions: OrderedDict[int, tuple[tuple[int, ...], Session]] = OrderedDict()
        self._pending: list[_Request] = []
        # Its own: in the shared pool it would queue behind the scoring of other episodes.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tiny")
        self._worker: asyncio.Task[None] | None = None

    def configuration(self) -> dict[str, Json]:
        """Temperature and which weights."""
        return {"temperature": self.temperature, "weights": self.metadata.get("fingerprint")}

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
            batch, self._pending = self._pending, []
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
        """One continuation for each (token ids, seed); the seed alone decides the sampling."""
        taken: set[int] = set()
        sessions = [self._session(ids, taken) for ids, _ in batch]
        # Two BLAS threads on a shared machine are slower than one.
        with _threads().limit(limits=1, user_api="blas"):
            new = [(s, ids[len(s.ids) :]) for s, (ids, _) in zip(sessions, batch, strict=True)]
            first = self._sample(new, [ids for ids, _ in batch], [s for _, s in batch], 0)
            more = [i for i, (t, _) in enumerate(first) if tokenizer.FROM <= t < tokenizer.TO]
            second = self._sample(
                [(sessions[i], [first[i][0]]) for i in more],
                [[*batch[i][0], first[i][0]] for i in more],
                [batch[i][1] for i in more],
                1,
            )
        written = {i: [first[i]] for i in range(len(batch))}
        for i, token in zip(more, second, strict=True):
            written[i].append(token)
        return [_completion(len(ids), written[i]) for i, (ids, _) in enumerate(batch)]

    def _sample(
        self,
        texts: list[tuple[Session, list[int]]],
        whole: list[list[int]],
        seeds: list[int],
        position: int,
    ) -> list[tuple[int, float]]:
        """The next token of each text and its log-probability."""
        if not texts:
            return []
        logits = self._network.forward(texts).astype(np.float64)
        # A move begins a new word, so what only continues the last one can't begin it.
        barred = tokenizer.CONTINUATIONS if position == 0 else []
        chosen = []
        for row, ids, seed in zip(logits, whole, seeds, strict=True):
            noise = np.random.default_rng((seed, position)).gumbel(size=len(row))
            row[barred] = -np.inf
            score = self._perturbed(row, noise)
            if _gap(score) < TIE / max(self.temperature, TIE):
                precise = self._precise()
                row = precise.forward([(precise.session(), ids)])[0]
                row[barred] = -np.inf
                score = self._perturbed(row, noise)
            token = int(score.argmax())
            logprob = float(row[token] - row.max() - np.log(np.exp(row - row.max()).sum()))
            # Further digits depend on the batch: they are noise, and would be stored.
            chosen.append((token, round(logprob, 4)))
        return chosen

    def _perturbed(
        self, row: NDArray[np.floating], noise: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        """Its maximum is a sample from softmax(row / temperature): the Gumbel trick."""
        if self.temperature == 0:
            return row
        result: NDArray[np.floating] = row / self.temperature + noise
        return result

    def _session(self, ids: list[int], taken: set[int]) -> Session:
        """A free session cut back to what it shares with `ids`; at least one token is new."""
        best, shared, key, head = None, 0, -1, tuple(ids[:8])
        for candidate, (other, session) in self._sessions.items():
            if other != head or candidate in taken:
                continue
            common = _common(session.ids, ids)
            if common > shared:
                best, shared, key = session, common, candidate
        if best is None:
            if len(self._sessions) >= MAX_SESSIONS:
                oldest = next((k for k in self._sessions if k not in taken), None)
                if oldest is not None:
                    del self._sessions[oldest]
            best, key = self._network.session(), max(self._sessions, default=0) + 1
            self._sessions[key] = head, best
        self._sessions.move_to_end(key)
        taken.add(key)
        del best.ids[min(shared, len(ids) - 1) :]
        return best


@cache
def _threads() -> ThreadpoolController:
    """Found once: to look for the loaded libraries takes longer than a token."""
    return ThreadpoolController()


def _gap(score: NDArray[np.floating]) -> float:
    second, first = np.partition(score, -2)[-2:]
    return float(first - second)


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
