from datetime import date, timedelta

import numpy as np
import pytest

from flowdb.synthetic.country import country
from flowdb.synthetic.files import displacement, displacement_by_day
from flowdb.synthetic.network import build_devices, build_network
from flowdb.synthetic.people import NEVER, build_people

DISASTER = date(2016, 2, 10)
SUBSCRIBERS = 10_000


@pytest.fixture(scope="module")
def network():
    return build_network(country(), 400, 1200, date(2016, 1, 1), 60, seed=1)


@pytest.fixture(scope="module")
def people(network):
    return build_people(country(), network, build_devices(1), SUBSCRIBERS, DISASTER, seed=1)


def test_stricken_districts_empty_and_most_others_grow(network, people):
    struck = {country().districts[district].pcod for district in country().disaster}
    table = displacement(country(), people, network.cell_district)
    assert sum(before for _, _, before, *_ in table) == sum(after for *_, after in table) == SUBSCRIBERS
    assert all(before > 15 for _, _, before, *_ in table)
    assert all(before > 100 and after <= 15 for pcod, _, before, *_, after in table if pcod in struck)
    others = [(before, after) for pcod, _, before, *_, after in table if pcod not in struck]
    assert all(after >= before for before, after in others)
    assert np.mean([after > before for before, after in others]) > 0.9


def test_nobody_returns_within_two_weeks_and_some_do_later(people):
    fled = people.left < NEVER
    first_weeks = DISASTER.toordinal() + 14
    assert (people.left[fled] >= DISASTER.toordinal()).all()
    assert (people.left[fled] <= DISASTER.toordinal() + 2).all()
    assert people.returned.min() > first_weeks
    assert 0.2 < np.mean(people.returned[fled] < NEVER) < 0.6
    assert people.away(DISASTER).any()
    assert not people.away(date(2016, 2, 9)).any()


def test_the_truth_of_a_day_is_who_is_away_and_back(network, people):
    days = [
        DISASTER - timedelta(1),
        DISASTER + timedelta(7),
        DISASTER + timedelta(19),
        DISASTER + timedelta(60),
    ]
    rows = list(displacement_by_day(country(), people, network.cell_district, days))
    totals = {day: [sum(row[place] for row in rows if row[1] == day) for place in (3, 4)] for day in days}
    fled = int((people.left < NEVER).sum())
    back = int((people.returned < NEVER).sum())
    assert totals[days[0]] == [0, 0]
    assert totals[days[1]] == [fled, 0]
    away, returned = totals[days[2]]
    assert away + returned == fled
    # Most of those who return do so within a few days, so that a month of data shows them.
    assert returned > back / 2
    assert totals[days[3]] == pytest.approx([fled - back, back], abs=1)
    struck = {country().districts[district].pcod for district in country().disaster}
    assert {row[0] for row in rows if row[3] or row[4]} == struck


def test_without_a_disaster_nobody_leaves(network):
    people = build_people(country(), network, build_devices(1), 1000, None, seed=1)
    assert (people.left == NEVER).all()
    assert (people.destination == -1).all()


def test_identities_are_distinct_and_well_formed(people):
    for values, width in ((people.msisdn, 13), (people.imsi, 15), (people.imei, 15)):
        assert len(np.unique(values)) == SUBSCRIBERS
        assert (np.char.str_len(values) == width).all()
        assert np.char.isdigit(values).all()
    assert np.char.startswith(people.msisdn, b"97798").all()
    assert not np.isin(people.strangers, people.msisdn).any()


def test_the_last_digit_of_an_imei_is_the_luhn_digit(people):
    for imei in people.imei[:50].astype(str):
        doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(imei))]
        assert sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def test_ties_are_mutual_and_contacts_heavy_tailed(people):
    start, others = people.contacts.start, people.contacts.others
    known = np.diff(start)
    ties = set(zip(np.repeat(np.arange(SUBSCRIBERS), known).tolist(), others.tolist(), strict=True))
    assert len(ties) == len(others)
    assert all((other, one) in ties for one, other in ties)
    assert all(one != other for one, other in ties)
    assert known.min() >= 1
    assert np.percentile(known, 99) > 4 * np.median(known)


def test_the_core_district_draws_more_workers_than_it_sends(network, people):
    works = people.work >= 0
    home = network.cell_district[people.home[works]]
    work = network.cell_district[people.work[works]]
    core = country().core
    comes = np.sum((work == core) & (home != core))
    goes = np.sum((home == core) & (work != core))
    assert comes > 3 * goes > 0


def test_activity_is_heavy_tailed_with_mean_one(people):
    assert people.activity.mean() == pytest.approx(1)
    assert np.percentile(people.activity, 99) > 5 * np.median(people.activity)
