"""HumanEval beside the repository, and for each of its solutions a mutant that is wrong."""

from __future__ import annotations

import ast
import copy
import gzip
import json
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "shared" / "data" / "HumanEval.jsonl.gz"

TRIES = 200
"""Mutants tried for each solution."""

_SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.Lt: ast.GtE,
    ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def problems() -> list[dict[str, Any]]:
    """As published, in order."""
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def mutants(problem: dict[str, Any], seed: int) -> Iterator[str]:
    """Programs whose function asked for differs from the solution's in one place, drawn at random."""
    tree = ast.parse(problem["prompt"] + problem["canonical_solution"])
    places = list(range(len(_nodes(tree, problem))))
    random.Random(seed).shuffle(places)
    for place in places[:TRIES]:
        mutant = copy.deepcopy(tree)
        if _change(_nodes(mutant, problem)[place]):
            yield ast.unparse(ast.fix_missing_locations(mutant))


def _nodes(tree: ast.Module, problem: dict[str, Any]) -> list[ast.AST]:
    asked = [n for n in tree.body if getattr(n, "name", "") == problem["entry_point"]]
    return list(ast.walk(asked[-1]))


def _change(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and type(node.value) in (int, bool, str) and node.value != "":
        node.value = not node.value if type(node.value) is bool else (
            node.value + 1 if type(node.value) is int else node.value[1:])  # fmt: skip
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _SWAPPED:
        node.op = _SWAPPED[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPPED:
        node.ops[0] = _SWAPPED[type(node.ops[0])]()
    elif isinstance(node, ast.Return) and node.value is not None:
        node.value = ast.Constant(None)
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    else:
        return False
    return True


def wrong(seed: int) -> list[str]:
    """One mutant of each solution that its tests fail when Python runs both in one process.

    That process is another one, and mutants that run on are passed over: which ones are found
    does not depend on the speed of the machine.
    """
    done = subprocess.run(
        [sys.executable, __file__, str(seed)], stdout=subprocess.PIPE, check=True, cwd="/"
    )
    return list(json.loads(done.stdout))


def _first_wrong(problem: dict[str, Any], seed: int) -> str:
    for mutant in mutants(problem, seed):
        names: dict[str, Any] = {}
        signal.setitimer(signal.ITIMER_REAL, 5)
        try:
            exec(f"{mutant}\n{problem['test']}\ncheck({problem['entry_point']})", names)
        except TimeoutError:
            continue
        except Exception:
            return mutant
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    raise LookupError(problem["task_id"])


def _late(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _late)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    found = [_first_wrong(problem, int(sys.argv[1])) for problem in problems()]
    print(json.dumps(found), flush=True)
