"""The command line: the only module that knows every part.

Exit codes: 0 done; 1 done, but some episodes were lost to infrastructure; 2 the input can't be
used; 3 the model can't be asked; 4 stopped at a limit, the same command goes on; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agent.arms import Arm
    from agent.types import AfterError, Model, Task

app = typer.Typer(
    name="errata",
    help="Let a language model correct itself step by step, and measure whether that works.",
    epilog="Exit codes: 0 done; 1 done, but some episodes were lost to infrastructure; 2 the input "
    "can't be used; 3 the model can't be asked; 4 stopped at a limit; 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "ERRATA", "help_option_names": ["-h", "--help"]},
)

EXIT_LOST, EXIT_USAGE, EXIT_MODEL, EXIT_LIMIT, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

# -- options that several commands share ------------------------------------------------------

TaskName = Annotated[str, typer.Argument(help="A task: `errata list tasks`.")]
ModelName = Annotated[str, typer.Option("--model", "-m", help="`errata list models`.")]
Verifiers = Annotated[
    list[str] | None,
    typer.Option("--verifier", "-v", help="Name, package.module:name or file.py:name; repeatable."),
]
Horizon = Annotated[int, typer.Option(help="Answers of the model in an episode.")]
Seed = Annotated[int, typer.Option(help="Of the first episode.")]
Attempts = Annotated[int, typer.Option(help="Samples per step at most.", min=1)]
AfterErrorOption = Annotated[
    Literal["stop", "leave", "repair"],
    typer.Option(help="After an accepted error: stop, leave it in the context, or repair that."),
]
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
MaxTokens = Annotated[int, typer.Option(help="Tokens written per call at most.", min=1)]


@app.command()
def compare(
    task: TaskName,
    model: ModelName = "tiny",
    arms: Annotated[str, typer.Option(help="Names with commas: `errata list arms`.")] = (
        "baseline,resample,critique"
    ),
    verifier: Verifiers = None,
    episodes: Annotated[int, typer.Option(help="Seeds that every arm plays.", min=1)] = 40,
    horizon: Horizon = 60,
    seed: Seed = 1,
    out: Annotated[Path | None, typer.Option(help="Run directory.")] = None,
    concurrency: Annotated[int, typer.Option(help="Episodes at once.", min=1)] = 48,
    max_attempts: Attempts = 3,
    after_error: AfterErrorOption = "leave",
    style: Style = None,
    start: Start = None,
    opponent: Opponent = None,
    side: Side = None,
    set_: Set = None,
    temperature: Temperature = 1.0,
    base_url: BaseUrl = None,
    api: Api = "chat",
    max_tokens: MaxTokens = 512,
    limit_tokens: Annotated[int | None, typer.Option(help="Stop after so many.", min=1)] = None,
    limit_usd: Annotated[float | None, typer.Option(help="Stop at that cost.", min=0)] = None,
    limit_seconds: Annotated[float | None, typer.Option(help="Stop after.", min=0)] = None,
    price: Annotated[
        str | None, typer.Option(help="USD per million tokens read and written: 0.15,0.60.")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Play episodes again that infrastructure lost.")
    ] = False,
    display: Annotated[
        Literal["auto", "rich", "plain", "none"], typer.Option(help="Of the progress.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON alone.")] = False,
) -> None:
    """Play matched episodes with every arm and measure what correction did.

    The same command resumes a run that was stopped, whatever stopped it.
    """
    with _errors():
        from agent.budget import Budget

        the_model = _model(model, temperature, base_url, api, max_tokens)
        options = _task_options(set_, horizon=horizon, start=start, opponent=opponent, side=side,
                                style=style or getattr(the_model, "preferred_style", None))  # fmt: skip
        the_task = _task(task, options)
        the_arms = _arms(arms.split(","), verifier, the_task, max_attempts, after_error)
        budget = Budget(limit_tokens, limit_usd, limit_seconds, _price(price))
        code = _compare(
            the_task, the_model, the_arms, list(range(seed, seed + episodes)),
            out or Path("runs") / f"{task}-{model}".replace(":", "-").replace("/", "-"),
            concurrency, budget, retry_errors, "none" if json else display, json,
        )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def run(
    task: TaskName,
    model: ModelName = "tiny",
    arm: Annotated[str, typer.Option(help="`errata list arms`.")] = "critique",
    verifier: Verifiers = None,
    horizon: Horizon = 60,
    seed: Seed = 1,
    max_attempts: Attempts = 3,
    after_error: AfterErrorOption = "leave",
    style: Style = None,
    start: Start = None,
    opponent: Opponent = None,
    side: Side = None,
    set_: Set = None,
    temperature: Temperature = 1.0,
    base_url: BaseUrl = None,
    api: Api = "chat",
    max_tokens: MaxTokens = 512,
) -> None:
    """Play one episode and show every attempt, critique and correction as it happens."""
    with _errors():
        from agent.display import Episode
        from agent.experiment import score_trace
        from agent.loop import rollout

        the_model = _model(model, temperature, base_url, api, max_tokens)
        options = _task_options(set_, horizon=horizon, start=start, opponent=opponent, side=side,
                                style=style or getattr(the_model, "preferred_style", None))  # fmt: skip
        the_task = _task(task, options)
        [the_arm] = _arms([arm], verifier, the_task, max_attempts, after_error)
        console = _console()
        console.print(f"{the_task.name} by {the_model.name}, arm {the_arm.name}, seed {seed}\n")

        async def play() -> Any:
            from agent.verification import preflight

            await preflight(the_arm.checks)
            return await rollout(
                the_task, the_model, the_arm, seed, watcher=Episode(the_task, console)
            )

        trace = asyncio.run(play())
        scores = score_trace(the_task, trace)
        wrong = sum(row[s.accepted].correct is False
                    for s, row in zip(trace.steps, scores, strict=True))  # fmt: skip
        first = sum(row[0].correct is False for row in scores)
        console.print(
            f"{len(trace.steps)} steps, ended by {trace.stop_reason}; first attempt wrong at "
            f"{first}, accepted answer wrong at {wrong}; {trace.usage.total:,} tokens in "
            f"{trace.usage.calls} calls"
        )
        if trace.error:
            console.print(trace.error, style="red", markup=False)
    raise typer.Exit(EXIT_LOST if trace.error else 0)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON alone.")] = False,
) -> None:
    """Measure a stored run again and print its tables."""
    with _errors():
        from agent.store import Store

        with closing(Store(run)) as store:
            _report(store, _console(), json, None)


@app.command()
def verify(
    verifier: Annotated[str, typer.Argument(help="Name, package.module:name or file.py:name.")],
) -> None:
    """Run a verifier's own known-good and known-bad examples."""
    with _errors():
        from agent import resolve
        from agent.verification import Check, preflight

        check = Check.of(resolve.verifier(verifier))
        lines = asyncio.run(preflight([check]))
        if not getattr(check.verify, "known_good", ()) and not getattr(
            check.verify, "known_bad", ()
        ):
            lines = [f"{check.name}: has no examples, so nothing shows that it judges rightly; give "
                     "it `known_good` and `known_bad`, lists of (question, answer)"]  # fmt: skip
        for line in lines:
            typer.echo(line)


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="tasks, verifiers, models or arms.")],
) -> None:
    """What there is to choose from."""
    with _errors():
        from agent import resolve
        from agent.arms import DESCRIPTIONS
        from agent.errors import UnknownName

        kinds = {"tasks": resolve.TASKS, "verifiers": resolve.VERIFIERS,
                 "models": resolve.MODELS, "arms": DESCRIPTIONS}  # fmt: skip
        if kind not in kinds:
            raise UnknownName("kind", kind, kinds)
        width = max(map(len, kinds[kind]))
        for name, text in kinds[kind].items():
            typer.echo(f"{name:<{width}}  {text}")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8765,
) -> None:
    """Serve the embedded model on loopback, in the protocol of OpenAI."""
    with _errors():
        import uvicorn

        from agent.server import application, base_url, listen

        listener = listen(port)
        typer.echo(f"serving tiny at {base_url(listener)}; stop with Ctrl-C")
        sys.stdout.flush()
        config = uvicorn.Config(application(), log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


# -- how the parts are put together -----------------------------------------------------------


@contextmanager
def _errors() -> Iterator[None]:
    """An error of ours becomes one line and an exit code."""
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
        typer.echo(
            "errata: interrupted; nothing stored is lost, the same command goes on", err=True
        )
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


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width of its own; eighty columns would fold every table.
    return Console(width=None if sys.stdout.isatty() else 150)


def _model(spec: str, temperature: float, base_url: str | None, api: str, max_tokens: int) -> Model:
    from agent import resolve

    return resolve.model(
        spec, temperature=temperature, base_url=base_url, api=api, max_tokens=max_tokens
    )


def _task(name: str, options: dict[str, str]) -> Task[Any]:
    from agent import resolve

    return resolve.task(name, options)


def _task_options(pairs: list[str] | None, **named: Any) -> dict[str, str]:
    from agent.errors import UsageError

    options = {k: str(v) for k, v in named.items() if v is not None}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair!r} is not of the form NAME=VALUE")
        options[name] = value
    return options


