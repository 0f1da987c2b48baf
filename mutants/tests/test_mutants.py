"""Check the changes that mutants make, and that their table agrees with the code."""

from __future__ import annotations

import ast
import tomllib
from typing import Any

import pytest
from mutants.__main__ import CHECKOUT, TABLE, mutants
from mutants.changes import changes

pytestmark = pytest.mark.slow

TABLE_OF_AREAS: dict[str, Any] = tomllib.loads(TABLE.read_text())


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("a = b < 1", {"a = b <= 1", "a = b >= 1", "a = b < 2", "a = b < 0"}),
        ("a = b == c", {"a = b != c"}),
        ("a = b is None", {"a = b is not None"}),
        ("a = b and c", {"a = b or c"}),
        ("a = not b", {"a = not not b"}),
        ("a = b + c", {"a = b - c"}),
        ("a = b if c else d", {"a = b if not c else d"}),
        ("a = [b for b in c if b]", {"a = [b for b in c if not b]"}),
        ("a = sa.and_(b, c)", {"a = sa.or_(b, c)", "a = sa.and_(b)", "a = sa.and_(c)"}),
        ("a = f(b, c=d)", {"a = f(b)"}),
        ("a = True", {"a = False"}),
        ("a = 'b'", {"a = 'bx'"}),
        ("a: 'str' = b'c'", {"a: 'str' = b'cx'"}),
        ("a.b = c", {"(removed)"}),
        ("a = a.b", {"(removed)"}),
        ("a += b", {"(removed)"}),
        ("f(a)", {"(removed)"}),
        ("raise Error('words')", {"(removed)"}),
        ("a = f'words {b}'", set()),
        ("a = b.subquery('c')", set()),
        ("'words'", set()),
    ],
)
def test_a_line_is_changed_in_each_way(line: str, changed: set[str]) -> None:
    found = list(changes(line))
    assert {change.after for change in found} == changed
    assert {change.before for change in found} <= {ast.unparse(ast.parse(line))}


def test_a_change_has_its_place_and_the_whole_module() -> None:
    source = "class A:\n    def f(self):\n        if a:\n            return b\n        return None\n"
    found = {(change.line, change.scope): change for change in changes(source)}
    assert set(found) == {(3, "A.f"), (4, "A.f")}
    assert found[3, "A.f"].after == "if not a:"
    expected = ast.parse(source.replace("return b", "return None"))
    assert ast.dump(ast.parse(found[4, "A.f"].source)) == ast.dump(expected)


def test_the_table_names_what_there_is() -> None:
    found = [
        mutant
        for name, area in TABLE_OF_AREAS["area"].items()
        for mutant in mutants(name, area, {"equivalent": []})
    ]
    scopes = {(mutant.file, f"{mutant.change.scope}.") for mutant in found}
    for area in TABLE_OF_AREAS["area"].values():
        for path, _, names in (file.partition("::") for file in area["files"]):
            for name in filter(None, names.split(",")):
                assert any(file == path and scope.startswith(f"{name}.") for file, scope in scopes), name
        assert all((CHECKOUT / name.split("::")[0]).exists() for stage in area["tests"] for name in stage)
    all_changes = {(mutant.file, mutant.change.before, mutant.change.after) for mutant in found}
    for entry in TABLE_OF_AREAS["equivalent"]:
        assert (entry["file"], entry["before"], entry["after"]) in all_changes, "it is stale"
        assert len(entry["why"]) > 20
