"""Is the answer JSON of a given shape (json-schema.org)?"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from jsonschema import SchemaError, ValidationError
from jsonschema.validators import validator_for
from referencing import Registry

from agent.errors import UsageError
from agent.types import Answer, Json, Question

SHOWN = 3
"""Faults that a critique names at most."""


class JsonSchema:
    """An answer that is text is read as JSON first; any other is JSON already.

    >>> JsonSchema({"type": "object", "required": ["move"]})(Question(messages=(), prefix=""), "{}")
    "The JSON does not fit: 'move' is a required property."
    """

    def __init__(self, schema: Json, name: str = "json-schema") -> None:
        """Raises `UsageError` for what is no JSON Schema. References are not fetched."""
        kind = validator_for(schema) if isinstance(schema, dict) else validator_for({})
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            raise UsageError(f"{name} is no JSON Schema: {_told(error)}") from None
        nowhere: Registry[Any] = Registry()
        self._validator = kind(schema, registry=nowhere)
        self.name = name
        self.version = hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_file(cls, path: str) -> JsonSchema:
        """The schema in a file. Raises `UsageError` where it can't be read."""
        try:
            schema = json.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise UsageError(f"schema file {path!r}: {error.strerror}") from None
        except ValueError as error:
            raise UsageError(f"schema file {path!r} is no JSON: {error}") from None
        return cls(schema, f"json-schema:{path}")

    def __call__(self, question: Question, answer: Answer) -> str | None:
        """Pass what fits; of anything else name the first faults and where they are."""
        if isinstance(answer, str):
            try:
                answer = json.loads(answer, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                return f"The answer is no JSON: {error}."
        faults = sorted(self._validator.iter_errors(answer), key=lambda e: e.json_path)
        if not faults:
            return None
        return f"The JSON does not fit: {'; '.join(map(_told, faults[:SHOWN]))}."


def _told(error: ValidationError | SchemaError) -> str:
    where = "" if error.json_path == "$" else f"{error.json_path}: "
    return f"{where}{error.message:.200}"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
