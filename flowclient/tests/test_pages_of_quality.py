"""What a page of data quality says: states, unusual numbers, refused records."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import date

import pytest
from quality_world import AGAIN, DAY, FIRST, LAST, LATE, MISSING, SILENT, quality

from flowclient.pages import QualityData, render_quality
from flowclient.pages.collecting_quality import _silence_can_be_told
from flowclient.pages.quality import TypeQuality


@pytest.fixture(scope="module")
def data() -> QualityData:
    return quality()


def text(data: QualityData, language: str = "en") -> str:
    """Return the page's words without tags."""
    body = render_quality(data, language).html
    body = body[body.index("<header>") : body.index("<footer>")]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)))


def test_each_day_has_its_state(data: QualityData) -> None:
    calls, texts = re.findall(r'<table class="calendar">(.*?)</table>', render_quality(data).html, re.DOTALL)
    states = re.findall(r'<td class="(\w+)">', calls)
    assert len(states) == 28
    odd = {MISSING: "missing", LATE: "late", AGAIN: "again"}
    assert {FIRST + n * DAY: state for n, state in enumerate(states) if state != "loaded"} == odd
    # No day is missing before the first that was loaded.
    assert re.findall(r'<td class="(\w+)">', texts) == ["before"] * 7 + ["loaded"] * 21
    assert text(data).count("missing") > 1


def test_a_week_begins_on_monday_and_days_outside_are_empty(data: QualityData) -> None:
    later = replace(data, first=FIRST + DAY, last=LAST)
    types = tuple(
        replace(each, states={d: s for d, s in each.states.items() if d > FIRST}) for each in data.types
    )
    calls = re.findall(
        r'<table class="calendar">(.*?)</table>', render_quality(replace(later, types=types)).html, re.DOTALL
    )[0]
    first = re.findall(r"<tr>(.*?)</tr>", calls)[1]
    assert first.startswith("<td></td><td")
    assert first.count("<td") == 7


def test_the_headline_says_the_worst(data: QualityData) -> None:
    assert "1 day is missing." in text(data)
    whole = tuple(
        replace(each, states={**each.states, **({MISSING: "loaded"} if each.name == "calls" else {})})
        for each in data.types
    )
    assert "All days are there; 1 number is unusual." in text(replace(data, types=whole))
    calm = tuple(
        replace(each, numbers={n: v for n, v in each.numbers.items() if n != "count_location_ids"})
        for each in whole
    )
    assert "All days are there, and all numbers are usual." in text(replace(data, types=calm))


def test_a_fall_of_locations_may_be_an_outage(data: QualityData) -> None:
    [calls, texts] = data.types
    # A Sunday, which usually has 600: 99 are 83.5 % fewer, rounded down.
    assert calls.falls() == [(SILENT, 83)]
    assert texts.falls() == []
    more = replace(
        calls,
        numbers={
            **calls.numbers,
            "count_location_ids": {**calls.numbers["count_location_ids"], SILENT: 1200.0},
        },
    )
    assert more.unusual("count_location_ids") == [SILENT]
    assert more.falls() == []
    assert f"{SILENT:%-d %b %Y} calls 83%" in text(replace(data, silences=None))


def test_areas_whose_cells_are_silent_are_listed(data: QualityData) -> None:
    """Half of the cells is an outage; the latest day and the most cells come first."""
    page = render_quality(data).html
    rows = re.findall(r"<tr><td>([^<]+)</td><td>([^<]+)</td>(.*?)</tr>", page)
    listed = [
        (day, area, *re.findall(r">([^<]+)<", rest))
        for day, area, rest in rows
        if " of " in rest or "–" in rest
    ]
    last, before = f"{LAST:%-d %b %Y}", f"{LAST - DAY:%-d %b %Y}"
    assert listed == [
        (last, "Flooded &lt;valley&gt;", "3 of 4", "0%"),
        (last, "Plain", "3 of 3", "–"),
        (before, "Flooded &lt;valley&gt;", "2 of 4", "12%"),
    ]
    # The days with few locations are of the time when nobody is asked for silence.
    assert "unusually few locations" not in text(data)
    none = text(replace(data, silences=()))
    assert "In no area that can be shown were half of the cells silent." in none


