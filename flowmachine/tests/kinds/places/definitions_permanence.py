"""Definitions of permanence, and of the locations that it labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ..movement.definitions_sequences import cleaned_by
from ..oracle import DAY, FLOOR, Oracle, Row, Spec, by_bytes, definition, in_service, metres, places, time
from ..world import Event

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

#: Of a subscriber at a place: pairs of a date and a slot.
Held = dict[tuple[str, Any], set[tuple[date, int]]]


class Stop:
    """An event at a place: when, where, at which cell and point."""

    def __init__(self, oracle: Oracle, event: Event, region: Any, point: Any) -> None:
        self.at = oracle.stage.utc(event.time)
        self.hour = event.time.hour
        self.day = event.time.date()
        self.region, self.cell, self.point = region, event.cell, point

    @property
    def order(self) -> Any:
        assert self.cell is not None
        return (self.at, by_bytes(self.region), self.cell.encode())

    @property
    def night(self) -> bool:
        return self.hour >= 23 or self.hour < 9


def stops_of_day(oracle: Oracle, spec: Spec, day: date) -> dict[str, list[Stop]]:
    """Each subscriber's events of a day that have a place, in order."""
    start = datetime.combine(day, datetime.min.time())
    found: dict[str, list[Stop]] = defaultdict(list)
    if is_loaded(oracle, spec, day):
        for event in oracle.events(spec, start, start + DAY):
            at = list(versions(oracle, event, spec))
            if at:
                region, point = min(at, key=lambda one: (by_bytes(one[0]), one[1] is None, one[1] or ()))
                found[event.subscriber].append(Stop(oracle, event, region, point))
    return {who: sorted(stops, key=lambda stop: stop.order) for who, stops in found.items()}


def is_loaded(oracle: Oracle, spec: Spec, day: date) -> bool:
    return any((type_, day) in oracle.world.loaded for type_ in spec.get("event_types") or ["calls", "sms"])


def versions(oracle: Oracle, event: Event, spec: Spec) -> Iterator[tuple[Any, Any]]:
    """Yield the region and the point of each version of an event's cell."""
    unit = spec["aggregation_unit"]
    for cell in oracle.stage.cells:
        if cell.id == event.cell and in_service(cell, event.time.date()):
            for region in places(cell, unit):
                yield region, cell.point


def slots_of_day(oracle: Oracle, spec: Spec, day: date) -> Held:
    """The slots of one day at each place."""
    if not is_loaded(oracle, spec, day):
        return {}
    before, own, after = (stops_of_day(oracle, spec, day + n * DAY) for n in (-1, 0, 1))
    lengths, pieces = clock(oracle, spec, day)
    held: Held = defaultdict(set)
    for who in before.keys() | own.keys() | after.keys():
        stops = [*before.get(who, [])[-1:], *own.get(who, []), *after.get(who, [])[:1]]
        if spec.get("clean"):
            stops = [
                stop for _, stop in cleaned_by([(stop.at, stop) for stop in stops], lambda one: one[1].point)
            ]
        spent: dict[tuple[Any, int], timedelta] = defaultdict(timedelta)
        for number, stop in enumerate(stops):
            last = stops[number - 1] if number else None
            following = stops[number + 1] if number + 1 < len(stops) else None
            if stop.day == day and last and following and is_move(spec, last, stop, following):
                continue
            # In half microseconds, which no timedelta has, all times are double.
            start = 2 * since(stop.at) - reach(spec, stop, last)
            end = 2 * since(stop.at) + reach(spec, stop, following)
            for slot, first, until in pieces:
                inside = min(end, 2 * since(until)) - max(start, 2 * since(first))
                if inside > timedelta():
                    spent[stop.region, slot] += inside
        for (region, slot), twice in spent.items():
            if twice >= lengths[slot]:
                held[who, region].add((day, slot))
    return held


def since(moment: datetime) -> timedelta:
    return moment - datetime(2000, 1, 1)


def clock(
    oracle: Oracle, spec: Spec, day: date
) -> tuple[dict[int, timedelta], list[tuple[int, datetime, datetime]]]:
    """The lengths of a day's slots, and their pieces in UTC."""
    start = datetime.combine(day, datetime.min.time())
    moment, end = oracle.stage.utc(start), oracle.stage.utc(start + DAY)
    lengths: dict[int, timedelta] = defaultdict(timedelta)
    pieces = []
    while moment < end:
        shown = moment.replace(tzinfo=UTC).astimezone(oracle.stage.zone)
        slot = (shown.hour * 60 + shown.minute) // (24 * 60 // spec.get("slots", 24))
        lengths[slot] += 15 * MINUTE
        pieces.append((slot, moment, moment + 15 * MINUTE))
        moment += 15 * MINUTE
    return lengths, pieces


