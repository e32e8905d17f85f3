"""What the tests hold in place of the candidate's functions, classes and objects.

Every use is a message to the candidate's process; what comes back is plain data, a builtin
exception, or another of these. Nothing that the candidate defines runs here.
"""

from __future__ import annotations

import builtins
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .wire import BadMessage, Closed, Link, decode, encode


class CandidateError(Exception):
    """The candidate raised what no test should meet as itself: SystemExit, StopIteration, ..."""


class CandidateDied(BaseException):
    """Its process is gone. No Exception: no test may catch it and go on."""


class NotData(BaseException):
    """The candidate gave an object where plain data is due."""


@dataclass
class Call:
    """The last thing asked of the candidate, for the critique."""

    what: str
    """The function, or what else was used."""
    positional: Sequence[Any] | None = None
    """Its arguments; None where it was no call."""
    named: Mapping[str, Any] = field(default_factory=dict)
    """Its named arguments."""
    result: list[Any] = field(default_factory=list)
    """What came back; empty where it raised."""
    raised: str = ""
    """Class and message of the exception."""
    lines: list[int] = field(default_factory=list)
    """Of the program, where it was raised, outermost first."""
    classes: list[str] = field(default_factory=list)
    """Of the exception, most special first."""

    @property
    def text(self) -> str:
        """As one would write it."""
        if self.positional is None:
            return self.what
        given = [shown(a) for a in self.positional]
        given += [f"{k}={shown(v)}" for k, v in self.named.items()]
        return f"{self.what}({', '.join(given)})"


