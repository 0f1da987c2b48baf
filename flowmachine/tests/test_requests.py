"""Test the words in which wrong envelopes and parameters are refused."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.server.actions import Actions, Refused, _check_params
from flowmachine.server.requests import ACTIONS, envelope_problems

GOOD = {"action": "ping", "request_id": "1"}
MISSING, UNKNOWN = ["Missing data for required field."], ["Unknown field."]
NO_TEXT, SECONDS = ["Not a valid string."], ["Must be a number of seconds from 0 to 30."]


@pytest.mark.parametrize(
    ("request_", "problems"),
    [
        (GOOD, {}),
        (GOOD | {"user": None, "params": None}, {}),
        (GOOD | {"user": "ada", "params": {"x": [1]}}, {}),
        ([1], {"_schema": ["Invalid input type."]}),
        ({}, {"action": MISSING, "request_id": MISSING}),
        (GOOD | {"x": 2}, {"x": UNKNOWN}),
        (GOOD | {"request_id": None}, {"request_id": NO_TEXT}),
        (GOOD | {"action": None, "user": 3}, {"action": NO_TEXT, "user": NO_TEXT}),
        (GOOD | {"params": [1]}, {"params": ["Not a valid mapping type."]}),
        (GOOD | {"action": "fly"}, {"action": [f"Must be one of: {', '.join(sorted(ACTIONS))}."]}),
        (
            GOOD | {"x": "\0"},
            {
                "_schema": [
                    "A text contains a null character or half a surrogate pair; no such text is taken."
                ]
            },
        ),
    ],
)
def test_envelopes(request_: Any, problems: dict[str, list[str]]) -> None:
    assert envelope_problems(request_) == problems


@pytest.mark.parametrize(
    ("action", "params", "message", "problems"),
    [
        ("poll_query", {}, "Wrong parameters for action 'poll_query'.", {"query_id": MISSING}),
        ("poll_query", {"query_id": 1}, "Wrong parameters for action 'poll_query'.", {"query_id": NO_TEXT}),
        *(
            (
                "poll_query",
                {"query_id": "a", "wait": wait},
                "Wrong parameters for action 'poll_query'.",
                {"wait": SECONDS},
            )
            for wait in (None, True, "1", -1, 31)
        ),
        ("ping", {"x": 1}, "Wrong parameters for action 'ping'.", {"x": UNKNOWN}),
        (
            "get_geography",
            {"aggregation_unit": "admin9"},
            "Parameter validation failed.",
            {"aggregation_unit": ["Must be one of: admin0, admin1, admin2, admin3, lon-lat."]},
        ),
        (
            "get_qa_checks",
            {"cdr_type": "calls", "check_type": "c", "start_date": "2016-01-01", "end_date": "2016-02-30"},
            "Parameter validation failed.",
            {"end_date": ["Not a valid date."]},
        ),
    ],
)
def test_parameters(action: str, params: Any, message: str, problems: dict[str, list[str]]) -> None:
    schema = ACTIONS[action]
    assert schema is not None
    with pytest.raises(Refused) as raised:
        _check_params(action, schema, params)
    assert (raised.value.message, raised.value.payload) == (message, problems)


def test_every_action_is_a_method() -> None:
    assert all(callable(getattr(Actions, action)) for action in ACTIONS)
