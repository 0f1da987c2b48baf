"""Generate one day of events.

A day depends only on the world and its date. Its tables are columns of functions from row numbers to text, so
that only a slice of a day is rendered at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from flowdb.synthetic.country import Country
from flowdb.synthetic.draws import Integers, generator, matrix_draw
from flowdb.synthetic.network import NEIGHBOURS, Device, Network
from flowdb.synthetic.people import People
from flowdb.synthetic.text import Text, digits, hundredths, numerals, text

# Rows per subscriber and day, of 7.5 in total; a call between two subscribers is two rows.
MIX = {"calls": 3.2, "sms": 1.9, "mds": 2.2, "topups": 0.2}
MIX_TOTAL = sum(MIX.values())
BOTH_LEGS, OUTGOING_ONLY = 0.85, 0.08
# Gamma-mixed Poisson counts: with this shape a day's count has twice the variance of Poisson at a mean of
# two.
DAY_TO_DAY = 2.0
WITHOUT_CELL = 0.005
DUPLICATED = 0.001
# Activity relative to the week's mean.
WEEKDAY_ACTIVITY, WEEKEND_ACTIVITY = 1.035, 0.9125
SECONDS = 86_400

# Relative activity by hour, midnight first.
WEEKDAY = np.array(
    [8, 4, 3, 2, 3, 8, 22, 42, 58, 66, 70, 71, 68, 66, 65, 66, 70, 80, 92, 96, 84, 58, 34, 17], float
)
WEEKEND = np.array(
    [14, 8, 5, 3, 3, 6, 14, 28, 46, 60, 70, 74, 74, 70, 68, 68, 72, 80, 90, 94, 86, 66, 44, 26], float
)
TRAVEL_CHANCE = 0.5
EXPLORE = 0.35
NEAR = np.cumsum([0.74, 0.14, 0.08, 0.04])
RECHARGES = np.array([20, 50, 100, 200, 500, 1000])
RECHARGE_SHARES = (0.3, 0.32, 0.22, 0.1, 0.05, 0.01)
FEE_PERCENT, TAX_PERCENT = 2, 13
# Remaining hundredths when people recharge. The remainder is below the smallest recharge, so a balance before
# a recharge never exceeds the balance after the previous recharge on any day.
MOST_LEFT = 1500
CHANNELS = np.array([b"voucher", b"app", b"agent", b"bank"])

Column = Callable[[Integers], Text]


@dataclass(frozen=True)
class World:
    """Hold the data that all days share."""

    seed: int
    country: Country
    network: Network
    devices: list[Device]
    people: People
    disaster: date | None
    events_per_subscriber_day: float


@dataclass(frozen=True)
class Table:
    """Hold one table.

    `order` lists row numbers in file order; a repeated number is a duplicated row.
    """

    kind: str
    columns: dict[str, Column]
    order: Integers
    duplicates: int


class Whereabouts:
    """Place everyone on one day: travelling, working, visiting, displaced or at home."""

    def __init__(self, world: World, day: date) -> None:
        people, network = world.people, world.network
        random = generator(world.seed, 10, day.toordinal())
        count = len(people)
        away = people.away(day)
        self._nearby = network.nearby
        home = np.where(away, people.destination, people.home)

        forbidden = np.zeros(len(network.cell_ids), dtype=bool)
        if world.disaster is not None and day >= world.disaster:
            forbidden = np.isin(network.cell_district, world.country.disaster)
        weekend = day.weekday() >= 5
        at_work = (people.work >= 0) & ~away & ~forbidden[people.work]
        at_work &= random.random(count) < (0.1 if weekend else 0.92)
        self._work = people.work
        self._work_start = np.where(at_work, people.work_start, SECONDS).astype(np.int32)
        self._work_end = np.where(at_work, people.work_end, 0).astype(np.int32)

        choice = random.choice(people.haunts.shape[1], count, p=(0.5, 0.35, 0.15))
        self._haunt = people.haunts[np.arange(count), choice]
        out = ~away & ~forbidden[self._haunt] & (random.random(count) < (0.5 if weekend else 0.25))
        start = random.normal(13.0 if weekend else 17.6, 1.2, count) * 3600
        self._haunt_start = np.where(out, start, SECONDS).astype(np.int32)
        self._haunt_end = np.where(out, start + random.exponential(2.0, count) * 3600, 0).astype(np.int32)

        trip = _trips(world, day)
        travelling = (trip >= 0) & ~away & ~forbidden[trip]
        self._base = np.where(travelling, trip, home).astype(np.int32)
        self._work_start[travelling] = SECONDS
        self._haunt_start[travelling] = SECONDS

    def cells(
        self, subscribers: Integers, seconds: NDArray[np.int32], random: np.random.Generator
    ) -> NDArray[np.int32]:
        """Return each subscriber's serving cell at each second; -1 where not recorded."""
        cells = self._base[subscribers]
        working = (seconds >= self._work_start[subscribers]) & (seconds < self._work_end[subscribers])
        cells[working] = self._work[subscribers[working]]
        out = (seconds >= self._haunt_start[subscribers]) & (seconds < self._haunt_end[subscribers])
        cells[out] = self._haunt[subscribers[out]]
        dice = random.random(len(cells), dtype=np.float32)
        cells = self._nearby[cells, np.minimum(np.searchsorted(NEAR, dice), NEIGHBOURS - 1)]
        cells[random.random(len(cells), dtype=np.float32) < WITHOUT_CELL] = -1
        return cells


