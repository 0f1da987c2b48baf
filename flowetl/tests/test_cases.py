"""Load small deliveries from public bug reports; see ``cases/README.md``."""

import datetime as dt
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowetl.errors import ConfigurationError, DataFault, Held
from flowetl.loading import Loaded, load_day

CASES = Path(__file__).parent / "cases"


@dataclass
class Delivery:
    """Hold one case: its files and its source as the documentation says."""

    operator: Any
    folder: Path
    day: dt.date

    def load(self, **changes: Any) -> Loaded:
        """Load the day with the case's source and changed keys; None omits a key."""
        content = yaml.safe_load((self.folder / "source.yml").read_text()) | {"stability": {"pause": 0}}
        for name, value in changes.items():
            content[name] = content[name] | value if isinstance(value, dict) and name in content else value
        content["mapping"] = {key: value for key, value in content["mapping"].items() if value is not None}
        content = {key: value for key, value in content.items() if value is not None}
        folder = self.operator.deployment.sources_folder
        for path in folder.glob("*.yml"):
            path.unlink()
        (folder / "s.yml").write_text(yaml.safe_dump(content))
        return load_day(self.operator.deployment, self.operator.sources["s"], self.day)

    def value(self, statement: str) -> Any:
        return self.operator.value(statement)

    def reasons(self) -> dict[str, int]:
        newest = "(SELECT load_id FROM etl.loads ORDER BY started DESC LIMIT 1)"
        return dict(self.operator.rows(f"SELECT reason, records FROM etl.rejects WHERE load_id = {newest}"))


@pytest.fixture
def delivery(operator) -> Callable[[str], Delivery]:
    def deliver(number: str) -> Delivery:
        (folder,) = CASES.glob(f"{number}-*")
        day = dt.date(2020, 1, 1)
        for path in folder.iterdir():
            if path.name not in ("case.md", "source.yml"):
                shutil.copy(path, operator.deployment.landing)
                if found := re.search(r"(2020)-?(\d\d)-?(\d\d)", path.name):
                    day = dt.date(*map(int, found.groups()))
        return Delivery(operator, folder, day)

    return deliver


def test_date_and_time_in_two_columns(delivery) -> None:
    case = delivery("01")
    when = {"join": ["day", "clock"], "with": " ", "format": "%d-%m-%Y %H:%M:%S"}
    mapping = yaml.safe_load((case.folder / "source.yml").read_text())["mapping"]
    assert case.load(mapping=mapping | {"datetime": when}).rows == 30
    assert case.value("SELECT min(datetime) FROM events.calls") == dt.datetime(
        2020, 3, 1, 8, 0, 25, tzinfo=dt.UTC
    )
    assert case.value("SELECT min(duration) FROM events.calls") == 147


def test_pseudonyms_that_are_integers(delivery) -> None:
    case = delivery("07")
    with pytest.raises(
        DataFault, match=r"look like raw identifiers.*6 digits.*32 to 64 hexadecimal.*identifiers.pattern"
    ):
        case.load()
    assert case.load(identifiers={"pattern": "[0-9]{1,6}"}).rows == 60
    assert case.value("SELECT count(DISTINCT msisdn) FROM events.calls") == 60
    assert case.value("SELECT bool_and(msisdn ~ '^[0-9a-f]{64}$') FROM events.calls")


def test_epoch_seconds(delivery) -> None:
    case = delivery("08")
    mapping = {"datetime": {"column": "started", "format": "epoch_s"}}
    assert case.load(mapping=mapping).rows == 30
    assert case.value("SELECT min(datetime) FROM events.calls") == dt.datetime(2020, 3, 8, 8, tzinfo=dt.UTC)


