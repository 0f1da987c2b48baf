"""Check maps: one row a place, gaps as gaps, nothing from outside."""

from __future__ import annotations

import datetime
import hashlib
import re
from importlib.resources import files

import matplotlib.pyplot
import pandas
import pytest
from bootstrap import chromium
from flowclient_stub import GEOGRAPHY
from playwright.sync_api import sync_playwright

from flowclient import maps
from flowclient.frames import table

matplotlib.use("Agg")

#: Hours 6 and 8 have rows, 7 has none; the third place has no row at all.
HOURLY = table(
    [
        {"pcod": "NPL.1", "date": "2016-01-01", "hour": 6, "value": 20},
        {"pcod": "NPL.1", "date": "2016-01-01", "hour": 8, "value": 40},
        {"pcod": "NPL.2", "date": "2016-01-01", "hour": 8, "value": 30},
        {"pcod": "NPL.2", "date": "2016-01-03", "hour": 8, "value": 50},
    ]
)
VALUES = table([{"pcod": "NPL.1", "value": 20}, {"pcod": "NPL.2", "value": 30}])
NAMED = {
    **GEOGRAPHY,
    "features": [
        {**feature, "properties": {**feature["properties"], "name": name}}
        for feature, name in zip(GEOGRAPHY["features"], ("Alta", "Berg", "<b>Ciel"), strict=True)
    ],
}
VENDORED = dict(
    re.findall(
        r"^\| `(leaflet\S+)` \| `(\w+)` \|$",
        files("flowclient.maps").joinpath("vendor", "README.md").read_text(),
        re.MULTILINE,
    )
)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    matplotlib.pyplot.close("all")


def shown(panel: maps.Panel) -> dict[str, float | None]:
    return {
        place: None if pandas.isna(value) else value
        for place, value in zip(panel.places["pcod"], panel.places["value"], strict=True)
    }


def test_several_rows_of_a_place_are_not_drawn_over_each_other():
    with pytest.raises(
        ValueError, match=r"several rows, by date, hour.*where=\{'date': '2016-01-01'\}.*by='date'"
    ):
        maps.panels(HOURLY, GEOGRAPHY)
    with pytest.raises(ValueError, match=r"several rows, by hour.*where=\{'hour': 6\}.*by='hour'"):
        maps.panels(HOURLY, GEOGRAPHY, where={"date": "2016-01-01"})


@pytest.mark.parametrize(
    "day",
    ["2016-01-01", datetime.date(2016, 1, 1), pandas.Timestamp("2016-01-01")],
    ids=lambda day: type(day).__name__,
)
def test_rows_are_chosen_by_value(day):
    [panel] = maps.panels(HOURLY, GEOGRAPHY, where={"date": day, "hour": 8})
    assert shown(panel) == {"NPL.1": 40, "NPL.2": 30, "NPL.3": None}


def test_what_is_not_in_the_result_is_named():
    with pytest.raises(ValueError, match=r"^hour = 7 is not in the result; it has 6, 8\.$"):
        maps.panels(HOURLY, GEOGRAPHY, where={"hour": 7})
    with pytest.raises(
        ValueError, match=r"^'label' is no column of the result; it has pcod, date, hour, value\.$"
    ):
        maps.panels(HOURLY, GEOGRAPHY, by="label")
    with pytest.raises(ValueError, match=r"^'values' is no column"):
        maps.panels(HOURLY, GEOGRAPHY, column="values")
    minutes = pandas.concat([HOURLY.assign(min=minute) for minute in (0, 59)])
    with pytest.raises(ValueError, match=r"^by = 'min' makes 60 maps"):
        maps.panels(minutes, GEOGRAPHY, by="min")