def _arms(
    names: list[str],
    verifiers: list[str] | None,
    task: Task[Any],
    max_attempts: int,
    after_error: AfterError,
) -> list[Arm]:
    from agent.api import arms_for

    chosen = [name.strip() for name in names if name.strip()]
    return arms_for(task, chosen, verifiers, max_attempts=max_attempts, after_error=after_error)


def _price(text: str | None) -> tuple[float, float] | None:
    from agent.errors import UsageError

    if text is None:
        return None
    try:
        read, written = (float(x) for x in text.split(","))
    except ValueError:
        raise UsageError(f"--price {text!r} is not two numbers with a comma") from None
    return read, written


def _compare(
    task: Task[Any],
    model: Model,
    arms: list[Arm],
    seeds: list[int],
    out: Path,
    concurrency: int,
    budget: Any,
    retry_errors: bool,
    display: str,
    json: bool,
) -> int:
    from agent.api import checks_of, close_task, header
    from agent.experiment import Experiment
    from agent.store import Store
    from agent.verification import preflight

    if budget.usd is not None and budget.price is None:
        from agent.errors import UsageError

        raise UsageError("--limit-usd needs --price: the cost of this model is not known here")
    asyncio.run(preflight(checks_of(arms)))
    store = Store(out, header(task, model, arms, seeds, command=["errata", *sys.argv[1:]]))
    if retry_errors:
        store.forget_errors()
    console = _console()
    progress = _progress(display, arms, len(seeds), task.horizon, budget, console)
    for trace, scores in store.episodes():
        progress.already(trace.arm, trace, scores)
    experiment = Experiment(task, model, arms, seeds, store, concurrency, budget, progress)
    lost = 0
    try:
        with progress:
            stopped = asyncio.run(experiment.run())
    finally:
        with closing(store):
            # Also after Ctrl-C and errors: what was played is worth a report.
            if store.finished():
                lost = _report(store, console, json, budget.price)
        close_task(task)
    if not json:
        console.print(f"run directory: {out}  (tables again: errata report {out})", markup=False)
    if stopped:
        from agent.errors import BudgetExhausted

        raise BudgetExhausted(f"{stopped}; the same command goes on where this one stopped")
    return EXIT_LOST if lost else 0


def _progress(
    display: str, arms: list[Arm], episodes: int, horizon: int, budget: Any, console: Console
) -> Any:
    from agent.display import Live, Plain, Silent

    if display == "auto":
        display = "rich" if console.is_terminal else "plain"
    if display == "none":
        return Silent(arms, episodes, horizon, budget)
    kind = Live if display == "rich" else Plain
    return kind(arms, episodes, horizon, budget, console)


def _report(store: Any, console: Console, json: bool, price: tuple[float, float] | None) -> int:
    """Write summary.json and show it; returns how many episodes infrastructure lost."""
    from json import dumps

    from agent.api import measure
    from agent.report.summary import summarise
    from agent.report.terminal import header, tables

    comparison = measure(store)
    summary = summarise(store.header, comparison)
    store.write_summary(summary)
    if json:
        typer.echo(dumps(summary, indent=1, allow_nan=False))
    else:
        console.print(header(store.header))
        oracle = store.header["oracle_verifiers"]
        console.print(tables(comparison, oracle_verifiers=oracle, price=price))
    return sum(arm.infrastructure_errors for arm in comparison.arms.values())


def main() -> None:
    """The command `errata`."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character shows "?", rather than the run ending there.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()


if __name__ == "__main__":
    main()
