"""Playing: a comparison of arms, or one episode to watch."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.cli import common
from agent.cli.common import (
    EXIT_LOST,
    AfterErrorOption,
    AllowUnsafe,
    Api,
    Attempts,
    BaseUrl,
    Horizon,
    Isolation,
    Json_,
    Logprobs,
    MaxTokens,
    ModelName,
    Opponent,
    RedFlag,
    Seed,
    Set,
    Side,
    Start,
    Style,
    TaskName,
    Temperature,
    Verifiers,
    VoteLead,
)

if TYPE_CHECKING:
    from rich.console import Console

    from agent.arms import Arm
    from agent.types import Model, Task


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
    max_attempts: Attempts = None,
    vote_lead: VoteLead = None,
    red_flag: RedFlag = None,
    after_error: Annotated[
        str,
        typer.Option(
            help="After an accepted error: stop, leave it in the context, or repair that. "
            "Several, with commas, are arms of their own."
        ),
    ] = "leave",
    inject: Annotated[
        str | None,
        typer.Option(help="Per cent of the shown history made wrong: 0,25,50,100 are arms each."),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            help="Verifiers made worse: FALSE_ACCEPT:FALSE_REJECT in per cent, with "
            "commas, as 0:0,10:0,0:10."
        ),
    ] = None,
    prefix_from: Annotated[
        str | None,
        typer.Option(help="RUN or RUN:ARM: every arm answers from those recorded histories."),
    ] = None,
    style: Style = None,
    start: Start = None,
    opponent: Opponent = None,
    side: Side = None,
    set_: Set = None,
    temperature: Temperature = 1.0,
    base_url: BaseUrl = None,
    api: Api = "chat",
    max_tokens: MaxTokens = 512,
    logprobs: Logprobs = False,
    limit_tokens: Annotated[
        int | None, typer.Option(help="Stop after so many tokens.", min=1)
    ] = None,
    limit_usd: Annotated[
        float | None, typer.Option(help="Stop at that cost; needs --price.", min=0)
    ] = None,
    limit_seconds: Annotated[
        float | None, typer.Option(help="Stop after so many seconds.", min=0)
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="USD per million tokens read and written: 0.15,0.60.")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Play episodes again that infrastructure lost.")
    ] = False,
    isolation: Isolation = None,
    allow_unsafe_exec: AllowUnsafe = False,
    display: Annotated[
        Literal["auto", "rich", "plain", "none"], typer.Option(help="Of the progress.")
    ] = "auto",
    json: Json_ = False,
) -> None:
    """Play matched episodes with every arm and measure what correction did.

    The same command resumes a run that was stopped, whatever stopped it; a limit counts from
    each start anew.
    """
    with common.errors_shown("interrupted; nothing stored is lost, the same command goes on"):
        from agent.budget import Budget

        common.isolate(isolation, allow_unsafe_exec)
        asked = common.the_model(model, temperature, base_url, api, max_tokens, logprobs)
        options = common.task_options(set_, horizon=horizon, start=start, opponent=opponent,
                                      side=side, style=style)  # fmt: skip
        played = common.the_task(task, options, asked)
        seeds = list(range(seed, seed + episodes))
        if prefix_from:
            played = _recorded(played, prefix_from, seeds)
        chosen = common.the_arms(arms, verifier, played, asked, max_attempts)
        voting = common.voting(chosen, vote_lead, red_flag)
        varied = _varied(voting, played, after_error, inject, noise)
        budget = Budget(limit_tokens, limit_usd, limit_seconds, _price(price))
        code = _compare(
            played, asked, varied, seeds,
            out or Path("runs") / f"{task}-{model}".replace(":", "-").replace("/", "-"),
            concurrency, budget, retry_errors, "none" if json else display, json,
        )  # fmt: skip
    raise typer.Exit(code)


def run(
    task: TaskName,
    model: ModelName = "tiny",
    arm: Annotated[str, typer.Option(help="`errata list arms`.")] = "critique",
    verifier: Verifiers = None,
    horizon: Horizon = 60,
    seed: Seed = 1,
    max_attempts: Attempts = None,
    vote_lead: VoteLead = None,
    red_flag: RedFlag = None,
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
    isolation: Isolation = None,
    allow_unsafe_exec: AllowUnsafe = False,
) -> None:
    """Play one episode and show every attempt, critique and correction as it happens."""
    with common.errors_shown():
        import asyncio

        from agent.api import close
        from agent.display import Episode
        from agent.errors import UsageError
        from agent.experiment import score_trace
        from agent.loop import rollout

        common.isolate(isolation, allow_unsafe_exec)
        asked = common.the_model(model, temperature, base_url, api, max_tokens)
        options = common.task_options(set_, horizon=horizon, start=start, opponent=opponent,
                                      side=side, style=style)  # fmt: skip
        played = common.the_task(task, options, asked)
        arms = common.the_arms(arm, verifier, played, asked, max_attempts)
        chosen, *more = common.voting(arms, vote_lead, red_flag)
        if more:
            raise UsageError("--arm takes one arm: `errata compare` plays several")
        chosen = chosen.model_copy(update={"after_error": after_error})
        console = common.console_here()
        console.print(f"{played.name} by {asked.name}, arm {chosen.name}, seed {seed}\n")

        async def play() -> Any:
            from agent.verification import preflight

            await preflight(chosen.checks)
            with Episode(played, console) as watcher:
                return await rollout(played, asked, chosen, seed, watcher=watcher)

        trace = asyncio.run(play())
        scores = score_trace(played, trace)
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
        close(played)
        close(asked)
    raise typer.Exit(EXIT_LOST if trace.error else 0)


def _varied(
    arms: list[Arm], task: Task[Any], after_error: str, inject: str | None, noise: str | None
) -> list[Arm]:
    """The arms at every level of what is varied."""
    from agent import resolve, variants
    from agent.errors import UsageError

    choices: list[Any] = [c.strip() for c in after_error.split(",")]
    if unknown := set(choices) - {"stop", "leave", "repair"}:
        raise UsageError(f"--after-error {unknown.pop()!r} is not one of: stop, leave, repair")
    arms = variants.after_errors(arms, choices)
    if inject is not None:
        if not hasattr(task, "with_errors"):
            raise UsageError(f"--inject: task {task.name!r} can't show a history with errors")
        arms = variants.injected(arms, [_share("--inject", x) for x in inject.split(",")])
    if noise is not None:
        rates = []
        for pair in noise.split(","):
            accept, colon, reject = pair.partition(":")
            if not colon:
                raise UsageError(f"--noise {pair!r} is not FALSE_ACCEPT:FALSE_REJECT")
            rates.append((_share("--noise", accept), _share("--noise", reject)))
        arms = variants.noisy(arms, rates, resolve.noisy)
    return arms


def _share(option: str, text: str) -> float:
    from agent.errors import UsageError

    try:
        share = float(text) / 100
    except ValueError:
        raise UsageError(f"{option}: {text!r} is no number of per cent") from None
    if not 0 <= share <= 1:
        raise UsageError(f"{option}: {text!r} is not between 0 and 100 per cent")
    return share


def _recorded(task: Task[Any], source: str, seeds: list[int]) -> Task[Any]:
    """The task on the histories of a recorded run; its first arm where none is named."""
    from agent.errors import UnknownName
    from agent.replay import Recorded
    from agent.store import Store

    run, _, arm = source.partition(":")
    with closing(Store(run)) as store:
        known = list(store.header["identity"]["arms"])
        arm = arm or known[0]
        if arm not in known:
            raise UnknownName(f"arm of {run}", arm, known)
        traces = [t for t, _ in store.episodes() if t.arm == arm and t.error is None]
    recorded = Recorded(task, traces, f"{run}:{arm}")
    for seed in seeds:
        recorded.start(seed)
    return recorded


def _price(text: str | None) -> tuple[float, float] | None:
    from agent.errors import UsageError

    if text is None:
        return None
    try:
        read, written = (float(x) for x in text.split(","))
    except ValueError:
        raise UsageError(f"--price {text!r} is not two numbers with a comma") from None
    if not (0 <= read < math.inf and 0 <= written < math.inf):
        raise UsageError(f"--price {text!r}: a price is a number from 0 on")
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
    import asyncio

    from agent.api import checks_of, close, header
    from agent.experiment import Experiment
    from agent.store import Store
    from agent.verification import preflight

    if budget.usd is not None and budget.price is None:
        from agent.errors import UsageError

        raise UsageError("--limit-usd needs --price: the cost of this model is not known here")
    asyncio.run(preflight(checks_of(arms)))
    store = Store(out, header(task, model, arms, seeds, command=common.typed()))
    if retry_errors:
        store.forget_errors()
    console = common.console_here()
    progress = _progress(display, arms, len(seeds), task.horizon, budget, console)
    for trace, scores in store.episodes():
        progress.already(trace, scores)
    experiment = Experiment(task, model, arms, seeds, store, concurrency, budget, progress)
    lost = 0
    try:
        with progress:
            stopped = asyncio.run(experiment.run())
    finally:
        with closing(store):
            # Also after Ctrl-C and errors: what was played is worth a report.
            finished = len(store.finished())
            if finished:
                comparison = common.report_run(store, json=json)
                lost = sum(a.infrastructure_errors for a in comparison.arms.values())
        close(task)
    if not json:
        console.print(f"run directory: {out}  (the page: errata view {out})", markup=False)
    if stopped:
        from agent.errors import BudgetExhausted

        raise BudgetExhausted(
            f"{stopped}, {finished} of {len(arms) * len(seeds)} episodes are finished; "
            "the same command goes on where this one stopped"
        )
    close(model)
    return EXIT_LOST if lost else 0


def _progress(
    display: str, arms: list[Arm], episodes: int, horizon: int, budget: Any, console: Console
) -> Any:
    from agent.display import Counting, Live, Plain

    if display == "auto":
        display = "rich" if console.is_terminal else "plain"
    if display == "none":
        return Counting(arms, episodes, horizon, budget)
    kind = Live if display == "rich" else Plain
    return kind(arms, episodes, horizon, budget, console)