@pytest.mark.slow
def test_hours_and_days_without_a_row_get_their_map():
    hours = maps.panels(HOURLY, GEOGRAPHY, where={"date": "2016-01-01"}, by="hour")
    assert [panel.title for panel in hours] == [f"hour {hour}" for hour in range(24)]
    assert shown(hours[6]) == {"NPL.1": 20, "NPL.2": None, "NPL.3": None}
    assert shown(hours[7]) == dict.fromkeys(["NPL.1", "NPL.2", "NPL.3"])
    days = maps.panels(HOURLY, GEOGRAPHY, where={"hour": 8}, by="date")
    assert [panel.title for panel in days] == [f"date 2016-01-0{day}" for day in (1, 2, 3)]
    grid = maps.plot(days)
    # Both maps with numbers share a scale, and the gap is hatched on all three.
    assert {
        collection.get_clim()
        for axes in grid.flat
        for collection in axes.collections
        if collection.get_array() is not None
    } == {(30, 50)}
    assert [
        any(collection.get_hatch() for collection in axes.collections) for axes in list(grid.flat)[:3]
    ] == [True] * 3


def test_places_are_called_by_their_names():
    moves = table([{"pcod_from": "NPL.1", "pcod_to": "NPL.2", "value": 20}])
    [panel] = maps.panels(moves, NAMED)
    assert {text.get_text() for text in maps.plot([panel]).texts} == {"Alta", "Berg"}
    assert maps.located(VALUES, NAMED)["name"].tolist() == ["Alta", "Berg", "<b>Ciel"]


def test_names_of_flows_do_not_lie_over_each_other():
    def square(number):
        west, south = number % 6, number // 6
        corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
        ring = [[west + x, south + y] for x, y in corners]
        return {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"pcod": f"p{number}", "name": f"A place of a long name, {number}"},
        }

    geography = {"type": "FeatureCollection", "features": [square(number) for number in range(36)]}
    flows = table(
        [
            {"pcod_from": f"p{number}", "pcod_to": f"p{(number * 7 + 5) % 36}", "value": 100 - number}
            for number in range(36)
        ]
    )
    axes = maps.plot(maps.panels(flows, geography))
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) > 3
    assert not [one for place, one in enumerate(boxes) for other in boxes[:place] if one.overlaps(other)]
    # The ends of the widest are named before all others.
    assert [text.get_text() for text in axes.texts][:2] == [
        "A place of a long name, 0",
        "A place of a long name, 5",
    ]


def test_vendored_files_are_the_published_ones():
    vendor = files("flowclient.maps").joinpath("vendor")
    assert set(VENDORED) == {"leaflet.js", "leaflet.css"}
    for name, digest in VENDORED.items():
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == digest
    assert "BSD 2-Clause" in vendor.joinpath("leaflet.LICENSE").read_text()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.mark.parametrize(
    ("rows", "shapes", "said"),
    [
        (VALUES, 3, ["value", "20", "30", "withheld", "or", "none"]),
        # Two arrows over three outlines.
        (
            table(
                [
                    {"pcod_from": "NPL.1", "pcod_to": "NPL.2", "value": 40},
                    {"pcod_from": "NPL.2", "pcod_to": "NPL.1", "value": 20},
                ]
            ),
            5,
            ["value", "40", "20", "4"],
        ),
    ],
    ids=["areas", "flows"],
)
@pytest.mark.slow
def test_a_map_opens_without_a_network_and_asks_for_nothing(browser, tmp_path, rows, shapes, said):
    [panel] = maps.panels(rows, NAMED)
    maps.explore(panel).save(tmp_path / "map.html")
    page = browser.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "map.html").as_uri())
    page.wait_for_selector("path.leaflet-interactive")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert wrong == []
    paths = page.locator("path.leaflet-interactive")
    assert paths.count() == shapes
    assert page.locator(".legend").inner_text().split() == said
    paths.nth(2).dispatch_event("mouseover")
    # The third area has no row, and its name is a text, not a tag.
    assert page.locator(".leaflet-tooltip").inner_text().split()[:3] == ["place", "<b>Ciel", "(NPL.3)"]
    assert paths.nth(2).get_attribute("fill") == ("url(#withheld)" if shapes == 3 else "#f5f5f5")
    page.close()