def is_move(spec: Spec, last: Stop, stop: Stop, following: Stop) -> bool:
    if None in (last.point, stop.point, following.point) or last.at == following.at:
        return False
    way = metres(last.point, stop.point) + metres(stop.point, following.point)
    way = max(way, metres(last.point, following.point))
    return way / (following.at - last.at).total_seconds() > spec.get("max_speed", 13.889)


def reach(spec: Spec, stop: Stop, neighbour: Stop | None) -> timedelta:
    """Twice the time that belongs to an event on the side of a neighbour."""
    other = spec.get("max_gap_other", 900) * SECOND
    if neighbour is None:
        return other
    gap = abs(stop.at - neighbour.at)
    if stop.cell != neighbour.cell:
        longest = other
    elif stop.night and neighbour.night and gap < 12 * 60 * MINUTE:
        longest = spec.get("max_gap_night", 28800) * SECOND
    else:
        longest = spec.get("max_gap_day", 7200) * SECOND
    return gap if gap <= longest else min(gap, other)


def days_of(spec: Spec) -> list[date]:
    first, end = time(spec["start_date"]), time(spec["end_date"])
    return [(first + n * DAY).date() for n in range((end - first).days)]


def held_in(oracle: Oracle, spec: Spec) -> Held:
    oracle.events(spec)  # Refused where nothing is loaded.
    held: Held = defaultdict(set)
    for day in days_of(spec):
        for key, slots in slots_of_day(oracle, spec, day).items():
            held[key] |= slots
    return held


