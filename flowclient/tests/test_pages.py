"""What a crisis page says: bounds, gaps, names, languages."""

from __future__ import annotations

import csv
import io
import json
import re
import string
from dataclasses import replace
from typing import Any

import pandas
import pytest
from crisis_world import DAY, EVENT, PLACES, crisis, with_reasons
from page_worlds import PAGES

from flowclient.pages import CrisisData, Page, PageTooLargeError, render
from flowclient.pages import page as writing
from flowclient.pages.areas import change_classes
from flowclient.pages.asking import movers_of, outcomes_of
from flowclient.pages.data import Movers, Outcome, change_class, count_breaks, fell_by_more_than
from flowclient.pages.languages import LOCALES, messages
from flowclient.reports.contents import CONTENTS

LANGUAGES = list(LOCALES)
every_page = pytest.mark.parametrize("name", PAGES)


@pytest.fixture(scope="module")
def data() -> CrisisData:
    return crisis()


def embedded(page: Page) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def table(page: Page) -> dict[str, tuple[str, ...]]:
    """Return the cells of each area by name."""
    body = page.html[page.html.index('class="areas"') :]
    rows = re.findall(r'scope="row">(.*?)</th>(.*?)</tr>', body)
    return {name: tuple(re.findall(r">([^<]+)</td>", cells)) for name, cells in rows}


def headline(page: Page) -> str:
    return re.findall(r'<p class="headline">(.*?)</p>', page.html)[0]


def test_bounds_are_below_the_least_possible_fall() -> None:
    assert fell_by_more_than(143, 15) == 89
    # A fall of exactly 90 % is not more than 90 %.
    assert fell_by_more_than(150, 15) == 89
    for before in range(16, 500):
        bound = fell_by_more_than(before, 15)
        assert 100 * (before - 15) > bound * before
        assert 100 * (before - 15) <= (bound + 1) * before


def test_the_page_tells_shown_from_withheld(data: CrisisData) -> None:
    shown = table(render(data))
    assert len(shown) == len(PLACES)
    assert shown["Emptied"] == ("143", "withheld", "fell by more than 89%")
    assert shown["Halved"] == ("100", "50", "−50%")
    assert shown["Never seen"] == ("withheld", "withheld", "withheld")
    # From at most 15 to 300: a rise, but nobody knows how large.
    assert shown["New &lt;camp&gt;"] == ("withheld", "300", "withheld")
    assert shown["=Grown &amp; sons"] == ("1,000", "1,700", "+70%")
    # The map opens with the change, of which four are unknown; the tile counts those of the week that it names.
    assert "<strong>3 districts</strong> withheld in the last complete week<" in render(data).html
    # The smallest bound is true of both.
    assert headline(render(data)) == "2 districts lost more than 89% of their residents each."


@pytest.mark.parametrize("reasons", [("floor",), None])
def test_areas_that_may_have_emptied_come_first(data: CrisisData, reasons: tuple[str, ...] | None) -> None:
    names = list(table(render(with_reasons(data, reasons))))
    assert names[:3] == ["Emptied", "Emptied too", "Halved"]
    assert set(names[-2:]) == {"Never seen", "New &lt;camp&gt;"}


@pytest.mark.parametrize("reasons", [None, (), ("parts",), ("floor", "parts")])
def test_without_the_floor_as_the_one_reason_there_is_no_bound(
    data: CrisisData, reasons: tuple[str, ...] | None
) -> None:
    page = render(with_reasons(data, reasons))
    assert table(page)["Emptied"] == ("143", "withheld", "withheld")
    # Areas that may have emptied: nothing calm may be said over them.
    assert headline(page) == ("2 districts had residents that could be shown before and are withheld now.")


def test_equal_names_have_the_name_of_the_area_above(data: CrisisData) -> None:
    shown = table(render(data))
    assert {name for name in shown if name.startswith("Twin")} == {"Twin (Parent 1)", "Twin (Parent 0)"}