def _trips(world: World, day: date) -> NDArray[np.int32]:
    """Return each subscriber's travel destination on this day, -1 for none.

    Trips are drawn for a whole week at once, at most one a week.
    """
    people, network, country = world.people, world.network, world.country
    monday = day - timedelta(days=day.weekday())
    random = generator(world.seed, 11, monday.toordinal())
    count = len(people)
    goes = random.random(count) < TRAVEL_CHANCE * people.travel
    first = random.choice(7, count, p=(0.1, 0.1, 0.1, 0.12, 0.2, 0.25, 0.13))
    last = first + random.geometric(0.5, count) - 1
    explores = random.random(count) < EXPLORE
    population = country.population
    reach = matrix_draw(population * (1 + country.distances / 15) ** -1.7)
    towards = reach.draw(network.cell_district[people.home], random) % len(population)
    # Travellers who do not explore return to their known distant place.
    places = np.where(explores, network.cells_in(towards, random), people.haunts[:, -1])
    goes &= (first <= day.weekday()) & (day.weekday() <= last)
    return np.where(goes, places, -1).astype(np.int32)


class Day:
    """Make the four tables of one day."""

    def __init__(self, world: World, day: date) -> None:
        self._world = world
        self._day = day
        self._where = Whereabouts(world, day)
        self._clock = _clock(day)
        self._cell_ids = np.concatenate([world.network.cell_ids, np.array([b""])])
        self._numbers = np.concatenate([world.people.msisdn, world.people.strangers])
        profile = WEEKEND if day.weekday() >= 5 else WEEKDAY
        self._hours = np.concatenate([[0.0], np.cumsum(profile) / profile.sum()])

    def table(self, kind: str) -> Table:
        random = generator(self._world.seed, 12, self._day.toordinal(), list(MIX).index(kind))
        makers = {
            "calls": self._conversations,
            "sms": self._conversations,
            "mds": self._sessions,
            "topups": self._topups,
        }
        return makers[kind](kind, random)

    def _subjects(self, kind: str, random: np.random.Generator) -> Integers:
        """Draw the subscriber who starts each event."""
        people = self._world.people
        rate = self._world.events_per_subscriber_day * MIX[kind] / MIX_TOTAL * people.activity
        if kind in ("calls", "sms"):
            rate = rate / (1 + BOTH_LEGS)
        if kind == "mds":
            rate = rate * people.uses_data
        rate = rate * (WEEKEND_ACTIVITY if self._day.weekday() >= 5 else WEEKDAY_ACTIVITY)
        if kind == "topups":
            counts = (random.random(len(people)) < rate).astype(np.int64)
        else:
            counts = random.poisson(rate * random.standard_gamma(DAY_TO_DAY, len(people)) / DAY_TO_DAY)
        return np.repeat(np.arange(len(people)), counts)

    def _seconds(self, count: int, random: np.random.Generator) -> NDArray[np.int32]:
        moments = np.interp(random.random(count), self._hours, np.arange(25) * 3600.0)
        return np.minimum(moments, SECONDS - 1).astype(np.int32)

    def _conversations(self, kind: str, random: np.random.Generator) -> Table:
        people = self._world.people
        subject = self._subjects(kind, random)
        events = len(subject)
        seconds = self._seconds(events, random)
        contacts = people.contacts
        known = contacts.start[subject + 1] - contacts.start[subject]
        # Cubing favours the closest contacts.
        slot = (known * random.random(events) ** 3).astype(np.int64)
        legs = random.random(events)
        within = (legs < BOTH_LEGS) & (known > 0)
        partner = np.empty(events, dtype=np.int64)
        partner[within] = contacts.others[(contacts.start[subject] + slot)[within]]
        stranger = (subject * 7 + (random.random(events) ** 2 * 6).astype(np.int64)) % len(people.strangers)
        partner[~within] = len(people) + stranger[~within]
        incoming = ~within & (legs >= BOTH_LEGS + OUTGOING_ONLY)

        first, second = np.flatnonzero(~incoming), np.flatnonzero(within | incoming)
        event = np.concatenate([first, second])
        outgoing = np.arange(len(event)) < len(first)
        answering = within[second]
        own = np.concatenate([subject[first], np.where(answering, partner[second], subject[second])])
        other = np.concatenate([partner[first], np.where(answering, subject[second], partner[second])])
        when = seconds[event]
        ids = _identifiers(self._day, random.permutation(events))
        columns: dict[str, Column] = {
            f"{'call' if kind == 'calls' else 'sms'}_id": lambda rows: ids(event[rows])
        }
        types = np.array([b"MTC", b"MOC"] if kind == "calls" else [b"SMMT", b"SMMO"])
        columns["record_type"] = lambda rows: types[outgoing[rows].view(np.int8)]
        columns["start_time" if kind == "calls" else "time"] = lambda rows: self._clock[when[rows]]
        if kind == "calls":
            lasting = np.minimum(1 + random.weibull(0.7, events) * 90, 7200).astype(np.int32)
            columns["duration"] = lambda rows: text(numerals(lasting[event[rows]]))
        if kind == "calls":
            # As switches record calls: both parties, and the record type says which party is served.
            columns["calling"] = lambda rows: self._numbers[np.where(outgoing, own, other)[rows]]
            columns["called"] = lambda rows: self._numbers[np.where(outgoing, other, own)[rows]]
        else:
            columns["msisdn"] = lambda rows: self._numbers[own[rows]]
            columns["other_msisdn"] = lambda rows: self._numbers[other[rows]]
        return self._finish(kind, columns, own, when, random)

    def _sessions(self, kind: str, random: np.random.Generator) -> Table:
        own = self._subjects(kind, random)
        when = self._seconds(len(own), random)
        ids = _identifiers(self._day, random.permutation(len(own)))
        lasting = np.minimum(1 + random.weibull(0.6, len(own)) * 400, 7200).astype(np.int32)
        down = np.minimum(random.lognormal(13.5, 1.8, len(own)), 4e9).astype(np.int64)
        up = np.minimum(random.lognormal(11.5, 1.6, len(own)), 4e9).astype(np.int64)
        columns: dict[str, Column] = {
            "session_id": ids,
            "start_time": lambda rows: self._clock[when[rows]],
            "duration": lambda rows: text(numerals(lasting[rows])),
            "bytes_up": lambda rows: text(numerals(up[rows])),
            "bytes_down": lambda rows: text(numerals(down[rows])),
            "msisdn": lambda rows: self._numbers[own[rows]],
        }
        return self._finish(kind, columns, own, when, random)

    def _topups(self, kind: str, random: np.random.Generator) -> Table:
        own = self._subjects(kind, random)
        when = self._seconds(len(own), random)
        ids = _identifiers(self._day, random.permutation(len(own)))
        channel = random.choice(len(CHANNELS), len(own), p=(0.5, 0.2, 0.25, 0.05))
        amount = random.choice(RECHARGES, len(own), p=RECHARGE_SHARES)
        before = random.integers(0, MOST_LEFT, len(own))
        after = before + amount * (100 - FEE_PERCENT - TAX_PERCENT)
        columns: dict[str, Column] = {
            "transaction_id": ids,
            "time": lambda rows: self._clock[when[rows]],
            "channel": lambda rows: CHANNELS[channel[rows]],
            "amount": lambda rows: text(hundredths(amount[rows] * 100)),
            "fee": lambda rows: text(hundredths(amount[rows] * FEE_PERCENT)),
            "tax": lambda rows: text(hundredths(amount[rows] * TAX_PERCENT)),
            "balance_before": lambda rows: text(hundredths(before[rows])),
            "balance_after": lambda rows: text(hundredths(after[rows])),
            "msisdn": lambda rows: self._numbers[own[rows]],
        }
        return self._finish(kind, columns, own, when, random)

    def _finish(
        self,
        kind: str,
        columns: dict[str, Column],
        own: Integers,
        when: NDArray[np.int32],
        random: np.random.Generator,
    ) -> Table:
        """Add the columns that end every table and order rows slightly out of time."""
        people = self._world.people
        cells = self._where.cells(own, when, random)
        columns["imsi"] = lambda rows: people.imsi[own[rows]]
        columns["imei"] = lambda rows: people.imei[own[rows]]
        columns["cell_id"] = lambda rows: self._cell_ids[cells[rows]]
        written = when + random.exponential(20, len(when)).astype(np.int32)
        order = np.argsort(written, kind="stable")
        duplicates = int(random.binomial(len(order), DUPLICATED))
        repeated = np.sort(random.choice(len(order), duplicates, replace=False))
        order = np.insert(order, np.minimum(repeated + 3, len(order)), order[repeated])
        return Table(kind, columns, order, duplicates)


def _clock(day: date) -> Text:
    """Return the text of every second of the day."""
    seconds = np.arange(SECONDS)
    clock = np.full((SECONDS, 19), ord(":"), dtype=np.uint8)
    clock[:, :11] = np.frombuffer(f"{day.isoformat()} ".encode(), dtype=np.uint8)
    for position, value in ((11, seconds // 3600), (14, seconds // 60 % 60), (17, seconds % 60)):
        clock[:, position : position + 2] = digits(value, 2)
    return text(clock)


def _identifiers(day: date, numbers: Integers) -> Column:
    """Return ids unique over all days: the date and nine shuffled digits."""
    prefix = np.frombuffer(day.strftime("%Y%m%d").encode(), dtype=np.uint8)

    def column(rows: Integers) -> Text:
        start = np.broadcast_to(prefix, (len(rows), len(prefix)))
        return text(np.concatenate([start, digits(numbers[rows], 9)], axis=1))

    return column
