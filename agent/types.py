"""The data that crosses every boundary, and the three roles one can plug in.

Two kinds of knowledge are kept apart by type: a `Verifier` may steer the model and never
sees the truth; a `Score` comes from the task's own oracle and is computed on a sealed
`Trace`. The loop is given an `Environment`, which has no score to ask for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import AfterValidator, BaseModel, ConfigDict

TRACE_VERSION = 1
"""Raised when a stored trace can no longer be read by older code."""

Json = Any
"""Anything `json.dumps` takes."""

Answer = Json
"""A parsed answer; None where the text had none."""

Outcome = Literal["pass", "fail", "abstain", "error"]
Severity = Literal["must", "should", "shadow"]
AfterError = Literal["stop", "leave", "repair"]


def _storable(text: str) -> str:
    """Lone surrogates, which JSON lets a server send, can be written in no file."""
    return text.encode("utf-8", "replace").decode("utf-8")


Text = Annotated[str, AfterValidator(_storable)]


class Frozen(BaseModel):
    """Base of all data here: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Frozen):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    content: str
    """What is said."""


class Question(Frozen):
    """What is asked at a step, for chat models and for base models alike."""

    messages: tuple[Message, ...]
    """The chat form."""
    prefix: str
    """The plain form: a text that a base model continues."""
    state: Json = None
    """A JSON-able snapshot of the task's state; never the truth that scores it."""
    opening: str = ""
    """The end of `prefix`, where an answer begins with it: the model writes the rest."""
    aside: str = "\n[{critique}]\n"
    """How a critique is written into the plain form; holds `{critique}`."""

    @cached_property
    def hash(self) -> str:
        """16 hex digits over what the model reads (not over the state)."""
        text = json.dumps([[m.role, m.content] for m in self.messages] + [self.prefix])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Usage(Frozen):
    """Tokens of one or more calls, as the server counted them."""

    prompt_tokens: int = 0
    """Tokens read."""
    completion_tokens: int = 0
    """Tokens written."""
    calls: int = 0
    """Model calls."""
    unreported: int = 0
    """Calls whose server gave no usage: their tokens are not in the sums."""

    @property
    def total(self) -> int:
        """Tokens read and written."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            calls=self.calls + other.calls,
            unreported=self.unreported + other.unreported,
        )


class Completion(Frozen):
    """One sample of a model."""

    text: Text
    """What it wrote."""
    usage: Usage
    """What that cost."""
    logprobs: tuple[float, ...] | None = None
    """Natural log-probability of each token written, where the model tells."""
    finish_reason: str | None = None
    """Why it ended, in the server's word."""


class Verdict(Frozen):
    """What one verifier says of one answer."""

    verifier: str
    """Its name."""
    outcome: Outcome
    """`error` is a broken verifier: never a pass and never a wrong answer."""
    critique: Text = ""
    """What the model may be told."""
    evidence: Json = None
    """What machines may want to know: a class, a score."""
    score: float | None = None
    """How far the answer got, 0 to 1, where the verifier can tell; decides among failures."""
    severity: Severity = "must"
    """`must` rejects, `should` is waived on the last attempt, `shadow` only watches.

    A verdict may be weaker than its verifier's own severity, never stronger.
    """
    usage: Usage = Usage()
    """Tokens that the verifier itself spent."""
    seconds: float = 0.0
    """How long it took."""


class Attempt(Frozen):
    """One sample and what was said of it."""

    text: str
    """What the model wrote."""
    answer: Answer
    """What was read in it; None where nothing could be."""
    verdicts: tuple[Verdict, ...] = ()
    """In the order of the arm's verifiers; a text that can't be read has one by `parse`."""
    prompt_hash: str
    """Of the question as it was asked, critiques included."""
    usage: Usage
    """Tokens of the model."""
    seconds: float = 0.0
    """From asking to the last verdict."""
    logprob: float | None = None
    """Sum of the log-probabilities of its tokens."""
    finish_reason: str | None = None
    """Why the model ended."""

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The verdicts that reject it."""
        return tuple(v for v in self.verdicts if v.outcome == "fail" and v.severity != "shadow")

    @property
    def broken(self) -> bool:
        """A verifier it depends on could not judge it."""
        return any(v.outcome == "error" and v.severity == "must" for v in self.verdicts)


class Step(Frozen):
    """One question, every attempt at it, and the one that was accepted."""

    index: int
    """0 for the first step of the episode."""
    question: Question
    """As asked first, before any critique."""
    attempts: tuple[Attempt, ...]
    """In order; at least one."""
    accepted: int
    """Index of the accepted attempt."""
    exhausted: bool = False
    """No attempt passed, or no answer won the vote: the best one was taken."""

    @property
    def answer(self) -> Answer:
        """The accepted answer."""
        return self.attempts[self.accepted].answer

    @property
    def usage(self) -> Usage:
        """Everything this step cost, failed attempts and verifiers included."""
        return total(u for a in self.attempts for u in (a.usage, *(v.usage for v in a.verdicts)))


class Score(Frozen):
    """What the task's oracle says of one answer; never seen by the loop."""

    correct: bool | None
    """None: not judged, which is not wrong."""
    error_class: str | None = None
    """The kind of the error."""
    on_track: bool | None = None
    """The run's own state agrees with the truth after this step; None: same as `correct`."""
    key: bool | None = None
    """The step is one of the few that decide (a key token); None: the task has no such idea."""
    measures: dict[str, float | bool | None] = {}
    """Anything else that is measured; None where it could not be."""


