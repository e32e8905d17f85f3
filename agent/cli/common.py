"""What the commands share: options, errors as one line, how the parts are put together."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agent.arms import Arm
    from agent.measure import Comparison
    from agent.store import Store
    from agent.types import Json, Model, Task, Trace

EXIT_LOST, EXIT_USAGE, EXIT_MODEL, EXIT_LIMIT, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

# -- options that several commands share ------------------------------------------------------

TaskName = Annotated[str, typer.Argument(help="A task: `errata list tasks`.")]
ModelName = Annotated[str, typer.Option("--model", "-m", help="`errata list models`.")]
Verifiers = Annotated[
    list[str] | None,
    typer.Option(
        "--verifier",
        "-v",
        help="`errata list verifiers`, package.module:name or file.py:name; repeatable.",
    ),
]
Horizon = Annotated[int, typer.Option(help="Answers of the model in an episode.")]
Seed = Annotated[int, typer.Option(help="Of the first episode.")]
Attempts = Annotated[
    int | None, typer.Option(help="Samples per step at most; default 3, of a vote 20.", min=1)
]
VoteLead = Annotated[
    int | None, typer.Option(help="Of a vote: votes ahead that win; default 2.", min=1)
]
RedFlag = Annotated[
    int | None, typer.Option(help="Of a vote: tokens above which an answer has none.", min=1)
]
AfterErrorOption = Annotated[
    Literal["stop", "leave", "repair"],
    typer.Option(help="After an accepted error: stop, leave it in the context, or repair that."),
]
Json_ = Annotated[bool, typer.Option("--json", help="Print the summary as JSON alone.")]
Port = Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)]
Style = Annotated[str | None, typer.Option(help="How a position is put to the model.")]
Start = Annotated[str | None, typer.Option(help="initial, random:PLIES, seed, FEN or FILE.pgn.")]
Opponent = Annotated[str | None, typer.Option(help="self, random, stockfish or replay.")]
Side = Annotated[str | None, typer.Option(help="white, black or both.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other option of the task, NAME=VALUE.", envvar="ERRATA_SET"),
]
Temperature = Annotated[float, typer.Option(help="Of sampling.", min=0)]
BaseUrl = Annotated[str | None, typer.Option(help="Of an OpenAI-compatible server.")]
Api = Annotated[
    Literal["chat", "completions"], typer.Option(help="completions is for base models.")
]
Isolation = Annotated[
    Literal["bubblewrap", "namespaces", "sealed", "container", "none"] | None,
    typer.Option(help="Of programs that are run; default the strongest that works here."),
]
AllowUnsafe = Annotated[
    bool,
    typer.Option("--allow-unsafe-exec", help="Run programs even where nothing isolates them."),
]
Logprobs = Annotated[
    bool, typer.Option("--logprobs", help="Ask a server for log-probabilities: drift needs them.")
]
MaxTokens = Annotated[int, typer.Option(help="Tokens written per call at most.", min=1)]


# -- how the parts are put together -----------------------------------------------------------


@contextmanager
def errors_shown(interrupted: str = "interrupted") -> Iterator[None]:
    """An error of ours becomes one line and an exit code; `interrupted` is said on Ctrl-C."""
    from agent import errors

    codes: dict[type[BaseException], int] = {
        errors.ModelUnusable: EXIT_MODEL,
        errors.BudgetExhausted: EXIT_LIMIT,
    }
    try:
        yield
    except BaseExceptionGroup as group:
        ours = _first_of_ours(group)
        if ours is None:
            raise
        typer.echo(f"errata: {ours}", err=True)
        raise typer.Exit(codes.get(type(ours), EXIT_USAGE)) from None
    except errors.ModelError as error:
        typer.echo(f"errata: {error}", err=True)
        raise typer.Exit(EXIT_MODEL) from None
    except errors.ErrataError as error:
        typer.echo(f"errata: {error}", err=True)
        raise typer.Exit(codes.get(type(error), EXIT_USAGE)) from None
    except KeyboardInterrupt:
        typer.echo(f"errata: {interrupted}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    from agent.errors import ErrataError

    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found = _first_of_ours(error)
            if found:
                return found
        elif isinstance(error, ErrataError):
            return error
    return None


def typed() -> list[str]:
    """The command as it was typed and may be recorded."""
    from agent.errors import public

    return ["errata", *map(public, sys.argv[1:])]


def console_here() -> Console:
    """Where tables go: as wide as the terminal, or as wide as they need."""
    from rich.console import Console

    # A pipe has no width of its own; eighty columns would fold every table.
    return Console(width=None if sys.stdout.isatty() else 150)


def isolate(isolation: Any, allow_unsafe_exec: bool) -> None:
    """Decide how programs are run; says so loudly where they are not isolated."""
    from agent import sandbox

    if allow_unsafe_exec:
        typer.echo(
            "errata: --allow-unsafe-exec: where no isolation works, programs run with your rights",
            err=True,
        )
    sandbox.configure(isolation=isolation, allow_unsafe_exec=allow_unsafe_exec)


def the_model(
    spec: str,
    temperature: float,
    base_url: str | None,
    api: str,
    max_tokens: int,
    logprobs: bool = False,
) -> Model:
    """The model by its name, with the settings that calls take."""
    from agent import resolve

    return resolve.model(
        spec, temperature=temperature, base_url=base_url, api=api, max_tokens=max_tokens,
        logprobs=logprobs,
    )  # fmt: skip


def the_task(name: str, options: dict[str, str], model: Model) -> Task[Any]:
    """The task by its name, in the style that the model prefers where none is given."""
    from agent import resolve

    return resolve.task(name, options, prefers=resolve.preferences(model))


def task_options(pairs: list[str] | None, **named: Any) -> dict[str, str]:
    """What `--set` and the named options give, as text."""
    from agent.errors import UsageError

    options = {k: str(v) for k, v in named.items() if v is not None}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair!r} is not of the form NAME=VALUE")
        options[name] = value
    return options


def the_arms(
    names: str, verifiers: list[str] | None, task: Task[Any], model: Model, attempts: int | None
) -> list[Arm]:
    """Arms by their names with commas, with the verifiers of the run."""
    from agent.api import arms_for

    chosen = [name.strip() for name in names.split(",") if name.strip()]
    return arms_for(task, chosen, verifiers, model=model, max_attempts=attempts)


def voting(arms: list[Arm], lead: int | None, red_flag: int | None) -> list[Arm]:
    """The arms, those that vote with this lead and red flag."""
    wished = {"vote_lead": lead, "red_flag": red_flag}
    update = {k: v for k, v in wished.items() if v is not None}
    return [a.model_copy(update=update) if a.select == "vote" else a for a in arms]


def show(title: Json, comparison: Comparison, summary: Json, *, json: bool) -> None:
    """The tables of a comparison, or its summary alone."""
    from json import dumps

    from agent.report.terminal import header, tables

    if json:
        typer.echo(dumps(summary, indent=1, allow_nan=False))
        return
    console = console_here()
    console.print(header(title, comparison))
    console.print(tables(comparison, oracle_verifiers=title["oracle_verifiers"]))


def report_run(store: Store, *, json: bool) -> Comparison:
    """Measure a run directory, write its summary and page, and show its tables."""
    from agent.api import measure_episodes, sketch_of
    from agent.report.files import write

    episodes = list(store.episodes())
    table, comparison = measure_episodes(episodes, store.header)
    summary = write(
        store.directory, store.header, table, comparison, episodes, sketch_of(store.header)
    )
    show(store.header, comparison, summary, json=json)
    for line in troubles(trace for trace, _ in episodes):
        typer.echo(f"errata: {line}", err=True)
    return comparison


def troubles(traces: Iterable[Trace]) -> list[str]:
    """What was lost, and which verifiers broke, with the commonest reasons."""
    lost: Counter[str] = Counter()
    broke: Counter[str] = Counter()
    for trace in traces:
        if trace.error:
            lost[trace.error] += 1
        for verdict in (v for s in trace.steps for a in s.attempts for v in a.verdicts):
            if verdict.outcome == "error":
                reason = " ".join(str((verdict.evidence or {}).get("error", "")).split())
                broke[f"verifier {verdict.verifier} broke: {reason:.200}"] += 1
    return [
        *(f"{n} episodes lost to infrastructure (--retry-errors plays them again): {reason}"
          for reason, n in lost.most_common(3)),
        *(f"{n} times {reason}" for reason, n in broke.most_common(3)),
    ]  # fmt: skip
