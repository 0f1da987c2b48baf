"""Pages of mobility and of data quality: every number is the API's."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import pytest
from layout import CHECKOUT

import flowclient
from flowclient.pages import collect_mobility, collect_quality, render_mobility, render_quality
from flowclient.pages.quality import SERIES
from flowclient.reports.__main__ import main

LAST = date(2016, 1, 7)

#: By how often a day was loaded.
STATES = ("before", "loaded", "again")


def test_every_number_is_an_outcome_of_the_api(connection: flowclient.Connection) -> None:
    data = collect_quality(connection=connection, until=LAST + timedelta(days=1), weeks=2)
    available = flowclient.get_available_dates(connection=connection)
    times = {
        (load["event_type"], load["date"]): load["times_loaded"]
        for load in flowclient.get_loads(connection=connection)["loads"]
    }
    rows = list(csv.DictReader(io.StringIO(render_quality(data).csv)))
    assert {(row["event_type"], row["date"]) for row in rows} == {
        (name, (LAST - timedelta(days=n)).isoformat()) for name in available for n in range(14)
    }
    for name, days in available.items():
        mine = {row["date"]: row for row in rows if row["event_type"] == name}
        # Nothing is late: all days were loaded years after they were over. Other tests may load a day again.
        assert {day: row["state"] for day, row in mine.items()} == {
            day: STATES[min(times.get((name, day), 0), 2)] for day in mine
        }
        for check in SERIES:
            outcomes = {
                each["cdr_date"]: each["outcome"]
                for each in flowclient.get_qa_check_outcomes(
                    connection=connection,
                    event_type=name,
                    check_type=check,
                    start_date=min(mine),
                    end_date=LAST,
                )
            }
            assert {day: row[check] for day, row in mine.items() if row[check]} == outcomes
            assert set(outcomes) == set(days)


def test_the_demonstrations_reports_are_ready(
    connection: flowclient.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Hold the definitions of `make reports` to the demonstration user's rights."""
    (tmp_path / "token").write_text(connection.token)
    monkeypatch.setenv("FLOWAPI_URL", connection.url)
    monkeypatch.setenv("FLOWAPI_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("FLOWKIT_REPORTS", str(CHECKOUT / "demo" / "reports"))
    assert main(["check"]) == 0
    pages = ("crisis-displacement", "data-quality", "mobility-monthly")
    told = capsys.readouterr().out.splitlines()
    assert [line.partition("; ")[0] for line in told] == [f"{page}: ready" for page in pages]


def test_the_operators_report_is_made_and_kept(
    connection: flowclient.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "quality.yml").write_text(
        "{name: quality, body: {page: data-quality}, period: day, languages: [es], recipients: operators,"
        " keep: {periods: 1}, parameters: {weeks: 1}}"
    )
    (tmp_path / "token").write_text(connection.token)
    monkeypatch.setenv("FLOWAPI_URL", connection.url)
    monkeypatch.setenv("FLOWAPI_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("FLOWKIT_REPORTS", str(tmp_path))
    monkeypatch.setenv("FLOWKIT_REPORTS_OUT", str(tmp_path / "out"))

    def said(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out.strip()

    told = said("check")
    assert told.startswith("quality: ready; ")
    # The demonstration's user may ask everything.
    assert "; the token has more than the report needs: extremes, " in told
    assert said("due") == f"quality {LAST}"
    assert said("run", "quality", "--period", f"{LAST}") == f"quality {LAST}: published v1"
    assert said("due") == ""
    page = (tmp_path / "out" / "operators" / "quality" / f"{LAST}" / "v1" / "page.es.html").read_text()
    assert "Calidad de los datos" in page
    for secret in (connection.token, connection.user, connection.url):
        assert secret not in page


def test_every_number_of_a_month_is_an_answer_of_the_api(connection: flowclient.Connection) -> None:
    data = collect_mobility(connection=connection, month="2016-01")
    answers = {
        name: flowclient.get_result_by_query_id(connection=connection, query_id=query_id)
        for name, query_id in data.query_ids.items()
    }
    days = [f"2016-01-0{day}" for day in range(1, LAST.day + 1)]
    assert set(answers) == {
        *(
            "residents 2016-01-01",
            "active 2016-01-01",
            "active_above 2016-01-01",
            "active_country 2016-01-01",
        ),
        *("commuting", *(f"{what} {day}" for what in ("day", "present") for day in days)),
    }
    residents = answers["residents 2016-01-01"]
    counted = dict(zip(residents["pcod"], residents["value"], strict=True))
    active = answers["active 2016-01-01"]
    share = active.groupby("pcod")["active_share"].mean()
    rows = {row["pcod"]: row for row in csv.DictReader(io.StringIO(render_mobility(data).csv))}
    areas = flowclient.get_geography(connection=connection, aggregation_unit="admin3", format="geopandas")
    assert set(rows) == set(areas["pcod"])
    assert {
        pcod: int(row["residents_2016-01"]) for pcod, row in rows.items() if row["residents_2016-01"]
    } == counted
    own = [pcod for pcod in counted if pcod in share.index and rows[pcod]["share_of_area_above"] == "no"]
    assert own
    for pcod in own:
        assert int(rows[pcod]["corrected_residents_2016-01"]) == round(counted[pcod] / share[pcod])
    assert all(not row["residents_2015-12"] and row["status"] == "no data" for row in rows.values())
    for day in data.days:
        name = f"day {day.first}"
        assert day.values == (
            dict(zip(answers[name]["pcod"], answers[name]["value"], strict=True)) if name in answers else None
        )
    assert len(data.present) == LAST.day