def test_withheld_is_never_drawn_as_zero(data: CrisisData) -> None:
    """Hold drawing, table and file to the places that were released, in each period."""
    page = render(data)
    inside = embedded(page)
    order = [area.pcod for area in data.areas]
    for name, period in (("before", data.before), ("after", data.weeks[-1])):
        assert period.values is not None
        classes = inside["views"][name]["classes"]
        assert {code for code, letter in zip(order, classes, strict=True) if letter.isdigit()} == set(
            period.values
        )
        assert set(classes) <= set("01234w")
    for day, drawn in zip(data.days, inside["days"], strict=True):
        expected = ["n"] * len(order) if day.values is None else [day.values.get(code, "w") for code in order]
        assert drawn["values"] == expected
        assert [letter if letter in "wn" else 0 for letter in drawn["classes"]] == [
            each if isinstance(each, str) else 0 for each in expected
        ]
    rows = {row["pcod"]: row for row in csv.DictReader(io.StringIO(page.csv))}
    assert set(rows) == set(order)
    for code, _name, *values in PLACES:
        given = [rows[code][column] for column in ("before", "week_2016-02-10", "week_2016-02-17")]
        assert given == ["" if value is None else str(value) for value in values]
    assert rows["X.8"]["name"] == "'=Grown & sons"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        # More than half: 51 of 101.
        (
            {"X.3": 101, "X.8": 1000},
            {"X.3": 50, "X.8": 1000},
            "1 district lost more than 50% of its residents.",
        ),
        # Half is not more than half.
        (
            {"X.3": 100, "X.8": 1000},
            {"X.3": 50, "X.8": 1000},
            "Halved lost 50% of its residents, the largest fall that is known.",
        ),
        (
            {"X.3": 100, "X.8": 1000},
            {"X.3": 80, "X.8": 700},
            "=Grown &amp; sons lost 30% of its residents, the largest fall that is known.",
        ),
        # A tenth is enough, 9 % are not.
        (
            {"X.3": 100, "X.8": 1000},
            {"X.3": 90, "X.8": 1000},
            "Halved lost 10% of its residents, the largest fall that is known.",
        ),
        (
            {"X.3": 100, "X.8": 1000},
            {"X.3": 91, "X.8": 1000},
            "No area is known to have lost a tenth of its residents.",
        ),
        ({}, {"X.3": 91}, "No area is known to have lost a tenth of its residents."),
    ],
)
def test_the_headline_says_the_worst_that_is_known(
    data: CrisisData, before: dict[str, int], after: dict[str, int], said: str
) -> None:
    first, last = data.weeks
    told = replace(
        data,
        before=replace(data.before, values=before),
        weeks=(first, replace(last, values=after)),
    )
    assert headline(render(told)) == said


def test_a_fall_of_less_than_one_percent_has_no_bound(data: CrisisData) -> None:
    # One of 201 left is half a percent; three of 203 are more than one.
    assert data.before.bound(201, 200) is None
    assert data.before.bound(203, 200) == 1


def test_classes_of_change_are_one_letter_an_area(data: CrisisData) -> None:
    order = ["X.2", "X.3", "X.8"]
    before, after = data.before, data.weeks[1]
    nothing = replace(after, values=None)
    # Withheld, fell by half, rose by more than half.
    assert change_classes(before, after, order) == "w04"
    assert change_classes(before, nothing, order) == "nnn"
    assert change_classes(nothing, after, order) == "nnn"


def test_a_week_with_a_missing_day_has_no_data(data: CrisisData) -> None:
    gap = replace(data.weeks[1], values=None, withheld=None)
    page = render(replace(data, weeks=(data.weeks[0], gap)))
    # The last complete week is shown instead.
    assert table(page)["Emptied"][1] == "20"
    early = render(replace(data, weeks=(gap,)))
    assert headline(early).startswith("The first week is not complete")
    assert table(early)["Emptied"][1:] == ("no data", "no data")


def test_the_last_day_of_a_period_belongs_to_it(data: CrisisData) -> None:
    page = render(data)
    # Editions of the Unicode data write ranges with and without thin spaces.
    assert re.search(r"Homes from 17.?–.?23 Feb 2016, compared with homes from 27 Jan", page.html)
    assert re.search(r"27 Jan.?–.?9 Feb 2016", page.html)
    assert data.last == EVENT + 13 * DAY


