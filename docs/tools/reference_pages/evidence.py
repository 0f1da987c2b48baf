"""Find the evidence in tests for each query kind: a tick stands for all four."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from flowmachine.queries.catalogue import all_kinds, kinds
from reference_pages import ROOT

TESTS = ROOT / "flowmachine" / "tests" / "kinds"
MODULES = ROOT / "flowmachine" / "src" / "flowmachine" / "queries"


#: Where what a kind needs is expected.
_PLACES = {
    "module": "a module flowmachine/src/flowmachine/queries/<theme>/{kind}.py",
    "world": "a test of rows worked out by hand in flowmachine/tests/kinds/<theme>/test_*.py that names the kind",
    "definition": "a definition in plain Python in flowmachine/tests/kinds/<theme>/: def {kind} below @definition",
    "drawing": "a drawing of specifications in flowmachine/tests/kinds/<theme>/: SPECS[{kind!r}]",
}


@dataclass(frozen=True)
class Evidence:
    """What was found for one kind; None where there is nothing.

    Attributes
    ----------
    kind : str
        The kind.
    module : str
        The module of ``flowmachine.queries`` that bears its name.
    world : str
        A test with events drawn, and rows worked out, by hand.
    definition : str
        The function, in plain Python, that says what its rows are.
    drawing : str
        The test that holds the kind to its definition on worlds and specifications drawn at random.
    """

    kind: str
    module: str | None
    world: str | None
    definition: str | None
    drawing: str | None

    @property
    def lacking(self) -> list[str]:
        """List what the kind lacks, each with its expected place."""
        return [text.format(kind=self.kind) for name, text in _PLACES.items() if getattr(self, name) is None]


@lru_cache(maxsize=1)
def evidence() -> dict[str, Evidence]:
    """Return what there is, by kind."""
    modules = _modules()
    return {kind: _of(kind, modules) for kind in kinds()}


@lru_cache(maxsize=1)
def without_module() -> list[str]:
    """List names with a definition or a drawing that are no kinds."""
    named = {kind for module in _modules() for kind in (*module.definitions, *module.drawings)}
    return sorted(named - all_kinds().keys())


@lru_cache(maxsize=1)
def _modules() -> list[_Module]:
    return [_Module(path) for path in sorted([*TESTS.glob("*.py"), *TESTS.glob("*/*.py")])]


def _of(kind: str, modules: list[_Module]) -> Evidence:
    path = next(MODULES.glob(f"*/{kind}.py"), None)
    by_hand = [
        (-len(set(kind.split("_")) & set(name.split("_"))), len(mentioned), f"{module.name}: {name}")
        for module in modules
        for name, mentioned in module.worked_out.items()
        if kind in mentioned
    ]
    definition, drawing = _by_property(kind, modules)
    # Of several, the test that bears most of the kind's name, then the one that is about fewest other kinds.
    return Evidence(
        kind,
        None if path is None else path.relative_to(MODULES.parent).as_posix(),
        min(by_hand)[-1] if by_hand else None,
        definition,
        drawing,
    )


def _by_property(kind: str, modules: list[_Module]) -> tuple[str | None, str | None]:
    """Return the definition and the drawing test of a kind.

    Most kinds share them; some have their own.
    """
    for module in modules:
        for name, (defined, mentioned) in module.properties.items():
            if kind in mentioned:
                return f"{module.name}: {defined}", f"{module.name}: {name}"
    definition = next((f"{module.name}: {kind}" for module in modules if kind in module.definitions), None)
    drawn = any(kind in module.drawings for module in modules)
    return definition, "test_oracle.py: test_rows_are_as_defined" if drawn else None


class _Module:
    """One module of tests, read but not imported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        tree = ast.parse(path.read_text())
        self.defined: dict[str, ast.AST] = {}
        #: The kinds that functions below ``@definition`` define, and those of which ``SPECS`` draws specifications.
        self.definitions: set[str] = set()
        self.drawings: set[str] = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "specs":
                # What it imports of the specs that tests of several themes use counts as its own.
                self.defined |= _Module(TESTS / "specs.py").defined
            for name in _names_bound(node):
                self.defined[name] = node
            if isinstance(node, ast.FunctionDef) and any(
                "definition" in _names_used(decorator) for decorator in node.decorator_list
            ):
                self.definitions.add(node.name)
            self.drawings |= _keys_added(node)

    @property
    def name(self) -> str:
        return self.path.relative_to(TESTS).as_posix()

    @property
    def tests(self) -> list[str]:
        return [name for name in self.defined if name.startswith("test_")]

    @cached_property
    def worked_out(self) -> dict[str, set[str]]:
        """The tests of rows worked out by hand, with the kinds that each names."""
        return {name: self.mentioned(name) for name in self.tests if self.works_out_rows(name)}

    @cached_property
    def properties(self) -> dict[str, tuple[str, set[str]]]:
        """Find tests that draw worlds for a definition of their own, with their kinds."""
        found = {}
        for name in self.tests:
            defined = [called for called in self.calls(name) if called.startswith("defined")]
            if defined and self.draws(name):
                found[name] = defined[0], self.mentioned(name)
        return found

    def draws(self, name: str) -> bool:
        node = self.defined[name]
        assert isinstance(node, ast.FunctionDef)
        return any("given" in _names_used(decorator) for decorator in node.decorator_list)

    def works_out_rows(self, name: str) -> bool:
        """Return whether a test evaluates a query on a stage and asserts rows.

        Worlds drawn by chance do not count.
        """
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


def _keys_added(node: ast.stmt) -> set[str]:
    """Return the kinds that a statement adds to ``SPECS``.

    ``SPECS.update({kind: ...})`` or ``SPECS[kind] = ...``.
    """
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        added, target = node.value.args, node.value.func
        keys = [key for part in added if isinstance(part, ast.Dict) for key in part.keys]
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        target = node.targets[0].value
        keys = [node.targets[0].slice]
    else:
        return set()
    if "SPECS" not in _names_used(target):
        return set()
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}
