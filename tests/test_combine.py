"""Verifiers put together: what the parts come to, and that nothing of the parts is lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from toy import Counting, is_next

from agent import resolve
from agent.arms import ARMS
from agent.errors import BadVerifier, UnknownName, UsageError
from agent.loop import rollout
from agent.models.scripted import ScriptedModel
from agent.types import Answer, Question, Usage, Verdict
from agent.verification import Check, judge, preflight
from verifiers.combine import Combination, all_of, any_of, majority
from verifiers.noisy import Noisy

QUESTION = Question(messages=(), prefix="")


class Part:
    """A verifier that always says the same: `pass!`, `fail?`, `error.`

    Its severity is the sign: must (!), should (?) or shadow (.).
    """

    def __init__(self, told: str) -> None:
        self.name = told
        self.outcome = told[:-1]
        self.severity = {"!": "must", "?": "should", ".": "shadow"}[told[-1]]

    def __call__(self, question: Question, answer: Answer) -> Verdict:
        if self.outcome == "error":
            raise RuntimeError("broken")
        return Verdict(verifier="", outcome=self.outcome, usage=Usage(prompt_tokens=1, calls=1),
                       critique=f"{self.name} says so." if self.outcome == "fail" else "",
                       evidence={"of": self.name})  # fmt: skip


def verdict(verifier: Any, answer: Answer = "x") -> Verdict:
    return asyncio.run(judge(Check.of(verifier), QUESTION, answer))


def of(kind: Any, told: str) -> Verdict:
    return verdict(kind(*(Part(t) for t in told.split())))


ALL = [("pass! pass!", "pass must"), ("pass! fail!", "fail must"), ("pass! error!", "error must"),
       ("fail! error!", "fail must"), ("error! fail!", "fail must"), ("pass! abstain!", "pass"),
       ("abstain! abstain!", "abstain"), ("abstain! error!", "error must"),
       ("pass! fail?", "fail should"), ("fail? error!", "error must"), ("pass! error?", "pass"),
       ("abstain! error?", "error should"), ("fail! fail?", "fail must"), ("fail?", "fail should"),
       ("pass! fail.", "pass"), ("pass! error.", "pass"), ("abstain! pass.", "abstain"),
       ("fail.", "fail shadow"), ("pass. error.", "pass")]  # fmt: skip
ANY = [("pass! fail!", "pass"), ("fail! fail!", "fail must"), ("fail! error!", "error must"),
       ("pass! error!", "pass"), ("abstain! fail!", "fail must"), ("abstain! abstain!", "abstain"),
       ("abstain! error!", "error must"), ("fail? fail!", "fail must"), ("fail? fail?", "fail should"),
       ("fail! pass.", "fail must"), ("fail! pass?", "pass"), ("error. pass!", "pass"),
       ("fail. fail.", "fail shadow")]  # fmt: skip
MOST = [("pass! pass! fail!", "pass"), ("pass! fail! fail!", "fail must"),
        ("pass! fail!", "fail must"), ("pass! error! fail!", "error must"),
        ("pass! pass! error!", "pass"), ("fail! fail! error!", "fail must"),
        ("pass! error! error!", "error must"), ("error! error! error!", "error must"),
        ("pass! abstain! abstain!", "pass"), ("pass! fail! abstain!", "fail must"),
        ("abstain! abstain!", "abstain"), ("pass! fail! pass.", "fail must"),
        ("fail? fail? pass?", "fail should"), ("pass! pass! fail? error?", "error must")]  # fmt: skip
TABLES = [(k, *row) for k, rows in ((all_of, ALL), (any_of, ANY), (majority, MOST)) for row in rows]


@pytest.mark.parametrize(("kind", "told", "wanted"), TABLES)
def test_what_the_parts_come_to(kind: Any, told: str, wanted: str) -> None:
    outcome, _, severity = wanted.partition(" ")
    result = of(kind, told)
    assert result.outcome == outcome
    assert result.severity == severity or not severity


@pytest.mark.parametrize("kind", [all_of, any_of, majority])
@pytest.mark.parametrize("told", ["error!", "error! error!", "fail! error!", "abstain! error!"])
def test_a_broken_part_that_had_to_judge_is_never_a_pass(kind: Any, told: str) -> None:
    assert of(kind, told).outcome != "pass"


def test_critique_evidence_and_usage_of_the_parts_are_kept() -> None:
    result = of(all_of, "fail! pass! fail? fail.")
    assert result.critique == "fail! says so. fail? says so."
    assert result.usage == Usage(prompt_tokens=4, calls=4)
    parts = result.evidence["parts"]
    assert [(p["verifier"], p["outcome"], p["severity"]) for p in parts] == [
        ("fail!", "fail", "must"), ("pass!", "pass", "must"), ("fail?", "fail", "should"),
        ("fail.", "fail", "shadow"),
    ]  # fmt: skip
    assert parts[0]["evidence"] == {"of": "fail!"}
    assert of(any_of, "fail! pass!").critique == "", "what passes needs no critique"


async def later(question: Question, answer: Answer) -> str | None:
    await asyncio.sleep(0.01)
    return "later." if answer == "bad" else None


def now(question: Question, answer: Answer) -> str | None:
    return "now." if answer == "bad" else None


def hangs(question: Question, answer: Answer) -> None:
    while True:
        time.sleep(0.01)


hangs.timeout = 0.1  # type: ignore[attr-defined]


def test_async_and_plain_parts_work_side_by_side() -> None:
    both = all_of(later, now)
    assert verdict(both, "good").outcome == "pass"
    assert verdict(both, "bad").critique == "later. now."


def test_a_part_that_hangs_is_broken_and_the_others_still_count() -> None:
    assert verdict(all_of(hangs, now), "good").outcome == "error"
    assert verdict(all_of(hangs, now), "bad").critique == "now."
    assert verdict(any_of(hangs, now), "good").outcome == "pass"
    error = verdict(all_of(hangs, now), "good").evidence["parts"][0]["evidence"]["error"]
    assert error == "took longer than 0.1 s"


def test_it_is_as_patient_as_its_most_patient_part_and_as_strict_as_its_strictest() -> None:
    assert all_of(hangs, now).timeout > Check.of(now).timeout
    assert all_of(Part("pass?"), Part("pass!")).severity == "must"
    assert all_of(Part("pass?"), Part("pass.")).severity == "should"


def test_combinations_nest_and_can_be_made_noisy() -> None:
    nested = any_of(all_of(now, Part("fail!")), majority(later, now, Part("fail!")))
    assert nested.name == "any_of(all_of(now,fail!),majority(later,now,fail!))"
    assert verdict(nested, "good").outcome == "pass"
    assert verdict(nested, "bad").outcome == "fail"
    assert verdict(Noisy(all_of(now), false_reject=1.0), "good").outcome == "fail"


def offers(*answers: str) -> Any:
    def verifier(question: Question, answer: Answer) -> str | None:
        return None if answer in answers else "no."

    verifier.candidates = lambda question: list(answers)  # type: ignore[attr-defined]
    return verifier


@pytest.mark.parametrize(
    ("made", "wanted"),
    [(all_of(offers("a", "b"), offers("b", "c")), ["b"]),
     (all_of(offers("a", "b"), now), []),
     (any_of(offers("a", "b"), offers("b", "c"), now), ["a", "b", "c"]),
     (majority(offers("a", "b"), offers("b", "c"), offers("c", "a", "b")), ["a", "b", "c"]),
     (majority(offers("a"), offers("a", "b"), now), ["a"]),
     (all_of(offers("a", "a")), ["a"])],
)  # fmt: skip
def test_it_offers_what_is_sure_to_pass(made: Combination, wanted: list[str]) -> None:
    offered = made.candidates(QUESTION)
    assert offered == wanted
    assert all(verdict(made, answer).outcome == "pass" for answer in offered)


def test_the_examples_of_the_parts_are_proved_before_it_may_judge() -> None:
    def lies(question: Question, answer: Answer) -> None:
        return None

    lies.known_bad = [(QUESTION, "bad")]  # type: ignore[attr-defined]
    with pytest.raises(BadVerifier, match="'lies' should fail"):
        asyncio.run(preflight([Check.of(all_of(any_of(lies), now))]))
    lines = asyncio.run(preflight([Check.of(all_of(now, later))]))
    assert [line.split(":")[0] for line in lines] == ["now", "later", "all_of(now,later)"]


def test_what_made_it_is_recorded() -> None:
    recorded = Check.of(all_of(Part("pass!"), Noisy(now, false_accept=0.2))).configuration()
    assert recorded["name"] == "all_of(pass!,noisy(now))"
    assert [p["name"] for p in recorded["version"]] == ["pass!", "noisy(now)"]
    assert "false accept 0.2" in recorded["version"][1]["version"]


def test_in_the_loop_it_corrects_and_a_mild_part_is_waived_at_the_last_attempt() -> None:
    def even(question: Question, answer: Answer) -> str | None:
        return None if answer % 2 == 0 else "It should be even."

    even.severity = "should"  # type: ignore[attr-defined]
    arm = ARMS["critique"].model_copy(update={"checks": (Check.of(all_of(is_next, even)),)})
    model = ScriptedModel(["7", "1", "1"])
    trace = asyncio.run(rollout(Counting(horizon=1), model, arm, 0))
    [step] = trace.steps
    assert [a.verdicts[0].critique for a in step.attempts] == [
        "7 does not follow 0. It should be even.", "It should be even.", "It should be even.",
    ]  # fmt: skip
    assert [a.verdicts[0].severity for a in step.attempts] == ["must", "should", "shadow"]
    assert (step.answer, step.exhausted) == (1, False)


@pytest.mark.parametrize(
    ("own", "told", "wanted"),
    [("must", "should", "should"), ("should", "must", "should"), ("shadow", "must", "shadow"),
     ("must", "shadow", "shadow"), ("must", "must", "must")],
)  # fmt: skip
def test_a_verdict_may_be_milder_than_its_verifier_and_never_stricter(
    own: str, told: Any, wanted: str
) -> None:
    def verifier(question: Question, answer: Answer) -> Verdict:
        return Verdict(verifier="", outcome="fail", severity=told)

    verifier.severity = own  # type: ignore[attr-defined]
    assert verdict(verifier).severity == wanted


# -- on the command line ----------------------------------------------------------------------


SPECS = [("all_of(chess-legality,regex:[a-h](x|y){1,2})", ["chess-legality", "regex:[a-h](x|y){1,2}"]),
         ("any_of( length:3 , regex:a\\,b\\( )", ["length:3", "regex:a\\,b\\("]),
         ("majority(toy:is_next,any_of(length:1,length:2),hanoi-legality)",
          ["is_next", "any_of(length:1,length:2)", "hanoi-legality"])]  # fmt: skip


@pytest.mark.parametrize(("spec", "parts"), SPECS)
def test_a_combination_is_named_on_the_command_line(spec: str, parts: list[str]) -> None:
    made: Any = resolve.verifier(spec)
    assert [p.name for p in made.parts] == parts


REFUSED = [("all_of()", UsageError, "needs at least one"), ("all_of(length:1", UsageError, "brackets"),
           ("all_of(length:1)x", UsageError, "brackets"), ("all_of(a)(b)", UsageError, "brackets"),
           ("all_of(regex:[)", UsageError, "brackets"), ("al_of(length:1)", UnknownName, "all_of"),
           ("all_of(chess-legalty)", UnknownName, "chess-legality"),
           ("all_of(nowhere.py:f)", BadVerifier, "does not exist"),
           ("all_of", UnknownName, "all_of")]  # fmt: skip


@pytest.mark.parametrize(("spec", "error", "told"), REFUSED)
def test_a_spec_that_makes_no_verifier_is_refused_with_the_reason(
    spec: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        resolve.verifier(spec)