def test_moves_are_a_least_number(data: CrisisData) -> None:
    """Take the largest of the sums: by origin, by destination, and of pairs."""

    def tile(movers: Movers) -> list[str]:
        return re.findall(
            r"<strong>([^<]+)</strong> moved to another area, at least",
            render(replace(data, movers=movers)).html,
        )

    assert tile(data.movers) == ["1,420"]
    assert tile(Movers({"X.1": 1300}, {"X.7": 1250, "X.8": 90})) == ["1,340"]
    assert tile(Movers({}, {})) == ["1,234"]
    part = render(data).html
    part = part[part.index("Largest moves</h2>") : part.index("Displaced and returned</h2>")]
    rows = [re.findall(r">([^<]+)</t[hd]>", row) for row in re.findall(r"<tr>(<th scope=.row.*?)</tr>", part)]
    assert rows == [
        ["Emptied", "1,300", "withheld"],
        ["New &lt;camp&gt;", "withheld", "1,250"],
        ["Emptied too", "120", "withheld"],
        ["=Grown &amp; sons", "withheld", "90"],
    ]


def test_the_displaced_are_told_by_area_with_what_is_usual(data: CrisisData) -> None:
    """List the most displaced first; withheld is never zero."""
    html = render(data).html
    part = html[html.index("Displaced and returned</h2>") : html.index("All areas</h2>")]
    rows = [
        re.findall(r">([^<]+)</t[hd]>", row)
        for row in re.findall(r"<tr role=\"row\"><th role=\"rowheader\"(.*?)</tr>", part)
    ]
    assert rows == [
        ["=Grown &amp; sons", "200", "30", "1,200", "21% (usually 2%)"],
        ["Emptied", "90", "withheld", "20", "73%"],
        ["Halved", "withheld", "40", "withheld", "–"],
    ]
    assert "The displaced of 2 districts of 8 can be told" in part
    table = {row["pcod"]: row for row in csv.DictReader(io.StringIO(render(data).csv))}
    assert [table["X.8"][name] for name in ("displaced", "returned", "not_seen")] == ["200", "30", "1200"]
    assert [table["X.4"][name] for name in ("displaced", "returned", "not_seen")] == ["", "", "16"]
    assert [table["X.2"][name] for name in ("displaced", "returned", "not_seen")] == ["", "", ""]
    early = render(replace(data, weeks=(), outcomes=None)).html
    assert "Displaced and returned</h2>" not in early


def test_movers_tell_of_no_few_who_stayed(data: CrisisData) -> None:
    """Nobody, or more than the floor, may be left of the residents."""
    left = {"X.1": 127, "X.2": 135, "X.3": 100, "X.4": 59, "X.6": 80, "X.8": 20}
    arrived = {"X.7": 299, "X.1": 20}
    answers = {
        name: pandas.DataFrame({"pcod": [*values, None], "value": [*values.values(), 7]})
        for name, values in (("left", left), ("arrived", arrived))
    }
    found = movers_of(answers, data.before, data.weeks[-1], 15)
    # Of 143 residents 16 stayed; of 150 it is 15, and of 60 one, so that numbers are lower; of 100 nobody.
    assert found.left == {**left, "X.2": 134, "X.4": 44}
    # The residents of X.1 are withheld in the last week.
    assert found.arrived == {"X.7": 284, "X.1": 20}
    assert movers_of({}, data.before, None, 15) == Movers({}, {})
    assert movers_of({"left": answers["left"]}, replace(data.before, values=None), None, 15).left == left


def test_outcomes_are_those_of_the_last_week() -> None:
    rows = [
        ("X.1", 1, "displaced", 99, 0.5, 0.1),
        ("X.1", 2, "not_seen", 20, None, None),
        ("X.1", 2, "displaced", 60, 0.25, 0.0),
        ("X.1", 2, "at_home", 180, 0.75, 1.0),
        ("X.2", 2, "displaced", 70, 0.5, None),
        ("X.3", 2, "at_home", 70, 1.0, None),
    ]
    answer = pandas.DataFrame(rows, columns=["pcod", "period", "status", "value", "share", "normal_share"])
    answer = answer.astype({"value": "Int64", "share": "float64", "normal_share": "float64"})
    assert outcomes_of(answer, 2) == {
        "X.1": Outcome({"displaced": 60, "not_seen": 20}, 0.25, 0.0),
        "X.2": Outcome({"displaced": 70}, 0.5, None),
    }


