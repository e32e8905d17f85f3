"""The server around tiny: the protocol, as another program meets it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from agent.server import _Turn, chat_text, in_long_algebraic


@pytest.fixture
def client(tiny_url: str) -> Any:
    with httpx.Client(base_url=tiny_url) as client:
        yield client


CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "1. e4"}], "seed": 3}
TEXT = {"model": "tiny", "prompt": "1. e4", "seed": 3}


def test_it_lists_its_model(client: Any) -> None:
    assert client.get("/models").json()["data"][0]["id"] == "tiny"


def test_n_samples_and_their_usage(client: Any) -> None:
    body = client.post("/chat/completions", json={**CHAT, "n": 3, "logprobs": True}).json()
    assert [c["index"] for c in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 6
    assert all(len(c["logprobs"]["content"]) == 2 for c in body["choices"])


def test_both_ways_of_asking_give_one_answer(client: Any) -> None:
    chat = client.post("/chat/completions", json=CHAT).json()
    text = client.post("/completions", json=TEXT).json()
    assert chat["choices"][0]["message"]["content"] == text["choices"][0]["text"].strip()
    assert (chat["object"], text["object"]) == ("chat.completion", "text_completion")


def test_a_client_may_stream_and_send_its_text_in_parts(tiny_url: str) -> None:
    import openai

    client = openai.OpenAI(base_url=tiny_url, api_key="none")
    whole = client.chat.completions.create(**CHAT)
    parts = [{"type": "text", "text": CHAT["messages"][0]["content"]}]
    stream = client.chat.completions.create(
        model="tiny", seed=3, messages=[{"role": "user", "content": parts}], stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    first, last = stream
    assert first.choices[0].delta.content == whole.choices[0].message.content
    assert (last.choices, last.usage) == ([], whole.usage)
    [piece] = client.completions.create(**TEXT, stream=True)
    assert piece.choices[0].text.strip() == whole.choices[0].message.content


REFUSED = [
    ("/chat/completions", b"{", 400, "JSON"),
    ("/chat/completions", b'{"model": "tiny"}', 400, "messages"),
    ("/chat/completions", b'{"messages": []}', 400, "messages"),
    ("/completions", b'{"model": "tiny"}', 400, "prompt"),
    ("/completions", b'{"prompt": "1.", "n": 0}', 400, "n:"),
    ("/completions", b'{"prompt": "1.", "temperature": 9}', 400, "temperature"),
    ("/completions", b'{"prompt": "1.", "model": "gpt-4"}', 404, "gpt-4"),
    (
        "/chat/completions",
        b'{"messages": [{"role": "user", "content": [{"image_url": ""}]}]}',
        400,
        "content",
    ),
    ("/completions", b'{"prompt": "' + b"e2-e4 " * 500 + b'"}', 400, "smaller horizon"),
]


@pytest.mark.parametrize(("path", "body", "status", "told"), REFUSED)
def test_what_it_cannot_do_it_says(
    client: Any, path: str, body: bytes, status: int, told: str
) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_it_answers_loopback_names_only(client: Any) -> None:
    foreign = client.get("/models", headers={"host": "evil.example"})
    assert foreign.status_code == 400


def test_movetext_of_others_is_read() -> None:
    assert in_long_algebraic("1. e4 e5 2. Nf3 {Bad.} 2. Nc3") == (
        "1. e2-e4 e7-e5 2. Ng1-f3 {Bad.} 2. Nc3"
    )
    assert in_long_algebraic("1. e2-e4 zz") == "1. e2-e4 zz"
    assert in_long_algebraic('[FEN "nonsense"] 1. e4') == '[FEN "nonsense"] 1. e4'


def test_a_chat_with_critiques_becomes_the_text_tiny_was_taught() -> None:
    turns = [
        _Turn(role="system", content="You play chess."),
        _Turn(role="user", content="The game so far:\n1. e4 e5 2.\n\nWhite to move."),
        _Turn(role="assistant", content="Qe3"),
        _Turn(role="user", content="Qe3 is illegal: {so}\nTry again."),
    ]
    assert chat_text(turns) == "1. e2-e4 e7-e5 2. Qe3 {Qe3 is illegal: (so) Try again.}"
    assert chat_text([_Turn(role="user", content="hello")]) == "1."
