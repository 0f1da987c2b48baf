"""Check that our client builds the published client's specs from its keywords."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from published_environment import run_script

import flowclient
import flowclient.async_client
import flowclient.client

DATA = Path(__file__).resolve().parents[1] / "flowclient" / "tests" / "data" / "expected_specs.json"
CASES = json.loads(DATA.read_text())

#: Arguments that our client requires because servers refuse queries without them.
REQUIRED_IN_OURS = {("localised_calendar_activity_spec", "locations")}


@pytest.fixture(scope="module")
def published(published_python: Path) -> dict[str, Any]:
    answers = run_script(published_python, "build_specs.py", CASES)
    assert answers["version"] == "1.34.0"
    return answers


def test_specifications_are_equal_but_for_the_named_differences(published):
    for case, theirs in zip(CASES, published["specs"], strict=True):
        ours = json.loads(json.dumps(getattr(flowclient, case["function"])(**case["arguments"])))
        assert (ours == theirs) == ("published_differs" not in case), (case["function"], ours, theirs)


def test_every_published_function_has_a_case(published):
    assert set(published["keywords"]) <= {case["function"] for case in CASES}


def test_every_published_name_is_exported(published):
    assert set(published["exported"]) <= set(flowclient.__all__)


def test_keywords_and_defaults_are_equal(published):
    for name, theirs in published["keywords"].items():
        ours = _keywords(getattr(flowclient, name))
        for keyword in [keyword for function, keyword in REQUIRED_IN_OURS if function == name]:
            assert ours[keyword] == {}
            theirs = {**theirs, keyword: {}}
        assert takes(ours, theirs), (name, ours, theirs)


@pytest.mark.parametrize("module", ["client", "async_client"])
def test_every_published_helper_takes_the_same_keywords(published, module):
    assert published["helpers"][module]
    for name, theirs in published["helpers"][module].items():
        function = getattr(getattr(flowclient, module), name)
        ours = _keywords(function)
        assert takes(ours, theirs), (name, ours, theirs)


def takes(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Return whether every call by their keywords means the same by ours.

    Defaults are equal. What they require may be optional, and what we add has a default.
    """
    same = all(keyword in ours and theirs[keyword] in ({}, ours[keyword]) for keyword in theirs)
    return same and all(ours[added] for added in ours.keys() - theirs.keys())


def _keywords(function: Any) -> dict[str, Any]:
    return {
        parameter.name: {} if parameter.default is parameter.empty else {"default": parameter.default}
        for parameter in inspect.signature(function).parameters.values()
    }
