"""A family of small programming problems: a description, its reference program, its tests.

Every problem is a chain of steps on one value (a list of numbers, a text, or a number), ended by
what is returned. Steps are templates with parameters; which templates follow one another is the
problem's `combination`, and a fixed tenth of all combinations is `held_out`: a model that was
taught on the others is examined on these.

>>> import random
>>> problem = sample(random.Random(5))
>>> problem.prefix.splitlines()[-1], problem.passes(problem.body)
('def f(s):', True)
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HELD_OUT_SHARE = 10
"""One combination in so many is never taught."""

LETTERS = "aeiourstln"


@dataclass(frozen=True)
class Template:
    """One step: how it is said, and what it does to the value `v`.

    `{k}` is a number from `low` to `high`, `{c}` a letter; `{of}` in `noun` is what it works on.
    """

    name: str
    order: str
    noun: str
    code: str
    low: int = 0
    high: int = 0


def _steps(*rows: tuple[Any, ...]) -> tuple[Template, ...]:
    return tuple(Template(*row) for row in rows)


_LIST_STEPS = _steps(
    ("even", "keep the even numbers", "the even numbers in {of}",
     "xs = [x for x in xs if x % 2 == 0]"),
    ("odd", "keep the odd numbers", "the odd numbers in {of}", "xs = [x for x in xs if x % 2 == 1]"),
    ("above", "keep the numbers above {k}", "the numbers above {k} in {of}",
     "xs = [x for x in xs if x > {k}]", 0, 9),
    ("below", "keep the numbers below {k}", "the numbers below {k} in {of}",
     "xs = [x for x in xs if x < {k}]", 0, 9),
    ("multiples", "keep the multiples of {k}", "the multiples of {k} in {of}",
     "xs = [x for x in xs if x % {k} == 0]", 3, 9),
    ("without", "remove every {k}", "the numbers other than {k} in {of}",
     "xs = [x for x in xs if x != {k}]", 0, 9),
    ("times", "multiply each number by {k}", "{k} times each number in {of}",
     "xs = [x * {k} for x in xs]", 2, 9),
    ("plus", "add {k} to each number", "{k} more than each number in {of}",
     "xs = [x + {k} for x in xs]", 1, 9),
    ("minus", "subtract {k} from each number", "{k} less than each number in {of}",
     "xs = [x - {k} for x in xs]", 1, 9),
    ("squares", "square each number", "the squares of {of}", "xs = [x * x for x in xs]"),
    ("absolute", "take absolute values", "the absolute values of {of}", "xs = [abs(x) for x in xs]"),
    ("negate", "negate each number", "the negatives of {of}", "xs = [-x for x in xs]"),
    ("modulo", "take each number modulo {k}", "each number modulo {k} in {of}",
     "xs = [x % {k} for x in xs]", 2, 9),
    ("halves", "divide each number by {k}, rounding down", "each number divided by {k}, rounded down, in {of}",
     "xs = [x // {k} for x in xs]", 2, 9),
    ("sort", "sort them", "{of} in ascending order", "xs = sorted(xs)"),
    ("descend", "sort them in descending order", "{of} in descending order",
     "xs = sorted(xs, reverse=True)"),
    ("reverse", "reverse the order", "{of} in reverse order", "xs = xs[::-1]"),
    ("first", "take the first {k}", "the first {k} of {of}", "xs = xs[:{k}]", 2, 6),
    ("last", "take the last {k}", "the last {k} of {of}", "xs = xs[-{k}:]", 2, 6),
    ("skip", "skip the first {k}", "all but the first {k} of {of}", "xs = xs[{k}:]", 1, 4),
    ("every", "take one element in {k}, from the first on", "one element in {k} of {of}, from the first on",
     "xs = xs[::{k}]", 2, 4),
    ("unique", "remove duplicates and sort", "the distinct values of {of} in ascending order",
     "xs = sorted(set(xs))"),
)  # fmt: skip

_LIST_ENDS = _steps(
    ("list", "return the list", "{of}", "return xs"),
    ("sum", "return the sum", "the sum of {of}", "return sum(xs)"),
    ("count", "return how many there are", "the number of elements of {of}", "return len(xs)"),
    ("max", "return the largest, or 0 if there is none", "the largest of {of}, or 0 if there is none",
     "return max(xs, default=0)"),
    ("min", "return the smallest, or 0 if there is none", "the smallest of {of}, or 0 if there is none",
     "return min(xs, default=0)"),
    ("count_of", "return how often {k} occurs", "the number of times {k} occurs in {of}",
     "return xs.count({k})", 0, 9),
    ("has", "return whether {k} is among them", "whether {k} is in {of}", "return {k} in xs", 0, 9),
    ("any_above", "return whether any is above {k}", "whether any number is above {k} in {of}",
     "return any(x > {k} for x in xs)", 0, 9),
    ("all_above", "return whether all are above {k}", "whether all numbers are above {k} in {of}",
     "return all(x > {k} for x in xs)", 0, 9),
    ("mean", "return the mean rounded down, or 0 if there is none",
     "the mean of {of} rounded down, or 0 if there is none", "return sum(xs) // len(xs) if xs else 0"),
    ("spread", "return the largest minus the smallest, or 0 if there is none",
     "the largest minus the smallest of {of}, or 0 if there is none",
     "return max(xs) - min(xs) if xs else 0"),
    ("squared_sum", "return the sum of the squares", "the sum of the squares of {of}",
     "return sum(x * x for x in xs)"),
)  # fmt: skip

_TEXT_STEPS = _steps(
    ("upper", "put it in upper case", "{of} in upper case", "s = s.upper()"),
    ("reverse", "reverse it", "the reverse of {of}", "s = s[::-1]"),
    ("drop", "remove every {c}", "{of} without any {c}", 's = s.replace("{c}", "")'),
    ("swap", "replace every {c} with {d}", "{of} with every {c} replaced with {d}",
     's = s.replace("{c}", "{d}")'),
    ("first", "take the first {k} characters", "the first {k} characters of {of}", "s = s[:{k}]", 2, 9),
    ("last", "take the last {k} characters", "the last {k} characters of {of}", "s = s[-{k}:]", 2, 9),
    ("every", "take one character in {k}, from the first on",
     "one character in {k} of {of}, from the first on", "s = s[::{k}]", 2, 4),
    ("repeat", "repeat it {k} times", "{of} repeated {k} times", "s = s * {k}", 2, 4),
    ("vowels", "keep the vowels", "the vowels of {of}", 's = "".join(c for c in s if c in "aeiou")'),
    ("join", "remove the spaces", "{of} without spaces", 's = s.replace(" ", "")'),
    ("sort", "sort its characters", "the characters of {of} in sorted order", 's = "".join(sorted(s))'),
    ("words", "put its words in reverse order", "the words of {of} in reverse order",
     's = " ".join(s.split()[::-1])'),
    ("title", "capitalize it", "{of} capitalized", "s = s.capitalize()"),
    ("prefix", "put {c} before it", "{of} with {c} before it", 's = "{c}" + s'),
)  # fmt: skip

_TEXT_ENDS = _steps(
    ("text", "return the text", "{of}", "return s"),
    ("length", "return its length", "the length of {of}", "return len(s)"),
    ("count", "return how often {c} occurs", "the number of times {c} occurs in {of}",
     'return s.count("{c}")'),
    ("find", "return the index of the first {c}, or -1 if there is none",
     "the index of the first {c} in {of}, or -1 if there is none", 'return s.find("{c}")'),
    ("starts", "return whether it starts with {c}", "whether {of} starts with {c}",
     'return s.startswith("{c}")'),
    ("ends", "return whether it ends with {c}", "whether {of} ends with {c}",
     'return s.endswith("{c}")'),
    ("palindrome", "return whether it is a palindrome", "whether {of} is a palindrome",
     "return s == s[::-1]"),
    ("word_count", "return the number of words", "the number of words in {of}",
     "return len(s.split())"),
    ("split", "return its words", "the list of words in {of}", "return s.split()"),
    ("distinct", "return the number of distinct characters",
     "the number of distinct characters in {of}", "return len(set(s))"),
)  # fmt: skip

_NUMBER_STEPS = _steps(
    ("plus", "add {k}", "{of} plus {k}", "n = n + {k}", 1, 30),
    ("minus", "subtract {k}", "{of} minus {k}", "n = n - {k}", 1, 30),
    ("times", "multiply by {k}", "{of} times {k}", "n = n * {k}", 2, 12),
    ("modulo", "take it modulo {k}", "{of} modulo {k}", "n = n % {k}", 2, 30),
    ("halve", "divide by {k}, rounding down", "{of} divided by {k}, rounded down", "n = n // {k}", 2, 12),
    ("square", "square it", "the square of {of}", "n = n * n"),
    ("absolute", "take the absolute value", "the absolute value of {of}", "n = abs(n)"),
    ("negate", "negate it", "the negative of {of}", "n = -n"),
    ("floor", "take the larger of it and {k}", "the larger of {of} and {k}", "n = max(n, {k})", 0, 30),
    ("ceiling", "take the smaller of it and {k}", "the smaller of {of} and {k}", "n = min(n, {k})", 0, 30),
    ("digits", "take the sum of its digits", "the sum of the digits of {of}",
     "n = sum(int(d) for d in str(abs(n)))"),
)  # fmt: skip

_NUMBER_ENDS = _steps(
    ("number", "return the result", "{of}", "return n"),
    ("even", "return whether it is even", "whether {of} is even", "return n % 2 == 0"),
    ("above", "return whether it is above {k}", "whether {of} is above {k}", "return n > {k}", 0, 50),
    ("divides", "return whether it is a multiple of {k}", "whether {of} is a multiple of {k}",
     "return n % {k} == 0", 2, 12),
    ("length", "return how many digits it has", "the number of digits of {of}",
     "return len(str(abs(n)))"),
    ("twice", "return twice the result", "twice {of}", "return n * 2"),
    ("text", "return it as text", "{of} as text", "return str(n)"),
)  # fmt: skip

#: By argument name: the steps, the ends, and how often the kind is drawn.
KINDS: Mapping[str, tuple[Sequence[Template], Sequence[Template], float]] = {
    "xs": (_LIST_STEPS, _LIST_ENDS, 0.55),
    "s": (_TEXT_STEPS, _TEXT_ENDS, 0.25),
    "n": (_NUMBER_STEPS, _NUMBER_ENDS, 0.2),
}


@dataclass(frozen=True)
class Link:
    """A template with its parameters."""

    template: Template
    parameters: Mapping[str, Any]

    @property
    def line(self) -> str:
        """Its line of the program."""
        return self.template.code.format(**self.parameters)


@dataclass(frozen=True)
class Problem:
    """One function to write."""

    argument: str
    """`xs` (a list of integers), `s` (a text) or `n` (an integer)."""
    links: tuple[Link, ...]
    """The steps in order; the last one returns."""
    style: str
    """`orders` (do this, then that) or `noun` (return the this of the that)."""
    inputs: tuple[Any, ...]
    """What the tests call it with."""

    @property
    def combination(self) -> str:
        """The names of its templates: what is taught or held out as a whole."""
        return "-".join([self.argument, *(link.template.name for link in self.links)])

    @property
    def held_out(self) -> bool:
        """It belongs to the combinations that are never taught; single steps all are taught."""
        return len(self.links) > 2 and zlib.crc32(self.combination.encode()) % HELD_OUT_SHARE == 0

    @property
    def description(self) -> str:
        """One sentence."""
        if self.style == "noun":
            noun = self.argument
            for link in self.links:
                noun = link.template.noun.format(of=noun, **link.parameters)
            return f"Return {noun}."
        orders = [link.template.order.format(**link.parameters) for link in self.links]
        return f"With {self.argument}: {', then '.join(orders)}."

    @property
    def signature(self) -> str:
        """The first line of the function."""
        return f"def f({self.argument}):"

    @property
    def prefix(self) -> str:
        """What a base model continues with the body."""
        return f"# {self.description}\n{self.signature}\n"

    @property
    def body(self) -> str:
        """The reference: one indented line a step, without a newline at the end."""
        return "\n".join(f"    {link.line}" for link in self.links)

    @property
    def expected(self) -> tuple[Any, ...]:
        """What the reference returns for each input."""
        return tuple(run(self.signature, self.body, value) for value in self.inputs)

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests as `assert` statements."""
        return tuple(
            f"assert f({value!r}) == {result!r}"
            for value, result in zip(self.inputs, self.expected, strict=True)
        )

    def first_failure(self, body: str) -> str | None:
        """What is wrong with a body in one sentence, or None where it passes every test.

        It is run in this process: give it only what comes from this family's grammar or from a
        model that was taught on it.
        """
        for value, wanted in zip(self.inputs, self.expected, strict=True):
            try:
                got = run(self.signature, body, value)
            except SyntaxError:
                return "invalid syntax."
            except Exception as error:
                return f"f({value!r}) raises {type(error).__name__}: {error}."
            if got != wanted or type(got) is not type(wanted):
                return f"f({value!r}) should be {wanted!r}, got {got!r}."
        return None

    def passes(self, body: str) -> bool:
        """Every test holds."""
        return self.first_failure(body) is None


