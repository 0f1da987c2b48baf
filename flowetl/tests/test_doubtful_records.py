"""Tell records that are doubtful from those that are wrong, and keep both apart."""

import datetime as dt
from pathlib import Path

import pytest

from flowetl.backfill import missing_days
from flowetl.errors import DataFault, Held
from flowetl.geography import load_geography
from flowetl.loading import load_day
from flowetl.report import LATE, calendar
from flowetl.sampling import find, sample

from .test_forms import BASE, DAY, given, text
from .test_forms import deliver as deliver_of

deliver = deliver_of
HEAD = ",".join(BASE["fields"])


def test_who_withholds_a_number_is_not_unreadable(operator, deliver) -> None:
    others = ("anonymous", "0", "123", "*100#", "98410000.1", "9842000001")
    lines = [f"MOC,{DAY} 10:00:00,9841000001,{other},c1" for other in others]
    content = "\n".join([HEAD, *lines, ""])
    assert deliver({f"calls_{DAY}.csv": content}, rejects={"maximum_unreadable": 0.2}).rows == 6
    assert operator.rows("SELECT column_name, records FROM etl.unreadable") == [("msisdn_counterpart", 1)]
    assert operator.value("SELECT count(msisdn_counterpart) FROM events.calls") == 1
    outcomes = dict(operator.rows("SELECT type_of_query_or_check, outcome FROM etl.post_etl_queries"))
    assert outcomes["unreadable_msisdn_counterpart"] == "1"
    assert outcomes["no_number_msisdn_counterpart"] == "4"
    assert "msisdn_counterpart" not in (operator.value("SELECT note FROM etl.loads") or "")

    source, item, date = find(operator.deployment, Path(f"calls_{DAY}.csv"), None, None)
    doubts = sample(operator.deployment, source, item, date, 1).suspicious
    assert (
        "msisdn_counterpart is no number in 4 of 6 records, such as a withheld one or a service, and would be empty"
        in doubts
    )
    assert "msisdn_counterpart could not be read in 1 of 6 records and would be empty" in doubts

    # A reload without such records leaves none of the old counts.
    content = "\n".join([HEAD, *lines[-1:], ""])
    deliver({f"calls_{DAY}.csv": content})
    outcomes = dict(operator.rows("SELECT type_of_query_or_check, outcome FROM etl.deduped_post_etl_queries"))
    assert (outcomes["unreadable_msisdn_counterpart"], outcomes["no_number_msisdn_counterpart"]) == ("0", "0")


def test_a_word_that_is_not_translated_sinks_no_record_but_an_unknown_direction_does(
    operator, deliver
) -> None:
    fields = [*BASE["fields"], "country", "net"]
    rows = (("MOC", "NPL", "N"), ("MTC", "XXX", "?"), ("CFW", "NPL", "N"))
    lines = [
        f"{kind},{DAY} 10:00:0{at},984100000{at},9842000001,c1,{country},{net}"
        for at, (kind, country, net) in enumerate(rows)
    ]
    deliver(
        {f"calls_{DAY}.csv": "\n".join([",".join(fields), *lines, ""])},
        fields=fields,
        mapping=BASE["mapping"]
        | {
            "country_code": {"column": "country", "values": {"NPL": 524}},
            "network": {"column": "net", "values": {"N": "Namaste"}},
        },
    )
    found = operator.rows(
        "SELECT outgoing, country_code::integer, network FROM events.calls ORDER BY datetime"
    )
    assert found == [(True, 524, "Namaste"), (False, None, None)]
    assert operator.rows("SELECT reason, records FROM etl.rejects") == [("malformed_outgoing", 1)]
    unread = operator.rows("SELECT column_name, records FROM etl.unreadable ORDER BY 1")
    assert unread == [("country_code", 1), ("network", 1)]


@pytest.mark.parametrize("seconds", [0, 59])
def test_calls_that_have_the_same_parties_both_ways_are_not_the_served_party_s(
    operator, deliver, seconds: int
) -> None:
    """Check a field whose name tells nothing, in a file without SIMs."""
    start = dt.datetime.combine(DAY, dt.time(10))
    pairs = [(f"98410000{n:02}", f"98420000{n:02}") for n in range(12)]
    lines = []
    for at, (caller, called) in enumerate(pairs):
        for kind, later in (("MOC", 0), ("MTC", seconds)):
            moment = start + dt.timedelta(minutes=10 * at, seconds=later)
            lines.append(f"{kind},{moment},{caller},{called},c1")
    files = {f"calls_{DAY}.csv": "\n".join([HEAD, *lines, ""])}
    with pytest.raises(DataFault, match="12 of 12 incoming calls have the subscriber and the other party"):
        deliver(files)
    mapping = BASE["mapping"] | {
        "msisdn": {"when": "kind", "MOC": "number", "MTC": "other"},
        "msisdn_counterpart": {"when": "kind", "MOC": "other", "MTC": "number"},
    }
    assert deliver(files, mapping=mapping).rows == 24
    assert operator.value("SELECT count(DISTINCT msisdn) FROM events.calls") == 24
    said = BASE["mapping"] | {"msisdn": {"column": "number", "served": True}}
    assert deliver(files, mapping=said).rows == 24


