"""Hold tables of requirements to their numbers, files and tests."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from layout import CHECKOUT

DEVELOPERS = CHECKOUT / "docs" / "developers"
PAGE = (DEVELOPERS / "asvs.md").read_text()

#: The sections of ASVS 5.0.0 with the number of their requirements of levels 1 and 2, which come first.
SECTIONS = {
    **{"1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2},
    **{"2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1},
    **{"3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2},
    **{"4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4},
    **{"5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3},
    **{"6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4},
    **{"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2},
    **{"8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1},
    **{"9.1": 3, "9.2": 4},
    **{"10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3},
    **{"11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1},
    **{"12.1": 3, "12.2": 2, "12.3": 4},
    **{"13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5},
    **{"14.1": 2, "14.2": 4, "14.3": 3},
    **{"15.1": 3, "15.2": 3, "15.3": 7},
    **{"16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3},
    **{"17.1": 1, "17.2": 4, "17.3": 2},
}


def rows() -> list[list[str]]:
    """Return the cells of the rows about requirements."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if re.match(r"\| \d", line)
    ]


def test_every_requirement_of_level_two_stands_once_on_the_page() -> None:
    told = [number for row in rows() for number in re.findall(r"\b\d+\.\d+\.\d+\b", row[0])]
    expected = [f"{section}.{number + 1}" for section, most in SECTIONS.items() for number in range(most)]
    assert len(expected) == 253
    assert sorted(told) == sorted(expected)


def test_what_is_met_names_a_file_and_a_test_and_what_is_not_says_why() -> None:
    judged = [row for row in rows() if len(row) == 4]
    assert len(judged) > 150
    for requirement, state, where, tests in judged:
        assert state in ("met", "partly", "not met"), requirement
        assert where, requirement
        assert state == "not met" or "`" in where or "no route" in where, requirement
        assert (tests == "none") == (state == "not met"), requirement


def test_the_numbers_in_the_text_are_those_of_the_rows() -> None:
    states = [row[1] for row in rows() if len(row) == 4]
    for state, words in (("met", " are met and "), ("partly", " in part"), ("not met", " are not met")):
        assert f"{states.count(state)}{words}" in PAGE


@pytest.mark.parametrize(("page", "least"), [("asvs.md", 300), ("disclosure.md", 80)])
def test_every_file_and_test_on_a_page_exists(page: str, least: int) -> None:
    named = re.findall(r"`([\w./-]+[./][\w./-]+(?:::\w+)?)`", (DEVELOPERS / page).read_text())
    assert len(named) > least
    for name in named:
        path, _, test = name.partition("::")
        assert (CHECKOUT / path).is_file(), name
        assert not test or test in functions(path), name


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((CHECKOUT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
