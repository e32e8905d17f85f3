"""Any LangChain chat model: by `init_chat_model`, or an object."""

from __future__ import annotations

import asyncio
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from agent.errors import ModelError, ModelUnusable, UsageError, public
from agent.types import Completion, Json, Question, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage


class LangChainModel:
    """A chat model of LangChain as a `Model`; its own retries stay as it sets them."""

    def __init__(
        self, model: BaseChatModel, name: str | None = None, settings: Json | None = None
    ) -> None:
        """`settings` are recorded beside what the object tells of itself."""
        self._model, self._settings = model, settings or {}
        self._answered = False
        given = getattr(model, "model_name", None) or getattr(model, "model", None)
        self.name = name or f"langchain:{given or type(model).__name__}"

    @classmethod
    def from_name(cls, name: str, *, temperature: float = 1.0, base_url: str | None = None,
                  max_tokens: int = 512, logprobs: bool = False) -> LangChainModel:  # fmt: skip
        """`PROVIDER:NAME`, as LangChain writes it. Raises `UsageError` if it can't be made."""
        if not name:
            raise UsageError("langchain: needs a provider and a model, as in langchain:openai:NAME")
        from langchain.chat_models import init_chat_model

        options: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
        if base_url:
            options["base_url"] = base_url
        if logprobs:
            options["logprobs"] = True
        try:
            model = init_chat_model(name, **options)
        except Exception as error:  # each provider raises its own
            first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise UsageError(f"langchain:{name}: {first[:300]}") from None
        settings = {"base_url": base_url and public(base_url), "max_tokens": max_tokens}
        return cls(model, f"langchain:{name}", settings)

    def configuration(self) -> dict[str, Json]:
        """Class, temperature and the settings given; never a key."""
        temperature = getattr(self._model, "temperature", None)
        return {"class": type(self._model).__name__, "temperature": temperature, **self._settings}

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        """`n` samples, each a call of its own; seeded where the model has a seed.

        Raises `ModelError` for any exception of the provider.
        """
        return list(await asyncio.gather(*(self._one(question, seed + i) for i in range(n))))

    async def _one(self, question: Question, seed: int) -> Completion:
        messages = [(m.role, m.content) for m in question.messages]
        options: dict[str, Any] = {"seed": seed} if hasattr(self._model, "seed") else {}
        try:
            called = self._model.ainvoke(messages, **options)
            message = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(called, _loop()))
        except Exception as error:  # provider-specific, and never a wrong answer
            told = f"{self.name}: {type(error).__name__}: {_first_line(error)}"
            setting = _setting(error, self._answered)
            if setting:
                raise ModelUnusable(f"{told} (setting: {setting})") from None
            raise ModelError(told) from None
        self._answered = True
        return _completion(message, drawn_by=getattr(self._model, "temperature", None) in (None, 1))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop for all calls of the process.

    LangChain's clients are cached across instances and bound to the loop that first used
    them: a second `asyncio.run` would find it closed.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="langchain").start()
    return loop


def _completion(message: AIMessage, drawn_by: bool) -> Completion:
    """`drawn_by`: what is told as log-probabilities, of temperature 1, is what decided."""
    told = message.usage_metadata
    usage = (
        Usage(prompt_tokens=told["input_tokens"], completion_tokens=told["output_tokens"], calls=1)
        if told
        else Usage(calls=1, unreported=1)
    )
    metadata = message.response_metadata
    content = (metadata.get("logprobs") or {}).get("content") if drawn_by else None
    return Completion(
        text=str(message.text),
        usage=usage,
        logprobs=tuple(t["logprob"] for t in content) if content else None,
        finish_reason=metadata.get("finish_reason") or metadata.get("stop_reason"),
    )


def _setting(error: Exception, answered: bool) -> str | None:
    """What must be mended before any call can succeed; None where the next one may."""
    from langchain_core import exceptions as known

    status = _status(error)
    if status in (401, 403) or isinstance(
        error, known.ModelAuthenticationError | known.ModelPermissionDeniedError
    ):
        return "the provider's key in the environment"
    if status == 404 or isinstance(error, known.ModelNotFoundError):
        return "--model, --base-url"
    if isinstance(error, known.ModelConnectionError) and not answered:
        return "--base-url"
    return None


def _status(error: BaseException) -> int | None:
    cause: BaseException | None = error
    while cause is not None:
        status = getattr(cause, "status_code", None)
        if isinstance(status, int):
            return status
        cause = cause.__cause__
    return None


def _first_line(error: Exception) -> str:
    """One line, without what looks like a key: providers echo it in their messages."""
    import re

    line = next(iter(str(error).strip().splitlines()), "")
    return re.sub(r"\b(sk|pk|key|api)[-_][\w*-]{6,}", "[key]", line)[:300]
