"""The loop with scripted models: what is asked, what is told, what is taken."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

import pytest
from toy import Counting, is_next

import agent.loop
from agent import prompts
from agent.arms import ARMS, Arm
from agent.budget import Budget
from agent.errors import BadVerifier, BudgetExhausted, ModelError, ModelUnusable, UsageError
from agent.experiment import score_trace
from agent.loop import derive_seed, rollout
from agent.models.scripted import ScriptedModel
from agent.selection import best
from agent.types import (
    Attempt,
    Completion,
    Environment,
    Question,
    Trace,
    Usage,
    Verdict,
)
from agent.verification import Check, judge, preflight
from agent.watch import Watcher
from tasks.chess.task import Chess


def arm(name: str, *verifiers: Any, **settings: Any) -> Arm:
    chosen = ARMS[name].model_copy(update=settings)
    return chosen.with_checks([Check.of(v) for v in verifiers])


def play(
    replies: Any, arm: Arm, task: Any = None, seed: int = 1, **options: Any
) -> tuple[Trace, list[Question]]:
    """The trace, and every question as it was put."""
    asked: list[Question] = []
    script = None if callable(replies) else list(replies)

    def reply(question: Question, seed: int) -> str:
        asked.append(question)
        return script.pop(0) if script is not None else replies(question, seed)

    model = ScriptedModel(reply)
    trace = asyncio.run(rollout(task or Counting(), model, arm, seed, **options))
    assert not script, f"replies never asked for: {script}"
    return trace, asked


def test_a_baseline_takes_every_answer_as_it_comes() -> None:
    trace, asked = play(["11", "99", "x"], arm("baseline", is_next))
    assert [s.answer for s in trace.steps] == [11, 99, None]
    assert [q.prefix for q in asked] == ["10,", "11,", "99,"]
    assert trace.stop_reason == "horizon"
    assert all(len(s.attempts) == 1 and not s.attempts[0].failed for s in trace.steps)


TOLD = {
    "resample": [],
    "flag": ["7", prompts.FLAG],
    "critique": ["7", "7 does not follow 10. Try again."],
    "hint": ["7", "7 does not follow 10. Try again. Answers that pass: 11."],
}


@pytest.mark.parametrize("name", TOLD)
def test_each_arm_tells_what_its_name_says(name: str) -> None:
    class Hinting:
        name = "is-next"

        def __call__(self, question: Question, answer: Any) -> str | None:
            return is_next(question, answer)

        def candidates(self, question: Question) -> list[int]:
            return [question.state["last"] + 1]

    trace, asked = play(["7", "11"], arm(name, Hinting()), Counting(horizon=1))
    assert [m.content for m in asked[1].messages[1:]] == TOLD[name]
    assert asked[1].messages[0] == asked[0].messages[0]
    if TOLD[name]:
        assert asked[1].prefix == f"10, 7\n[{TOLD[name][1]}]\n"
    else:
        assert asked[1].prefix == asked[0].prefix
    assert trace.steps[0].accepted == 1
    assert trace.steps[0].answer == 11


def test_only_the_latest_critique_is_told_unless_the_arm_asks_for_all() -> None:
    replies = ["7", "8", "11"]
    _, latest = play(replies, arm("critique", is_next), Counting(horizon=1))
    _, every = play(replies, arm("critique", is_next, feedback="history"), Counting(horizon=1))
    assert "7" not in latest[2].messages[-1].content
    assert [line[:2] for line in every[2].messages[-1].content.splitlines()[1:3]] == ["7:", "8:"]


def test_the_first_question_is_the_same_to_the_byte_in_every_arm() -> None:
    firsts: dict[str, list[tuple[bytes, bytes, str]]] = {}
    for name in ARMS:
        chosen = arm(name, is_next)
        trace, asked = play(lambda q, s: str(q.state["last"] + 1), chosen)
        whole = [(q.model_dump_json().encode(), q.prefix.encode(), q.hash) for q in asked]
        # Further questions of a step are resamples of its first one.
        firsts[name] = whole[:: len(trace.steps[0].attempts)]
        hashes = [s.attempts[0].prompt_hash for s in trace.steps]
        assert hashes == [s.question.hash for s in trace.steps]
    assert len({tuple(f) for f in firsts.values()}) == 1


def test_first_chess_prompts_are_the_same_to_the_byte_in_every_arm_and_style() -> None:
    for style in ("pgn", "fen", "history", "ascii", "words", "alphazero", "recall", "lan"):
        hashes = set()
        for name in ARMS:
            task = Chess(horizon=1, style=style)
            trace, asked = play(lambda q, s: "zz", arm(name, is_illegal), task, seed=5)
            hashes.add((asked[0].model_dump_json(), trace.steps[0].attempts[0].prompt_hash))
        assert len(hashes) == 1, style


def is_illegal(question: Question, answer: Any) -> str | None:
    return "no"


def test_two_arms_with_one_seed_get_the_same_first_samples() -> None:
    seeds: dict[str, list[int]] = {}
    for name in ("baseline", "critique"):
        seen = seeds.setdefault(name, [])

        def reply(question: Question, seed: int, seen: list[int] = seen) -> str:
            seen.append(seed)
            return str(question.state["last"] + 1)

        play(reply, arm(name, is_next))
    assert seeds["baseline"] == seeds["critique"]
    assert seeds["baseline"] == [derive_seed(1, step, 0) for step in range(3)]
    assert len(set(seeds["baseline"])) == 3


# -- the truth is out of reach ------------------------------------------------------------


class Sealed(Counting):
    """Any touch of the oracle while an episode is played is an error."""

    def __getattribute__(self, name: str) -> Any:
        if name == "score":
            raise AssertionError("the loop reached for the oracle")
        return super().__getattribute__(name)


@pytest.mark.parametrize("name", ARMS)
def test_no_arm_reaches_the_score(name: str) -> None:
    trace, _ = play(lambda q, s: "7", arm(name, is_next), Sealed())
    assert len(trace.steps) == 3
    assert "score" not in {n for n in vars(Environment) if not n.startswith("_")}
    assert "correct" not in trace.model_dump_json()
    scores = score_trace(Counting(), trace)
    assert all(score.correct is False for row in scores for score in row)


def test_a_verifier_sees_a_question_and_an_answer_and_nothing_else() -> None:
    seen: list[tuple[Any, ...]] = []

    def spy(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    play(lambda q, s: "11", arm("critique", spy), Counting(horizon=1))
    [(args, kwargs)] = seen
    assert kwargs == {}
    assert [type(a) for a in args] == [Question, int]
    assert set(args[0].state) == {"last", "seed"}


def test_what_a_verifier_does_to_its_question_changes_nothing() -> None:
    def vandal(question: Question, answer: Any) -> None:
        with pytest.raises(ValueError, match="frozen"):
            question.prefix = "gone"  # type: ignore[misc]

    trace, asked = play(lambda q, s: str(q.state["last"] + 1), arm("critique", vandal))
    assert [s.answer for s in trace.steps] == [11, 12, 13]
    assert asked[2].prefix == "12,"


# -- what is taken when nothing passes ------------------------------------------------------


def attempt(answer: Any, *outcomes: str, logprob: float | None = None) -> Attempt:
    verdicts = tuple(Verdict(verifier=f"v{i}", outcome=o) for i, o in enumerate(outcomes))
    return Attempt(text=str(answer), answer=answer, verdicts=verdicts, prompt_hash="",
                   usage=Usage(), logprob=logprob)  # fmt: skip


BEST = [
    ("the first pass", [attempt(1, "fail"), attempt(2, "pass"), attempt(3, "pass")], 1),
    ("fewer failures", [attempt(1, "fail", "fail"), attempt(2, "fail", "pass")], 1),
    ("the first of equals, never simply the last", [attempt(1, "fail"), attempt(2, "fail")], 0),
    ("readable before unreadable", [attempt(None, "fail"), attempt(2, "fail")], 1),
    ("a pass before an unjudged one", [attempt(1, "error"), attempt(2, "pass")], 1),
    ("an unjudged one before a failure", [attempt(1, "fail"), attempt(2, "error")], 1),
    ("the likelier of two passes",
     [attempt(1, "pass", logprob=-3.0), attempt(2, "pass", logprob=-1.0)], 1),
    ("likelihood excuses no failure",
     [attempt(1, "fail", logprob=-3.0), attempt(2, "fail", logprob=-1.0)], 0),
]  # fmt: skip


@pytest.mark.parametrize(("why", "attempts", "wanted"), BEST, ids=[b[0] for b in BEST])
def test_the_best_attempt_is(why: str, attempts: list[Attempt], wanted: int) -> None:
    assert best(attempts) == wanted


def test_a_step_without_a_pass_is_exhausted_and_takes_the_best() -> None:
    trace, _ = play(["x", "7", "y"], arm("resample", is_next), Counting(horizon=1))
    step = trace.steps[0]
    assert (step.exhausted, step.accepted, step.answer) == (True, 1, 7)


def test_best_of_n_samples_all_and_takes_a_passing_one() -> None:
    trace, asked = play(["7", "11", "8"], arm("best-of-n", is_next), Counting(horizon=1))
    assert len(trace.steps[0].attempts) == 3
    assert (trace.steps[0].answer, trace.steps[0].exhausted) == (11, False)
    assert len({q.hash for q in asked}) == 1


def test_an_unreadable_answer_is_told_to_an_arm_that_verifies() -> None:
    trace, asked = play(["x", "11"], arm("critique"), Counting(horizon=1))
    assert asked[1].messages[-1].content == "'x' is no number. Try again."
    assert trace.steps[0].answer == 11


# -- verifiers that misbehave ---------------------------------------------------------------


def raises(question: Question, answer: Any) -> None:
    raise RuntimeError("boom")


def exits(question: Question, answer: Any) -> None:
    raise SystemExit(0)


def stops(question: Question, answer: Any) -> None:
    raise StopIteration


def nonsense(question: Question, answer: Any) -> Any:
    return 42


def hangs(question: Question, answer: Any) -> None:
    while True:
        time.sleep(0.01)


async def hangs_async(question: Question, answer: Any) -> None:
    await asyncio.sleep(3600)


async def exits_async(question: Question, answer: Any) -> None:
    raise SystemExit(0)


hangs.timeout = hangs_async.timeout = 0.2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "verifier", [raises, exits, exits_async, stops, nonsense, hangs, hangs_async]
)
def test_a_broken_verifier_is_an_error_and_the_run_goes_on(verifier: Any) -> None:
    trace, _ = play(lambda q, s: str(q.state["last"] + 1), arm("critique", verifier))
    assert [s.answer for s in trace.steps] == [11, 12, 13]
    for step in trace.steps:
        [verdict] = step.attempts[0].verdicts
        assert verdict.outcome == "error"
        assert verdict.evidence["error"]
        assert step.attempts[0].broken
        assert not step.exhausted


def test_a_verifier_that_hangs_in_a_thread_is_ended() -> None:
    import threading

    play(lambda q, s: "11", arm("critique", hangs), Counting(horizon=1))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not [t for t in threading.enumerate() if t.name == "verifier"]:
            break
        time.sleep(0.02)
    assert not [t for t in threading.enumerate() if t.name == "verifier"]


def test_a_time_limit_of_its_own_that_a_verifier_meets_is_told_as_it_is() -> None:
    async def asks_elsewhere(question: Question, answer: Any) -> None:
        raise TimeoutError("the other server")

    trace, _ = play(["11"], arm("critique", asks_elsewhere), Counting(horizon=1))
    [verdict] = trace.steps[0].attempts[0].verdicts
    assert verdict.evidence["error"] == "TimeoutError: the other server"


def test_a_run_that_is_cancelled_just_when_a_verifier_ends_is_cancelled() -> None:
    async def cancelled_meanwhile() -> None:
        this = asyncio.current_task()

        async def verify(question: Question, answer: Any) -> None:
            asyncio.get_running_loop().call_soon(this.cancel)  # type: ignore[union-attr]

        question = Counting().question((1, 0, 10))
        await judge(Check.of(verify), question, 11)
        await asyncio.sleep(0)
        raise AssertionError("the cancellation was swallowed")

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled_meanwhile())


def test_async_verifiers_and_verdicts_are_taken() -> None:
    async def polite(question: Question, answer: Any) -> Verdict:
        return Verdict(verifier="other name", outcome="abstain", evidence={"sure": 0.5})

    trace, _ = play(["11"], arm("critique", polite), Counting(horizon=1))
    [verdict] = trace.steps[0].attempts[0].verdicts
    assert (verdict.verifier, verdict.outcome) == ("polite", "abstain")


def soft(question: Question, answer: Any) -> str:
    return "I would not."


def test_should_is_waived_on_the_last_attempt_and_shadow_is_never_told() -> None:
    soft.severity = "should"  # type: ignore[attr-defined]
    trace, asked = play(["11", "11", "11"], arm("critique", soft), Counting(horizon=1))
    assert len(asked) == 3
    assert not trace.steps[0].exhausted
    soft.severity = "shadow"  # type: ignore[attr-defined]
    trace, asked = play(["11"], arm("critique", soft), Counting(horizon=1))
    assert len(asked) == 1
    assert trace.steps[0].attempts[0].verdicts[0].outcome == "fail"


def test_a_verifier_that_fails_its_own_examples_may_not_judge() -> None:
    question = Counting().question((1, 0, 10))
    lenient = lambda question, answer: None  # noqa: E731
    lenient.known_bad = [(question, 7)]
    with pytest.raises(BadVerifier, match="should fail its own example 7"):
        asyncio.run(preflight([Check.of(lenient, "lenient")]))
    is_next_with = lambda question, answer: is_next(question, answer)  # noqa: E731
    is_next_with.known_good, is_next_with.known_bad = [(question, 11)], [(question, 7)]
    assert asyncio.run(preflight([Check.of(is_next_with, "good")])) == [
        "good: 1 known-good and 1 known-bad examples hold"
    ]


# -- faults, limits, resuming ----------------------------------------------------------------


class Failing:
    name = "failing"

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    def configuration(self) -> dict[str, Any]:
        return {}

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        self.calls += 1
        if self.calls > 1:
            raise self.error
        usage = Usage(prompt_tokens=5, completion_tokens=5, calls=1)
        return [Completion(text=str(question.state["last"] + 1), usage=usage)]


def test_a_call_that_fails_ends_the_episode_as_infrastructure_and_keeps_its_steps() -> None:
    trace = asyncio.run(rollout(Counting(), Failing(ModelError("503")), arm("baseline"), 1))
    assert (trace.stop_reason, trace.error, len(trace.steps)) == ("error", "503", 1)


def test_a_model_that_can_never_answer_stops_the_run() -> None:
    with pytest.raises(ModelUnusable):
        asyncio.run(rollout(Counting(), Failing(ModelUnusable("401")), arm("baseline"), 1))


def test_an_episode_resumed_at_any_step_is_the_same_episode() -> None:
    def reply(question: Question, seed: int) -> str:
        return str(question.state["last"] + (1 if seed % 3 else 2))

    chosen = arm("critique", is_next)
    whole, _ = play(reply, chosen, Counting(horizon=8))
    timeless = lambda t: _without_seconds(t.model_dump())  # noqa: E731
    for cut in range(9):
        part, _ = play(reply, chosen, Counting(horizon=8), earlier=whole.steps[:cut])
        assert timeless(part) == timeless(whole), cut


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if k != "seconds"}
    if isinstance(value, list | tuple):
        return [_without_seconds(v) for v in value]
    return value


def test_a_token_limit_stops_before_the_next_call() -> None:
    steps = []

    class Keep(Watcher):
        async def on_step(self, arm: Arm, seed: int, step: Any) -> None:
            steps.append(step)

    with pytest.raises(BudgetExhausted, match="limit of 4 tokens"):
        play(lambda q, s: str(q.state["last"] + 1), arm("baseline"),
             budget=Budget(tokens=4), watcher=Keep())  # fmt: skip
    assert len(steps) == 2


def test_a_limit_on_a_server_that_reports_no_usage_fails_closed() -> None:
    budget = Budget(tokens=1000)
    budget.spend(Attempt(text="", answer=None, prompt_hash="", usage=Usage(calls=1, unreported=1)))
    with pytest.raises(BudgetExhausted, match="reports no usage"):
        budget.check()


def test_money_is_counted_from_the_given_price_alone() -> None:
    budget = Budget(usd=0.002, price=(1.0, 2.0))
    usage = Usage(prompt_tokens=1000, completion_tokens=500, calls=1)
    budget.spend(Attempt(text="", answer=None, prompt_hash="", usage=usage))
    assert budget.cost == pytest.approx(0.002)
    with pytest.raises(BudgetExhausted, match="USD"):
        budget.check()
    assert Budget().cost is None


def test_a_scripted_call_too_many_is_loud() -> None:
    model = ScriptedModel(["11"])
    with pytest.raises(UsageError, match="call 2 of a scripted model that has 1 replies"):
        asyncio.run(rollout(Counting(), model, arm("baseline"), 1))


def test_the_loop_stays_on_one_screen() -> None:
    loop = inspect.getsource(agent.loop._Episode)
    assert len(loop[: loop.index("def judge")].splitlines()) <= 70


def test_evidence_that_cannot_be_stored_is_the_verifiers_error() -> None:
    def careless(question: Question, answer: Any) -> Verdict:
        return Verdict(verifier="careless", outcome="pass", evidence={1, 2})

    trace, _ = play(["11"], arm("critique", careless), Counting(horizon=1))
    [verdict] = trace.steps[0].attempts[0].verdicts
    assert verdict.outcome == "error"
    assert "not JSON serializable" in verdict.evidence["error"]


def test_broken_unicode_of_a_server_can_be_stored() -> None:
    usage = Usage(prompt_tokens=1, completion_tokens=1, calls=1)
    completion = Completion(text="a\ud800b\x00", usage=usage)
    assert completion.text == "a?b\x00"
    assert Completion.model_validate_json(completion.model_dump_json()) == completion
