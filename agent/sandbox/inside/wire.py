"""Plain data between the process of the candidate and the process of its tests.

Tagged JSON of exact builtin types, decoded strictly: whatever a candidate sends, the other side
gets a value of a type it knows, or `BadMessage`. Never pickle or marshal, which run or trust
what they read.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from typing import Any

MAX_FRAME = 16_000_000
"""Bytes of one message."""

DEEPEST = 200
"""Levels of nesting: less than the recursion limit leaves."""

_HEAD = struct.Struct("!I")


_written = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_read = json.JSONDecoder().decode


class BadMessage(Exception):
    """What arrived is no message of ours, or holds what is no plain data."""


class Closed(Exception):
    """The other side is gone."""


class Link:
    """Messages over a stream socket, each one after its length."""

    def __init__(self, sock: socket.socket, *, descriptors: int = 0) -> None:
        self.sock = sock
        self._most = descriptors
        self.descriptors: list[int] = []
        """Handed over with a message and not yet taken; where none may be, the kernel drops them."""
        self._read = b""

    def send(self, message: Any) -> None:
        """Raises `BadMessage` for one that is too long, `Closed` where nobody listens."""
        body = _written(message).encode()
        if len(body) > MAX_FRAME:
            raise BadMessage(f"{len(body):,} bytes of data are more than {MAX_FRAME:,}")
        try:
            self.sock.sendall(_HEAD.pack(len(body)) + body)
        except OSError:
            raise Closed from None

    def receive(self) -> Any:
        """The next message. Raises `Closed` at the end, `BadMessage` for what is no JSON."""
        (length,) = _HEAD.unpack(self._exactly(_HEAD.size))
        if length > MAX_FRAME:
            raise BadMessage(f"{length:,} bytes of data are more than {MAX_FRAME:,}")
        try:
            return _read(self._exactly(length).decode())
        except (ValueError, RecursionError, MemoryError):
            raise BadMessage("data that can't be read") from None

    def _exactly(self, size: int) -> bytes:
        parts, have = [self._read], len(self._read)
        while have < size:
            try:
                part = self._part()
            except OSError:
                raise Closed from None
            if not part:
                raise Closed
            parts.append(part)
            have += len(part)
        data = b"".join(parts)
        self._read = data[size:]
        return data[:size]

    def _part(self) -> bytes:
        if not self._most:
            return self.sock.recv(1 << 16)
        part, descriptors, _, _ = socket.recv_fds(self.sock, 1 << 16, self._most)
        self.descriptors += descriptors
        return part


Handle = Callable[[Any], Any]
"""Encoding: what stands for an object that is no data. Decoding: the object for such a word."""

_SEQUENCES: dict[str, Callable[[Any], Any]] = {
    "l": list, "t": tuple, "s": set, "f": frozenset,
}  # fmt: skip
_TAG = {kind: tag for tag, kind in _SEQUENCES.items()}
_SCALARS = (type(None), bool, int, float, str)


def encode(value: Any, handle: Handle, depth: int = 0) -> Any:
    """`value` as JSON; what is no plain data as `["h", handle(value)]`.

    A subclass of a builtin type is sent as that type, by the type's own methods: what it
    overrides has no say. Raises `BadMessage` for what is nested too deep.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if depth > DEEPEST:
        raise BadMessage("data nested too deep")
    if kind in _TAG:
        return [_TAG[kind], *(encode(v, handle, depth + 1) for v in value)]
    if kind is dict:
        pairs = chain.from_iterable(value.items())
        return ["d", *(encode(v, handle, depth + 1) for v in pairs)]
    special = _special(value, kind, handle, depth)
    if special is not None:
        return special
    for base, plain in _PLAIN:
        if isinstance(value, base):
            return encode(plain(value), handle, depth)
    return ["h", handle(value)]


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
    (list, lambda value: list(list.__iter__(value))),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
)
"""What makes the builtin type itself of an instance of a subclass."""


def _special(value: Any, kind: type, handle: Handle, depth: int) -> list[Any] | None:
    if kind in (bytes, bytearray):
        return ["b" if kind is bytes else "ba", value.decode("latin-1")]
    if kind is complex:
        return ["c", value.real, value.imag]
    if kind is range:
        return ["r", value.start, value.stop, value.step]
    if kind is Decimal:
        return ["D", str(value)]
    if kind is Fraction:
        return ["F", value.numerator, value.denominator]
    if kind is timedelta:
        return ["td", value.days, value.seconds, value.microseconds]
    if kind in (datetime, date, time):
        return [{datetime: "dt", date: "da", time: "ti"}[kind], value.isoformat()]
    if kind is deque:
        return ["q", value.maxlen, *(encode(v, handle, depth + 1) for v in value)]
    if kind in (type({}.keys()), type({}.values()), type({}.items())):
        return ["l", *(encode(v, handle, depth + 1) for v in value)]
    return None


_LEAVES: Mapping[str, tuple[tuple[type, ...], Callable[..., Any]]] = {
    "b": ((str,), lambda text: text.encode("latin-1")),
    "ba": ((str,), lambda text: bytearray(text.encode("latin-1"))),
    "c": ((float, float), complex),
    "r": ((int, int, int), range),
    "D": ((str,), Decimal),
    "F": ((int, int), Fraction),
    "td": ((int, int, int), timedelta),
    "dt": ((str,), datetime.fromisoformat),
    "da": ((str,), date.fromisoformat),
    "ti": ((str,), time.fromisoformat),
}


def decode(word: Any, handle: Handle, depth: int = 0) -> Any:
    """The value of a word of `encode`. Raises `BadMessage` for anything else."""
    if type(word) in _SCALARS:
        return word
    if depth > DEEPEST:
        raise BadMessage("data nested too deep")
    try:
        if type(word) is not list or not word:
            raise BadMessage("data of an unknown kind")
        tag, *rest = word
        if tag == "h":
            [reference] = rest
            return handle(reference)
        if tag in _LEAVES:
            kinds, make = _LEAVES[tag]
            if tuple(type(r) for r in rest) != kinds:
                raise BadMessage("data of an unknown kind")
            return make(*rest)
        if tag in _SEQUENCES:
            return _SEQUENCES[tag](decode(v, handle, depth + 1) for v in rest)
        if tag == "d":
            values = [decode(v, handle, depth + 1) for v in rest]
            return dict(zip(values[::2], values[1::2], strict=True))
        if tag == "q":
            return deque((decode(v, handle, depth + 1) for v in rest[1:]), rest[0])
    except (TypeError, ValueError, ArithmeticError, RecursionError, MemoryError):
        raise BadMessage("data that can't be read") from None
    raise BadMessage("data of an unknown kind")
