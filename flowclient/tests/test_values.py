"""Check the forms of arguments: one on the wire, others refused before sending."""

from __future__ import annotations

import datetime
import json

import numpy
import pandas
import pytest
from flowclient_stub import RUN

import flowclient
from flowclient.values import bounds, histogram_bins, hours_of_day, iso_date, list_of_types, plain

NIGHT = {"start_hour": 19, "end_hour": 7}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("2016-01-01", "2016-01-01"),
        ("2016-01-01 12:30", "2016-01-01 12:30"),
        (datetime.date(2016, 1, 1), "2016-01-01"),
        (datetime.datetime(2016, 1, 1), "2016-01-01"),
        (datetime.datetime(2016, 1, 1, 12, 30), "2016-01-01T12:30:00"),
        (pandas.Timestamp("2016-01-01"), "2016-01-01"),
        (numpy.datetime64("2016-01-01"), "2016-01-01"),
        (pandas.Series(pandas.date_range("2016-01-01", periods=2)).to_numpy()[1], "2016-01-02"),
        (numpy.datetime64("2016-01-01T12:30", "ns"), "2016-01-01T12:30:00"),
    ],
)
def test_dates(given, written):
    spec = flowclient.daily_location_spec(date=given, aggregation_unit="admin3", method="last")
    assert spec["date"] == written


@pytest.mark.parametrize(
    "given",
    [
        "01/02/2016",
        "yesterday",
        "",
        "2016-01-01T00:00:00+01:00",
        pandas.Timestamp("2016-01-01", tz="UTC"),
        pandas.NaT,
        numpy.datetime64("NaT", "ns"),
        numpy.int64(2016),
        20160101,
        None,
    ],
    ids=repr,
)
def test_what_is_no_date_is_refused_by_name(given):
    with pytest.raises(ValueError, match=r"^end_date = .*must be a date such as 2016-01-01"):
        flowclient.radius_of_gyration_spec(start_date="2016-01-01", end_date=given)


@pytest.mark.parametrize(
    "given",
    [(19, 7), [19, 7], NIGHT, numpy.array([19, 7]), pandas.Series([19, 7]), (numpy.int64(19), 7)],
    ids=repr,
)
def test_hours(given):
    assert json.loads(json.dumps(hours_of_day(given))) == NIGHT


@pytest.mark.parametrize(
    "given",
    [
        (19,),
        (19, 7, 8),
        (19, 25),
        (-1, 7),
        (19.5, 7),
        (True, 7),
        "19",
        19,
        {"start_hour": 19},
        {"start": 19, "end": 7},
        {19, 7},
        ("19", "7"),
    ],
    ids=repr,
)
def test_what_are_no_hours_is_refused_by_name(given):
    with pytest.raises(ValueError, match=r"^night = .*two whole hours from 0 to 24"):
        hours_of_day(given, "night")


def test_the_hours_of_a_specification_can_be_given_to_the_next():
    """As the page of kinds shows them."""
    day = {"start_date": "2016-01-01", "end_date": "2016-01-02"}
    spec = flowclient.nocturnal_events_spec(**day, hours=NIGHT)
    assert spec["night_hours"] == NIGHT
    assert flowclient.event_count_spec(**day, hours=spec["night_hours"])["hours"] == NIGHT


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (None, None),
        ("calls", ["calls"]),
        (("calls", "sms"), ["calls", "sms"]),
        ({"sms", "calls"}, ["calls", "sms"]),
    ],
)
def test_event_types(given, written):
    assert list_of_types(given) == written


@pytest.mark.parametrize("given", [3, {"calls": True}])
def test_what_are_no_event_types(given):
    with pytest.raises(ValueError, match=r"^event_types = .*must be a list of names"):
        list_of_types(given)


def test_bins_and_their_range():
    assert histogram_bins(numpy.int64(5)) == {"n_bins": 5}
    assert histogram_bins(numpy.arange(3)) == {"bin_list": [0, 1, 2]}
    assert bounds((0, numpy.float64(2.5))) == bounds({"lower_bound": 0, "upper_bound": 2.5})
    assert json.dumps(bounds(numpy.array([0, 2]))) == '{"lower_bound": 0, "upper_bound": 2}'
    with pytest.raises(ValueError, match=r"^bins = '5'"):
        histogram_bins("5")
    with pytest.raises(ValueError, match=r"^range = \(1,\)"):
        bounds((1,))


def test_what_is_sent_is_plain(shell, server, connection):
    server.script("POST", "run", RUN)
    query = connection.make_api_query(
        {
            "query_kind": "made_up",
            "days": pandas.date_range("2016-01-01", periods=2),
            "day": numpy.datetime64("2016-01-01"),
            "number": numpy.int64(3),
            "scores": numpy.array([0.5, 1]),
            "pair": (1, 2),
        }
    )
    shell.finish(query.run())
    sent = {
        "query_kind": "made_up",
        "days": ["2016-01-01", "2016-01-02"],
        "day": "2016-01-01",
        "number": 3,
        "scores": [0.5, 1.0],
        "pair": [1, 2],
    }
    assert server.requests[0].body == sent
    assert json.loads(query.to_json()) == sent


def test_a_value_that_has_no_plain_form_is_left_to_be_refused():
    unknown = object()
    assert plain({"a": unknown}) == {"a": unknown}
    assert iso_date("2016-01-01") == "2016-01-01"
