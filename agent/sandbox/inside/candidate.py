"""The process of the candidate: it runs the program and answers with data.

Nothing here is trusted by anybody: the candidate shares this memory and may change all of it.
It holds no test, no expected value, and no way to the host.
"""

from __future__ import annotations

import builtins
import io
import operator
import socket
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from .wire import Closed, Link, decode, encode

FILE = "solution.py"
"""Name of the program in tracebacks."""

MOST_OUTPUT = 1_000_000
"""Characters that a program may print."""


class OutputLimit(BaseException):
    """It printed more than it may; no Exception, so that `except Exception` does not hide it."""


class _Output(io.StringIO):
    def write(self, text: str) -> int:
        if self.tell() + len(text) > MOST_OUTPUT:
            raise OutputLimit(f"more than {MOST_OUTPUT:,} characters printed")
        return super().write(text)


class Candidate:
    """Answers requests about one program until nobody asks any more."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.names: dict[str, Any] = {}
        self.objects: list[Any] = []

    def serve(self) -> None:
        """Say that it is there, then answer one request after the other."""
        self.link.send("ready")
        while True:
            try:
                self.reply(self.link.receive())
            except Closed:
                return

    def reply(self, request: Any) -> None:
        """Do what is asked and send what came of it, be it an exception."""
        try:
            kind, *arguments = request
            self.link.send(["value", self.encode(getattr(self, f"on_{kind}")(*arguments))])
        except Closed:
            raise
        except BaseException as error:  # whatever a stranger's code raises is its answer
            self.link.send(self.raised(error))

    # -- requests ---------------------------------------------------------------------

    def on_load(self, program: str) -> dict[str, str]:
        """Run the program; returns what its names are."""
        sys.stdin, sys.stdout, sys.stderr = io.StringIO(), _Output(), _Output()
        module = types.ModuleType("solution")
        sys.modules["solution"] = module
        self.names = module.__dict__
        exec(compile(program, FILE, "exec"), self.names)
        return {name: _kind(value) for name, value in self.names.items() if name[:2] != "__"}

    def on_run(self, program: str, stdin: str) -> str:
        """Run the program as a script with that input; returns what it printed."""
        sys.stdin, sys.stdout = io.StringIO(stdin), _Output()
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        try:
            exec(compile(program, FILE, "exec"), module.__dict__)
        except SystemExit as end:
            if end.code not in (None, 0):
                raise
        return sys.stdout.getvalue() if isinstance(sys.stdout, io.StringIO) else ""

    def on_name(self, name: str) -> Any:
        """The value of a name."""
        return self.names[name]

    def on_call(self, target: Any, arguments: Any, named: Any) -> Any:
        """Call a name or an object."""
        positional = self.decode(arguments)
        return self.object(target)(*positional, **self.decode(named))

    def on_special(self, target: Any, name: str, arguments: Any, _: Any) -> Any:
        """An operation on an object, by its name without underscores."""
        return _OPERATIONS[name](self.object(target), *self.decode(arguments))

    def on_get(self, target: Any, attribute: str) -> Any:
        """An attribute of an object."""
        return getattr(self.object(target), attribute)

    def on_set(self, target: Any, attribute: str, value: Any) -> None:
        """Set an attribute of an object."""
        setattr(self.object(target), attribute, self.decode(value))

    def on_next(self, target: Any) -> list[Any]:
        """What an iterator gives next, in a list; an empty one at its end."""
        for item in self.object(target):
            return [item]
        return []

    def on_instance(self, target: Any, kind: str) -> bool:
        """Is the object an instance of the class of that name."""
        return isinstance(self.object(target), self.names[kind])

    # -- data -------------------------------------------------------------------------

    def object(self, target: Any) -> Any:
        """By name, or by the number under which it was sent."""
        return self.names[target] if isinstance(target, str) else self.objects[target]

    def encode(self, value: Any) -> Any:
        """As data; what is none gets a number."""
        return encode(value, self._number)

    def _number(self, value: Any) -> list[Any]:
        self.objects.append(value)
        return [len(self.objects) - 1, _kind(value), type(value).__name__]

    def decode(self, word: Any) -> Any:
        """Data as a value; an object of the tests can be called or iterated, nothing more."""
        return decode(word, self._remote)

    def _remote(self, reference: Any) -> Any:
        if isinstance(reference, int):
            return self.objects[reference]  # one of our own that comes back
        number, kind = reference
        return self._iterator(number) if kind == "iterator" else self._function(number)

    def _function(self, number: int) -> Callable[..., Any]:
        return lambda *arguments: self.ask("call", number, self.encode(list(arguments)))

    def _iterator(self, number: int) -> Iterator[Any]:
        while items := self.ask("next", number, None):
            yield items[0]

    def ask(self, kind: str, number: int, arguments: Any) -> Any:
        """Call back into the tests, which wait for an answer of ours."""
        self.link.send(["ask", kind, number, arguments])
        while True:
            word, *rest = message = self.link.receive()
            if word == "value":
                return self.decode(rest[0])
            if word == "raise":
                raise getattr(builtins, rest[0])(rest[1])
            self.reply(message)  # the tests ask something before they answer

    def raised(self, error: BaseException) -> list[Any]:
        """An exception as data: its classes, its message, and where in the program."""
        try:
            message = str(error.msg if isinstance(error, SyntaxError) else error)[:2000]
        except BaseException:
            message = ""
        lines, at = [], error.__traceback__
        while at is not None:
            if at.tb_frame.f_code.co_filename == FILE:
                lines.append(at.tb_lineno)
            at = at.tb_next
        if isinstance(error, SyntaxError) and error.filename == FILE:
            lines = [error.lineno or 0]
        classes = [c.__name__ for c in type(error).__mro__]
        return ["raise", classes, message, [n for n in lines if n][-3:]]


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{n: getattr(operator, n) for n in (
        "eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem", "setitem", "delitem", "add",
        "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "abs", "xor", "iadd", "isub",
        "index", "call")},
    "and": operator.and_, "or": operator.or_, "bool": bool, "len": len, "hash": hash, "repr": repr,
    "str": str, "iter": iter, "next": next, "int": int, "float": float,
    "enter": lambda thing: thing.__enter__(), "exit": lambda thing, *how: thing.__exit__(*how),
}  # fmt: skip


def _kind(value: Any) -> str:
    """What the tests may do with it."""
    if isinstance(value, type):
        if not issubclass(value, BaseException):
            return "class"
        return ":".join(["exception", *(c.__name__ for c in value.__mro__)])
    if isinstance(value, types.ModuleType):
        return "module"
    if hasattr(type(value), "__next__"):
        return "iterator"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return "function"
    return "function" if type(value).__module__ == "functools" else "object"


def serve(sock: socket.socket) -> None:
    """The life of a candidate's process; the judge is at the other end."""
    Candidate(Link(sock)).serve()
