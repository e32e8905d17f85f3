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

SOLUTIONS = {
    "solution", "program", "candidate", "submission", "implementation", "answer", "main", "module",
    "my_module", "your_module", "my_solution", "your_solution", "solution_module", "__main__",
}  # fmt: skip
"""What tests call the module of the candidate. Another one that is not there is an error of the
tests: a candidate may not stand in for a library that they compare with."""

_EVALUATING = {"eval", "exec", "compile", "__import__", "pickle", "marshal", "runpy", "ctypes",
               "importlib", "subprocess", "shelve"}  # fmt: skip

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


@dataclass(frozen=True)
class Rewritten:
    """A test file, ready to be run unit by unit; JSON-able."""

    units: list[tuple[str, str, bool]]
    """Each top-level statement in order: its first line, its code, and whether it is a test."""
    names: list[str]
    """What the tests use and neither define nor find among the builtins: the candidate's."""
    wholes: list[str]
    """Names under which they import the candidate's module as a whole."""
    modules: list[str]
    """Those of the known third-party modules that they import."""
    libraries: list[str]
    """Modules of the standard library that they use and forgot to import."""
    evaluates: bool
    """They may run as code what a candidate gives them."""


def rewrite(source: str, known: frozenset[str], entry: str | None = None) -> Rewritten:
    """Raises `SyntaxError` for what is no Python. `known` are importable third-party modules."""
    tree = ast.parse(source, "tests.py")
    evaluates = bool(_EVALUATING & _mentioned(tree))
    imports = _Imports(known, entry)
    tree = ast.fix_missing_locations(imports.visit(tree))
    free = _free(tree)
    libraries = (free - {entry}) & _used_as_modules(tree)
    names = (free | imports.names) - imports.wholes - libraries
    units = []
    defined = {s.name for s in tree.body if isinstance(s, ast.FunctionDef)}
    for statement in tree.body:
        text = (ast.get_source_segment(source, statement) or "").strip()
        is_test = _is_test(statement, defined)
        rewritten = ast.fix_missing_locations(_Asserts().visit(statement))
        units.append((text.partition("\n")[0], ast.unparse(rewritten), is_test))
    return Rewritten(
        units, sorted(names), sorted(imports.wholes), sorted(imports.modules), sorted(libraries),
        evaluates,
    )  # fmt: skip


def _is_test(statement: ast.stmt, defined: set[str]) -> bool:
    """It asserts something where it stands, or calls a function of the tests that may."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func
        return isinstance(called, ast.Name) and called.id in defined
    return any(isinstance(n, ast.Assert | ast.Raise | ast.With) for n in ast.walk(statement))


def _mentioned(tree: ast.Module) -> set[str]:
    """Names that are used or imported."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Import):
            found |= {a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def _used_as_modules(tree: ast.Module) -> set[str]:
    """Names of the standard library before a dot: `math.isclose` is the library's own, though the
    tests forgot the import, and no class `math` of a candidate."""
    before = {n.value.id for n in ast.walk(tree)
              if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}  # fmt: skip
    return before & sys.stdlib_module_names


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

    def __init__(self, known: frozenset[str], entry: str | None) -> None:
        self.known, self.entry = known, entry
        self.names, self.wholes, self.modules = set[str](), set[str](), set[str]()

    def _ours(self, module: str, names: set[str]) -> bool:
        """By its name, or because the function asked for is imported from it."""
        top = module.partition(".")[0]
        if top in self.known:
            self.modules.add(top)
        there = top in sys.stdlib_module_names or top in self.known
        return top in SOLUTIONS or (not there and self.entry in names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        names = {a.name for a in node.names}
        if node.level == 0 and not self._ours(node.module or "", names):
            return node
        self.names |= {a.name for a in node.names if a.name != "*"}
        renamed = [a for a in node.names if a.asname]
        if not renamed:
            return None
        targets = ast.Tuple([ast.Name(a.asname or "", ast.Store()) for a in renamed], ast.Store())
        values = ast.Tuple([ast.Name(a.name, ast.Load()) for a in renamed], ast.Load())
        return ast.copy_location(ast.Assign([targets], values), node)

    def visit_Import(self, node: ast.Import) -> ast.stmt | None:
        ours = {a.asname or a.name for a in node.names if self._ours(a.name, {a.name})}
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
