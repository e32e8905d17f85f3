"""Exact expressions of integers with + - * and parentheses: read, written, reduced one at a time.

The notation: no spaces; parentheses only where they decide; a negative number inside an
expression in parentheses of its own, as in `4-(-3)*2`.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

MAX_OPERATIONS = 100
"""What is longer is not read: everything here recurs over the operations."""

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
_NUMBER = r"(?:[0-9]+|\(-[0-9]+\))"
_GROUP = re.compile(rf"\({_NUMBER}(?:[-+*]{_NUMBER})+\)")
_PRODUCT = re.compile(rf"{_NUMBER}\*{_NUMBER}")
_SUM = re.compile(rf"{_NUMBER}[-+]{_NUMBER}")


@dataclass(frozen=True)
class Operation:
    """Two expressions and what is done with them."""

    left: Expression
    operator: str
    """`+`, `-` or `*`."""
    right: Expression


Expression = int | Operation


def parse(text: str) -> Expression:
    """The expression that a text is, spaces and needless parentheses aside.

    Raises `ValueError` for anything else, and for more than `MAX_OPERATIONS`.

    >>> write(parse("4 - -3 * (2)"))
    '4-(-3)*2'
    """
    text = re.sub(r"\s+", "", text.translate(_TYPOGRAPHY))
    # Python would call a number: 2(3) is no product here.
    if not re.fullmatch(r"[-+*()0-9]+", text) or re.search(r"[0-9)]\(|\)[0-9]|\(\)", text):
        raise ValueError(f"{text[:80]!r} is no expression of integers with + - * and parentheses")
    if len(re.findall(r"(?<=[0-9)])[-+*]", text)) > MAX_OPERATIONS:
        raise ValueError(f"{text[:80]!r}... has more than {MAX_OPERATIONS} operations")
    try:
        return _converted(ast.parse(text, mode="eval").body)
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"{text[:80]!r} is not complete as an expression") from None


_TYPOGRAPHY = str.maketrans({"\u2212": "-", "\u2013": "-", "\u00d7": "*", "\u00b7": "*"})


def _converted(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            return -number
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as op, right=right):
            return Operation(_converted(left), _OPERATORS[type(op)], _converted(right))
    raise ValueError("only integers, + - * and parentheses are read")


def write(expression: Expression) -> str:
    """The expression in the notation of this module.

    >>> write(Operation(Operation(3, "+", 4), "*", Operation(2, "*", -5)))
    '(3+4)*(2*(-5))'
    """
    if isinstance(expression, int):
        return str(expression)
    left, operator, right = expression.left, expression.operator, expression.right
    return _operand(left, operator, False) + operator + _operand(right, operator, True)


def _operand(expression: Expression, operator: str, right: bool) -> str:
    text = write(expression)
    if isinstance(expression, int):
        fenced = expression < 0
    elif operator == "*":
        fenced = expression.operator != "*" or right
    else:
        fenced = expression.operator != "*" and right
    return f"({text})" if fenced else text


def value(expression: Expression) -> int:
    """What it comes to."""
    if isinstance(expression, int):
        return expression
    left, right = value(expression.left), value(expression.right)
    if expression.operator == "*":
        return left * right
    return left + right if expression.operator == "+" else left - right


def operations(expression: Expression) -> int:
    """How many operations are left to do."""
    if isinstance(expression, int):
        return 0
    return 1 + operations(expression.left) + operations(expression.right)


def reductions(expression: Expression) -> Iterator[tuple[Operation, Expression]]:
    """Every operation on two plain numbers, from the left, and what is left when it is done.

    >>> [write(after) for _, after in reductions(parse("2*3+4*5"))]
    ['6+4*5', '2*3+20']
    """
    if isinstance(expression, int):
        return
    if isinstance(expression.left, int) and isinstance(expression.right, int):
        yield expression, value(expression)
    for operation, after in reductions(expression.left):
        yield operation, replace(expression, left=after)
    for operation, after in reductions(expression.right):
        yield operation, replace(expression, right=after)


def reduced(expression: Expression) -> Expression:
    """The next line by the rule of the prompt; a number stays what it is.

    The first innermost parentheses that hold an operation, or the whole where there are none;
    there the first `*`, or where there is none the first `+` or `-`.

    >>> write(reduced(parse("(3+4)*2-5"))), write(reduced(parse("2+3-4*5")))
    ('7*2-5', '2+3-20')
    """
    text = write(expression)
    group = _GROUP.search(text)
    start, end = group.span() if group else (0, len(text))
    first = _PRODUCT.search(text, start, end) or _SUM.search(text, start, end)
    if first is None:
        return expression
    return parse(f"{text[: first.start()]}({value(parse(first[0]))}){text[first.end() :]}")


def fault(before: Expression, after: Expression | None) -> str | None:
    """The class of the error of taking `after` for `before` with one operation done; else None.

    `unparsable`, `value_changed`, `skipped_steps` (more than one at once) or `not_a_reduction`
    (the value stays, but no one operation was worked out).
    """
    if after is None:
        return "unparsable"
    if value(after) != value(before):
        return "value_changed"
    if any(after == right for _, right in reductions(before)):
        return None
    skipped = operations(after) < operations(before) - 1
    return "skipped_steps" if skipped else "not_a_reduction"


def critique(before: Expression, after: Expression) -> str | None:
    """What is wrong with the value of `after`, which should be that of `before`; else None.

    >>> critique(parse("7*2-5"), parse("13-5"))
    '7*2 is 14.'
    >>> critique(parse("7*2-5"), parse("7-5"))
    '7*2 is 14.'
    >>> critique(parse("7*2-5"), parse("9*2"))
    '9*2 is 18, but 7*2-5 is 9.'
    """
    if value(before) == value(after):
        return None
    meant = _meant(before, after)
    if meant is not None:
        return f"{write(meant)} is {value(meant)}."
    return f"{write(after)} is {value(after)}, but {write(before)} is {value(before)}."


def _meant(before: Expression, after: Expression) -> Operation | None:
    """The one part of `before` for which `after` has a number, where that is all that differs."""
    if isinstance(before, int):
        return None
    if isinstance(after, int):
        return before
    if before.operator != after.operator:
        return None
    if before.left == after.left:
        return _meant(before.right, after.right)
    return _meant(before.left, after.left) if before.right == after.right else None


def drawn(rng: random.Random, count: int, numbers: int = 9, largest: int = 999) -> Expression:
    """A random expression of `count` operations on 1 to `numbers`, of any shape.

    No part of it comes to more than `largest` in size, which must not be below `numbers`.
    """
    if count == 0:
        return rng.randint(1, numbers)
    before = rng.randrange(count)
    left = drawn(rng, before, numbers, largest)
    right = drawn(rng, count - 1 - before, numbers, largest)
    # Of + and - one always fits.
    tries = (Operation(left, operator, right) for operator in rng.sample("+-*", 3))
    return next(e for e in tries if abs(value(e)) <= largest)


def order_matters(expression: Expression) -> bool:
    """Whether the first operation of the written line may not be done first.

    >>> order_matters(parse("2+3*4")), order_matters(parse("2*3+4"))
    (True, False)
    """
    while isinstance(expression, Operation) and isinstance(expression.left, Operation):
        expression = expression.left
    return isinstance(expression, Operation) and isinstance(expression.right, Operation)


def misread(expression: Expression, rng: random.Random) -> Expression:
    """The expression with one of its numbers, any, off by 1 to 3."""
    if isinstance(expression, int):
        return expression + rng.choice([-3, -2, -1, 1, 2, 3])
    if rng.randint(0, operations(expression)) <= operations(expression.left):
        return replace(expression, left=misread(expression.left, rng))
    return replace(expression, right=misread(expression.right, rng))
