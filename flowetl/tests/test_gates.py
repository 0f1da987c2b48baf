"""Hold readable days back: unknown cells, half a day, the source's own bounds."""

import dataclasses
import datetime as dt

import pytest

from flowetl.errors import ConfigurationError, Held
from flowetl.loading import load_day

TIMES = [f"{hour:02}:00:00" for hour in range(10)]


def list_cells(operator, *cells: str, first: str | None = None) -> None:
    for cell in cells:
        operator.rows(
            "INSERT INTO infrastructure.cells (id, version, date_of_first_service, geom_point) "
            "VALUES (%s, 0, %s, ST_SetSRID(ST_MakePoint(1, 1), 4326))",
            cell,
            first,
        )


def write(operator, cells: list[str], day: dt.date | None = None) -> None:
    who, other, date = operator.alice, operator.bob, day or operator.day
    rows = [
        operator.call(str(place), TIMES[place], who, other, cell=cell, day=date)
        for place, cell in enumerate(cells)
    ]
    operator.write("calls", rows, date)


def changed(operator, **keys):
    return operator.sources["calls"].model_copy(update=keys)


@pytest.mark.parametrize(("known", "loads"), [(5, True), (4, False)])
def test_half_of_the_cells_must_be_known(operator, known, loads) -> None:
    list_cells(operator, "c1")
    write(operator, ["c1"] * known + ["x"] * (10 - known))
    if loads:
        assert operator.load().rows == 10
        return
    with pytest.raises(Held, match=r"only 4 of 10 records .* minimum_known_cells 0.5.*command accept"):
        operator.load()
    assert operator.rows("SELECT state FROM etl.loads") == [("held",)]
    assert operator.rows("SELECT * FROM etl.available_dates") == []


def test_a_loaded_day_is_told_beside_what_is_known(operator) -> None:
    list_cells(operator, "c1")
    operator.rows(
        "INSERT INTO infrastructure.tacs (id, brand, model, hnd_type) VALUES (35123456, 'D', 'D1', 'Smart')"
    )
    for week in (1, 2):
        day = operator.day - dt.timedelta(weeks=week)
        write(operator, ["c1"] * 5, day)
        load_day(operator.deployment, changed(operator, start=day), day)
    write(operator, ["c1", "c1", "", "", "", ""])
    told = operator.command("run", "--source", "calls", "--date", str(operator.day)).stdout
    assert (
        "33 % of records are at a known cell; 100 % of records are of a known device model; "
        "120 % of the 5 records that are usual on this weekday\n"
        "note: only 2 of 6 records name a cell\n"
    ) in told


def test_source_before_deployment_says_how_many(operator) -> None:
    list_cells(operator, "c1")
    write(operator, ["c1", "x", "x", "x"])
    with pytest.raises(Held):
        load_day(operator.deployment, changed(operator, minimum_known_cells=0.3), operator.day)
    lenient = dataclasses.replace(operator.deployment, minimum_known_cells=0.2)
    with pytest.raises(Held):
        load_day(lenient, changed(operator, minimum_known_cells=0.3), operator.day)
    assert load_day(lenient, operator.sources["calls"], operator.day).rows == 4


def test_the_deployment_says_it_by_a_setting(operator) -> None:
    list_cells(operator, "c1")
    write(operator, ["c1", "x", "x"])
    run = ("run", "--source", "calls", "--date", str(operator.day))
    assert "minimum_known_cells 0.5" in operator.command(*run, check=False).stderr
    operator.environment["FLOWETL_MINIMUM_KNOWN_CELLS"] = "1.5"
    assert "FLOWETL_MINIMUM_KNOWN_CELLS" in operator.command(*run, check=False).stderr
    operator.environment["FLOWETL_MINIMUM_KNOWN_CELLS"] = "0.3"
    operator.command(*run)


@pytest.mark.parametrize(
    ("listed", "came", "told"),
    [
        ("2367", "2367.0", r"without \.0 at their end, 2 more would be known"),
        ("2367", "02367", "without leading zeros, 2 more"),
        ("ktm-1", "KTM-1", "in small letters, 2 more"),
        ("429-1-2", "42912", "without blanks and separators, 2 more"),
        ("alpha", "9999", "such as alpha, what came was 4 digits; correct mapping.location_id"),
    ],
)
def test_the_cure_is_told(operator, listed, came, told) -> None:
    list_cells(operator, listed)
    write(operator, [came, came])
    with pytest.raises(Held, match=told) as error:
        operator.load()
    assert came not in str(error.value)


def test_cells_of_another_time_are_told(operator) -> None:
    list_cells(operator, "c1", first="2017-01-01")
    write(operator, ["c1"])
    with pytest.raises(Held, match="does not serve on that day; correct date_of_first_service"):
        operator.load()


def test_days_before_the_first_cell_list_are_loaded_with_a_word(operator) -> None:
    write(operator, ["c1"])
    operator.load()
    assert "no cell list is loaded" in operator.value("SELECT note FROM etl.loads")


def test_half_a_day_stays_back_until_accepted(operator) -> None:
    for week, rows in enumerate([8, 6, 9, 7], start=1):
        day = operator.day + dt.timedelta(weeks=week)
        write(operator, ["c1"] * rows, day)
        operator.load(day=day)
    last = operator.day + dt.timedelta(weeks=5)
    write(operator, ["c1"] * 3, last)
    with pytest.raises(Held, match=r"3 records are less than minimum_share 0.5 of the 7.5 that are usual"):
        operator.load(day=last)
    status = operator.command("status").stdout
    assert f"{last} held:" in status
    operator.command("accept", "--source", "calls", "--date", str(last), "--reason", "a holiday")
    assert operator.value("SELECT count(*) FROM events.calls WHERE datetime >= %s", last) == 3
    note = operator.value("SELECT note FROM etl.loads WHERE state = 'ingested' AND cdr_date = %s", last)
    assert "accepted: a holiday" in note
    assert "3 records" in note
    write(operator, ["c1"] * 4, last)
    assert operator.load(day=last).rows == 4


def test_a_source_bounds_the_outcome_of_a_check(operator) -> None:
    write(operator, ["c1"] * 4)
    gate = {"count_null_imeis": {"minimum": 1, "action": "hold"}, "count_added_rows": {"maximum_share": 0.5}}
    source = type(operator.sources["calls"]).model_validate(
        operator.sources["calls"].model_dump(exclude={"mapping", "gates"})
        | {"mapping": operator.sources["calls"].mapping, "gates": gate}
    )
    with pytest.raises(Held, match=r"count_null_imeis is 0, beyond gates.count_null_imeis.minimum 1"):
        load_day(operator.deployment, source, operator.day)
    load_day(operator.deployment, source, operator.day, accepted="as agreed")
    told = "count_added_rows is 1 of the rows, beyond gates.count_added_rows.maximum_share 0.5"
    assert told in operator.value("SELECT note FROM etl.loads WHERE state = 'ingested'")


def test_a_gate_names_a_check(operator) -> None:
    path = operator.deployment.sources_folder / "calls.yml"
    path.write_text(path.read_text() + "gates: {count_nothing: {maximum: 1}}\n")
    told = operator.command("validate-config", check=False).stdout
    assert "gates.count_nothing: no such check of calls; allowed: count_added_rows" in told
    with pytest.raises(ConfigurationError, match=r"gates\.count_nothing"):
        operator.load()
