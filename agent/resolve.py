"""Names -> objects. The tables are all there is to know: no registration, no magic."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from agent.errors import BadVerifier, ErrataError, UnknownName, UsageError
from agent.types import AnyVerifier, Model, Task

TASKS = {
    "arithmetic": "tasks.arithmetic.task:Arithmetic",
    "board-reading": "tasks.board_reading.task:BoardReading",
    "chess": "tasks.chess.task:Chess",
    "code": "tasks.code.task:Code",
    "hanoi": "tasks.hanoi.task:Hanoi",
    "markov": "tasks.markov.task:Markov",
    "running-sum": "tasks.running_sum.task:RunningSum",
}

VERIFIERS = {
    "board-lookup": "verifiers.board_lookup:board_lookup",
    "code-run": "verifiers.code_run:code_run",
    "chess-legality": "verifiers.chess_legality:chess_legality",
    "equals-calculator": "verifiers.equals_calculator:equals_calculator",
    "hanoi-legality": "verifiers.hanoi_legality:hanoi_legality",
    "markov-support": "verifiers.markov_support:markov_support",
}

MODEL_VERIFIERS = {
    "generated": "verifiers.generated:Generated",
    "generated-tests": "verifiers.generated_tests:GeneratedTests",
    "proofread": "verifiers.proofread:Proofread",
}
"""Verifiers that ask a model themselves: the one of the run."""

MADE_VERIFIERS = {
    "json-schema:FILE": "verifiers.json_schema:JsonSchema.from_file",
    "length:MAX": "verifiers.length:Length",
    "regex:PATTERN": "verifiers.pattern:Pattern",
    "all_of(A,B)": "verifiers.combine:all_of",
    "any_of(A,B)": "verifiers.combine:any_of",
    "majority(A,B,C)": "verifiers.combine:majority",
}
"""Verifiers that are made from what they are told: a text, or other verifiers."""

MODELS = {
    "tiny": "the embedded language model; no key, no server",
    "openai:NAME": "any OpenAI-compatible server (--base-url, OPENAI_API_KEY)",
    "langchain:PROVIDER:NAME": "any LangChain chat model",
    "scripted:FILE": "replies from a file, one a line, or of a function: package.module:name",
}


def task(
    name: str, options: Mapping[str, str], prefers: Mapping[str, str] | None = None
) -> Task[Any]:
    """A task by name or `package.module:Class`, with options as text.

    `prefers` are options that are taken where the task has them, names their value among its
    `styles`, and none is given.
    Raises `UnknownName` for a task or option that there is not, `UsageError` for a value that
    does not fit.
    """
    path = TASKS.get(name)
    if path is None:
        if ":" not in name:
            raise UnknownName("task", name, TASKS)
        path = name
    try:
        factory = _import(path)
    except ErrataError:
        raise
    except Exception as error:
        raise UsageError(f"task {name!r} does not import: {error}") from None
    known = inspect.signature(factory).parameters
    styles = getattr(factory, "styles", ())
    wished = {k: v for k, v in (prefers or {}).items() if k in known and v in styles}
    return factory(**_typed(factory, {**wished, **options}))  # type: ignore[no-any-return]


def preferences(model: Model) -> dict[str, str]:
    """The options of a task that suit a model best."""
    style = getattr(model, "preferred_style", None)
    return {"style": style} if style else {}


def task_again(path: str, configuration: Mapping[str, Any]) -> Task[Any]:
    """The task of a stored run: its class by `package.module:Class`, its settings as recorded.

    Raises `UsageError` where it can no longer be made.
    """
    try:
        factory = _import(path)
        known = inspect.signature(factory).parameters
        return factory(**{k: v for k, v in configuration.items() if k in known})  # type: ignore[no-any-return]
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"the task {path!r} of this run can't be made again: {error}") from None


def noisy(verifier: AnyVerifier, false_accept: float, false_reject: float) -> AnyVerifier:
    """A verifier made worse by known amounts."""
    from verifiers.noisy import Noisy

    return Noisy(verifier, false_accept=false_accept, false_reject=false_reject)


def model(
    spec: str,
    *,
    temperature: float = 1.0,
    base_url: str | None = None,
    api: str = "chat",
    max_tokens: int = 512,
    logprobs: bool = False,
) -> Model:
    """A model by `tiny`, `provider:name` or `provider/name`. Raises `UnknownName`."""
    kind, name = _provider(spec)
    if kind == "tiny":
        if name:
            raise UsageError(f"model {spec!r}: tiny comes in one size, give tiny alone")
        from agent.models.tiny import Tiny

        return Tiny(temperature=temperature)
    if kind == "openai":
        from agent.models.openai import OpenAIModel

        if api not in ("chat", "completions"):
            raise UsageError(f"--api {api!r} is not one of: chat, completions")
        return OpenAIModel(
            name, base_url=base_url, temperature=temperature, max_tokens=max_tokens,
            api="chat" if api == "chat" else "completions", logprobs=logprobs,
        )  # fmt: skip
    if kind == "langchain":
        from agent.models.langchain import LangChainModel

        return LangChainModel.from_name(
            ":".join(filter(None, _provider(name))),
            temperature=temperature, base_url=base_url, max_tokens=max_tokens, logprobs=logprobs,
        )  # fmt: skip
    if kind == "scripted":
        from agent.models.scripted import ScriptedModel

        return (
            ScriptedModel(_reply(name), name=spec) if ":" in name else ScriptedModel.from_file(name)
        )
    raise UnknownName("model", kind, MODELS)


def _provider(spec: str) -> tuple[str, str]:
    """What stands before the first colon or slash, and after it: names may hold more of both."""
    kind, *name = re.split("[:/]", spec, maxsplit=1)
    return kind, "".join(name)


def verifier(spec: str, model: Model | None = None) -> AnyVerifier:
    """A verifier by name, `package.module:name`, `file.py:name` or as in `MADE_VERIFIERS`.

    `model` is for one that asks a model.

    Raises `UnknownName`, `UsageError` for what one can't be made from, or `BadVerifier` with
    the line at which its file fails.
    """
    if spec in VERIFIERS:
        return _import(VERIFIERS[spec])  # type: ignore[no-any-return]
    if spec in MODEL_VERIFIERS:
        if model is None:
            raise UsageError(f"verifier {spec!r} asks a model, and none is given")
        return _import(MODEL_VERIFIERS[spec])(model)  # type: ignore[no-any-return]
    for shape, path in MADE_VERIFIERS.items():
        head = re.split("(?<=[:(])", shape)[0]
        if spec.startswith(head):
            make: Callable[..., AnyVerifier] = _import(path)
            if head.endswith(":"):
                return make(spec.removeprefix(head))
            return make(*(verifier(part, model) for part in _parts(spec)))
    source, _, name = spec.rpartition(":")
    if spec.endswith(".py"):
        raise BadVerifier(f"verifier {spec!r} does not say which function: give {spec}:NAME")
    if not source or re.match(r"[\w-]+\(", spec):
        raise UnknownName(
            "verifier", spec.partition("(")[0], [*VERIFIERS, *MODEL_VERIFIERS, *MADE_VERIFIERS]
        )
    try:
        module = _from_file(Path(source)) if source.endswith(".py") else _module(source)
    except ErrataError:
        raise
    except BaseException as error:
        raise BadVerifier(f"verifier {spec!r} does not import: {_last_line(error)}") from None
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UnknownName(f"name in {source}", name, public)
    return getattr(module, name)  # type: ignore[no-any-return]


def _reply(path: str) -> Any:
    source, _, name = path.rpartition(":")
    try:
        return getattr(_module(source), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"scripted:{path}: {error}") from None


def _parts(spec: str) -> list[str]:
    """What stands between commas in the outer parentheses.

    Commas in brackets of any kind, and after a backslash, are a part's own.

    >>> _parts("all_of(any_of(a,b),regex:[x,y]{1,2})")
    ['any_of(a,b)', 'regex:[x,y]{1,2}']
    """
    inner, parts, depth = spec.partition("(")[2], [""], 0
    for piece in re.findall(r"\\.|.", inner[:-1], re.DOTALL):
        depth += (piece in "([{") - (piece in ")]}")
        if depth < 0:
            break
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    if depth or not inner.endswith(")"):
        raise UsageError(
            f"verifier {spec!r}: its brackets don't match; one in a pattern needs a backslash"
        )
    return [part.strip() for part in parts if part.strip()]


def about(path: str) -> str:
    """What the part at `package.module:name` is: the first paragraph that documents it."""
    part = _import(path)
    module = sys.modules[path.partition(":")[0]]
    told = inspect.getdoc(part if inspect.isfunction(part) else module) or ""
    return " ".join(told.partition("\n\n")[0].split())


def options(path: str) -> dict[str, Any]:
    """The options of a task, with their defaults."""
    return {k: p.default for k, p in inspect.signature(_import(path)).parameters.items()}


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    return attrgetter(name)(importlib.import_module(module))


def _module(name: str) -> Any:
    # As for `python -m`: what lies in the current folder can be named.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    return importlib.import_module(name)


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise BadVerifier(f"verifier file {str(path)!r} does not exist")
    specification = importlib.util.spec_from_file_location(f"errata_{path.stem}", path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def _last_line(error: BaseException) -> str:
    """Where in the stranger's own file it failed, and with what."""
    what = traceback.format_exception_only(error)[-1].strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    if isinstance(error, SyntaxError) or not own:
        line = f"{error.filename}:{error.lineno}: " if isinstance(error, SyntaxError) else ""
        return f"{line}{what}"
    return f"{own[-1].filename}:{own[-1].lineno}: {what}"


def _typed(factory: Any, options: Mapping[str, str]) -> dict[str, Any]:
    """Options given as text, in the types of the factory's defaults."""
    known = inspect.signature(factory).parameters
    out: dict[str, Any] = {}
    for name, text in options.items():
        if name not in known:
            raise UnknownName(
                f"option of {getattr(factory, 'name', factory.__name__)}", name, known
            )
        default = known[name].default
        try:
            if isinstance(default, bool):
                out[name] = {"true": True, "false": False}[text.lower()]
            elif isinstance(default, int | float):
                out[name] = type(default)(text)
            else:
                out[name] = text
        except (ValueError, KeyError):
            kind = type(default).__name__
            raise UsageError(f"option {name}: {text!r} is no {kind}") from None
    return out