class Remote:
    """The candidate as the tests reach it."""

    def __init__(self, link: Link, *, objects_allowed: bool = False) -> None:
        self.link = link
        self.kinds: dict[str, str] = {}
        self.objects_allowed = objects_allowed
        self.calls = 0
        self.weak = 0
        self.died = False
        """Its process was gone when something was asked of it, whoever caught that."""
        self.last: Call | None = None
        self.classes: dict[str, type] = {}
        self._lent: list[Any] = []
        self._iterators: dict[int, Iterator[Any]] = {}

    def begun(self) -> bool:
        """Is its process there: it says so before any of the program runs in it."""
        try:
            return bool(self.link.receive() == "ready")
        except (Closed, BadMessage):
            return False

    def load(self, program: str) -> None:
        """Have the program run once; then its names are known."""
        self.last = Call("the program")
        kinds = self.request("load", program)
        if type(kinds) is not dict or {type(x) for pair in kinds.items() for x in pair} - {str}:
            raise BadMessage("names of an unknown kind")
        self.kinds = kinds

    def run(self, program: str, stdin: str) -> str:
        """What the program prints with that input."""
        self.calls += 1
        self.last = Call(f"the program with the input {shown(stdin)}")
        printed = self.request("run", program, stdin)
        if type(printed) is not str:
            raise BadMessage("printed no text")
        self.last.result = [printed]
        return printed

    def name(self, name: str) -> Any:
        """The candidate's thing of that name, as the tests may use it."""
        kind = self.kinds.get(name)
        if kind == "function":
            return Function(self, name, name)
        if kind is not None and kind.startswith(("class", "exception")):
            # Whether a class is due is for the tests to say, by its name, not for the candidate.
            return self._class(name, kind) if is_class_name(name) else Function(self, name, name)
        self.calls += 1
        return self.request("name", name)

    def call(
        self, target: Any, text: str, positional: Any, named: Any, special: str | None = None
    ) -> Any:
        """Call it with plain data; what the tests lend can be called or iterated there.

        `special` is the operation that the tests do on an object, if it is no plain call.
        """
        self.calls += 1
        self.last = call = Call(text, positional, named)
        request = ("special", target, special) if special else ("call", target)
        result = self.request(*request, self._encode(list(positional)), self._encode(named))
        call.result = [result]
        self.last = call  # calls that it made back may have come between
        return result

    def request(self, *message: Any) -> Any:
        """Ask, and serve what the candidate asks back meanwhile."""
        try:
            self.link.send(list(message))
            while True:
                word, *rest = self._message()
                if word == "value" and len(rest) == 1:
                    return decode(rest[0], self._object)
                if word == "raise" and len(rest) == 3:
                    raise self._exception(*rest)
                if word != "ask" or len(rest) != 3:
                    raise BadMessage("a message of an unknown kind")
                self.link.send(self._answer(*rest))
        except Closed:
            self.died = True
            raise CandidateDied from None

    def _message(self) -> list[Any]:
        message = self.link.receive()
        if type(message) is not list or not message:
            raise BadMessage("a message of an unknown kind")
        return message

    def _answer(self, kind: Any, number: Any, arguments: Any) -> list[Any]:
        """What the candidate may do with something lent: call it, or take its next item."""
        if type(number) is not int or not 0 <= number < len(self._lent):
            raise BadMessage("a use of what was never handed over")
        lent = self._lent[number]
        try:
            if kind == "call" and callable(lent):
                return ["value", self._encode(lent(*decode(arguments, self._object)))]
            if kind == "next":
                iterator = self._iterators.setdefault(number, iter(lent))
                return ["value", self._encode([next(iterator)])]
        except StopIteration:
            return ["value", ["l"]]
        except Exception as error:
            known = [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]
            return ["raise", known[0], str(error)]
        raise BadMessage("a use of what was handed over other than a call")

    def _encode(self, value: Any) -> Any:
        return encode(value, self._lend)

    def _lend(self, value: Any) -> Any:
        if isinstance(value, _Iterator | Thing):
            return value._number
        if isinstance(value, Function) and isinstance(value._target, int):
            return value._target
        self._lent.append(value)
        callable_only = callable(value) and not hasattr(type(value), "__next__")
        return [len(self._lent) - 1, "function" if callable_only else "iterator"]

    def _object(self, reference: Any) -> Any:
        """An object of the candidate, by what it says of it."""
        if type(reference) is not list or [type(r) for r in reference] != [int, str, str]:
            raise BadMessage("data of an unknown kind")
        number, kind, name = reference
        if kind == "iterator":
            return _Iterator(self, number)
        if kind == "function":
            return Function(self, number, "the function it returned")
        if not self.objects_allowed:
            raise NotData(f"an object of class {name[:80]!r}, not plain data")
        made: type = self.classes.get(name, Thing)
        thing: Any = object.__new__(made)
        object.__setattr__(thing, "_remote", self)
        object.__setattr__(thing, "_number", number)
        return thing

    def _class(self, name: str, kind: str) -> type:
        if name not in self.classes:
            if kind.startswith("exception"):
                self.classes[name] = type(name, (_builtin(kind.split(":")[1:]),), {})
            else:
                self.classes[name] = _ThingType(name, (Thing,), {"_remote": self, "_name": name})
        return self.classes[name]

    def _exception(self, classes: Any, message: Any, lines: Any) -> BaseException:
        """The nearest class that the tests know; control exceptions are ordinary failures."""
        good = (isinstance(classes, list) and all(isinstance(c, str) for c in classes)
                and classes and isinstance(message, str)
                and isinstance(lines, list) and all(type(n) is int for n in lines))  # fmt: skip
        if not good:
            raise BadMessage("an exception of an unknown kind")
        call = self.last or Call("the program")
        message = message[:2000]
        call.classes = [printable(c[:80]) for c in classes[:5]]
        call.raised = f"{call.classes[0]}: {printable(message)}" if message else call.classes[0]
        call.lines = [n for n in lines[-3:] if 0 < n < 10_000_000]
        named = [self.classes[c] for c in classes if c in self.classes]
        error = _made(named[0] if named else _builtin(classes), message)
        error.__errata_candidate__ = True  # type: ignore[attr-defined]
        return error


def is_class_name(name: str) -> bool:
    """As classes are named: `Stack`, not `stack`."""
    return name.lstrip("_")[:1].isupper()


def _builtin(classes: Sequence[str]) -> type[Exception]:
    """The first that is an ordinary builtin exception; one of control never reaches a test."""
    control = (StopIteration, StopAsyncIteration)
    for name in classes:
        known: Any = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, Exception) and known not in control:
            return known
    return CandidateError


def _made(kind: type, message: str) -> BaseException:
    try:
        made: BaseException = kind(message)
    except TypeError:  # UnicodeDecodeError and its like want more than a message
        made = CandidateError(message)
    return made


class Stub(Remote):
    """A program that has every name and does nothing: what passes with it proves nothing."""

    def __init__(self, names: Iterable[str]) -> None:
        self.objects_allowed, self.died, self.last = False, False, None
        self.calls, self.weak, self.classes = 0, 0, {}
        self.kinds = dict.fromkeys(names, "function")

    def load(self, program: str) -> None:
        """There is nothing to load."""

    def run(self, program: str, stdin: str) -> str:
        """Nothing is printed."""
        self.calls += 1
        return ""

    def call(
        self, target: Any, text: str, positional: Any, named: Any, special: str | None = None
    ) -> Any:
        """Nothing comes back."""
        self.calls += 1


