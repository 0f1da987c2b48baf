"""Source files: what is accepted, and how a wrong one is told."""

from pathlib import Path

import pytest
import yaml

import flowetl
from flowetl.errors import ConfigurationError
from flowetl.expressions import has_offset
from flowetl.source import read_source, read_sources

PACKAGED = Path(flowetl.__file__).parent / "sources" / "synthetic"


def changed(tmp_path: Path, **changes: object) -> Path:
    content = yaml.safe_load((PACKAGED / "calls.yml").read_text())
    content["fields"].append("msisdn")
    content |= changes
    path = tmp_path / "calls.yml"
    path.write_text(yaml.safe_dump({name: value for name, value in content.items() if value is not None}))
    return path


def test_the_packaged_sources_are_sound() -> None:
    assert {source.cdr_type for source in read_sources(PACKAGED).values()} == {
        "calls",
        "sms",
        "mds",
        "topups",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cdr_type": "faxes"}, "cdr_type: Input should be 'calls', 'sms', 'mds' or 'topups'"),
        ({"path": "calls.csv"}, "path: 'calls.csv' holds no {date}"),
        ({"path": "/data/{date}.csv"}, "must be relative to the landing folder"),
        ({"timezone": "Mars/Olympus"}, "timezone: 'Mars/Olympus' is not a time zone of the IANA database"),
        ({"schedule": "*/0 * * * *"}, "a step of minute is 0; it must be 1 or more"),
        ({"schedule": "nightly"}, "schedule: 'nightly' is not a cron expression"),
        ({"start": None}, "start: Field required"),
        ({"end": "2015-12-31"}, "end 2015-12-31 is before start 2016-01-01"),
        ({"colour": "red"}, "colour: no such key; allowed: name, cdr_type, path, table"),
        ({"mapping": {"msisdn": "msisdn"}}, "mapping.datetime is missing"),
        (
            {"mapping": {"msisdn": "number", "datetime": "start_time"}},
            "mapping.msisdn: 'number' is not among fields",
        ),
        (
            {"mapping": {"msisdn": "msisdn", "datetime": "start_time", "colour": "imei"}},
            "mapping.colour: no such column of calls",
        ),
        (
            {"mapping": {"msisdn": {"column": "msisdn", "constant": "x"}, "datetime": "start_time"}},
            "needs exactly one of column, join, when, sum and constant",
        ),
        ({"indexes": ["volume_total"]}, "indexes: no column 'volume_total' of calls"),
        (
            {"format": {"encoding": "utf-32"}},
            "format.encoding: 'utf-32' is not an encoding that extends ASCII",
        ),
        ({"rejects": {"maximum_rate": 2}}, "rejects.maximum_rate: Input should be less than or equal to 1"),
        ({"identifiers": {"pseudonymise": "upstream"}}, "mapping.tac is missing"),
    ],
)
def test_a_wrong_source_names_the_key_and_what_is_allowed(tmp_path: Path, changes: dict, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_source(changed(tmp_path, **changes))
    assert "calls.yml" in str(raised.value)
    assert told in str(raised.value)


def test_two_sources_may_not_load_the_same_days(tmp_path: Path) -> None:
    changed(tmp_path)
    (tmp_path / "more.yml").write_text(
        (tmp_path / "calls.yml").read_text().replace("name: calls", "name: more")
    )
    with pytest.raises(ConfigurationError, match=r"more.yml: .* calls .* from 2016-01-01"):
        read_sources(tmp_path)


def test_the_mapping_version_moves_with_what_shapes_rows_only(tmp_path: Path) -> None:
    base = read_source(changed(tmp_path)).mapping_version
    assert read_source(changed(tmp_path, schedule="0 5 * * *")).mapping_version == base
    assert read_source(changed(tmp_path, timezone="Asia/Kathmandu")).mapping_version != base


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"mapping": {"msisdn": "msisdn", "datetime": "start_time", "id": "msisdn"}},
            "mapping.id: 'msisdn' is the raw identifier of mapping.msisdn",
        ),
        (
            {"mapping": {"msisdn": "msisdn", "datetime": "start_time", "duration": "msisdn"}},
            "mapping.duration: 'msisdn' is the raw identifier of mapping.msisdn",
        ),
        ({"fields": ["a", "A"]}, "names that differ by case alone are the same"),
        ({"schedule": "99 2 * * *"}, "minute 99 is not within 0 to 59"),
        ({"schedule": "0 2 0 * *"}, "day 0 is not within 1 to 31"),
        ({"schedule": "0 2-30 * * *"}, "hour 30 is not within 0 to 23"),
        (
            {"mapping": {"msisdn": "msisdn", "datetime": {"column": "start_time", "format": "%Q"}}},
            "format: '%Q' is not a strptime pattern",
        ),
        (
            {"mapping": {"msisdn": "msisdn", "datetime": {"column": "start_time", "format": "%H:%M"}}},
            "format: '%H:%M' does not tell the day",
        ),
        (
            {"mapping": {"msisdn": "msisdn", "datetime": "start_time", "tac": {"constant": 123456789}}},
            "mapping.tac: 123456789.0 is not a number of 1 to 8 digits",
        ),
        ({"identifiers": {"national_lengths": [3]}}, "national_lengths.0: Input should be greater than"),
    ],
)
def test_a_source_that_could_not_be_loaded_soundly_is_refused(
    tmp_path: Path, changes: dict, told: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_source(changed(tmp_path, **changes))
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "pattern", ["%Y-%m-%dT%H:%M:%S%z", "%d.%m.%y %I:%M %p", "%Y%m%d", "%Y-%m-%d %H:%M:%S.%f"]
)
def test_a_format_that_tells_the_day_is_taken(tmp_path: Path, pattern: str) -> None:
    mapping = {"msisdn": "msisdn", "datetime": {"column": "start_time", "format": pattern}}
    expression = read_source(changed(tmp_path, mapping=mapping)).mapping["datetime"]
    assert [has_offset(pattern) for pattern in expression.patterns] == ["%z" in pattern]