def test_sims_of_two_subscribers_refuse_a_day(operator, deliver) -> None:
    fields = [*BASE["fields"], "sim"]
    lines = []
    for n in range(12):
        one, other = f"98410000{n:02}", f"98410000{(n + 1) % 12:02}"
        sims = (f"4290112345678{n:02}", f"4290112345678{(n + 1) % 12:02}")
        lines += [
            f"MOC,{DAY} 10:{n:02}:00,{one},{other},c1,{sims[0]}",
            f"MTC,{DAY} 15:{n:02}:00,{one},{other},c1,{sims[1]}",
        ]
    files = {f"calls_{DAY}.csv": "\n".join([",".join(fields), *lines, ""])}
    mapping = BASE["mapping"] | {"imsi": "sim"}
    with pytest.raises(DataFault, match="12 of 12 SIMs have one subscriber in outgoing records and another"):
        deliver(files, fields=fields, mapping=mapping)
    served = {"msisdn": {"when": "kind", "MOC": "number", "MTC": "other"}}
    counterpart = {"msisdn_counterpart": {"when": "kind", "MOC": "other", "MTC": "number"}}
    assert deliver(files, fields=fields, mapping=mapping | served | counterpart).rows == 24


def test_people_who_call_back_are_no_sign_of_a_wrong_party(deliver) -> None:
    """Check calls to and from another network, of which one party has a record."""
    lines = [
        f"{kind},{DAY} {hour}:{n:02}:00,98410000{n:02},98420000{n:02},c1"
        for n in range(30)
        for kind, hour in (("MOC", 10), ("MTC", 11))
    ]
    assert deliver({f"calls_{DAY}.csv": "\n".join([HEAD, *lines, ""])}).rows == 60


def test_a_day_with_too_much_unread_is_held_until_accepted(operator, deliver) -> None:
    lines = [f"MOC,{DAY} 10:00:0{n},984100000{n},98420000.{n},c1" for n in range(5)]
    files = {f"calls_{DAY}.csv": "\n".join([HEAD, *lines, ""])}
    with pytest.raises(
        Held, match=r"could not be read in 5 of 5 records.*correct mapping\.msisdn_counterpart"
    ):
        deliver(files, rejects={"unreadable": "hold"})
    assert operator.rows("SELECT state FROM etl.loads") == [("held",)]
    source = operator.sources["s"]
    assert load_day(operator.deployment, source, DAY, accepted="as agreed").rows == 5
    assert "accepted: as agreed" in operator.value("SELECT note FROM etl.loads WHERE state = 'ingested'")


@pytest.mark.parametrize("action", ["merge", "quarantine"])
def test_late_records_are_merged_or_kept_apart_and_told(operator, deliver, action: str) -> None:
    day = dt.datetime.now(dt.UTC).date() - dt.timedelta(3)
    changed = {"days": "by_record", "late": {"days": 1, "action": action}, "start": str(day)}
    name = f"calls_{day + dt.timedelta(1)}.csv"
    deliver({f"calls_{day}.csv": text(5, day)}, day, **changed)
    source = operator.sources["s"]
    last = day + dt.timedelta(2)

    def told() -> tuple[str, str | None]:
        (found,) = [entry for entry in calendar(operator.deployment) if entry["date"] == day]
        return found["state"], found["reason"]

    before = told()
    assert day not in missing_days(operator.deployment, source, day, last).days
    late = text(3, day, first=10) + text(2, day + dt.timedelta(1), header=False)
    (operator.deployment.landing / name).write_text(late)
    due = day in missing_days(operator.deployment, source, day, last).days
    assert due is (action == "merge")
    assert told() == (before if action == "merge" else ("loaded", LATE))
    assert load_day(operator.deployment, source, day).rows == 8
    assert told() == before


def test_validate_config_shows_the_records_of_each_source(operator) -> None:
    given(operator)
    assert "calls_" not in operator.command("validate-config").stdout
    told = operator.command("validate-config", "--records").stdout
    assert "note: s.yml: no file of calls_{date}.csv is in the landing folder" in told
    (operator.deployment.landing / f"calls_{DAY}.csv").write_text(text(40))
    told = operator.command("validate-config", "--records", "--rows", "1").stdout
    assert "good: s.yml: s (calls), 0 2 * * *" in told
    assert "40 records in all: 40 would be loaded, 0 refused" in told
    assert told.count('"msisdn":') == 1
    assert "98410" not in told
    (operator.deployment.landing / f"calls_{DAY}.csv").write_text(text(40).replace("MOC", "XXX"))
    wrong = operator.command("validate-config", "--records", check=False)
    assert wrong.returncode == 1
    assert "refused: malformed_outgoing: 40 (100.0%)" in wrong.stdout