@definition
def permanence_of_day(oracle: Oracle, spec: Spec) -> list[Row]:
    day = time(spec["date"]).date()
    half = spec.get("slots", 24) // 2
    return [
        (
            who,
            day.toordinal(),
            place,
            *(sum(2 ** (slot % half) for _, slot in slots if slot // half == part) for part in (0, 1)),
        )
        for (who, place), slots in slots_of_day(oracle, spec, day).items()
    ]


@definition
def daily_permanence(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, place, day, slot)
        for (who, place), slots in held_in(oracle, spec).items()
        for day, slot in slots
    ]


INTERVALS = {"night": (18, 8), "working": (8, 17), "evening": (16, 22)}


def day_of(spec: Spec, day: date, hour: int) -> date | None:
    """The day to which an hour of a date belongs, if it counts."""
    word = spec.get("interval", "all")
    begins = spec.get("day_start_hour", 4)
    if word == "all":
        return day if hour >= begins else day - DAY
    name = "working" if word == "working_hours" else str(word)
    first, end = INTERVALS[name]
    if name in spec:
        first, end = spec[name]["start_hour"], spec[name]["end_hour"]
    if first > end:
        return day if hour >= first else day - DAY if hour < end else None
    if not first <= hour < end:
        return None
    return day - DAY if word == "night" and first < begins else day


def is_of_type(spec: Spec, day: date) -> bool:
    word = spec.get("day_type", "all")
    holiday = day.isoformat() in spec.get("holidays", [])
    if word == "all":
        return True
    if word == "holidays":
        return holiday
    if word == "weekends":
        return day.isoweekday() > 5
    if word == "workdays":
        return day.isoweekday() <= 5 and not holiday
    return f"{day:%A}s".lower() == word


def scores(oracle: Oracle, spec: Spec) -> dict[str, dict[Any, set[tuple[date, date, int]]]]:
    """By subscriber and place the slots that count, each with its day."""
    daily = spec["daily_permanence"]
    first = time(daily["start_date"]).date()
    found: dict[str, dict[Any, set[tuple[date, date, int]]]] = defaultdict(lambda: defaultdict(set))
    for (who, place), slots in held_in(oracle, daily).items():
        for at, slot in slots:
            day = day_of(spec, at, slot * 24 // daily.get("slots", 24))
            if day is not None and day >= first and is_of_type(spec, day):
                found[who][place].add((day, at, slot))
    return found


@definition
def permanence(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = []
    for who, by_place in scores(oracle, spec).items():
        observed = set().union(*by_place.values())
        for place, slots in by_place.items():
            rows.append((who, place, *size(slots), *size(observed)))
    return rows


def size(slots: set[tuple[date, date, int]]) -> tuple[int, int]:
    return len(slots), len({day for day, _, _ in slots})


class Measured:
    """What one subscriber's places score in one interval."""

    def __init__(self, by_place: dict[Any, set[tuple[date, date, int]]]) -> None:
        self.score = {place: len(slots) for place, slots in by_place.items()}
        self.days = {place: size(slots)[1] for place, slots in by_place.items()}
        self.observed = size(set().union(*by_place.values()))

    def reach(self, what: str, share: int) -> set[Any]:
        """The places with at least so many percent of what is observed."""
        mine, all_ = (self.score, self.observed[0]) if what == "score" else (self.days, self.observed[1])
        return {place for place, number in mine.items() if number * 100 >= share * all_}

    def before_gap(self, places: set[Any], is_gap: Callable[[int, int], bool]) -> set[Any]:
        ranked = sorted(
            (place for place in places if place in self.score), key=lambda place: -self.score[place]
        )
        kept: list[Any] = []
        for place in ranked:
            if kept and is_gap(self.score[kept[-1]] - self.score[place], self.score[ranked[0]]):
                break
            kept.append(place)
        return set(kept)


#: Places by label, and what ranks those of homes and workplaces.
Labelled = tuple[dict[str, set[Any]], dict[str, Measured]]


def labels_of(oracle: Oracle, spec: Spec) -> dict[str, Labelled]:
    """Each subscriber's places by label, of those who are observed enough."""
    intervals: dict[str, Spec] = {"all": {}, "night": {"interval": "night"}}
    intervals["working"] = {"day_type": "workdays", "interval": "working_hours"}
    daily = spec["daily_permanence"]
    found = {word: scores(oracle, {"daily_permanence": daily, **more}) for word, more in intervals.items()}
    given = {
        "min_score": 1500,
        "min_days": 50,
        "gap_share": 20,
        "gap_score": 1,
        "ue_share": 70,
        "label_share": 80,
    }
    given |= {name: spec[name] for name in given if name in spec}
    least = given["min_score"] * daily.get("slots", 24) / 24
    result: dict[str, Labelled] = {}
    for who, always in found["all"].items():
        at = {word: Measured(found[word].get(who, {})) for word in found}
        if at["all"].observed[0] < least or at["all"].observed[1] < given["min_days"]:
            continue
        near = at["all"].before_gap(set(always), lambda fall, top: fall >= given["gap_share"] * top / 100)
        usual = first_of(
            near,
            at["all"].reach("score", given["ue_share"]),
            at["night"].reach("score", given["ue_share"]),
            at["working"].reach("score", given["ue_share"]),
            at["all"].reach("days", given["ue_share"]),
        )
        share = given["label_share"]
        is_gap = lambda fall, top: fall >= given["gap_score"]  # noqa: E731
        home = first_of(
            at["all"].before_gap(usual, is_gap),
            at["all"].reach("score", share),
            at["night"].reach("score", share),
            at["night"].reach("days", share),
        )
        work = first_of(
            at["working"].before_gap(usual, is_gap),
            at["working"].reach("score", share),
            at["working"].reach("days", share),
        )
        best = {"home": at["all"], "work": at["working"]}
        result[who] = {"usual": usual, "home": home, "work": work}, best
    return result


def first_of(places: set[Any], *passing: set[Any]) -> set[Any]:
    return next((places & passed for passed in passing if places & passed), set())


@definition
def permanence_location(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = []
    for who, (labels, best) in labels_of(oracle, spec).items():
        at = best[spec["label"]]
        ranked = sorted(
            labels[spec["label"]],
            key=lambda place: (-at.score[place], -at.days[place], by_bytes(place)),
        )
        rows += [(who, place) for place in ranked[:1]]
    return rows


@definition
def usual_environment_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    people: dict[tuple[Any, str], dict[str, float]] = defaultdict(dict)
    for who, (labels, _) in labels_of(oracle, spec).items():
        for label, at in labels.items():
            for place in at:
                people[place, label][who] = 1 / len(at)
    rows = []
    for (place, label), shares in people.items():
        value = float(f"{sum(shares.values()):.12g}")
        others = len(people[place, "usual"]) - len(shares)
        wanted = label in spec.get("labels", ["usual", "home", "work"])
        if wanted and value > FLOOR and not 0 < others <= FLOOR:
            ids = place if isinstance(place, tuple) else (place,)
            rows.append((*ids, label, value, len(shares)))
    return sorted(rows, key=lambda row: (by_bytes(row[:-3] if len(row) > 4 else row[0]), row[-3]))
