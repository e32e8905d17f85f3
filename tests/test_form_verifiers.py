"""Verifiers of form: a pattern, a length, a JSON Schema, each made from what it is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent import resolve
from agent.errors import UsageError
from agent.types import Answer, Question, Verdict
from agent.verification import Check, judge, preflight
from verifiers.json_schema import JsonSchema

QUESTION = Question(messages=(), prefix="")
MOVE = {
    "type": "object",
    "properties": {"disc": {"type": "integer", "minimum": 1}, "to": {"enum": ["A", "B", "C"]}},
    "required": ["disc", "to"],
    "additionalProperties": False,
}


def verdict(verifier: Any, answer: Answer) -> Verdict:
    return asyncio.run(judge(Check.of(verifier), QUESTION, answer))


PATTERNS = [("[0-9]+ [ABC] [ABC]", "2 A B", True), ("[0-9]+ [ABC] [ABC]", "2 A B!", False),
            ("[a-h][1-8]", "d8 ", False), ("a|ab", "ab", True), (r"-?\d+", 8, True),
            ("", None, True), (".", None, False), ("(?i)white rook|empty", "White Rook", True),
            ("a:b", "a:b", True)]  # fmt: skip


@pytest.mark.parametrize(("pattern", "answer", "passes"), PATTERNS)
def test_the_whole_answer_must_match(pattern: str, answer: Answer, passes: bool) -> None:
    result = verdict(resolve.verifier(f"regex:{pattern}"), answer)
    assert result.outcome == ("pass" if passes else "fail")
    assert result.critique == ("" if passes else f"The answer must have the form {pattern}.")


def test_a_pattern_that_never_ends_is_broken_not_a_verdict_and_holds_nothing_up() -> None:
    verifier: Any = resolve.verifier("regex:(a|aa)+")
    verifier.timeout = 0.2

    async def both() -> tuple[Verdict, int]:
        hanging = asyncio.create_task(judge(Check.of(verifier), QUESTION, "a" * 60 + "!"))
        turns = 0
        while not hanging.done():
            await asyncio.sleep(0.001)
            turns += 1
        return hanging.result(), turns

    result, turns = asyncio.run(both())
    assert result.outcome == "error"
    assert turns > 3, "the event loop turned meanwhile"


LENGTHS = [("3", "abc", True), ("3", "abcd", False), ("3", "", True), ("2-3", "a", False),
           ("2-3", "ab", True), ("0", "", True), ("3", None, True), ("1-3", None, False),
           ("3", 1234, False), ("2", "\u2654\u2655", True)]  # fmt: skip


@pytest.mark.parametrize(("limits", "answer", "passes"), LENGTHS)
def test_a_length_is_counted_in_characters(limits: str, answer: Answer, passes: bool) -> None:
    result = verdict(resolve.verifier(f"length:{limits}"), answer)
    assert result.outcome == ("pass" if passes else "fail")
    assert passes or "characters" in result.critique


def test_a_length_proves_itself_on_its_limits() -> None:
    [line] = asyncio.run(preflight([Check.of(resolve.verifier("length:2-5"))]))
    assert line == "length:2-5: 2 known-good and 1 known-bad examples hold"


JSONS = [({"disc": 2, "to": "B"}, None), ('{"disc": 2, "to": "B"}', None),
         ('{"disc": 2}', "The JSON does not fit: 'to' is a required property."),
         ({"disc": 0, "to": "B"},
          "The JSON does not fit: $.disc: 0 is less than the minimum of 1."),
         ("[]", "The JSON does not fit: [] is not of type 'object'."),
         ('{"disc": 2', "The answer is no JSON: Expecting ',' delimiter"),
         ("", "The answer is no JSON: Expecting value"),
         ("NaN", "The answer is no JSON: NaN is no JSON number."),
         ("[" * 100_000, "The answer is no JSON:"), (None, "is not of type 'object'")]  # fmt: skip


@pytest.mark.parametrize(("answer", "told"), JSONS, ids=lambda x: str(x)[:30])
def test_what_does_not_fit_is_named_with_its_place(answer: Answer, told: str | None) -> None:
    result = verdict(JsonSchema(MOVE), answer)
    assert result.outcome == ("fail" if told else "pass")
    assert (told or "") in result.critique


def test_several_faults_are_named_at_once_but_not_all() -> None:
    critique = verdict(JsonSchema({"items": {"type": "integer"}}), '["a", "b", "c", "d"]').critique
    assert critique == (
        "The JSON does not fit: $[0]: 'a' is not of type 'integer'; "
        "$[1]: 'b' is not of type 'integer'; $[2]: 'c' is not of type 'integer'."
    )


def test_a_reference_is_never_fetched() -> None:
    result = verdict(JsonSchema({"$ref": "http://127.0.0.1:9/schema.json"}), "{}")
    assert result.outcome == "error"
    assert (
        "Unresolvable" in result.evidence["error"]
        or "_WrappedReferencingError" in (result.evidence["error"])
    )


def test_a_schema_comes_from_a_file_and_is_recorded_by_content(tmp_path: Path) -> None:
    file = tmp_path / "move.json"
    versions = []
    for schema in (MOVE, {**MOVE, "required": ["disc"]}):
        file.write_text(json.dumps(schema))
        made: Any = resolve.verifier(f"json-schema:{file}")
        versions.append(Check.of(made).configuration()["version"])
    assert len(set(versions)) == 2
    assert made.name == f"json-schema:{file}"
    assert verdict(made, '{"disc": 2}').outcome == "pass"


def test_what_no_verifier_can_be_made_from_is_refused(tmp_path: Path) -> None:
    files = {"text": "no json", "wrong": '{"type": "wish"}', "list": "[1]"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    told = {"regex:(": "no regular expression", "length:": "not MAX or MIN-MAX",
            "length:five": "not MAX or MIN-MAX", "length:5-3": "not MAX or MIN-MAX",
            "length:-3": "not MAX or MIN-MAX",
            f"json-schema:{tmp_path}/none": "No such file", f"json-schema:{tmp_path}": "directory",
            f"json-schema:{tmp_path}/text": "no JSON", f"json-schema:{tmp_path}/wrong": "no JSON Schema",
            f"json-schema:{tmp_path}/list": "no JSON Schema"}  # fmt: skip
    for spec, message in told.items():
        with pytest.raises(UsageError, match=message):
            resolve.verifier(spec)
