"""Models over HTTP: the openai package and LangChain against real servers, good and bad."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from agent.errors import ModelError, ModelUnusable, UsageError
from agent.models.langchain import LangChainModel
from agent.models.openai import OpenAIModel
from agent.models.scripted import ScriptedModel
from agent.types import Completion, Message, Model, Question
from tasks.chess.rules import read_move
from tasks.chess.task import Chess

KEY = "sk-planted-0123456789abcdef"


@pytest.fixture(autouse=True)
def planted_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def question(style: str = "lan") -> Question:
    task = Chess(start="initial", style=style, quality_nodes=0)
    return task.question(task.advance(task.start(1), "e4", "leave"))


def ask(model: Model, n: int = 1, seed: int = 7, q: Question | None = None) -> list[Completion]:
    return asyncio.run(model.generate(q or question(), n, seed))


# -- the product's own server ----------------------------------------------------------------


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("style", ["lan", "pgn"])
def test_tiny_answers_over_http(tiny_url: str, api: Any, style: str) -> None:
    model = OpenAIModel("tiny", base_url=tiny_url, api=api, logprobs=True)
    first, second = ask(model, q=question(style)), ask(model, q=question(style))
    assert first == second, "a seed decides, also in another event loop"
    [completion] = first
    assert completion.usage.prompt_tokens >= 3
    assert completion.usage.completion_tokens == 2
    assert completion.logprobs is not None
    assert len(completion.logprobs) == 2
    assert max(completion.logprobs) <= 0
    assert completion.finish_reason == "stop"
    assert read_move(__import__("chess").Board(), completion.text).well_formed


def test_seeds_differ_and_samples_are_calls_of_their_own(tiny_url: str) -> None:
    model = OpenAIModel("tiny", base_url=tiny_url)
    many = ask(model, n=12)
    assert len({c.text for c in many}) > 1
    assert all(c.usage.calls == 1 for c in many)


def test_http_and_the_embedded_model_agree(tiny_url: str) -> None:
    from agent.models.tiny import Tiny

    over_http = OpenAIModel("tiny", base_url=tiny_url, api="completions")
    assert [c.text.strip() for c in ask(over_http)] == [c.text for c in ask(Tiny())]


# -- servers that misbehave ---------------------------------------------------------------------

OK: dict[str, Any] = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "e7e5"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}  # fmt: skip


def changed(**update: Any) -> Response:
    return JSONResponse({**OK, **update})


def choice(**message: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}]


def error(status: int, message: str, **headers: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status, headers)


def until(number: int, bad: Response) -> Callable[[Request, int], Response]:
    return lambda request, count: bad if count < number else changed()


ANSWERED = [
    ("500 twice, then good", until(3, error(500, "no")), "e7e5"),
    ("429 with Retry-After", until(2, error(429, "slow", **{"retry-after": "0"})), "e7e5"),
    ("content null", lambda r, c: changed(choices=choice(content=None)), ""),
    ("empty content", lambda r, c: changed(choices=choice(content="")), ""),
    ("another model's name", lambda r, c: changed(model="other"), "e7e5"),
    ("broken unicode", lambda r, c: Response(
        __import__("json").dumps({**OK, "choices": choice(content="e7\ud800")}).encode(),
        media_type="application/json"), "e7?"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "answer", "text"), ANSWERED, ids=[a[0] for a in ANSWERED])
def test_what_can_be_read_is_an_answer(misbehaving: Any, why: str, answer: Any, text: str) -> None:
    [completion] = ask(OpenAIModel("m", base_url=misbehaving(answer)))
    assert completion.text == text


def test_a_server_without_usage_is_counted_as_unreported(misbehaving: Any) -> None:
    url = misbehaving(lambda r, c: changed(usage=None))
    [completion] = ask(OpenAIModel("m", base_url=url))
    assert (completion.usage.unreported, completion.usage.total) == (1, 0)


FAULTS = [
    ("a wrong key", lambda r, c: error(401, "bad key"), ModelUnusable, "OPENAI_API_KEY"),
    ("a forbidden model", lambda r, c: error(403, "no"), ModelUnusable, "OPENAI_API_KEY"),
    ("an unknown model", lambda r, c: error(404, "no such model"), ModelUnusable, "--model"),
    ("500 for ever", lambda r, c: error(500, "on fire"), ModelError, "500: on fire"),
    ("a bad request", lambda r, c: error(400, "no seed here"), ModelError, "400: no seed here"),
    ("a page of HTML", lambda r, c: HTMLResponse("<html>hi</html>"), ModelError, "can't be read"),
    ("truncated JSON", lambda r, c: Response(b'{"id": "1", "cho', media_type="application/json"),
     ModelError, "can't be read"),
    ("no choices", lambda r, c: changed(choices=[]), ModelError, "can't be read"),
    ("the key in the error", lambda r, c: error(400, r.headers["authorization"]), ModelError, "[key]"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "answer", "kind", "told"), FAULTS, ids=[f[0] for f in FAULTS])
def test_a_fault_is_named_and_holds_no_key(
    misbehaving: Any, why: str, answer: Any, kind: type[ModelError], told: str
) -> None:
    model = OpenAIModel("m", base_url=misbehaving(answer), retries=1)
    with pytest.raises(ModelError) as caught:
        ask(model)
    assert type(caught.value) is kind
    assert told in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_listening_names_the_setting() -> None:
    model = OpenAIModel("m", base_url=f"http://me:{KEY}@127.0.0.1:9/v1", retries=0)
    with pytest.raises(ModelUnusable, match="--base-url") as caught:
        ask(model)
    assert KEY not in str(caught.value)
    assert KEY not in str(model.configuration())
    assert model.configuration()["base_url"] == "http://127.0.0.1:9/v1"


def test_a_connection_lost_after_an_answer_is_a_fault_of_that_call_alone(tiny_url: str) -> None:
    model = OpenAIModel("tiny", base_url=tiny_url, retries=0)
    ask(model)
    model.base_url = "http://127.0.0.1:9/v1"
    model._client = None
    with pytest.raises(ModelError) as caught:
        ask(model)
    assert type(caught.value) is ModelError


def test_no_key_and_no_server_is_said_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        OpenAIModel("gpt-4o-mini")
    assert OpenAIModel("llama", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(UsageError, match="model name"):
        OpenAIModel("")


# -- LangChain --------------------------------------------------------------------------------


def test_a_langchain_model_by_name_and_as_an_object(tiny_url: str) -> None:
    from langchain_openai import ChatOpenAI

    by_name = LangChainModel.from_name("openai:tiny", base_url=tiny_url)
    given = LangChainModel(ChatOpenAI(model="tiny", base_url=tiny_url, api_key="x"))
    assert by_name.name == "langchain:openai:tiny"
    assert given.name == "langchain:tiny"
    [a], [b] = ask(by_name), ask(given)
    assert a.text == b.text
    assert (a.usage.completion_tokens, a.usage.calls) == (2, 1)
    assert a.finish_reason == "stop"
    assert by_name.configuration() == {
        "class": "ChatOpenAI", "temperature": 1.0, "base_url": tiny_url, "max_tokens": 512
    }  # fmt: skip


def test_faults_of_a_provider_are_infrastructure(misbehaving: Any) -> None:
    gone = LangChainModel.from_name(
        "openai:m", base_url=misbehaving(lambda r, c: error(404, "no such model"))
    )
    with pytest.raises(ModelUnusable, match=r"no such model \(setting: --model, --base-url\)"):
        ask(gone)
    locked = LangChainModel.from_name(
        "openai:m", base_url=misbehaving(lambda r, c: error(401, "no"))
    )
    with pytest.raises(ModelUnusable, match="setting: the provider's key"):
        ask(locked)
    nobody = LangChainModel.from_name("openai:m", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ModelUnusable, match="setting: --base-url"):
        ask(nobody)
    echo = misbehaving(lambda r, c: error(400, r.headers["authorization"]))
    with pytest.raises(ModelError) as caught:
        ask(LangChainModel.from_name("openai:m", base_url=echo))
    assert KEY not in str(caught.value)


def test_an_unknown_provider_is_one_line() -> None:
    with pytest.raises(UsageError, match="langchain:nobody:m") as caught:
        LangChainModel.from_name("nobody:m")
    assert "\n" not in str(caught.value)


# -- the scripted one ---------------------------------------------------------------------------


def test_a_script_complains_about_what_is_left_and_what_is_missing() -> None:
    model = ScriptedModel(["a", "b"])
    q = Question(messages=(Message(role="user", content="?"),), prefix="so far")
    assert [c.text for c in ask(model, q=q)] == ["a"]
    with pytest.raises(UsageError, match="1 scripted replies were never asked for: \\['b'\\]"):
        model.close()
    ask(model, q=q)
    model.close()
    with pytest.raises(UsageError, match=r"call 3 of a scripted model that has 2 replies.*so far"):
        ask(model, q=q)


def test_a_script_may_be_a_function_or_a_file(tmp_path: Any) -> None:
    assert ask(ScriptedModel(lambda q, seed: str(seed)), n=2)[1].text == "8"
    (tmp_path / "replies.txt").write_text("e4\nd4\n")
    model = ScriptedModel.from_file(str(tmp_path / "replies.txt"))
    assert [c.text for c in ask(model, n=2)] == ["e4", "d4"]
    with pytest.raises(UsageError, match="No such file"):
        ScriptedModel.from_file(str(tmp_path / "gone.txt"))
