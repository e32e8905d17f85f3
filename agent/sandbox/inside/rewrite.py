"""Tests as written -> tests that say what they expected and what they got.

`assert f(1) == 2` keeps both sides when it fails; every top-level statement becomes a unit that
can fail alone; imports of the candidate's module become its names.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from dataclasses import dataclass

from .judge import FAILED

LEFT, RIGHT = "__errata_left", "__errata_right"

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


@dataclass(frozen=True)
class Rewritten:
    """A test file, ready to be run unit by unit; JSON-able."""

    units: list[tuple[str, str, bool]]
    """Each top-level statement in order: its first line, its code, and whether it is an `assert`."""
    names: list[str]
    """What the tests use and neither define nor find among the builtins: the candidate's."""
    wholes: list[str]
    """Names under which they import the candidate's module as a whole."""
    modules: list[str]
    """Those of the known third-party modules that they import."""


def rewrite(source: str, known: frozenset[str]) -> Rewritten:
    """Raises `SyntaxError` for what is no Python. `known` are importable third-party modules."""
    tree = ast.parse(source, "tests.py")
    imports = _Imports(known)
    tree = ast.fix_missing_locations(imports.visit(tree))
    names = (_free(tree) | imports.names) - imports.wholes
    units = []
    for statement in tree.body:
        text = (ast.get_source_segment(source, statement) or "").strip()
        rewritten = ast.fix_missing_locations(_Asserts().visit(statement))
        is_test = isinstance(statement, ast.Assert)
        units.append((text.partition("\n")[0], ast.unparse(rewritten), is_test))
    return Rewritten(units, sorted(names), sorted(imports.wholes), sorted(imports.modules))


class _Asserts(ast.NodeTransformer):
    """`assert a == b` -> `if not (left := a) == (right := b): raise Failed(line, ...)`."""

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        test = node.test
        if not (isinstance(test, ast.Compare) and len(test.ops) == 1):
            return node
        left = ast.NamedExpr(ast.Name(LEFT, ast.Store()), test.left)
        right = ast.NamedExpr(ast.Name(RIGHT, ast.Store()), test.comparators[0])
        compared = ast.Compare(left, test.ops, [right])
        failed = ast.Call(
            ast.Name(FAILED, ast.Load()),
            [
                ast.Constant(ast.unparse(test)),
                ast.Constant(_OPERATORS[type(test.ops[0])]),
                ast.Name(LEFT, ast.Load()),
                ast.Name(RIGHT, ast.Load()),
            ],
            [],
        )
        raised = ast.copy_location(ast.Raise(failed, None), node)
        return ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), compared), [raised], []), node)


class _Imports(ast.NodeTransformer):
    """`from solution import f` and `import solution` name what the candidate defines."""

    def __init__(self, known: frozenset[str]) -> None:
        self.known, self.names = known, set[str]()
        self.wholes, self.modules = set[str](), set[str]()

    def _ours(self, module: str) -> bool:
        top = module.partition(".")[0]
        if top in self.known:
            self.modules.add(top)
        return top not in sys.stdlib_module_names and top not in self.known

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        if node.level == 0 and not self._ours(node.module or ""):
            return node
        self.names |= {a.name for a in node.names if a.name != "*"}
        renamed = [a for a in node.names if a.asname]
        if not renamed:
            return None
        targets = ast.Tuple([ast.Name(a.asname or "", ast.Store()) for a in renamed], ast.Store())
        values = ast.Tuple([ast.Name(a.name, ast.Load()) for a in renamed], ast.Load())
        return ast.copy_location(ast.Assign([targets], values), node)

    def visit_Import(self, node: ast.Import) -> ast.stmt | None:
        ours = {a.asname or a.name for a in node.names if self._ours(a.name)}
        self.wholes |= ours
        node.names = [a for a in node.names if (a.asname or a.name) not in ours]
        return node if node.names else None


def _free(tree: ast.Module) -> set[str]:
    """Global names that are read and nowhere bound, the builtins aside."""
    table = symtable.symtable(ast.unparse(tree), "tests.py", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    return {n for n in _read(table) if n not in bound and n not in dir(builtins)}


def _read(table: symtable.SymbolTable) -> set[str]:
    names = {s.get_name() for s in table.get_symbols()
             if s.is_referenced() and (s.is_global() or table.get_type() == "module")}  # fmt: skip
    for inner in table.get_children():
        names |= _read(inner)
    return names - {"__name__", "__file__", "__doc__"}
