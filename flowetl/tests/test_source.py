"""Source files: what is accepted, and how a wrong one is told."""

from pathlib import Path

import pytest
import yaml

import flowetl
from flowetl.errors import ConfigurationError
from flowetl.source import read_source, read_sources

PACKAGED = Path(flowetl.__file__).parent / "sources" / "synthetic"


def changed(tmp_path: Path, **changes: object) -> Path:
    content = yaml.safe_load((PACKAGED / "calls.yml").read_text()) | changes
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
        ({"path": "calls.csv"}, "path: 'calls.csv' must hold {date} exactly once"),
        ({"path": "/data/{date}.csv"}, "must be relative to the landing folder"),
        ({"timezone": "Mars/Olympus"}, "timezone: 'Mars/Olympus' is not a time zone of the IANA database"),
        ({"schedule": "nightly"}, "schedule: 'nightly' is not a cron expression"),
        ({"start": None}, "start: Field required"),
        ({"end": "2015-12-31"}, "end 2015-12-31 is before start 2016-01-01"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
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
            "needs exactly one of column, sum and constant",
        ),
        ({"indexes": ["volume_total"]}, "indexes: no column 'volume_total' of calls"),
        (
            {"format": {"encoding": "utf-16"}},
            "format.encoding: 'utf-16' is not an encoding that extends ASCII",
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
