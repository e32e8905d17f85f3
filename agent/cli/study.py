"""Studying: the figures of what was played here or elsewhere, and how much to play."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from agent.cli import common
from agent.cli.common import (
    Api,
    BaseUrl,
    Json_,
    MaxTokens,
    ModelName,
    Port,
    Seed,
    Set,
    TaskName,
    Temperature,
    errors_shown,
)

Run = Annotated[Path, typer.Argument(help="A run directory.")]


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")], json: Json_ = False
) -> None:
    """Measure stored runs again: their tables, summary.json and report.html.

    Of several runs the primary results come last, with p-values corrected for their number.
    """
    with errors_shown():
        from agent.store import Store

        compared = []
        for run in runs:
            with closing(Store(run)) as store:
                compared.append((str(run), common.report_run(store, json=json)))
        if len(compared) > 1 and not json:
            from agent.report.sheets import primaries
            from agent.report.terminal import drawn

            common.console_here().print(*drawn(primaries(compared)))


def score(run: Run, json: Json_ = False) -> None:
    """Ask the oracle once more about every stored answer, then measure the run again."""
    with errors_shown():
        from agent.api import score_again
        from agent.store import Store

        with closing(Store(run)) as store:
            changed = score_again(store)
            if not json:
                typer.echo(f"{changed} scores changed")
            common.report_run(store, json=json)


def view(
    run: Run,
    port: Port = 0,
    browser: Annotated[bool, typer.Option(help="Open it in a browser.")] = True,
) -> None:
    """Serve a run's page on loopback and open the browser."""
    with errors_shown():
        import webbrowser

        from starlette.applications import Starlette
        from starlette.responses import FileResponse
        from starlette.routing import Route

        from agent.loopback import address, listen, serve
        from agent.report.files import REPORT
        from agent.store import Store

        page = run / REPORT
        if not page.exists():
            with closing(Store(run)) as store:
                common.report_run(store, json=False)

        def show(_: object) -> FileResponse:
            return FileResponse(page, media_type="text/html")

        listener = listen(port)
        typer.echo(f"{page} at {address(listener)}/; stop with Ctrl-C")
        sys.stdout.flush()
        if browser:
            webbrowser.open(address(listener) + "/")
        serve(Starlette(routes=[Route("/", show)]), listener)


def measure(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet; or a run directory.")],
    episode: Annotated[str | None, typer.Option(help="Column: which episode.")] = None,
    step: Annotated[str | None, typer.Option(help="Column: number of the step.")] = None,
    correct: Annotated[
        str | None, typer.Option(help="Column: 1 right, 0 wrong, empty unknown.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Column: what it was played with.")] = None,
    pair: Annotated[
        str | None, typer.Option(help="Column: what episodes of two arms share.")
    ] = None,
    stratum: Annotated[str | None, typer.Option(help="Column: what episodes differ by.")] = None,
    attempt: Annotated[str | None, typer.Option(help="Column: 0, 1, ... within a step.")] = None,
    on_track: Annotated[
        str | None, typer.Option(help="Column: is the state true after it.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Column: is it one of the deciding steps.")
    ] = None,
    error_class: Annotated[str | None, typer.Option(help="Column: kind of the error.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Column: spent on the row.")] = None,
    seconds: Annotated[str | None, typer.Option(help="Column: spent on the row.")] = None,
    infrastructure: Annotated[
        str | None, typer.Option(help="Column: 1 where a server failed.")
    ] = None,
    logprob: Annotated[str | None, typer.Option(help="Column: log Q of the answer, nats.")] = None,
    log_p: Annotated[str | None, typer.Option(help="Column: true log P of it, nats.")] = None,
    entropy: Annotated[str | None, typer.Option(help="Column: of the true distribution.")] = None,
    renumber: Annotated[
        bool, typer.Option("--renumber", help="Steps are the rows of an episode in their order.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for summary.json, report.html.")] = None,
    json: Json_ = False,
) -> None:
    """The whole report from a log of another program, one row a step or an attempt.

    Needed are an episode, a step and whether it is right; a column that has our name for it
    need not be named.
    """
    given = {
        "episode": episode, "step": step, "correct": correct, "arm": arm, "pair": pair,
        "stratum": stratum, "attempt": attempt, "on_track": on_track, "key": key,
        "error_class": error_class, "tokens": tokens, "seconds": seconds,
        "infrastructure": infrastructure, "logprob": logprob, "log_p": log_p, "entropy": entropy,
    }  # fmt: skip
    with errors_shown():
        if (file / "run.json").exists():
            report([file], json)
            return
        from agent import logs
        from agent.measure import compare
        from agent.report.files import write
        from agent.report.summary import summarise

        table = logs.read(file, {k: v for k, v in given.items() if v}, renumber=renumber)
        comparison = compare(table, int(table.step.max()))
        title = logs.title(file, table, sys.argv[1:])
        summary = write(out, title, table, comparison) if out else summarise(title, comparison)
        common.show(title, comparison, summary, json=json)
        if out and not json:
            typer.echo(f"report: {out / 'report.html'}")


