"""What is known of each query kind by its tests: a tick on the page of kinds stands for all four of these."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flowmachine.queries.catalogue import kinds
from reference_pages import ROOT

TESTS = ROOT / "flowmachine" / "tests" / "kinds"
MODULES = ROOT / "flowmachine" / "src" / "flowmachine" / "queries"


@dataclass(frozen=True)
class Evidence:
    """What was found for one kind; None where there is nothing.

    Attributes
    ----------
    module : str
        The module of ``flowmachine.queries`` that bears its name.
    world : str
        A test with events drawn, and rows worked out, by hand.
    definition : str
        The function, in plain Python, that says what its rows are.
    property : str
        The test that holds it against the definition on drawn worlds.
    """

    module: str | None
    world: str | None
    definition: str | None
    property: str | None

    @property
    def complete(self) -> bool:
        return None not in (self.module, self.world, self.definition, self.property)


@lru_cache(maxsize=1)
def evidence() -> dict[str, Evidence]:
    """Return what there is, by kind."""
    modules = [_Module(path) for path in sorted(TESTS.glob("test_*.py"))]
    oracles = [_Module(TESTS / name) for name in ("oracle.py", "oracle_composed.py")]
    drawings = [_Module(TESTS / name) for name in ("drawing.py", "drawing_composed.py")]
    return {kind: _of(kind, modules, oracles, drawings) for kind in kinds()}


def _of(kind: str, modules: list[_Module], oracles: list[_Module], drawings: list[_Module]) -> Evidence:
    path = next(MODULES.glob(f"*/{kind}.py"), None)
    by_hand = [
        (-len(set(kind.split("_")) & set(name.split("_"))), len(mentioned), f"{module.path.name}: {name}")
        for module in modules
        for name in module.tests
        if module.works_out_rows(name) and kind in (mentioned := module.mentioned(name))
    ]
    definition, tested = _by_property(kind, modules, oracles, drawings)
    # Of several, the test that bears most of the kind's name, then the one that is about fewest other kinds.
    return Evidence(
        None if path is None else path.relative_to(MODULES.parent).as_posix(),
        min(by_hand)[-1] if by_hand else None,
        definition,
        tested,
    )


def _by_property(
    kind: str, modules: list[_Module], oracles: list[_Module], drawings: list[_Module]
) -> tuple[str | None, str | None]:
    """The definition and the test that draws: those of nearly all kinds together, or those of this kind alone."""
    common = next(
        (f"{oracle.path.name}: {oracle.table[kind]}" for oracle in oracles if kind in oracle.table), None
    )
    if common is not None:
        drawn = any(kind in drawing.table for drawing in drawings)
        return common, "test_oracle.py: test_rows_are_as_defined" if drawn else None
    for module in modules:
        for name in module.tests:
            defined = [called for called in module.calls(name) if called.startswith("defined")]
            if module.draws(name) and defined and kind in module.mentioned(name):
                return f"{module.path.name}: {defined[0]}", f"{module.path.name}: {name}"
    return None, None


class _Module:
    """One module of tests, read but not imported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        tree = ast.parse(path.read_text())
        self.defined: dict[str, ast.AST] = {}
        #: The entries of the tables of definitions and of drawings, by kind.
        self.table: dict[str, str] = {}
        for node in tree.body:
            for name in _names_bound(node):
                self.defined[name] = node
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                self.table |= {
                    key.value: _called(value)
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and key.value in kinds()
                }

    @property
    def tests(self) -> list[str]:
        return [name for name in self.defined if name.startswith("test_")]

    def draws(self, name: str) -> bool:
        node = self.defined[name]
        assert isinstance(node, ast.FunctionDef)
        return any("given" in _names_used(decorator) for decorator in node.decorator_list)

    def works_out_rows(self, name: str) -> bool:
        """Whether a test evaluates a query on a stage and asserts what comes out, of a world not drawn by chance."""
        node = self.defined[name]
        assert isinstance(node, ast.FunctionDef)
        on_stage = any(argument.arg.startswith("stage_in_") for argument in node.args.args)
        parts = [part for used in self.reached(name) for part in ast.walk(self.defined[used])]
        asserted = any(isinstance(part, ast.Assert) for part in parts)
        evaluated = any(
            isinstance(part, ast.Call)
            and "evaluate" in (getattr(part.func, "attr", None), getattr(part.func, "id", None))
            for part in parts
        )
        return on_stage and evaluated and asserted and not self.draws(name)

    def reached(self, name: str) -> set[str]:
        """A name and the names of the module that it uses, at whatever remove."""
        found: set[str] = set()
        left = [name]
        while left:
            found.add(one := left.pop())
            left += (_names_used(self.defined[one]) & self.defined.keys()) - found
        return found

    def calls(self, name: str) -> list[str]:
        return sorted(_names_used(self.defined[name]))

    def mentioned(self, name: str) -> set[str]:
        """The kinds that are named in a function and in what it uses of its module."""
        return {
            part.value
            for used in self.reached(name)
            for part in ast.walk(self.defined[used])
            if isinstance(part, ast.Constant) and part.value in kinds()
        }


def _names_bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _names_used(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _called(node: ast.AST) -> str:
    """The name of the function that an entry of a table is, or that its lambda calls."""
    return next((part.id for part in ast.walk(node) if isinstance(part, ast.Name)), "lambda")
