"""The command line: the only part that knows every other.

Exit codes: 0 done; 1 done, but some episodes were lost to infrastructure; 2 the input can't be
used; 3 the model can't be asked; 4 stopped at a limit, the same command goes on; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

import typer

from agent.cli import judge, look, play, study
from agent.cli.common import EXIT_USAGE

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

for command in (
    play.compare, play.run, study.report, study.view, study.measure, study.score, study.power,
    judge.check, judge.doctor, look.verify, look.serve,
):  # fmt: skip
    app.command()(command)
app.command("list")(look.list_)
app.command("plan-votes")(study.plan_votes)


def main() -> None:
    """The command `errata`."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character shows "?", rather than the run ending there.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    _read_env_file()
    app()


def _read_env_file() -> None:
    """Keys and flags may stand in `.env` of the current folder; the environment has precedence."""
    if not os.path.isfile(".env"):  # so that the import is paid for by who uses it
        return
    from dotenv import load_dotenv

    try:
        load_dotenv(".env")
    except (OSError, ValueError) as error:
        # Not the error itself: it may quote the file.
        typer.echo(f"errata: .env can't be read: {type(error).__name__}", err=True)
        sys.exit(EXIT_USAGE)