_BUILTINS = {f.__name__: f for f in (abs, all, any, int, len, max, min, set, sorted, str, sum)}


def run(signature: str, body: str, value: Any) -> Any:
    """What the function returns for one input; it sees a few builtins and nothing else."""
    space: dict[str, Any] = {"__builtins__": _BUILTINS}
    exec(f"{signature}\n{body}\n", space)
    return space["f"](value)


def sample(
    rng: random.Random, *, held_out: bool | None = None, steps: int | None = None
) -> Problem:
    """A problem of the family; `held_out` asks for one of that side, `steps` for so many links
    before the return (0 to 3)."""
    while True:
        kinds = list(KINDS)
        argument = rng.choices(kinds, [KINDS[k][2] for k in kinds])[0]
        many = rng.choices((0, 1, 2, 3), (5, 30, 50, 15))[0] if steps is None else steps
        steps_and_ends = KINDS[argument][:2]
        links = tuple(_link(rng.choice(steps_and_ends[i == many]), rng) for i in range(many + 1))
        style = rng.choice(("orders", "noun"))
        problem = Problem(argument, links, style, tuple(_inputs(argument, rng)))
        if held_out is None or problem.held_out == held_out:
            return problem


def mutant(problem: Problem, rng: random.Random) -> str:
    """A body near the reference: a step lost, doubled, changed, or moved."""
    links = list(problem.links)
    at = rng.randrange(len(links))
    steps, ends, _ = KINDS[problem.argument]
    kind = rng.choice(("lose", "parameter", "parameter", "template", "template", "swap"))
    if kind == "lose" and len(links) > 1:
        del links[rng.randrange(len(links) - 1)]
    elif kind == "swap" and len(links) > 2:
        at = rng.randrange(len(links) - 2)
        links[at], links[at + 1] = links[at + 1], links[at]
    elif kind == "parameter" and links[at].parameters:
        links[at] = _link(links[at].template, rng)
    else:
        links[at] = _link(rng.choice(ends if at == len(links) - 1 else steps), rng)
    return "\n".join(f"    {link.line}" for link in links)


def _link(template: Template, rng: random.Random) -> Link:
    parameters: dict[str, Any] = {}
    if "{k}" in template.code:
        parameters["k"] = rng.randint(template.low, template.high)
    if "{c}" in template.code:
        parameters["c"], parameters["d"] = rng.sample(LETTERS, 2)
    return Link(template, parameters)


_WORDS = ("rain", "stone", "eel", "otter", "a", "level", "noon", "lantern", "tree", "orion",
          "satin", "ural", "toast", "inlet", "queue", "solo")  # fmt: skip


def _inputs(argument: str, rng: random.Random) -> list[Any]:
    """Eight inputs: the edge first, then ordinary ones."""
    if argument == "xs":
        sizes = (0, 1, *(rng.randint(2, 9) for _ in range(6)))
        return [[rng.randint(-9, 15) for _ in range(size)] for size in sizes]
    if argument == "s":
        return ["", *(" ".join(rng.choices(_WORDS, k=rng.randint(1, 4))) for _ in range(7))]
    return [0, *(rng.randint(-50, 200) for _ in range(7))]