def test_a_country_whose_numbers_are_not_described_gets_advice(tmp_path: Path) -> None:
    (advice,) = read_source(changed(tmp_path)).advice
    assert "a national number and the same number with its country in front are two subscribers" in advice
    (advice,) = read_source(changed(tmp_path, identifiers={"calling_code": "91"})).advice
    assert "a national number that begins with 91" in advice
    described = {"calling_code": "91", "trunk_prefix": "0", "national_lengths": [10]}
    assert read_source(changed(tmp_path, identifiers=described)).advice == ()


SWITCH = {
    "fields": ["kind", "time", "calling", "called"],
    "mapping": {
        "datetime": "time",
        "outgoing": {"column": "kind", "values": {"MOC": True, "MTC": False}},
        "msisdn": "calling",
        "msisdn_counterpart": "called",
    },
    "indexes": ["msisdn"],
}


@pytest.mark.parametrize(
    ("field", "party"),
    [
        ("calling", "caller"),
        ("called", "called"),
        ("A_NUMBER", "caller"),
        ("bParty", "called"),
        ("from", "caller"),
        ("number", None),
        ("subscriber_no", None),
    ],
)
def test_one_party_s_field_is_not_taken_for_the_served_party_s(
    tmp_path: Path, field: str, party: str | None
) -> None:
    fields = ["kind", "time", field, "x"]
    mapping = SWITCH["mapping"] | {"msisdn": field, "msisdn_counterpart": "x"}
    path = changed(tmp_path, **SWITCH | {"fields": fields, "mapping": mapping})
    if party is None:
        read_source(path)
        return
    with pytest.raises(
        ConfigurationError, match=f"names the {party}, who is not the served party of every record"
    ):
        read_source(path)
    served = mapping | {"msisdn": {"column": field, "served": True}}
    read_source(changed(tmp_path, **SWITCH | {"fields": fields, "mapping": served}))


def test_the_kind_of_record_says_who_is_served(tmp_path: Path) -> None:
    when = SWITCH["mapping"] | {
        "msisdn": {"when": "kind", "MOC": "calling", "MTC": "called"},
        "msisdn_counterpart": {"when": "kind", "MOC": "called", "MTC": "calling"},
    }
    read_source(changed(tmp_path, **SWITCH | {"mapping": when}))
    for wrong, told in (
        ({"when": "kind", "MOC": "nobody"}, "mapping.msisdn: 'nobody' is not among fields"),
        ({"when": "nothing", "MOC": "calling"}, "mapping.msisdn: 'nothing' is not among fields"),
        ({"when": "kind"}, "names no text and its field"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            read_source(changed(tmp_path, **SWITCH | {"mapping": when | {"msisdn": wrong}}))
    raw = when | {"id": "called"}
    with pytest.raises(
        ConfigurationError, match=r"mapping.id: 'called' is the raw identifier of mapping.msisdn"
    ):
        read_source(changed(tmp_path, **SWITCH | {"mapping": raw}))


def test_calls_of_both_parties_without_a_direction_get_advice(tmp_path: Path) -> None:
    mapping = {name: value for name, value in SWITCH["mapping"].items() if name != "outgoing"}
    described = {"calling_code": "91", "trunk_prefix": "0", "national_lengths": [10]}
    path = changed(tmp_path, **SWITCH | {"mapping": mapping, "identifiers": described})
    (advice,) = read_source(path).advice
    assert "both parties are mapped and no direction" in advice
