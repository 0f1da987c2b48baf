"""Results with their places, and on maps."""

from __future__ import annotations

import pandas
import pytest
from flowclient_stub import (
    GEOGRAPHY,
    RECORDS,
    RESULT,
    RUN,
    SPEC,
    Answer,
    polls,
)
from matplotlib.patches import FancyArrowPatch

from flowclient import maps


@pytest.mark.parametrize(
    ("withheld", "words"),
    [
        (["floor"], "withheld (too few subscribers) or none"),
        (["floor", "new"], "withheld (too few subscribers, new) or none"),
        ([], "none"),
    ],
)
def test_maps_say_why_areas_have_no_row(shell, server, query, withheld, words):
    said = {"withheld": withheld, "repeats": ["0f"]}
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script(
        "GET", "get/abc", Answer(200, {"query_id": "abc", "query_result": RECORDS, "metadata": said})
    )
    server.script("GET", "geography/admin3", Answer(200, GEOGRAPHY))
    axes = shell.finish(query.plot())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [words]
    page = shell.finish(query.explore()).get_root().render()
    assert f"</svg> {words}" in page


def test_places(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", RESULT)
    server.script("GET", "geography/admin3", Answer(200, GEOGRAPHY))
    places = shell.finish(query.to_geodataframe())
    assert dict(zip(places["pcod"], places["withheld"], strict=True)) == {
        "NPL.1": False,
        "NPL.2": False,
        "NPL.3": True,
    }
    kept = shell.finish(query.to_geodataframe(result=pandas.DataFrame(RECORDS[:1]), keep_redacted=False))
    assert list(kept["pcod"]) == ["NPL.1"]
    axes = shell.finish(query.plot())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["withheld or none"]
    assert any(collection.get_hatch() for collection in axes.collections)
    page = shell.finish(query.explore())._repr_html_()
    assert "NPL.3" in page


def test_places_of_flows(shell, server, connection):
    flows = connection.make_api_query({"query_kind": "flows", "from_location": SPEC["locations"]})
    rows = [("NPL.1", "NPL.2", 20), ("NPL.2", "NPL.3", 40), ("NPL.1", "NPL.1", 99), (None, "NPL.1", 50)]
    result = pandas.DataFrame(rows, columns=["pcod_from", "pcod_to", "value"])
    server.script("GET", "geography/admin3", Answer(200, GEOGRAPHY))
    lines = shell.finish(flows.to_geodataframe(result))
    assert list(lines["value"]) == [20, 40]
    assert lines.geometry[0].coords[:] == [(1.5, 0.5), (2.5, 0.5)]
    [panel] = maps.panels(result, GEOGRAPHY)
    axes = maps.plot([panel])
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    # The wider below, and bent: the way there and the way back do not lie on each other.
    assert [arrow.get_linewidth() for arrow in arrows] == [6.0, 3.0]
    assert {arrow.get_connectionstyle().rad for arrow in arrows} == {0.2}
    # Outlines of all areas are below the arrows.
    assert len(axes.collections[0].get_paths()) == 3
    assert {text.get_text() for text in axes.texts} == {"NPL.1", "NPL.2", "NPL.3"}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["40", "20", "4"]
    shown = maps.explore(panel)._repr_html_()
    assert all(name in shown for name in ("NPL.1", "NPL.2", "NPL.3"))


def test_no_flows_are_a_map_without_lines(shell, server, connection):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", Answer(200, {"query_id": "abc", "query_result": []}))
    server.script("GET", "geography/admin3", Answer(200, GEOGRAPHY))
    flows = connection.make_api_query({"query_kind": "flows", "from_location": SPEC["locations"]})
    lines = shell.finish(flows.to_geodataframe())
    assert list(lines.columns) == ["pcod_from", "pcod_to", "value", "geometry"]
    assert lines.crs.to_epsg() == 4326
    axes = shell.finish(flows.plot())
    assert [len(outlines.get_paths()) for outlines in axes.collections] == [3]
    assert list(axes.patches) == []
    assert "no rows to draw" in shell.finish(flows.explore())._repr_html_()


def test_a_result_without_places(shell, connection):
    query = connection.make_api_query({"query_kind": "histogram_aggregate", "metric": {}})
    with pytest.raises(ValueError, match="no places"):
        shell.finish(query.to_geodataframe())
