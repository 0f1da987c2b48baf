"""Small changes of a module's source, each of which a test ought to notice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

#: Replacements of a comparison: its boundary, where it has one, and its opposite.
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
#: Functions of SQLAlchemy that join conditions.
JUNCTIONS = {"and_": "or_", "or_": "and_"}
#: Methods whose text only names a part of a statement.
NAMING = ("alias", "subquery")

#: One attribute of a node, and the value that replaces it.
Edit = tuple[ast.AST, str, Any]


@dataclass(frozen=True)
class Change:
    """One changed module: where, the line before and after, and the whole source."""

    line: int
    scope: str
    before: str
    after: str
    source: str


def changes(source: str) -> Iterator[Change]:
    """Yield each change of a module, top to bottom."""
    tree = ast.parse(source)
    for scope, statement in _statements(tree, ()):
        for edited in _own_edits(statement):
            yield _change(tree, scope, statement, edited)
    for owner in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(owner, name, None)
            if isinstance(block, list):
                yield from _removals(tree, owner, name, block)


def _change(tree: ast.AST, scope: str, statement: ast.stmt, edit: Edit) -> Change:
    before = ast.unparse(statement).splitlines()
    with _Applied(edit):
        after = ast.unparse(statement).splitlines()
        source = ast.unparse(tree)
    line = getattr(edit[0], "lineno", statement.lineno)
    old, new = next((old, new) for old, new in zip_longest(before, after, fillvalue="") if old != new)
    return Change(line, scope, old.strip(), new.strip(), source)


def _removals(tree: ast.AST, owner: ast.AST, name: str, block: list[ast.stmt]) -> Iterator[Change]:
    scopes = {id(statement): scope for scope, statement in _statements(tree, ())}
    for at, statement in enumerate(block):
        if _is_removable(statement):
            before = ast.unparse(statement).splitlines()[0]
            with _Applied((owner, name, [*block[:at], ast.Pass(), *block[at + 1 :]])):
                source = ast.unparse(tree)
            yield Change(statement.lineno, scopes[id(statement)], before, "(removed)", source)


class _Applied:
    """The tree with one edit, while in use."""

    def __init__(self, edit: Edit) -> None:
        self.node, self.name, self.value = edit

    def __enter__(self) -> None:
        self.old = getattr(self.node, self.name)
        setattr(self.node, self.name, self.value)

    def __exit__(self, *_: object) -> None:
        setattr(self.node, self.name, self.old)


def _statements(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield each statement with the dotted name of what it is in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield ".".join(names), child
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _statements(child, (*names, child.name) if named else names)  # type: ignore[attr-defined]


def _is_removable(statement: ast.stmt) -> bool:
    """Return whether a module runs without a statement.

    The first value of a name cannot be removed.
    """
    if isinstance(statement, ast.Assign):
        names = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
        return all(not isinstance(target, ast.Name) or target.id in names for target in statement.targets)
    return isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise | ast.Continue | ast.Break) and not (
        _is_constant(statement)
    )


def _is_constant(statement: ast.stmt) -> bool:
    """Tell whether a statement is a docstring or ``...``."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _own_edits(statement: ast.stmt) -> Iterator[Edit]:
    """Yield a statement's own edits, not those of the statements inside."""
    if _is_constant(statement) or isinstance(statement, ast.Import | ast.ImportFrom):
        return
    if isinstance(statement, ast.Return) and ast.unparse(statement) not in ("return", "return None"):
        yield statement, "value", ast.Constant(None)
    if isinstance(statement, ast.If | ast.While) and not _has_opposite(statement.test):
        yield statement, "test", ast.UnaryOp(ast.Not(), statement.test)
    for node in _expressions(statement):
        yield from _edits(node)


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield a statement's expressions, without annotations and message texts."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "exc" if _only_words(statement) else ""):
                continue
            if name == "args" and _only_names(node):
                continue
            for child in value if isinstance(value, list) else [value]:
                in_text = isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
                if isinstance(child, ast.AST) and not isinstance(child, ast.stmt) and not in_text:
                    pending.append(child)
                    yield child


def _only_names(node: ast.AST) -> bool:
    """Tell whether the arguments of a call only name a part of a statement."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NAMING


def _only_words(statement: ast.stmt) -> bool:
    """Tell whether a statement raises an error, whose words other tests hold."""
    return isinstance(statement, ast.Raise)


def _has_opposite(condition: ast.expr) -> bool:
    """Tell whether the edits of a condition have its opposite."""
    if isinstance(condition, ast.Compare):
        return len(condition.ops) == 1
    return isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not)


def _edits(node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield node, "ops", [*node.ops[:at], other(), *node.ops[at + 1 :]]
    elif isinstance(node, ast.BoolOp):
        yield node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, "operand", ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield node, "op", OPERATORS[type(node.op)]()
    elif isinstance(node, ast.IfExp) and not _has_opposite(node.test):
        yield node, "test", ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.comprehension):
        for at, condition in enumerate(node.ifs):
            if not _has_opposite(condition):
                opposite = ast.UnaryOp(ast.Not(), condition)
                yield node, "ifs", [*node.ifs[:at], opposite, *node.ifs[at + 1 :]]
    elif isinstance(node, ast.Call):
        # Without an argument by position a call seldom has a meaning; a condition of several may be left out.
        junction = isinstance(node.func, ast.Attribute) and node.func.attr in JUNCTIONS
        if isinstance(node.func, ast.Attribute) and junction:
            yield node.func, "attr", JUNCTIONS[node.func.attr]
        for name in ("args", "keywords") if junction else ("keywords",):
            given = getattr(node, name)
            for at in range(len(given)):
                yield node, name, [*given[:at], *given[at + 1 :]]
    elif isinstance(node, ast.Constant):
        yield from ((node, "value", value) for value in _other_constants(node.value))


def _other_constants(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
        if value:
            yield value - 1
    elif isinstance(value, str):
        yield value + "x"
    elif isinstance(value, bytes):
        yield value + b"x"
