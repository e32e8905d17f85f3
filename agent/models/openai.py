"""Any OpenAI-compatible server, by the openai package: chat, or completions for base models."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Literal

from agent.errors import ModelError, ModelUnusable, UsageError, public
from agent.types import Completion, Json, Question, Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

Api = Literal["chat", "completions"]

AT_ONE = (
    "--logprobs with --temperature {temperature:g}: servers tell log-probabilities of temperature "
    "1, which are not those that the answers are drawn by; leave one of the two out"
)


class OpenAIModel:
    """One model on one server.

    name: as the server calls it.
    base_url: of the server; default OPENAI_BASE_URL or OpenAI's own.
    api: `chat`, or `completions` for base models that continue a text.
    max_tokens: written per call at most.
    logprobs: ask for log-probabilities; some servers refuse or ignore that. Most tell those of
        temperature 1 whatever they sample by, so that any other is refused.
    retries: of the client library, on 408, 409, 429, 5xx and broken connections.

    The key comes from OPENAI_API_KEY; a server given by `base_url` may do without.
    Raises `UsageError` where there is none, and for `logprobs` at another temperature.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api: Api = "chat",
        temperature: float = 1.0,
        max_tokens: int = 512,
        logprobs: bool = False,
        retries: int = 2,
        timeout: float = 120.0,
    ) -> None:
        if logprobs and temperature != 1:
            raise UsageError(AT_ONE.format(temperature=temperature))
        if not name:
            raise UsageError("openai: needs a model name, as in openai:gpt-4o-mini")
        self.name = f"openai:{name}"
        self._model, self._api = name, api
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self._key = os.environ.get("OPENAI_API_KEY") or ("none" if self.base_url else "")
        if not self._key:
            raise UsageError(
                "no key: set OPENAI_API_KEY, or --base-url for a server that needs none"
            )
        self._temperature, self._max_tokens = temperature, max_tokens
        self._logprobs, self._retries, self._timeout = logprobs, retries, timeout
        self._client: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answered = False

    def configuration(self) -> dict[str, Json]:
        """Settings that decide answers; never the key."""
        return {
            "base_url": self.base_url and public(self.base_url), "api": self._api,
            "temperature": self._temperature, "max_tokens": self._max_tokens,
        }  # fmt: skip

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        """`n` samples, each a call of its own: many servers ignore the parameter n.

        Raises `ModelUnusable` for a key, a name or an address that can't work, `ModelError`
        for a call that failed after the client's retries.
        """
        return list(await asyncio.gather(*(self._one(question, seed + i) for i in range(n))))

    async def _one(self, question: Question, seed: int) -> Completion:
        import openai

        try:
            chat = self._api == "chat"
            completion = await (self._chat if chat else self._complete)(question, seed)
        except openai.APIConnectionError as error:
            where = public(self.base_url or "the OpenAI server")
            reason = "no answer in time" if isinstance(error, openai.APITimeoutError) else (
                f"can't connect: {error.__cause__ or error}")  # fmt: skip
            kind = ModelError if self._answered else ModelUnusable
            raise kind(self._clean(f"{where}: {reason} (setting: --base-url)")) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ModelUnusable(
                f"{error.status_code}: the server does not accept the key (setting: OPENAI_API_KEY)"
            ) from None
        except openai.NotFoundError as error:
            settings = "settings: --model, --base-url"
            message = f"404: no model {self._model!r}, or a wrong address ({settings}): "
            raise ModelUnusable(self._clean(message + _message(error))) from None
        except openai.APIStatusError as error:
            raise ModelError(self._clean(f"{error.status_code}: {_message(error)}")) from None
        except Exception as error:
            # A broken body reaches us as whatever its parser raises.
            message = f"the server's answer can't be read: {type(error).__name__}: {error}"
            raise ModelError(self._clean(message)) from None
        self._answered = True
        return completion

    async def _chat(self, question: Question, seed: int) -> Completion:
        extra: dict[str, Any] = {"logprobs": True} if self._logprobs else {}
        response = await self._open().chat.completions.create(
            model=self._model,
            messages=[{"role": m.role, "content": m.content} for m in question.messages],  # type: ignore[misc]
            seed=seed, temperature=self._temperature, max_tokens=self._max_tokens, **extra,
        )  # fmt: skip
        choice = response.choices[0]
        content = choice.logprobs.content if choice.logprobs else None
        return Completion(
            text=choice.message.content or "",
            usage=_usage(response.usage),
            logprobs=tuple(t.logprob for t in content) if content else None,
            finish_reason=choice.finish_reason,
        )

    async def _complete(self, question: Question, seed: int) -> Completion:
        extra: dict[str, Any] = {"logprobs": 1} if self._logprobs else {}
        response = await self._open().completions.create(
            model=self._model, prompt=question.prefix, seed=seed,
            temperature=self._temperature, max_tokens=self._max_tokens, **extra,
        )  # fmt: skip
        choice = response.choices[0]
        told = choice.logprobs.token_logprobs if choice.logprobs else None
        return Completion(
            text=choice.text or "",
            usage=_usage(response.usage),
            logprobs=tuple(told) if told else None,
            finish_reason=choice.finish_reason,
        )

    def _open(self) -> AsyncOpenAI:
        """The client of this event loop: one made in another loop fails with it closed."""
        from openai import AsyncOpenAI

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = AsyncOpenAI(
                api_key=self._key, base_url=self.base_url,
                max_retries=self._retries, timeout=self._timeout,
            )  # fmt: skip
            self._loop = loop
        return self._client

    def _clean(self, text: str) -> str:
        """No key leaves this module, and a page of HTML is no message."""
        return redact(" ".join(text.split()), self._key)[:300]


def redact(text: str, key: str) -> str:
    """`text` without `key`."""
    return text.replace(key, "[key]") if len(key) > 4 else text


def _message(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.message)


def _usage(usage: Any) -> Usage:
    if usage is None:
        return Usage(calls=1, unreported=1)
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        calls=1,
    )
