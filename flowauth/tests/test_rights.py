"""Check who can do what, and that refusals are explained as the API decides."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.actions.rights import needed_for
from flowauth.errors import Refusal
from flowauth.models import Scope, Server, Token
from flowauth.scopes import lacking
from flowauth.settings import Settings
from flowauth.testing import SCOPES, Script, Visitor, World, role_form, user_named

DAILY = {"query_kind": "daily_location", "date": "2016-01-01", "aggregation_unit": "admin1"}
FLOWS = {"query_kind": "flows", "from_location": DAILY, "to_location": DAILY}


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a [^>]*>(\w+)</a></th>', page)


def test_users_are_found_by_the_scopes_that_they_hold(root: Visitor, database: Session) -> None:
    eve = user_named(database, "eve").id
    database.rollback()
    root.post("/admin/roles/new/north", role_form(users=[eve], scopes=["run"]))
    for search, names in {
        "?server=north": ["ada", "eve"],
        "?server=south": ["ada"],
        "?server=north&scope=run": ["eve"],
        "?server=north&scope=flows+admin1": ["ada"],
        "?server=north&scope=admin3": [],
        "?server=north&user=ev": ["eve"],
    }.items():
        assert rows(root.get(f"/admin/access{search}").text) == names, search
    assert root.get("/admin/access?server=nowhere").status_code == 404
    lines = list(csv.reader(io.StringIO(root.get("/admin/access/access.csv?server=north").text)))
    assert lines[0] == ["user", "server", "role", "scope", "tokens_until", "last_used"]
    assert ["eve", "north", "planner", "run", "", ""] in lines
    assert len(lines) == 1 + 3 + 1
    everywhere = root.get("/admin/access/access.csv?user=ada").text.splitlines()
    assert len(everywhere) == 1 + 3 + 3


def test_access_tells_of_running_tokens_and_their_last_use(
    app: Flask, root: Visitor, world: World, database: Session
) -> None:
    script = Script(app, world.user)
    ends = []
    for name, minutes in (("short", 10), ("long", 60), ("revoked", 120)):
        made = script(
            "POST", "/servers/north/tokens", {"name": name, "roles": ["analyst"], "lifetime_minutes": minutes}
        )
        ends.append(made.json["expires"])
    script("POST", f"/tokens/{made.json['id']}/revoke")
    used = clock.parse("2016-01-31T18:30:00Z")
    database.execute(update(Token).where(Token.name == "revoked").values(last_used=used))
    database.commit()
    page = root.get("/admin/access?server=north").text
    assert "2, until" in page
    assert clock.readable(clock.parse(ends[1])) in page
    assert "2016-01-31 18:30:00 UTC" in page
    lines = list(csv.reader(io.StringIO(root.get("/admin/access/access.csv?user=ada").text)))[1:]
    assert {(server, until, used) for _, server, _, _, until, used in lines} == {
        ("north", ends[1], "2016-01-31T18:30:00Z"),
        ("south", "", ""),
    }


def ask(root: Visitor, **form: Any) -> str:
    reply = root.post("/admin/access/denied", {"server": "north", "user": "ada", "asked": "run", **form})
    assert reply.status_code == 200, reply.text
    return reply.text


def test_what_is_missing_is_named_and_who_would_give_it(
    root: Visitor, world: World, database: Session
) -> None:
    page = ask(root, pasted=json.dumps(FLOWS))
    assert "It is denied" in page
    assert "Role <strong>analyst</strong> lacks 1" in page
    assert "<dd><code>run</code></dd>" in page
    assert "No role on north holds every needed scope." in page
    root.post("/admin/roles/new/north", role_form(name="runner", scopes=[*SCOPES[:2], "run"]))
    assert "hold every needed scope: <strong>runner</strong>." in ask(root, pasted=json.dumps(FLOWS))
    assert "holds no role on north" in ask(root, pasted="run", user="eve")
    assert "It is allowed" in ask(root, pasted=json.dumps(FLOWS), asked="poll")


def test_the_apis_refusal_can_be_pasted(root: Visitor, world: World) -> None:
    refusal = {"msg": "None of ...", "payload": {"role": "analyst", "missing_scopes": ["run", "get_result"]}}
    page = ask(root, pasted=json.dumps(refusal))
    assert "<code>get_result</code>, <code>run</code>" in page
    unread = json.dumps({"payload": {"missing_scopes": ["<unit>:flows:<kind>"]}})
    form = {"server": "north", "user": "ada", "asked": "run", "pasted": unread}
    reply = root.post("/admin/access/denied", form)
    assert (reply.status_code, "ask for flows at any unit" in reply.text) == (400, True)


QUERY, OTHER, BROKEN = (digit * 32 for digit in "abc")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
class TestQueryIds:
    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        """Name a missing file before the one that an API server writes."""
        told = tmp_path / "told"
        told.write_text(
            f"{QUERY} 2016-01-01T12:00:00Z admin1:flows:daily_location admin1:flows:flows\n"
            f"{BROKEN} 2016-01-01T12:00:00Z not:a-scope\n"
        )
        return settings.model_copy(update={"query_scopes_files": (tmp_path / "missing", told)})

    def test_a_query_id_is_enough(self, root: Visitor, world: World) -> None:
        assert "It is allowed" in ask(root, pasted=QUERY, asked="poll")
        page = ask(root, pasted=f" {QUERY}\n", asked="fetch")
        assert "It is denied" in page
        assert "<dd><code>get_result</code></dd>" in page
        assert "All 3 scopes needed" in page

    @pytest.mark.parametrize("query_id", [OTHER, BROKEN])
    def test_an_id_that_no_server_told(self, root: Visitor, world: World, query_id: str) -> None:
        form = {"server": "north", "user": "ada", "asked": "fetch", "pasted": query_id}
        reply = root.post("/admin/access/denied", form)
        assert reply.status_code == 400
        assert f"No API server has told this app about query {query_id}." in reply.text


def test_a_token_is_asked_for_what_it_holds_and_not_what_its_roles_hold_by_now(
    root: Visitor, app: Flask, world: World, database: Session
) -> None:
    script = Script(app, world.user)
    token = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json["id"]
    administrator = Script(app, "root")
    roles = administrator("GET", "/roles").json
    analyst = next(role for role in roles if (role["name"], role["server"]) == ("analyst", "north"))
    body = {
        "name": "analyst",
        "scopes": ["run"],
        "users": analyst["users"],
        "longest_token_life_minutes": analyst["longest_token_life_minutes"],
    }
    assert administrator("PUT", f"/roles/{analyst['id']}", body).status_code == 200
    assert "It is allowed" in ask(root, pasted="admin1:flows:flows", token=token)
    assert "It is denied" in ask(root, pasted="admin1:flows:flows")
    assert "It is denied" in ask(root, pasted="run", token=token)
    assert "It is allowed" in ask(root, pasted="run")


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"pasted": "0123456789abcdef0123456789abcdef:"}, 400, "A query id has 32 digits"),
        ({"pasted": "{"}, 400, "is not a scope"),
        ({"pasted": "[]"}, 400, "neither a query spec"),
        ({"pasted": "0" * 32}, 400, "No API server tells this app about queries"),
        ({"pasted": ""}, 400, "Paste a query id, a query spec"),
        ({"pasted": "{}"}, 400, "names no query_kind"),
        ({"pasted": '{"query_kind": "nothing"}'}, 400, "does not offer the kind nothing"),
        ({"pasted": '{"query_kind": "flows"}'}, 400, "names none of the units"),
        ({"pasted": "[" * 100_000}, 400, "is not a scope"),
        ({"pasted": "run", "user": "nobody"}, 404, "There is no user nobody"),
        ({"pasted": "run", "token": "999999"}, 404, "There is no token"),
        ({"pasted": "run", "token": "x"}, 400, "must be the id"),
        ({"pasted": "run", "asked": "anything"}, 400, "Choose one of "),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_says_nothing_is_refused(
    root: Visitor, world: World, form: dict[str, Any], status: int, text: str
) -> None:
    reply = root.post("/admin/access/denied", {"server": "north", "user": "ada", "asked": "run", **form})
    assert reply.status_code == status
    assert text in reply.text


def test_nested_kinds_subsets_and_units_count_as_in_the_api() -> None:
    server = Server(
        name="s",
        scopes=[
            Scope(name=name, enabled=True)
            for name in (
                "admin3:spatial_aggregate:daily_location",
                "admin2:spatial_aggregate:daily_location",
                "nonspatial:histogram_aggregate:event_count",
            )
        ],
    )
    subset = {"query_kind": "event_count", "aggregation_unit": "admin2"}
    spec = {
        "query_kind": "spatial_aggregate",
        "locations": {
            "query_kind": "modal_location",
            "aggregation_unit": "admin3",
            "locations": [{"query_kind": "daily_location", "subscriber_subset": subset}],
        },
    }
    assert needed_for(server, json.dumps(spec), "fetch") == {
        "get_result",
        "*:*:event_count",
        "admin3:spatial_aggregate:spatial_aggregate",
        "admin3:spatial_aggregate:modal_location",
        "admin3:spatial_aggregate:daily_location",
    }
    histogram = {"query_kind": "histogram_aggregate", "metric": {"query_kind": "event_count"}}
    assert needed_for(server, json.dumps(histogram), "poll") == {
        "nonspatial:histogram_aggregate:histogram_aggregate",
        "nonspatial:histogram_aggregate:event_count",
    }
    with pytest.raises(Refusal, match="Paste"):
        needed_for(server, " " * 10, "run")


def test_a_part_at_a_finer_unit_counts_as_in_the_api() -> None:
    top = "joined_spatial_aggregate"
    server = Server(name="s", scopes=[Scope(name=f"{unit}:{top}:{top}") for unit in ("admin2", "lon-lat")])
    points = {"query_kind": "daily_location", "aggregation_unit": "lon-lat"}
    spec = {
        "query_kind": top,
        "locations": {"query_kind": "daily_location", "aggregation_unit": "admin2"},
        "metric": {"query_kind": "unique_location_counts", "aggregation_unit": "lon-lat"},
    }
    own = {f"admin2:{top}:{kind}" for kind in (top, "daily_location", "unique_location_counts")}
    assert needed_for(server, json.dumps(spec), "poll") == own | {f"lon-lat:{top}:unique_location_counts"}
    spec["metric"] = {"query_kind": "displacement", "reference_location": points}
    own = {f"admin2:{top}:{kind}" for kind in (top, "daily_location", "displacement")}
    assert needed_for(server, json.dumps(spec), "poll") == own


words = st.sampled_from(["a:b:c", "a:b:d", "x:y:c", "run", "get"])


@given(st.sets(words), st.sets(words), st.sets(words))
def test_holding_more_never_lacks_more(held: set[str], more: set[str], needed: set[str]) -> None:
    assert lacking(held | more, needed) <= lacking(held, needed)
    assert lacking(held, held) == set()
    assert lacking({"x:y:c"}, {"*:*:c"}) == set()
    assert lacking({"run"}, {"*:*:c"}) == {"*:*:c"}


OF_METRICS = [
    "admin1:joined_spatial_aggregate:joined_spatial_aggregate",
    "nonspatial:histogram_aggregate:histogram_aggregate",
]


@pytest.mark.parametrize(
    ("spec", "is_extreme"),
    [
        *(
            (
                {"query_kind": "joined_spatial_aggregate", "locations": DAILY, "method": method},
                method == "max",
            )
            for method in ("avg", "max", "distr")
        ),
        ({"query_kind": "histogram_aggregate", "bins": {"n_bins": 3}}, True),
        ({"query_kind": "histogram_aggregate", "bins": {"n_bins": 3}, "range": None}, True),
        ({"query_kind": "histogram_aggregate", "bins": {"n_bins": 3}, "range": [0, 9]}, False),
        ({"query_kind": "histogram_aggregate", "bins": {"bin_list": [0, 9]}}, False),
    ],
)
def test_values_of_one_subscriber_need_a_scope_of_their_own(spec: dict[str, Any], is_extreme: bool) -> None:
    server = Server(name="north", scopes=[Scope(name=name) for name in OF_METRICS])
    assert ("extremes" in needed_for(server, json.dumps(spec), "run")) == is_extreme
