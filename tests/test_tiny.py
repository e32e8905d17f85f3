"""The embedded model: its text, its arithmetic, its determinism. No test knows the weights."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import chess
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ModelError, UsageError
from agent.models.tiny import Tiny, tokenizer
from agent.models.tiny.language import load
from agent.models.tiny.model import WEIGHTS
from agent.models.tiny.network import Array, Network
from agent.types import Question
from tasks.chess.rules import long_algebraic, read_move
from tasks.chess.task import Chess

# -- the text ----------------------------------------------------------------------------------


def random_boards(count: int) -> list[chess.Board]:
    rng, out = random.Random(4), []
    while len(out) < count:
        board = chess.Board()
        for _ in range(rng.randint(0, 120)):
            if board.is_game_over():
                break
            board.push(rng.choice(list(board.legal_moves)))
        out.append(board)
    fens = ["r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 12", "4k3/8/8/4Pp2/8/8/8/4K3 w - f6 0 20",
            "8/4P3/8/8/8/k7/8/4K3 w - - 0 40", "4k3/8/8/8/8/8/p7/1R2K3 b - - 0 40"]  # fmt: skip
    return out + [chess.Board(fen) for fen in fens]


def test_every_legal_move_is_written_as_tokens_and_read_back_as_itself() -> None:
    seen = 0
    for board in random_boards(60):
        for move in board.legal_moves:
            ids = tokenizer.move_tokens(long_algebraic(board, move), board.turn)
            text = tokenizer.decode_move(ids[0], ids[1])
            assert text is not None
            assert read_move(board, text).move == move, (board.fen(), text)
            seen += 1
    assert seen > 1000


def test_the_last_token_to_name_a_square_says_what_stands_on_it() -> None:
    for board in random_boards(40):
        if not board.move_stack:
            continue
        replay, on = chess.Board(), {}
        for square, piece in replay.piece_map().items():
            on[chess.square_name(square)] = piece.symbol()
        for move in board.move_stack:
            text = long_algebraic(replay, move)
            for token in (
                tokenizer.VOCABULARY[i] for i in tokenizer.move_tokens(text, replay.turn)
            ):
                if token[-1] == "<":
                    del on[token[1:3]]
                elif token[-1] == ">":
                    on[token[1:3]] = token[0]
            if replay.is_en_passant(move):  # its one exception has a mark of its own
                assert text.rstrip("+#").endswith("e.p.")
                taken = chess.square(chess.square_file(move.to_square),
                                     chess.square_rank(move.from_square))  # fmt: skip
                del on[chess.square_name(taken)]
            replay.push(move)
        assert on == {chess.square_name(s): p.symbol() for s, p in board.piece_map().items()}


TURNS = [
    ("1.", "<start>", True),
    ("1. e2-e4", "<start> Pe2< Pe4>", False),
    ("1. e2-e4 e7-e5 2.", "<start> Pe2< Pe4> pe7< pe5>", True),
    ("1. e2-e4 {Wrong: try again.}", "<start> Pe2< Pe4> { wrong try again }", True),
    ("1. e2-e4 {No, Ng1-f3.} Ng1-f3", "<start> Pe2< Pe4> { no Ng1< Nf3> } Ng1< Nf3>", False),
    ("1. zz 1... e7-e5", "<start> <unk> pe7< pe5>", True),
    ("5... O-O+", "<start> ke8< kg8> rh8< rf8> +", True),
    ("1. e7e8=Q#", "<start> Pe7< Qe8> #", False),
    ("1. e5xd6e.p.", "<start> Pe5< Pd6> e.p.", False),
    ('[FEN "4k3/8/8/8/8/8/8/4K2R b K - 0 1"] 1...', "<setup> ke8> Ke1> Rh1> castling:K", False),
]


@pytest.mark.parametrize(("text", "tokens", "white"), TURNS, ids=[t[0][:24] for t in TURNS])
def test_text_becomes_these_tokens_and_this_side_is_to_move(
    text: str, tokens: str, white: bool
) -> None:
    ids, turn = tokenizer.encode(text)
    assert tokenizer.describe(ids) == tokens
    assert turn is white


@settings(max_examples=200, deadline=None)
@given(st.text() | st.from_regex(r"(\d+\. |[KQa-h1-8x{}+#=-]|O-O |\[FEN \")*"))
def test_any_text_at_all_can_be_encoded(text: str) -> None:
    ids, _ = tokenizer.encode(text)
    assert ids
    assert all(0 <= i < len(tokenizer.VOCABULARY) for i in ids)


def test_the_vocabulary_holds_each_name_once() -> None:
    assert len(set(tokenizer.VOCABULARY)) == len(tokenizer.VOCABULARY)


# -- the arithmetic ------------------------------------------------------------------------------


def games(count: int) -> list[list[int]]:
    task = Chess(style="lan", start="random:30", quality_nodes=0)
    return [tokenizer.encode(task.question(task.start(s)).prefix)[0] for s in range(count)]


def test_a_batch_is_each_text_alone_and_a_text_in_parts_is_the_whole() -> None:
    network, precise, _ = load(WEIGHTS, tokenizer.fingerprint())
    texts = games(5)

    def whole(net: Network, text: list[int]) -> Array:
        memory = net.memory()
        return net.forward(memory, {memory.add(): text})[0]

    alone = [whole(network, t) for t in texts]
    memory = network.memory()
    places = [memory.add() for _ in texts]
    # Not in the order of their places, and not all of them neighbours.
    order = [4, 0, 1, 3]
    batch = network.forward(memory, {places[i]: texts[i] for i in order})
    np.testing.assert_allclose(batch, [alone[i] for i in order], atol=2e-3)
    for text, expected in zip(texts, alone, strict=True):
        memory = network.memory()
        place = memory.add()
        for cut in range(0, len(text), 7):
            logits = network.forward(memory, {place: text[cut : cut + 7]})[0]
        np.testing.assert_allclose(logits, expected, atol=2e-3)
        np.testing.assert_allclose(whole(precise(), text), expected, atol=2e-3)


def test_neighbours_of_unlike_length_grow_together() -> None:
    network, _, _ = load(WEIGHTS, tokenizer.fingerprint())
    a, b = games(2)
    memory = network.memory()
    first, second = memory.add(), memory.add()
    network.forward(memory, {first: a[:-1], second: b[: len(b) // 2 - 1]})
    both = network.forward(memory, {first: a[-1:], second: b[len(b) // 2 - 1 : len(b) // 2]})
    for got, text in zip(both, (a, b[: len(b) // 2]), strict=True):
        memory = network.memory()
        alone = network.forward(memory, {memory.add(): text})[0]
        np.testing.assert_allclose(got, alone, atol=2e-3)


def test_the_shipped_weights_fit_their_budget() -> None:
    assert WEIGHTS.stat().st_size <= 12_000_000


# -- the answers ---------------------------------------------------------------------------------


def asked(seed: int) -> Question:
    task = Chess(style="lan", start="random:12", quality_nodes=0)
    return task.question(task.start(seed))


def test_a_seed_decides_whatever_else_is_in_the_batch() -> None:
    async def gather(order: list[int]) -> dict[int, str]:
        model = Tiny()
        answers = await asyncio.gather(*(model.generate(asked(s % 5), 1, s) for s in order))
        return {s: c.text for s, [c] in zip(order, answers, strict=True)}

    forward, backward = list(range(20)), list(range(19, -1, -1))
    together = asyncio.run(gather(forward))
    assert together == asyncio.run(gather(backward))
    alone = {s: asyncio.run(gather([s]))[s] for s in (0, 7, 19)}
    assert all(together[s] == answer for s, answer in alone.items())
    assert len(set(together.values())) > 5


def test_a_model_may_be_asked_from_one_event_loop_after_another() -> None:
    model = Tiny()
    first = asyncio.run(model.generate(asked(1), 2, 5))
    assert asyncio.run(model.generate(asked(1), 2, 5)) == first


def test_logprobs_are_natural_and_usage_counts_what_was_read() -> None:
    [completion] = asyncio.run(Tiny().generate(asked(1), 1, 5))
    assert completion.logprobs is not None
    assert all(p <= 0 for p in completion.logprobs)
    assert completion.usage.prompt_tokens == len(tokenizer.encode(asked(1).prefix)[0])
    assert completion.usage.completion_tokens == len(completion.logprobs)


def test_temperature_zero_takes_the_likeliest() -> None:
    cold = Tiny(temperature=0)
    texts = {asyncio.run(cold.generate(asked(2), 1, s))[0].text for s in range(5)}
    assert len(texts) == 1
    assert asyncio.run(cold.generate(asked(2), 1, 0))[0].logprobs == (0, 0)
    with pytest.raises(UsageError, match="temperature"):
        Tiny(temperature=-1)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_sampling_follows_the_probabilities_it_reports(temperature: float) -> None:
    many = asyncio.run(Tiny(temperature=temperature).generate(asked(3), 600, 0))
    first = {}
    for c in many:
        assert c.logprobs is not None
        first.setdefault(round(c.logprobs[0], 2), []).append(c.text)
    for logprob, texts in first.items():
        p = float(np.exp(logprob))
        slack = 5 * np.sqrt(p * (1 - p) / len(many)) + 0.005
        # Two first tokens may share a rounded log-probability; then there are more of them.
        assert len(texts) / len(many) > p - slack
        assert len(texts) / len(many) < 2 * p + slack


def test_a_text_too_long_to_read_is_not_a_wrong_answer() -> None:
    with pytest.raises(ModelError, match="smaller horizon"):
        asyncio.run(Tiny().generate(Question(messages=(), prefix="e2-e4 " * 400), 1, 0))


def test_broken_weights_are_said_to_be_broken(tmp_path: Path) -> None:
    broken = tmp_path / "w.safetensors"
    broken.write_bytes(WEIGHTS.read_bytes()[:1000])
    with pytest.raises(ModelError, match="can't be read"):
        Tiny(weights=str(broken))
    with pytest.raises(ModelError, match="can't be read"):
        Tiny(weights=str(tmp_path / "absent"))


def test_weights_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "w.safetensors"
    data = WEIGHTS.read_bytes()
    ours = tokenizer.fingerprint().encode()
    assert ours in data
    foreign.write_bytes(data.replace(ours, b"0" * len(ours)))
    with pytest.raises(ModelError, match="another vocabulary"):
        Tiny(weights=str(foreign))