def power(
    run: Annotated[Path | None, typer.Argument(help="A finished run, or none to plan one.")] = None,
    e: Annotated[float, typer.Option(help="Error per step.", min=0, max=1)] = 0.05,
    r: Annotated[
        float | None, typer.Option(help="P(back on track); none: steps are independent.")
    ] = None,
    effect: Annotated[
        float, typer.Option(help="Error of the better arm as a share of e.", min=0)
    ] = 0.5,
    spread: Annotated[float, typer.Option(help="Between episodes: SD of logit e.", min=0)] = 0.5,
    pairing: Annotated[
        float, typer.Option(help="Correlation of paired episodes.", min=0, max=1)
    ] = 0.5,
    horizon: Annotated[int, typer.Option(help="Steps per episode.", min=1)] = 60,
    target: Annotated[float, typer.Option(help="Power wanted.", min=0.05, max=0.999)] = 0.8,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 0,
) -> None:
    """How many episodes for which effect; after a run, what effect it could have seen."""
    with errors_shown():
        from agent.measure.power import Plan
        from agent.report import power as words

        if run is None:
            settings = Plan(
                e=e, effect=effect, horizon=horizon, r=r, spread=spread, pairing=pairing
            )
            lines = words.plan(settings, target, seed)
        else:
            from agent.api import measure_run
            from agent.store import Store

            with closing(Store(run)) as store:
                lines = words.after(*measure_run(store), target, seed)
        for line in lines:
            typer.echo(line)


def plan_votes(
    task: TaskName,
    steps: Annotated[int, typer.Option(help="That shall all be right.", min=1)] = 1000,
    target: Annotated[
        float, typer.Option(help="With this probability.", min=0.01, max=0.9999)
    ] = 0.9,
    sample: Annotated[int, typer.Option(help="Questions to ask for it.", min=10)] = 200,
    red_flag: Annotated[
        int | None, typer.Option(help="Tokens above which an answer has no vote.", min=1)
    ] = None,
    model: ModelName = "tiny",
    seed: Seed = 1,
    set_: Set = None,
    temperature: Temperature = 1.0,
    base_url: BaseUrl = None,
    api: Api = "chat",
    max_tokens: MaxTokens = 512,
) -> None:
    """How many votes ahead an answer must be, and what that costs, from a sample of steps."""
    with errors_shown():
        import asyncio

        from agent import api as whole_way
        from agent.report import power as words

        asked = common.the_model(model, temperature, base_url, api, max_tokens)
        options = common.task_options(set_, horizon=None)
        played = common.the_task(task, options, asked)
        made = whole_way.plan_votes(
            played, asked, steps=steps, target=target, sample=sample, red_flag=red_flag, seed=seed
        )
        plan, tokens = asyncio.run(made)
        for line in words.votes(plan, steps, target, tokens):
            typer.echo(line)