class Function:
    """A function of the candidate."""

    def __init__(self, remote: Remote, target: str | int, text: str) -> None:
        self._remote, self._target, self._text = remote, target, text
        self.__name__ = text

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """Call it there."""
        return self._remote.call(self._target, self._text, positional, named)


class _Iterator:
    """A generator or another iterator of the candidate."""

    def __init__(self, remote: Remote, number: int) -> None:
        self._remote, self._number = remote, number

    def __iter__(self) -> _Iterator:
        return self

    def __next__(self) -> Any:
        items = self._remote.request("next", self._number)
        if type(items) is not list or len(items) > 1:
            raise BadMessage("an item of an unknown kind")
        if not items:
            raise StopIteration
        return items[0]


_SPECIAL = (
    "eq", "ne", "lt", "le", "gt", "ge", "len", "bool", "contains", "getitem", "setitem", "delitem",
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "abs", "and", "or", "xor",
    "iadd", "isub", "hash", "repr", "str", "iter", "next", "call", "int", "float", "index",
    "enter",
)  # fmt: skip

_WITH_ANOTHER = {
    "eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow",
    "and", "or", "xor", "iadd", "isub",
}  # fmt: skip
"""Between an object of the candidate and plain data these give an object again, or nothing: the
True of an `__eq__` that always agrees would be the candidate's word on itself."""


class _ThingType(type):
    """A class of the candidate: called, it makes an object there."""

    def __call__(cls, *positional: Any, **named: Any) -> Any:
        return cls._remote.call(cls._name, cls._name, positional, named)

    def __getattr__(cls, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return cls._remote.request("get", cls._name, attribute)

    def __instancecheck__(cls, thing: Any) -> bool:
        if not isinstance(type(thing), _ThingType) and type(thing) is not Thing:
            return False
        return bool(cls._remote.request("instance", thing._number, cls._name))


class Thing:
    """An object of the candidate. What its special methods say is counted as weak."""

    _remote: Remote
    _number: int

    def __exit__(self, *how: Any) -> bool:
        error = how[1]
        if error is not None and not isinstance(error, Exception):
            return False  # its process died, or pytest has its say
        told = (*how[:2], None)  # a traceback is nothing that one could call
        swallowed = self._remote.call(self._number, "its exit", told, {}, special="exit")
        # What fails the tests is not the candidate's to swallow.
        return bool(swallowed) and not isinstance(error, AssertionError | BadMessage)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # what a library looks for, such as __deepcopy__
            raise AttributeError(attribute)
        return self._remote.request("get", self._number, attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        self._remote.request("set", self._number, attribute, self._remote._encode(value))


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Thing, *arguments: Any) -> Any:
        with_data = name in _WITH_ANOTHER and not isinstance(arguments[0], Thing)
        if with_data and arguments[0] is None and name in ("eq", "ne"):
            return name == "ne"
        self._remote.weak += 1
        result = self._remote.call(self._number, f"its {name}", arguments, {}, special=name)
        if with_data and not isinstance(result, Thing):
            raise NotData(f"an object of class {type(self).__name__!r} where plain data is due")
        return result

    return method


for _name in _SPECIAL:
    setattr(Thing, f"__{_name}__", _forward(_name))


class _Repr(reprlib.Repr):
    """As `repr`, but of the first items only, and never by a method of the candidate."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 20
        self.maxstring = self.maxother = self.maxlong = 400
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 100
        self.maxfrozenset = self.maxdeque = 100

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, Thing):
            return f"<{type(x).__name__} object>"
        if isinstance(x, Function | _Iterator) or callable(x):
            return f"<{getattr(x, '__name__', 'iterator').strip('<>')}>"
        return super().repr1(x, level)


_REPR = _Repr()


def shown(value: Any) -> str:
    """`repr`, cut and printable; whatever a candidate gave, it raises nothing."""
    try:
        text = _REPR.repr(value)
    except BaseException:
        text = f"<{type(value).__name__}>"
    return printable(text if len(text) <= 200 else f"{text[:140]} ... {text[-40:]}")


def printable(text: str) -> str:
    """With escapes for what a terminal would obey, and what no file can hold."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