def test_the_caller_is_not_the_served_party_of_an_incoming_call(delivery) -> None:
    case = delivery("112")
    with pytest.raises(ConfigurationError, match="'calling' names the caller, who is not the served party"):
        case.load()
    mapping = {
        "msisdn": {"when": "record_type", "MOC": "calling", "MTC": "called"},
        "msisdn_counterpart": {"when": "record_type", "MOC": "called", "MTC": "calling"},
    }
    assert case.load(mapping=mapping).rows == 1000
    assert (
        case.value(
            "SELECT count(*) FROM events.calls AS one JOIN events.calls AS other ON one.msisdn = other.msisdn_counterpart"
        )
        == 0
    )
    # The SIM and the number of one person end in the same digits in this file.
    assert case.value("SELECT count(DISTINCT (msisdn, imsi)) FROM events.calls") == 1000


def test_nine_people_in_two_spellings_stay_nine(delivery) -> None:
    case = delivery("113")
    case.load(rejects={"tolerated": 20})
    assert case.value("SELECT count(DISTINCT msisdn) FROM events.calls") == 9
    assert case.reasons() == {"malformed_msisdn": 9}


def test_counterparts_as_floats_are_unknown_and_counted(delivery) -> None:
    case = delivery("19")
    assert case.load().rows == 30
    assert case.value("SELECT count(msisdn_counterpart) FROM events.calls") == 0
    assert case.operator.rows("SELECT column_name, records FROM etl.unreadable") == [
        ("msisdn_counterpart", 27)
    ]
    assert "msisdn_counterpart could not be read in 27 of 30 records" in case.value(
        "SELECT note FROM etl.loads"
    )
    outcome = "SELECT outcome FROM etl.post_etl_queries WHERE type_of_query_or_check = 'unreadable_msisdn_counterpart'"
    assert case.value(outcome) == "27"
    with pytest.raises(DataFault, match="msisdn_counterpart could not be read in 27 of 30 records"):
        case.load(rejects={"unreadable": "hold"})


def test_hex_filler_is_taken_off_where_the_source_says_so(delivery) -> None:
    case = delivery("20")
    with pytest.raises(
        DataFault,
        match=r"mapping.msisdn must be a number of 8 or 10 digits.*what came was 13 digits, 1 letter",
    ):
        case.load()
    assert case.load(identifiers={"filler": "F"}).rows == 30
    assert case.reasons() == {}


def test_a_negative_duration_is_none(delivery) -> None:
    case = delivery("21")
    assert case.load().rows == 30
    assert case.value("SELECT min(duration) FROM events.calls") == 60
    assert case.operator.rows("SELECT column_name FROM etl.unreadable") == [("duration",)]


def test_a_duration_as_a_clock(delivery) -> None:
    case = delivery("22")
    assert case.load(mapping={"duration": {"column": "seconds", "form": "clock"}}).rows == 30
    assert case.value("SELECT min(duration) FROM events.calls") == 60
    assert case.value("SELECT count(duration) FROM events.calls") == 30


def test_z_is_utc(delivery) -> None:
    case = delivery("24")
    assert case.load().rows == 30
    earliest = dt.datetime(2020, 3, 24, 8, 0, 0, 91000, tzinfo=dt.UTC)
    assert case.value("SELECT min(datetime) FROM events.calls") == earliest
    with pytest.raises(ConfigurationError, match=r"passes over the Z, which says UTC.*%z"):
        case.load(mapping={"datetime": {"column": "started", "format": "%Y-%m-%dT%H:%M:%S.%fZ"}})


def test_a_fraction_that_is_missing_on_the_full_second(delivery) -> None:
    case = delivery("27")
    formats = ["%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S"]
    assert case.load(mapping={"datetime": {"column": "started", "format": formats}}).rows == 300
    assert case.reasons() == {}


def test_placeholders_of_everybody_are_nobody(delivery) -> None:
    case = delivery("38")
    with pytest.raises(DataFault, match="most frequent: no_number 30"):
        case.load()
    assert case.reasons() == {"no_number": 30}
    assert case.value("SELECT count(*) FROM etl.subscriber_keys") == 0


def test_service_codes_as_counterparts_keep_the_record(delivery) -> None:
    case = delivery("91")
    assert case.load().rows == 1000
    assert case.value("SELECT count(*) FROM events.calls WHERE msisdn_counterpart IS NULL") == 50