class Trace(Frozen):
    """One episode, sealed."""

    version: int = TRACE_VERSION
    """Format of this record."""
    task: str
    """Name of the task."""
    arm: str
    """Name of the arm."""
    model: str
    """Name of the model."""
    seed: int
    """Decides instance, opponent and sampling."""
    configuration: Json = None
    """Everything that task, arm and model were set to."""
    steps: tuple[Step, ...] = ()
    """In order."""
    stop_reason: str
    """`horizon`, `error` (infrastructure), or the task's own word for its end."""
    error: str | None = None
    """What failed, where `stop_reason` is `error`."""

    @property
    def usage(self) -> Usage:
        """Everything the episode cost."""
        return total(s.usage for s in self.steps)


def total(usages: Iterable[Usage]) -> Usage:
    """The sum of usages."""
    result = Usage()
    for usage in usages:
        result += usage
    return result


State = TypeVar("State")


@runtime_checkable
class Model(Protocol):
    """Something that answers questions."""

    name: str
    """As `compare` and the trace print it."""

    def configuration(self) -> dict[str, Json]:
        """What it is set to (temperature and the like); never a key."""
        ...

    async def generate(self, question: Question, n: int, seed: int) -> list[Completion]:
        """`n` independent samples. Raises `ModelError` where it could not be asked."""
        ...


class Environment(Protocol[State]):
    """What an episode is played in: everything of a task but its truth.

    States are immutable. Everything random comes from the seed, so that two arms with one
    seed meet the same instance and the same opponent.
    """

    name: str
    """As given on the command line."""
    horizon: int
    """Steps after which every episode ends."""

    def configuration(self) -> dict[str, Json]:
        """What it is set to."""
        ...

    def start(self, seed: int) -> State:
        """The first state."""
        ...

    def question(self, state: State) -> Question:
        """What is asked in `state`."""
        ...

    def parse(self, text: str, state: State) -> Answer:
        """The answer in `text`. Raises `ParseFailure`, whose message is a critique."""
        ...

    def advance(self, state: State, answer: Answer, after_error: AfterError) -> State:
        """The state after `answer`; by the task's own rule where the answer is impossible."""
        ...

    def done(self, state: State) -> str | None:
        """Why the episode ends here by itself, or None."""
        ...


class Task(Environment[State], Protocol[State]):
    """An environment and its oracle.

    It may also offer `with_errors(state, share)`, the state with that share of its shown
    history made wrong; `picture(question)`, text for people; `sketch(question, answer)`, what
    the report draws; `styles`, the values of its option `style`; `close()`, the end of what it
    keeps open.
    """

    verifiers: Sequence[str]
    """Names of the verifiers that its corrected arms use when none are given."""
    oracle_verifiers: Sequence[str]
    """Verifiers that equal the oracle: they make corrected answers right by construction."""

    def score(self, question: Question, answer: Answer) -> Score:
        """The truth about one answer; called on sealed traces only."""
        ...


VerifierResult = Verdict | str | None
"""None passes, a string is the critique of a failure, a Verdict says it in full."""


class Verifier(Protocol):
    """A callable `(question, answer) -> Verdict | str | None`, plain or `async`.

    It may also have: `name`; `severity`; `timeout` in seconds; `candidates(question)`, all the
    answers it would pass; `known_good` and `known_bad`, pairs of question and answer that it must
    pass and fail; `version`, whatever else decides its verdicts, told with every result.
    """

    def __call__(
        self, question: Question, answer: Answer, /
    ) -> VerifierResult | Awaitable[VerifierResult]:
        """The verdict on `answer`."""
        ...


AnyVerifier = Verifier | Callable[..., Any]