def test_device_codes_without_their_last_digit_are_doubtful(operator) -> None:
    fields = [*BASE["fields"], "imei"]
    given(operator, fields=fields, mapping=BASE["mapping"] | {"imei": "imei"})
    lines = [
        f"MOC,{DAY} 10:00:0{at},984100000{at},9842000001,c1,{code}"
        for at, code in enumerate(("35123456789010", "351234567890101", ""))
    ]
    path = operator.deployment.landing / f"calls_{DAY}.csv"
    path.write_text("\n".join([",".join(fields), *lines, ""]))
    source, item, date = find(operator.deployment, Path(path.name), None, None)
    doubts = sample(operator.deployment, source, item, date, 1).suspicious
    assert any(doubt.startswith("1 device codes have 14 digits") for doubt in doubts)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("latitude", "27,5", "latitude '27,5': is not a number of degrees such as 27.7172"),
        ("latitude", "91", "latitude '91': is not within 90 degrees of zero"),
        ("longitude", "nan", "longitude 'nan': is not within 180 degrees of zero"),
        ("version", "one", "version 'one': is not a whole number"),
        ("date_of_first_service", "01.02.2015", "'01.02.2015': is not a date such as 2016-01-31"),
        ("id", "", "id '': is empty"),
    ],
)
def test_a_fault_of_a_cell_list_names_the_line_the_value_and_what_is_allowed(
    operator, tmp_path: Path, column: str, value: str, told: str
) -> None:
    values = {"id": "a", "latitude": "27", "longitude": "85", "version": "", "date_of_first_service": ""}
    values[column] = f'"{value}"'
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "cells.csv").write_text(f"{','.join(values)}\n{','.join(values.values())}\n")
    with pytest.raises(DataFault) as refused:
        load_geography(operator.deployment, tmp_path / "lists")
    assert f"cells.csv line 2: {'' if told.startswith(column) else column + ' '}{told}" in str(refused.value)


def test_a_device_list_says_what_a_model_is(operator, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "tacs.csv").write_text("id,brand\n3512345x,Danfe\n351234567,Danfe\n")
    with pytest.raises(
        DataFault, match="line 2: id '3512345x': is not a number of up to 8 digits; line 3: id"
    ):
        load_geography(operator.deployment, tmp_path / "lists")


def test_a_file_of_another_name_or_delimiter_is_told_with_the_cure(operator) -> None:
    given(operator, path="calls_{date:%Y%m%d}.csv")
    described = operator.deployment.sources_folder / "s.yml"
    empty = operator.command("source", "check", str(described), check=False).stderr
    assert (
        "no file of calls_{date:%Y%m%d}.csv is in the landing folder, which is empty. Correct path" in empty
    )
    (operator.deployment.landing / f"calls_{DAY}.csv").write_text(text(3, sep=";"))
    other = operator.command("source", "check", str(described), check=False).stderr
    assert f"is in the landing folder; there are: calls_{DAY}.csv. Correct path, or name the file" in other
    given(operator)
    delimiter = operator.command("source", "check", str(described), check=False).stderr
    assert "The file has ';' between its fields: set format.delimiter to it" in delimiter
    given(operator, format={"delimiter": ";"}, fields=[*BASE["fields"], "more"])
    fields = operator.command("source", "check", str(described), check=False).stderr
    assert "missing more; unexpected none" in fields
    assert "Correct fields, format.delimiter, or format.header" in fields


def test_a_time_of_another_form_is_told_with_the_form_that_is_expected(operator) -> None:
    given(operator, mapping=BASE["mapping"] | {"datetime": {"column": "started", "format": "%d.%m.%Y %H:%M"}})
    path = operator.deployment.landing / f"calls_{DAY}.csv"
    path.write_text(text(2))
    source, item, date = find(operator.deployment, Path(path.name), None, None)
    ((_, reason, hint), _) = sample(operator.deployment, source, item, date, 1).doubts
    assert reason == "malformed_datetime"
    assert hint.startswith("mapping.datetime read 4 digits, '-', 2 digits")
    assert hint.endswith("; its format is %d.%m.%Y %H:%M")


def test_the_days_of_a_sample_of_years_ago_are_shown(operator, deliver) -> None:
    files = {f"calls_{day}.csv": text(2, day) for day in (DAY, DAY + dt.timedelta(1))}
    deliver(files, start=str(DAY), end=str(DAY + dt.timedelta(2)))
    found = {day["date"]: day["state"] for day in calendar(operator.deployment)}
    assert list(found.values()) == ["loaded", "due", "missing"]
    assert list(calendar(operator.deployment, 1)[0].values())[2] == DAY + dt.timedelta(2)


def test_an_export_of_cells_that_was_not_read_is_told(operator, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "cells.csv").write_text("id,lat,lon\na,27,85\n")
    for name in ("429.csv.gz", "cell_towers.csv.gz", "calls_429.csv.gz"):
        (tmp_path / "lists" / name).write_text("x")
    told: list[str] = []
    load_geography(operator.deployment, tmp_path / "lists", tell=told.append)
    assert [note.partition(" was not read")[0] for note in told] == ["429.csv.gz", "cell_towers.csv.gz"]
