"""A loopback OpenAI-compatible server around the embedded model: `errata serve`.

For trying the HTTP path, and other people's software, without a key. It answers
`/v1/models`, `/v1/completions` and `/v1/chat/completions`. A streamed answer comes in one piece:
it is two tokens long.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import chess
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.errors import ErrataError
from agent.loopback import served
from agent.models.tiny import Tiny
from agent.types import Completion, Question


class _Asked(BaseModel):
    """What both endpoints share; other fields of the protocol are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")
    model: str = "tiny"
    temperature: float = Field(default=1.0, ge=0, le=2)
    n: int = Field(default=1, ge=1, le=64)
    seed: int = 0
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    logprobs: bool | int | None = None


class _Completions(_Asked):
    prompt: str


def _joined(content: Any) -> Any:
    """Many clients send a text as a list of parts."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        parts = [part.get("text") for part in content]
        return "\n".join(parts) if all(isinstance(part, str) for part in parts) else content
    return content


class _Turn(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "user", "assistant", "developer"]
    content: Annotated[str, BeforeValidator(_joined)]


class _Chat(_Asked):
    messages: list[_Turn] = Field(min_length=1)


BASE = "/v1"
"""Where a client must be pointed, after the root."""


def application() -> Starlette:
    """The server; answers requests for loopback names only, whoever resolves to it."""
    return Starlette(
        routes=[
            Route("/v1/models", _models),
            Route("/v1/completions", _completions, methods=["POST"]),
            Route("/v1/chat/completions", _chat, methods=["POST"]),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"])
        ],
    )


async def _models(request: Request) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": "tiny", "object": "model"}]})


async def _completions(request: Request) -> Response:
    asked = await _read(request, _Completions)
    if isinstance(asked, JSONResponse):
        return asked
    return await _answer(asked, in_long_algebraic(asked.prompt), chat=False)


async def _chat(request: Request) -> Response:
    asked = await _read(request, _Chat)
    if isinstance(asked, JSONResponse):
        return asked
    return await _answer(asked, chat_text(asked.messages), chat=True)


async def _read(request: Request, kind: type[_Asked]) -> Any:
    try:
        asked = kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return _refuse(400, f"{where}: {first['msg']}")
    if asked.model.removeprefix("openai/") != "tiny":
        return _refuse(404, f"there is no model {asked.model!r} here, only 'tiny'")
    return asked


def _refuse(status: int, message: str) -> JSONResponse:
    kind = "invalid_request_error"
    return JSONResponse({"error": {"message": message, "type": kind}}, status_code=status)


async def _answer(asked: _Asked, text: str, *, chat: bool) -> Response:
    model = _tiny(asked.temperature)
    question = Question(messages=(), prefix=text)
    try:
        completions = await model.generate(question, asked.n, asked.seed)
    except ErrataError as error:
        return _refuse(400, str(error))
    prompt = completions[0].usage.prompt_tokens
    written = sum(c.usage.completion_tokens for c in completions)
    body = {
        "id": f"errata-{time.time_ns():x}",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": "tiny",
        "choices": [_choice(i, c, asked, chat) for i, c in enumerate(completions)],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        },
    }
    if asked.stream:
        return _streamed(body, told_usage=bool((asked.stream_options or {}).get("include_usage")))
    return JSONResponse(body)


def _streamed(body: dict[str, Any], told_usage: bool) -> Response:
    """The same as server-sent events: one for each choice, one for usage where that is wanted."""
    choices, usage = body.pop("choices"), body.pop("usage")
    for choice in choices:
        if "message" in choice:
            body["object"] = "chat.completion.chunk"
            choice["delta"] = choice.pop("message")
    events = [{**body, "choices": [choice]} for choice in choices]
    if told_usage:
        events.append({**body, "choices": [], "usage": usage})
    lines = [*map(json.dumps, events), "[DONE]"]
    return Response("".join(f"data: {line}\n\n" for line in lines), media_type="text/event-stream")


def _choice(index: int, c: Completion, asked: _Asked, chat: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": index, "finish_reason": "stop", "logprobs": None}
    told = c.logprobs if asked.logprobs is not None and asked.logprobs is not False else None
    if chat:
        choice["message"] = {"role": "assistant", "content": c.text}
        if told:
            choice["logprobs"] = {
                "content": [{"token": "", "logprob": p, "top_logprobs": []} for p in told]
            }
    else:
        choice["text"] = " " + c.text
        if told:
            choice["logprobs"] = {"token_logprobs": list(told), "tokens": [""] * len(told)}
    return choice


_models_by_temperature: dict[float, Tiny] = {}


def _tiny(temperature: float) -> Tiny:
    """One model a temperature; they share the weights."""
    if temperature not in _models_by_temperature:
        _models_by_temperature[temperature] = Tiny(temperature=temperature)
    return _models_by_temperature[temperature]


_MOVETEXT = re.compile(r"(?:\[FEN \"[^\"]*\"\]\s*)?\b\d+\.+.*", re.DOTALL)


def chat_text(messages: list[_Turn]) -> str:
    """A chat as the text that a base model continues.

    The game is what looks like one in the first user message; later answers and critiques
    follow it, a critique as a comment.
    """
    text = ""
    for turn in messages:
        if turn.role == "user" and not text:
            found = _MOVETEXT.search(turn.content)
            game = found.group().split("\n\n")[0] if found else "1."
            text = in_long_algebraic(" ".join(game.split()))
        elif turn.role == "assistant":
            text += f" {turn.content.strip()}"
        elif turn.role == "user":
            told = " ".join(turn.content.replace("{", "(").replace("}", ")").split())
            text += f" {{{told}}}"
    return text or "1."


def in_long_algebraic(text: str) -> str:
    """Movetext in standard notation -> the long one that tiny was taught; else unchanged.

    >>> in_long_algebraic("1. e4 e5 2. Nf3")
    '1. e2-e4 e7-e5 2. Ng1-f3'
    """
    from tasks.chess.rules import long_algebraic

    header = re.match(r"\s*\[FEN \"([^\"]*)\"\]", text)
    try:
        board = chess.Board(header[1]) if header else chess.Board()
    except ValueError:
        return text
    out, comment = [], False
    for word in text.split(" "):
        comment = (comment or word.startswith("{")) and not word.endswith("}")
        move = None
        if not comment and not word.endswith("}"):
            try:
                move = board.parse_san(word)
            except ValueError:
                move = None
        if move:
            out.append(long_algebraic(board, move))
            board.push(move)
        else:
            out.append(word)
    return " ".join(out)


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """The server in a thread of this process; yields its base URL, e.g. for examples."""
    with served(application(), port) as root:
        yield root + BASE
