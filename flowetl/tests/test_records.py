"""Check records: typed, refused with a reason, or read with gaps."""

import csv
import datetime as dt
import gzip
import hashlib
import hmac
import stat
from dataclasses import replace

import numpy as np
import pytest

from flowetl import staging
from flowetl.deployment import Deployment
from flowetl.dictionary import known_subscribers
from flowetl.errors import DataFault
from flowetl.hashing import KeyedHash
from flowetl.loading import load_day

KEY = bytes.fromhex("05405135639dac4945ee8ce31a67c8ff45b1cc9abf553f2a173b6378acfe0ac9")


def pseudonym(label: str, normal: str) -> str:
    return hmac.new(KEY, f"{label}:{normal}".encode(), hashlib.sha256).hexdigest()


def test_bytes_become_megabytes(operator) -> None:
    who = operator.alice
    operator.write(
        "mds", [["d", "2016-01-01 12:00:00", 12.5, 1234567, 1, who.msisdn, who.imsi, who.imei, "c1"]]
    )
    operator.load("mds")
    volumes = operator.rows("SELECT volume_total, volume_upload, volume_download, duration FROM events.mds")
    assert [tuple(map(float, row)) for row in volumes] == [(1.234568, 1.234567, 0.000001, 12.5)]


def test_malformed_records_go_to_a_private_reject_file_without_their_content(operator) -> None:
    good = operator.two_calls()
    bad = [
        [*good[0][:2], "2016-13-45 25:61:00", *good[0][3:]],
        good[0][:5],
        [*good[0][:4], "98#12", *good[0][5:]],
        [*good[0][:4], "9812345601.0", *good[0][5:]],
        [good[0][0], "FAX", *good[0][2:]],
        [*good[0][:4], "", *good[0][5:]],
        [*good[0][:2], "2016-01-02 00:00:00", *good[0][3:]],
    ]
    operator.write("calls", good + bad)
    loaded = operator.load()
    assert (loaded.rows, loaded.rejects) == (3, 7)
    path = operator.deployment.rejects / "calls" / "2016-01-01.csv.gz"
    rejects = list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))
    assert [(int(reject["line"]), reject["reason"]) for reject in rejects] == [
        (5, "malformed_datetime"),
        (6, "wrong_number_of_fields"),
        (7, "no_number"),
        (8, "malformed_msisdn"),
        (9, "malformed_outgoing"),
        (10, "missing_msisdn"),
        (11, "other_day"),
    ]
    assert {len(reject["line_hash"]) for reject in rejects} == {64}
    assert (
        stat.S_IMODE(path.parent.stat().st_mode) == stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert operator.value("SELECT rejects FROM etl.loads") == 7
    assert operator.rows("SELECT records, first_line FROM etl.rejects WHERE reason = 'other_day'") == [
        (1, 11)
    ]

    operator.write("calls", good)
    operator.load()
    assert not path.exists()


def test_too_many_rejects_refuse_the_file_and_keep_the_day(operator) -> None:
    operator.write("calls", operator.two_calls())
    operator.load()
    before = operator.parquet()
    operator.write("calls", operator.two_calls() + [["x"]] * 21)
    with pytest.raises(
        DataFault, match=r"21 of 24 records are malformed, more than rejects.maximum_rate 0.01 allows"
    ):
        operator.load()
    assert operator.value("SELECT count(*) FROM events.calls") == 3
    assert operator.parquet() == before
    state, note, rejects = operator.rows(
        "SELECT state, note, rejects FROM etl.loads ORDER BY started DESC LIMIT 1"
    )[0]
    assert (state, rejects) == ("failed", 21)
    assert "wrong_number_of_fields 21" in note
    assert operator.rows("SELECT cdr_date FROM etl.available_dates") == [(operator.day,)]


def test_the_file_of_another_day_is_told_apart(operator) -> None:
    other = operator.day + dt.timedelta(days=1)
    rows = [operator.call("a", "10:00:00", operator.alice, operator.bob, day=other)] * 3
    operator.write("calls", rows)
    with pytest.raises(
        DataFault, match="holds another day: 3 of 3 records are of 2016-01-02, not 2016-01-01"
    ):
        operator.load()


def test_a_key_that_stands_for_another_pseudonym_refuses_the_day(operator) -> None:
    operator.write("calls", operator.two_calls())
    key = pseudonym("msisdn", operator.alice.msisdn)
    operator.rows("INSERT INTO etl.subscriber_keys SELECT subscriber_key(%s), 'another'", key)
    with pytest.raises(DataFault, match="a subscriber key already stands for another pseudonym"):
        operator.load()
    assert operator.value("SELECT count(*) FROM etl.available_dates") == 0
    assert operator.rows("SELECT pseudonym FROM etl.subscriber_keys") == [("another",)]


def test_one_key_of_many_known_ones_refuses_the_day_if_it_stands_for_another(operator) -> None:
    operator.write("calls", operator.two_calls())
    operator.load()
    before = operator.parquet()
    key = pseudonym("msisdn", operator.alice.msisdn)
    operator.rows(
        "UPDATE etl.subscriber_keys SET pseudonym = 'another' WHERE subscriber_key = subscriber_key(%s)", key
    )
    # As a new process, which has to ask the database.
    known_subscribers.cache_clear()
    with pytest.raises(DataFault, match="a subscriber key already stands for another pseudonym"):
        operator.load()
    assert operator.parquet() == before


def test_two_pseudonyms_with_one_key_are_refused(operator, monkeypatch) -> None:
    block = KeyedHash.block
    monkeypatch.setattr(
        KeyedHash,
        "block",
        lambda *given, **how: block(*given, **how)._replace(keys=np.full(len(given[2]), 7)),
    )
    monkeypatch.setenv(
        "FLOWETL_PSEUDONYM_KEY", "38636d685374771224f4f6d6b0306f69492eec9f87654eed0c5250fb6d2ceb5b"
    )
    operator.write("calls", operator.two_calls())
    with pytest.raises(DataFault, match="two pseudonyms have one 64-bit key"):
        operator.load()


def test_clocks_that_are_set_back_and_forward(cluster, operator, monkeypatch) -> None:
    """Check that repeated hours are the first pass and skipped hours follow the gap."""
    day = dt.date(2016, 3, 27)
    operator.write(
        "calls",
        [
            operator.call("a", time, operator.alice, operator.bob, day=day)
            for time in ("01:30:00", "02:30:00")
        ],
        day,
    )
    with cluster.database("Europe/Berlin") as database:
        for name, value in database.environment().items():
            monkeypatch.setenv(name, value)
        operator.deployment, operator.database = Deployment.from_settings(), database
        operator.load(day=day)
        hours = [
            row[0].astimezone(dt.UTC).hour
            for row in operator.rows("SELECT datetime FROM events.calls ORDER BY 1")
        ]
        assert hours == [0, 1]
        assert [row[2] for row in operator.parquet()] == [
            dt.datetime(2016, 3, 27, 1, 30),
            dt.datetime(2016, 3, 27, 3),
        ]


def remapped(operator, name: str = "calls", **mapping):
    """A source whose mapping differs in some columns."""
    source = operator.sources[name]
    return type(source).model_validate(source.model_dump() | {"mapping": source.mapping | mapping})


def test_a_record_whose_text_holds_its_raw_identifier_is_refused(operator) -> None:
    alice, bob = operator.alice, operator.bob
    dated = f"20160101{alice.msisdn[-8:]}"
    good = operator.call(dated, "10:00:00", alice, bob, cell=operator.carol.imei)
    bad = [
        operator.call(alice.msisdn, "10:00:00", alice, bob),
        operator.call(bob.msisdn.removeprefix("977"), "10:00:00", alice, bob),
        operator.call(f"x-{alice.msisdn}-17", "10:00:00", alice, bob),
        operator.call("+977 981-2345601", "10:00:00", alice, bob),
        operator.call("a", "10:00:00", alice, bob, cell=alice.imsi),
        operator.call("a", "10:00:00", alice, bob, cell=alice.imei + "7"),
    ]
    # The name of a sender may be that of a network.
    named = operator.call("98", "10:00:00", alice, replace(bob, msisdn="Vodafone"), cell="Vodafone")
    operator.write("calls", [named, good, *bad])
    loaded = operator.load()
    assert loaded.rejects == len(bad)
    assert operator.rows("SELECT reason, records FROM etl.rejects ORDER BY 1") == [
        ("identifier_in_id", 4),
        ("identifier_in_location_id", 2),
    ]
    # The number of a cell may look like a device, as long as it is not that of the same record.
    assert operator.rows("SELECT id, location_id FROM events.calls ORDER BY 1") == [
        (dated, operator.carol.imei),
        ("98", "Vodafone"),
    ]


def test_a_time_with_an_offset_is_that_instant_whatever_the_zones(cluster, operator, monkeypatch) -> None:
    with cluster.database("Asia/Kathmandu") as database:
        for name, value in database.environment().items():
            monkeypatch.setenv(name, value)
        operator.deployment, operator.database = Deployment.from_settings(), database
        operator.write(
            "calls",
            [
                operator.call("a", time, operator.alice, operator.bob)
                for time in ("10:00:00+0000", "10:00:00+0545")
            ],
        )
        source = remapped(operator, datetime={"column": "start_time", "format": "%Y-%m-%d %H:%M:%S%z"})
        load_day(operator.deployment, source, operator.day)
        assert operator.rows("SELECT datetime FROM events.calls ORDER BY 1") == [
            (dt.datetime(2016, 1, 1, 4, 15, tzinfo=dt.UTC),),
            (dt.datetime(2016, 1, 1, 10, tzinfo=dt.UTC),),
        ]
        # The checks of both databases read the deployment's clock.
        earliest = operator.value(
            "SELECT outcome FROM etl.deduped_post_etl_queries WHERE type_of_query_or_check = 'earliest_timestamp'"
        )
        assert earliest == "2016-01-01 10:00:00+05:45"


def test_an_upstream_source_may_have_the_key_id_of_ours(operator) -> None:
    hexadecimal = [f"{number:02x}" * 32 for number in range(6)]
    row = ["u", "SMMO", "2016-01-01 10:00:00", *hexadecimal[:4], "c1"]
    sms = operator.sources["sms"].model_dump()
    sms["identifiers"]["pseudonymise"] = "upstream"
    sms["mapping"] |= {"tac": {"constant": "35123456"}}
    operator.write("sms", [row])
    load_day(operator.deployment, type(operator.sources["sms"]).model_validate(sms), operator.day)
    operator.write("calls", operator.two_calls())
    assert operator.load().rows == 3


def test_a_record_that_no_table_or_index_can_hold_is_refused_alone(operator) -> None:
    rows = operator.two_calls()
    long = [*rows[0][:8], "x" * 3000]
    operator.write("calls", [*rows, long])
    assert operator.load().rejects == 1
    assert operator.value("SELECT reason FROM etl.rejects") == "malformed_location_id"

    source = operator.sources["calls"]
    with_tac = type(source).model_validate(
        source.model_dump()
        | {"fields": (*source.fields, "model"), "mapping": source.mapping | {"tac": "model"}}
    )
    models = ("35123456", "123456789", "-1", "12.5", "1e3", "")
    lines = [",".join(with_tac.fields), *(",".join(map(str, [*rows[0], model])) for model in models)]
    operator.write_bytes("calls", gzip.compress("\n".join([*lines, ""]).encode()))
    assert load_day(operator.deployment, with_tac, operator.day).rejects == 0
    assert operator.rows("SELECT tac::integer FROM events.calls ORDER BY 1") == [(35123456,), *[(None,)] * 5]
    assert operator.rows("SELECT column_name, records FROM etl.unreadable") == [("tac", 4)]


def test_refused_records_are_kept_one_by_one_up_to_a_bound(operator, monkeypatch) -> None:
    monkeypatch.setattr(staging, "REJECTS_KEPT", 2)
    operator.write("calls", [*operator.two_calls(), *[["x"]] * 5])
    assert operator.load().rejects == 5
    assert operator.rows("SELECT reason, records, first_line FROM etl.rejects") == [
        ("wrong_number_of_fields", 5, 5)
    ]
    path = operator.deployment.rejects / "calls" / "2016-01-01.csv.gz"
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 3
