"""What a page of a month's mobility says: correction, borrowed shares, gaps."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from mobility_world import FEBRUARY, PLACES, mobility

from flowclient.pages import MobilityData, render_mobility
from flowclient.pages.data import Movers
from flowclient.pages.mobility import Month


@pytest.fixture(scope="module")
def data() -> MobilityData:
    return mobility()


def table(html: str) -> dict[str, list[tuple[str, str]]]:
    """Return each area's counted and corrected cells by name."""
    body = html[html.index('class="areas"') :]
    rows = re.findall(r'scope="row">(.*?)</th>(.*?)</tr>', body, re.DOTALL)
    cell = re.compile(r"<td[^>]*>\s*([^<]+?)\s*(?:<span class=\"corrected\">([^<]*)</span>)?\s*</td>")
    return {name: cell.findall(cells) for name, cells in rows}


def test_numbers_are_corrected_for_phone_use(data: MobilityData) -> None:
    shown = table(render_mobility(data).html)
    assert len(shown) == len(PLACES)
    # Fewer were seen, but no fewer live there.
    assert shown["Same people"] == [("1,000", "1,250"), ("875", "1,250"), ("−12%", "0%")]
    assert shown["Left"] == [("400", "500"), ("200", "250"), ("−50%", "−50%")]


def test_the_share_of_the_area_above_is_borrowed_and_said(data: MobilityData) -> None:
    page = render_mobility(data)
    assert table(page.html)["Small &lt;village&gt;"] == [("20", "40*"), ("30", "60*"), ("+50%", "+50%*")]
    assert "A star marks the share of the area above" in page.html
    rows = {row["pcod"]: row for row in csv.DictReader(io.StringIO(page.csv))}
    assert {code for code, row in rows.items() if row["share_of_area_above"] == "yes"} == {"X.3"}
    own = replace(data, areas=tuple(area for area in data.areas if area.pcod != "X.3"))
    assert "A star marks" not in render_mobility(own).html


def test_what_cannot_be_corrected_is_shown_as_counted(data: MobilityData) -> None:
    assert table(render_mobility(data).html)["Island"] == [("100", ""), ("110", ""), ("+10%", "")]


def test_withheld_is_never_a_number(data: MobilityData) -> None:
    page = render_mobility(data)
    shown = table(page.html)
    assert shown["Never seen"] == [("withheld", "")] * 3
    assert shown["Twin (Parent 2)"] == [("60", "120"), ("withheld", ""), ("withheld", "")]
    [text] = re.findall(r'id="data">(.*?)</script>', page.html, re.DOTALL)
    inside = json.loads(text)
    names = dict(zip([area.pcod for area in data.areas], inside["views"]["change"]["classes"], strict=True))
    # The map has the corrected change: about the same, fell by half, rose by half, rose by a tenth.
    assert names == {"X.1": "2", "X.2": "0", "X.3": "4", "X.4": "w", "X.5": "w", "X.6": "3", "X.7": "w"}
    rows = {row["pcod"]: row for row in csv.DictReader(io.StringIO(page.csv))}
    assert [rows["X.4"][name] for name in ("residents_2016-02", "corrected_residents_2016-02")] == ["", ""]


@pytest.mark.parametrize(("share", "fell"), [(0.3, "1 district"), (0.303, "0 districts")])
def test_a_tenth_is_a_tenth(data: MobilityData, share: float, fell: str) -> None:
    [area] = [area for area in data.areas if area.pcod == "X.2"]

    def month(of: Month, count: int, share: float) -> Month:
        residents = replace(of.residents, values={"X.2": count})
        return Month(residents, {"admin3": {"X.2": {FEBRUARY: share}}})

    # From 1,000 to 900, and from 990.1 to 900.
    html = render_mobility(
        replace(data, areas=(area,), before=month(data.before, 300, share), month=month(data.month, 270, 0.3))
    ).html
    assert f"<strong>{fell}</strong> lost a tenth or more" in html


def test_relocations_and_commutes_are_corrected_by_their_origin(data: MobilityData) -> None:
    html = render_mobility(data).html
    moves, commutes, _ = re.findall(r"<tbody[^>]*>(.*?)</tbody>", html, re.DOTALL)
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", each) for each in (moves, commutes)]
    assert cells[0] == ["Left", "Same people", "120", "150", "Small &lt;village&gt;", "Island", "16", "32"]
    assert cells[1] == ["Capital", "Hills", "90", "120", "Sea", "Capital", "40", "withheld"]
    assert "At least 136 users live in another area in February 2016 than in January 2016." in html


def test_users_by_day_are_corrected_by_the_day(data: MobilityData) -> None:
    corrected = data.corrected_present()
    assert corrected[FEBRUARY] == pytest.approx(1500 / 0.70)
    # A day without share, and the day that is missing, have no corrected number.
    assert corrected.keys() == data.present.keys() - {max(data.present)}


def test_the_first_month_has_nothing_to_compare_with(data: MobilityData) -> None:
    alone = Month(replace(data.before.residents, values=None, withheld=None), {})
    page = render_mobility(replace(data, before=alone, moves=(), movers=Movers({}, {})))
    assert page.html.count("There are no data of January 2016 to compare with.") == 2
    # Nothing is said of moves that nobody could count.
    assert "is large enough" not in page.html
    assert re.findall(r'name="view" value="\w+"[^>]*> ([^<]+)<', page.html) == ["This month", "By day"]
    assert table(page.html)["Left"] == [("no data", ""), ("200", "250"), ("no data", "")]
    assert 'value="change"' not in page.html
