"""Looking around: what there is, whether a verifier keeps its word, the model as a server."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent.cli.common import Isolation, Port, errors_shown, isolate


def verify(
    verifier: Annotated[str, typer.Argument(help="As for --verifier: `errata list verifiers`.")],
    attacks: Annotated[
        bool, typer.Option(help="Attack its sandbox too, where it has one: a minute or more.")
    ] = True,
    isolation: Isolation = None,
) -> None:
    """Run a verifier's own known-good and known-bad examples, and the attacks on its sandbox.

    Exit code 0: all hold; 1: an attack got through; 2: an example fails.
    """
    held = True
    with errors_shown():
        import asyncio

        from agent import resolve
        from agent.verification import Check, preflight

        isolate(isolation, False)
        check = Check.of(resolve.verifier(verifier))
        lines = asyncio.run(preflight([check]))
        examples = [
            e for kind in ("known_good", "known_bad") for e in getattr(check.verify, kind, ())
        ]
        if len(lines) == 1 and not examples:
            lines = [f"{check.name}: has no examples, so nothing shows that it judges rightly; give "
                     "it `known_good` and `known_bad`, lists of (question, answer)"]  # fmt: skip
        for line in lines:
            typer.echo(line)
        withstands = getattr(check.verify, "withstands", None)
        if withstands and attacks:
            held = asyncio.run(withstands(typer.echo))
    raise typer.Exit(0 if held else 1)


def list_(
    kind: Annotated[str, typer.Argument(help="tasks, verifiers, models or arms.")],
) -> None:
    """What there is to choose from; of a task also its options for --set, with their defaults."""
    with errors_shown():
        from agent import resolve
        from agent.arms import DESCRIPTIONS
        from agent.errors import UnknownName

        paths = {
            "tasks": resolve.TASKS,
            "verifiers": resolve.VERIFIERS | resolve.MODEL_VERIFIERS | resolve.MADE_VERIFIERS,
        }
        words = {"models": resolve.MODELS, "arms": DESCRIPTIONS}
        if kind not in paths | words:
            raise UnknownName("kind", kind, [*paths, *words])
        known = words.get(kind) or {n: resolve.about(path) for n, path in paths[kind].items()}
        width = max(map(len, known))
        for name, text in known.items():
            typer.echo(f"{name:<{width}}  {text}")
            if kind == "tasks":
                options = resolve.options(resolve.TASKS[name]).items()
                told = " ".join(f"{k}={'' if v is None else v}" for k, v in options)
                typer.echo(f"{'':<{width}}  {told}")


def serve(port: Port = 8765) -> None:
    """Serve the embedded model on loopback, in the protocol of OpenAI."""
    with errors_shown():
        from agent.loopback import address, listen
        from agent.loopback import serve as run
        from agent.server import BASE, application

        listener = listen(port)
        typer.echo(f"serving tiny at {address(listener)}{BASE}; stop with Ctrl-C")
        sys.stdout.flush()
        run(application(), listener)