@pytest.mark.parametrize(
    ("loaded", "told"),
    [
        ({"calls": [LAST, LAST - 7 * DAY]}, True),
        # The first day of the last week, and the first of the weeks before.
        ({"sms": [LAST - 6 * DAY], "calls": [LAST - 34 * DAY]}, True),
        ({"sms": [LAST - 6 * DAY], "calls": [LAST - 35 * DAY]}, False),
        ({"calls": [LAST]}, False),
        ({"calls": [LAST - 7 * DAY]}, False),
        ({"calls": [LAST + DAY, LAST - 7 * DAY]}, False),
        ({"mds": [LAST, LAST - 7 * DAY]}, False),
    ],
)
def test_silence_is_asked_for_where_it_can_be_told(loaded: dict[str, list[date]], told: bool) -> None:
    loads = {name: dict.fromkeys(days) for name, days in loaded.items()}
    assert _silence_can_be_told(loads, LAST + DAY) == told


def test_usual_is_what_the_same_weekdays_had() -> None:
    days = [LAST - n * 7 * DAY for n in range(9)]
    values = [500.0, 100, 100, 104, 96, 100, 100, 100, 100]
    known = dict(zip(days, values, strict=True))

    def band(known: dict) -> tuple[float, float] | None:
        found = TypeQuality("calls", {LAST: "loaded"}, {"n": known}, {}).band("n", LAST)
        return None if found is None else (found.low, found.high)

    # The day itself does not say what is usual, nor do other weekdays, nor weeks before the eighth.
    assert band(known) == (90, 110)
    assert band(known | {LAST - n * DAY: 9999.0 for n in range(1, 7)}) == (90, 110)
    assert band(known | {LAST - 9 * 7 * DAY: 9999.0}) == (90, 110)
    # Days that vary have a wide band: the median distance from 100 is 20.
    wide = [100.0, 80, 120, 80, 120, 100, 100, 80, 120]
    assert band(dict(zip(days, wide, strict=True))) == (20, 180)
    # Small numbers vary by ten, and none is below zero.
    assert band(dict.fromkeys(days, 2.0)) == (0, 12)
    assert band(dict.fromkeys(days[:3], 100.0)) is None
    assert band(dict.fromkeys(days[:4], 100.0)) == (90, 110)


def test_limits_of_the_band_are_usual(data: QualityData) -> None:
    found = data.types[0].band("count_added_rows", LAST)
    assert found is not None
    assert [found.holds(each) for each in (found.low - 1, found.low, found.high, found.high + 1)] == [
        False,
        True,
        True,
        False,
    ]


def test_refused_records_are_told_by_reason_in_words(data: QualityData) -> None:
    rows = re.findall(r"<tr><td>calls</td><td>([^<]+)</td><td[^>]*>([^<]+)</td>", render_quality(data).html)
    assert rows == [("msisdn cannot be read", "42"), ("wrong number of fields", "3"), ("one_of_ours", "2")]
    assert "msisdn illisible" in text(data, "fr")
    none = replace(data, types=tuple(replace(each, rejects={}) for each in data.types))
    assert "No record was refused." in text(none)


def test_a_small_share_is_not_zero(data: QualityData) -> None:
    assert "under 0.01% of records refused" in text(data)
    assert "moins de 0,01 % des enregistrements refusés" in text(data, "fr").replace("\u00a0", " ")


def test_what_cannot_be_judged_is_not_called_usual(data: QualityData) -> None:
    [texts] = [each for each in data.types if each.name == "sms"]
    said = text(replace(data, types=(texts,), silences=None))
    assert "too few weeks to say what is usual" in said
    assert "Nothing unusual" not in said
    assert "All days are there; too few weeks are known to say what is usual." in said
    assert "unusual numbers on" not in said
    assert "No day had unusually few locations" not in said


def test_a_missing_number_is_never_zero(data: QualityData) -> None:
    page = render_quality(data)
    assert f"calls,{MISSING},missing,,,,,\r\n" in page.csv
    # The line breaks there.
    assert page.html.count("<polyline") == 5 * 2 + 1
