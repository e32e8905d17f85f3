"""What the README says is run: its Python, the grammar of its commands, its links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from agent.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [
    p for p in ROOT.rglob("*.md") if not any(x.startswith(".") for x in p.relative_to(ROOT).parts)
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    words = [line.split("#")[0].strip() for line in lines]
    return [line[line.index("errata ") :] for line in words if "errata " in line]


@pytest.mark.parametrize("code", blocks("python"), ids=lambda c: c.strip().splitlines()[0][:30])
def test_its_python_runs(code: str) -> None:
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["no_pawn_moves"] if "def no_pawn_moves" in code else names["comparison"]


@pytest.mark.parametrize("line", commands())
def test_its_commands_are_understood(line: str) -> None:
    group = typer.main.get_command(app)
    name, *arguments = shlex.split(line)[1:]
    command = group.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, arguments)
    assert context.params


def test_its_python_verifier_is_the_one_of_the_verifiers_page() -> None:
    page = (ROOT / "verifiers" / "README.md").read_text()
    [code] = [b for b in blocks("python") if "no_pawn_moves" in b]
    assert [line.strip() for line in code.splitlines() if line.strip()] == [
        line.strip() for line in page.splitlines() if line.startswith("    ")
    ][:3]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert all((page.parent / link).exists() for link in links), links


def test_folder_pages_are_short() -> None:
    for folder in ("agent", "verifiers", "tasks", "examples", "tests", "training", "benchmarks"):
        assert len((ROOT / folder / "README.md").read_text().splitlines()) < 15, folder