def test_devices_that_are_none_keep_the_record(delivery) -> None:
    case = delivery("93")
    assert case.load().rows == 1000
    assert case.value("SELECT count(*) FROM events.calls WHERE imei IS NULL AND tac IS NULL") == 50


@pytest.mark.parametrize(
    ("number", "told"),
    [("03", r"without \.0 at their end, 30 more"), ("36", "without leading zeros, 30 more")],
)
def test_cells_that_are_in_no_list(delivery, number, told) -> None:
    case = delivery(number)
    case.operator.rows(
        "INSERT INTO infrastructure.cells (id, version, geom_point) SELECT n::text, 0, ST_SetSRID(ST_MakePoint(1, 1), 4326) "
        "FROM generate_series(2360, 2369) AS n"
    )
    with pytest.raises(Held, match=f"only 0 of 30 records name a cell.*{told} would be known"):
        case.load()


def test_record_types_of_several_widths_and_an_offset_column(delivery) -> None:
    case = delivery("02")
    source = yaml.safe_load((case.folder / "source.yml").read_text())
    fields = {kind: widths_of(case, source["fields"], kind) for kind in ("20", "30")}
    when = {"join": ["started", "offset"], "with": "", "format": "%Y%m%d%H%M%S%z"}
    loaded = case.load(
        fields=None,
        layouts={"by": 1} | fields,
        mapping={"datetime": when, "location_id": "rec"},
        identifiers={"msisdn": {"form": "imsi"}},
    )
    assert (loaded.rows, loaded.rejects) == (30, 0)
    assert case.value("SELECT min(datetime) FROM events.calls") == dt.datetime(
        2020, 3, 2, 2, 15, 16, tzinfo=dt.UTC
    )
    assert "1 records passed over" in case.value("SELECT note FROM etl.loads")


def widths_of(case: Delivery, fields: list[str], kind: str) -> list[str]:
    """The fields of one kind of record, as many as its lines have."""
    lines = next(case.folder.glob("f_*")).read_text().splitlines()
    width = len(next(line for line in lines if line.startswith(kind)).split(","))
    return [*fields[: width - 1], fields[-1]]


def test_calls_and_texts_in_one_file(delivery) -> None:
    case = delivery("05")
    calls = case.load(only={"interaction": ["call"]})
    texts = case.load(only={"interaction": ["text"]}, cdr_type="sms", mapping={"duration": None})
    assert (calls.rows + texts.rows, calls.rejects, texts.rejects) == (60, 0, 0)
    assert case.value("SELECT count(duration) FROM events.calls") == calls.rows


def test_garbage_after_gzip_is_told(delivery) -> None:
    case = delivery("11")
    assert case.load().rows == 30
    assert "what follows the end of its gzip stream was passed over" in case.value(
        "SELECT note FROM etl.loads"
    )


def test_a_delimiter_at_the_end_of_every_line(delivery) -> None:
    case = delivery("31")
    loaded = case.load()
    assert (loaded.rows, loaded.rejects) == (30, 0)


def test_lines_of_old_macintoshes(delivery) -> None:
    with pytest.raises(DataFault, match=r"lines end in a carriage return alone.*convert it"):
        delivery("42").load()


def test_the_form_of_the_date_in_a_name(delivery) -> None:
    assert delivery("44").load().rows == 30


def test_all_files_of_a_day(delivery) -> None:
    case = delivery("45")
    assert case.load().rows == 60
    assert case.value("SELECT count(*) FROM etl.source_files") == 2


def test_records_of_the_day_before(delivery) -> None:
    case = delivery("46")
    later = case.load(days="by_record")
    case.day -= dt.timedelta(1)
    shutil.copy(next(case.folder.glob("f_*")), case.operator.deployment.landing / f"f_{case.day}.csv")
    before = case.load(days="by_record")
    assert (later.rejects, before.rejects) == (0, 0)
    assert (later.rows, before.rows) == (270, 2 * 30)
