"""Test the role form's presets, sentences and hints."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from flowauth import api_description
from flowauth.presets import PRESETS, forgotten, preset, sentence
from flowauth.testing import SCOPES, Visitor, description_of, form_of, role_form, server_named, signed, upload

OFFERED = [
    "admin2:flows:daily_location",
    "admin2:flows:flows",
    "admin3:flows:daily_location",
    "admin3:flows:flows",
    "get_available_dates",
    "get_qa_checks",
    "get_result",
    "nonspatial:dates:dates",
    "run",
]
COARSE = {"admin2:flows:daily_location", "admin2:flows:flows", "nonspatial:dates:dates"}


def test_no_preset_lets_out_values_of_one_subscriber() -> None:
    assert not any("extremes" in preset(name, [*OFFERED, "extremes"], []) for name in PRESETS)
    assert "one subscriber's own" in sentence("extremes", {})


def test_each_preset_is_what_it_says() -> None:
    assert preset("coarse", OFFERED, ["run", "admin3:flows:flows"]) == COARSE | {"run"}
    assert preset("viewer", OFFERED, ["run"]) == COARSE | {"get_result", "get_available_dates"}
    assert preset("analyst", OFFERED, []) == COARSE | {"get_result", "get_available_dates", "run"}
    assert preset("monitor", OFFERED, []) == {"get_available_dates", "get_qa_checks"}


@given(st.sampled_from(sorted(PRESETS)), st.sets(st.sampled_from(OFFERED)), st.sets(st.sampled_from(OFFERED)))
def test_no_preset_gives_what_is_not_offered(name: str, offered: set[str], chosen: set[str]) -> None:
    assert preset(name, offered, chosen) <= offered


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ([], []),
        (["run"], []),
        (["admin3:flows:flows", "admin3:flows:daily_location"], []),
        (["nonspatial:dates:dates"], []),
        (
            ["admin3:flows:flows"],
            ["admin3:flows: queries with another kind inside, such as daily_location, are denied."],
        ),
        (
            ["admin3:flows:daily_location"],
            ["admin3:flows: nothing can be asked without admin3:flows:flows."],
        ),
    ],
)
def test_what_is_likely_forgotten_is_said(chosen: list[str], told: list[str]) -> None:
    assert forgotten(chosen, OFFERED) == told


def test_many_hints_are_counted() -> None:
    offered = [f"admin3:kind_{n}:{kind}" for n in range(15) for kind in (f"kind_{n}", "inner")]
    told = forgotten([scope for scope in offered if scope.endswith("inner")], offered)
    assert len(told) == 11
    assert told[-1] == "And 5 more like these."


def test_a_preset_ticks_its_scopes_and_keeps_the_rest_of_the_form(root: Visitor) -> None:
    page = root.post("/admin/roles/new/north", role_form(name="kept", scopes=["run"], preset="viewer"))
    assert page.status_code == 200
    form = form_of(page.text)
    assert form["name"] == "kept"
    coarse = [scope for scope in SCOPES if scope.startswith("admin1")]
    assert form["scopes"] == ["get_available_dates", "get_result", *coarse]
    assert root.post("/admin/roles/new/north", role_form(preset="none")).status_code == 400
    saved = root.post(
        "/admin/roles/new/north", role_form(scopes=["admin1:flows:flows"]), follow_redirects=True
    )
    assert "such as daily_location, are denied" in saved.text


def described(**kinds: Any) -> dict[str, Any]:
    """Return the description of a server with sentences about these kinds."""
    document = description_of("east", ["admin3:flows:flows", "admin3:flows:daily_location", "run"])
    document["components"]["schemas"] = {
        kind: {"properties": {"query_kind": {"enum": [kind]}}, "description": text}
        for kind, text in kinds.items()
    }
    return document


def test_each_scope_has_the_sentence_of_its_kind(root: Visitor, database: Session) -> None:
    page = upload(root, described(flows="Moves from\nplace to place.\n\nAt length.", other="No scope.")).text
    root.post("/admin/servers/register", {"signed": signed(page), "longest_token_life_minutes": "60"})
    assert server_named(database, "east").kind_sentences == {"flows": "Moves from place to place."}
    database.rollback()
    form = root.get("/admin/roles/new/east").text
    assert len(re.findall("Moves from place to place.", form)) == 2, "the branch's and the leaf's"
    assert "Submit queries of the kinds below." in form
    again = upload(root, described(flows="Otherwise.", daily_location="Where."), "east").text
    root.post("/admin/servers/east/scopes", {"signed": signed(again)})
    database.expire_all()
    assert server_named(database, "east").kind_sentences == {
        "flows": "Otherwise.",
        "daily_location": "Where.",
    }


@pytest.mark.parametrize(
    "schemas", [None, [], "x", {"a": None}, {"a": {"properties": []}}, {"a": {"description": 1}}]
)
def test_a_description_that_says_nothing_of_kinds_is_no_less_read(schemas: Any) -> None:
    document = description_of() | {}
    document["components"]["schemas"] = schemas
    assert api_description.from_document(document).sentences == {}
