"""Names -> objects. The tables are all there is to know: no registration, no magic."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.errors import BadVerifier, ErrataError, UnknownName, UsageError
from agent.types import AnyVerifier, Model, Task

TASKS = {"chess": "tasks.chess.task:Chess", "markov": "tasks.markov.task:Markov"}

VERIFIERS = {
    "chess-legality": "verifiers.chess_legality:chess_legality",
    "markov-support": "verifiers.markov_support:markov_support",
}

MODELS = {
    "tiny": "the embedded language model; no key, no server",
    "openai:NAME": "any OpenAI-compatible server (--base-url, OPENAI_API_KEY)",
    "langchain:PROVIDER:NAME": "any LangChain chat model",
    "scripted:FILE": "replies from a file, one a line",
}


def task(
    name: str, options: Mapping[str, str], prefers: Mapping[str, str] | None = None
) -> Task[Any]:
    """A task by name or `package.module:Class`, with options as text.

    `prefers` are options that are taken where the task has them and none is given.
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
    wished = {k: v for k, v in (prefers or {}).items() if k in known}
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
    kind, name = spec, ""
    for separator in (":", "/"):
        if separator in spec:
            kind, name = spec.split(separator, 1)
            break
    if kind == "tiny":
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
            name, temperature=temperature, base_url=base_url, max_tokens=max_tokens,
            logprobs=logprobs,
        )  # fmt: skip
    if kind == "scripted":
        from agent.models.scripted import ScriptedModel

        return ScriptedModel.from_file(name)
    raise UnknownName("model", kind, [m.partition(":")[0] for m in MODELS])


def verifier(spec: str) -> AnyVerifier:
    """A verifier by name, `package.module:name` or `file.py:name`.

    Raises `UnknownName`, or `BadVerifier` with the line at which its file fails.
    """
    if spec in VERIFIERS:
        return _import(VERIFIERS[spec])  # type: ignore[no-any-return]
    source, _, name = spec.rpartition(":")
    if not source:
        raise UnknownName("verifier", spec, VERIFIERS)
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


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


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