def test_phone_use_is_compared_with_the_same_weekday(data: CrisisData) -> None:
    assert "<strong>97%</strong> of usual phone use on 23 February" in render(data).html


def test_the_same_data_give_the_same_bytes(data: CrisisData) -> None:
    assert render(data, "fr").html == render(crisis(), "fr").html
    assert render(data).html != render(replace(data, floor=20)).html


def test_the_page_says_where_its_numbers_are_from(data: CrisisData) -> None:
    page = render(data)
    assert all(query_id in page.html for query_id in data.query_ids.values())
    assert "2016-03-01 02:15 UTC, 2016-03-01 08:00 local time" in page.html
    assert data.digest in page.html
    assert "Days missing, text messages</dt><dd>12 Feb 2016" in page.html


def test_a_note_is_shown_as_words(data: CrisisData) -> None:
    assert "<blockquote>&lt;b&gt;Roads&lt;/b&gt;</blockquote>" in render(data, note="<b>Roads</b>").html


def test_names_cannot_end_the_data(data: CrisisData) -> None:
    areas = tuple(replace(area, name=f"</script>{area.pcod}") for area in data.areas)
    page = render(replace(data, areas=areas))
    assert page.html.count("</script>") == 2
    assert embedded(page)["names"][0].startswith("</script>")


def test_a_page_over_the_limit_is_refused(data: CrisisData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "AIM", 1_000)
    monkeypatch.setattr(writing, "LIMIT", 2_000)
    with pytest.raises(PageTooLargeError, match="kB; at most 2 are allowed"):
        render(data)


def test_changes_on_a_limit_belong_to_the_outer_class() -> None:
    assert [change_class(100, after) for after in (50, 51, 90, 91, 109, 110, 149, 150)] == [
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
    ]


def test_classes_of_counts_rise(data: CrisisData) -> None:
    breaks = count_breaks(data.before, 15)
    assert list(breaks) == sorted(set(breaks))
    assert breaks[0] > 15


# -- languages ---------------------------------------------------------------------------------------------------


def placeholders(message: str | dict[str, str]) -> set[str]:
    forms = [message] if isinstance(message, str) else list(message.values())
    found = [{name for _, name, _, _ in string.Formatter().parse(form) if name} for form in forms]
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything(language: str) -> None:
    english, other = messages("en"), messages(language)
    assert english.keys() == other.keys()
    for name, message in english.items():
        assert placeholders(message) == placeholders(other[name]), name
        assert isinstance(message, dict) == isinstance(other[name], dict)
        if isinstance(message, dict):
            assert message.keys() == other[name].keys()  # type: ignore[union-attr]


@every_page
@pytest.mark.parametrize("language", ["fr", "es"])
def test_no_english_sentence_is_left(name: str, language: str) -> None:
    page = PAGES[name](language, "").html
    assert f'<html lang="{language}">' in page
    for sentence, message in messages("en").items():
        for form in [message] if isinstance(message, str) else message.values():
            for part in re.split(r"\{\w+\}", form):
                if len(part.split()) > 2:
                    assert part.strip() not in page, sentence


@every_page
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_holds_every_number_of_its_table(name: str, language: str) -> None:
    """Hold data and file to each other, as `verify` does before publication."""
    page = PAGES[name](language, "")
    inside = embedded(page)
    rows = list(csv.DictReader(io.StringIO(page.csv)))
    shown = [["" if not isinstance(each, int) else str(each) for each in line] for line in inside["numbers"]]
    assert sorted(shown) == sorted([row[column] for column in inside["columns"]] for row in rows)
    assert any(any(line) for line in shown)
    assert page.csv == PAGES[name]("en", "").csv
    assert PAGES[name](language, "").html == page.html


def test_every_page_that_a_report_may_have_is_tested() -> None:
    assert PAGES.keys() == CONTENTS.keys()


def test_numbers_and_dates_are_written_as_the_language_does(data: CrisisData) -> None:
    french = render(data, "fr")
    assert "1\u202f420" in french.html
    assert "89\u202f%" in headline(french).replace("\u00a0", "\u202f")
    assert "23 février" in french.html
    assert "23 de febrero" in render(data, "es").html


def test_another_language_is_refused(data: CrisisData) -> None:
    with pytest.raises(ValueError, match=r"language = 'de': must be one of en, fr, es\."):
        render(data, "de")
