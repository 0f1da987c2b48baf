"""Score how much of their time subscribers are at locations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.places._slots import bit_of
from flowmachine.queries.places.daily_permanence import DailyPermanence
from flowmachine.queries.places.permanence_of_day import day_number
from flowmachine.spec.fields import Choice, Entries, Form, HourInterval, Hours, Integer, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Query, Sources, SubscriberLocations, query_kind
from flowmachine.sql.functions import set_bits

WEEKDAYS = ("mondays", "tuesdays", "wednesdays", "thursdays", "fridays", "saturdays", "sundays")
DAY_TYPES = ("all", "workdays", "weekends", "holidays", *WEEKDAYS)
INTERVALS = ("all", "night", "working_hours", "evening")

#: The hours of intervals in Eurostat's configuration.
NIGHT, WORKING, EVENING = HourInterval(18, 8), HourInterval(8, 17), HourInterval(16, 22)


class DailyParts(Nested):
    """Accept a daily permanence, of which the days are read and not the whole."""

    def __init__(self) -> None:
        super().__init__("daily_permanence")

    def inputs(self, value: DailyPermanence) -> tuple[Query, ...]:
        """Return what a query of these days reads."""
        return value.days


class UsualHours(Hours):
    """Accept hours of the day; None and the usual hours are the same."""

    def __init__(self, usual: HourInterval) -> None:
        super().__init__()
        self.usual = usual

    def settle(self, value: HourInterval) -> HourInterval | None:
        return None if value == self.usual else value


class Dates(Entries):
    """Accept a list of dates, maybe empty; order and repeats do not matter."""

    form: ClassVar[Form] = Form("list[str]", example=["2016-01-06"])

    def __init__(self) -> None:
        super().__init__(ma.fields.Date())

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, list | tuple | set | frozenset):
            value = [day.isoformat() if isinstance(day, date) else day for day in value]
        return super()._deserialize(value, attr, data, **kwargs)

    def settle(self, value: Iterable[date]) -> tuple[date, ...] | None:
        return tuple(sorted(set(value))) or None

    def canonical(self, value: Sequence[date]) -> list[str]:
        return [day.isoformat() for day in value]

    def describe(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string", "format": "date"}}


@query_kind("permanence", direct=True)
class Permanence(SubscriberLocations):
    """Count the slots that each subscriber spends at each location.

    Slots are those of ``daily_permanence``. ``score`` counts slots and ``days`` the days with one. ``observed_score`` and ``observed_days`` count those with any
    location. Days begin at ``day_start_hour``; an interval that wraps past midnight belongs to the day on which it
    began, and a night that begins between midnight and ``day_start_hour`` to the day before. Slots of a day before the
    window do not count. Workdays are neither Saturdays, Sundays nor ``holidays`` (Eurostat's multimno 1.0.0, mid-term and long-term
    permanence score).
    """

    columns: ClassVar[dict[str, Any]] = {
        **SubscriberLocations.columns,
        **dict.fromkeys(("score", "days", "observed_score", "observed_days"), sa.BigInteger()),
    }

    daily_permanence: DailyPermanence = required(DailyParts())
    day_start_hour: int = optional(Integer(0, 23), 4, "Hour at which the day begins.", example=0)
    day_type: str = optional(Choice(*DAY_TYPES), "all", "Days that count.")
    interval: str = optional(Choice(*INTERVALS), "all", "Hours that count.")
    night: HourInterval | None = optional(
        UsualHours(NIGHT),
        doc="Hours of ``night``; None stands for 18 to 8.",
        example={"start_hour": 22, "end_hour": 6},
    )
    working: HourInterval | None = optional(
        UsualHours(WORKING),
        doc="Hours of ``working_hours``; None stands for 8 to 17.",
        example={"start_hour": 9, "end_hour": 18},
    )
    evening: HourInterval | None = optional(
        UsualHours(EVENING),
        doc="Hours of ``evening``; None stands for 16 to 22.",
        example={"start_hour": 17, "end_hour": 23},
    )
    holidays: tuple[date, ...] | None = optional(
        Dates(), doc="Dates that are no workdays.", example=["2016-01-06"]
    )

    @property
    def unit(self) -> SpatialUnit:
        return self.daily_permanence.unit

    @property
    def events(self) -> tuple[EventSelection]:
        return self.daily_permanence.events

    def select(self, sources: Sources) -> Select[Any]:
        spent = sa.union_all(*self._spent(sources)).cte("spent")

        def counted(name: str, *key: ColumnElement[Any]) -> FromClause:
            """Return slots and days by a key; two locations share a slot."""
            morning, afternoon = (
                set_bits(sa.func.bit_or(spent.c[half], type_=sa.BigInteger())) for half in _HALVES
            )
            days = (
                sa.select(*key, (morning + afternoon).label("slots"))
                .group_by(*key, spent.c.day)
                .subquery(f"{name}_days")
            )
            return (
                sa.select(
                    *(days.c[column.name] for column in key),
                    sa.cast(sa.func.sum(days.c.slots), sa.BigInteger).label("score"),
                    sa.func.count().label("days"),
                )
                .group_by(*(days.c[column.name] for column in key))
                .subquery(name)
            )

        at = counted("places", spent.c.subscriber, spent.c.location)
        anywhere = counted("anywhere", spent.c.subscriber)
        return sa.select(
            at.c.subscriber,
            at.c.location,
            at.c.score,
            at.c.days,
            anywhere.c.score.label("observed_score"),
            anywhere.c.days.label("observed_days"),
        ).join(anywhere, anywhere.c.subscriber == at.c.subscriber)

    def _spent(self, sources: Sources) -> Iterator[Select[Any]]:
        """Yield the slots that count, with the number of the day to which they belong.

        Slots of one date belong to that day or to the day before. Those of both in one day differ in their hours, so
        that their bits do, too.
        """
        found = sources.stored_all(self.daily_permanence.days)
        own, early = self._hours
        for hours, shift in ((own, 0), (early, 1)):
            masks = [self._mask(hours, later) for later in (False, True)]
            dates = [
                day_number(day.date)
                for day in self.daily_permanence.days
                if self._counts(day.date - timedelta(days=shift))
            ]
            bits = [
                found.c[name].bitwise_and(sa.literal(mask, sa.BigInteger))
                for name, mask in zip(_HALVES, masks, strict=True)
            ]
            among = found.c.day.in_(dates) if len(dates) < len(self.daily_permanence.days) else sa.true()
            yield sa.select(
                found.c.subscriber,
                found.c.location,
                (found.c.day - shift).label("day"),
                *(column.label(name) for name, column in zip(_HALVES, bits, strict=True)),
            ).where(sa.or_(*(column > 0 for column in bits)), among)

    @property
    def _hours(self) -> tuple[Callable[[int], bool], Callable[[int], bool]]:
        """Return whether an hour's slots belong to their own date, and to the day before."""
        if self.interval == "all":
            return (lambda hour: hour >= self.day_start_hour), (lambda hour: hour < self.day_start_hour)
        hours = {
            "night": self.night or NIGHT,
            "working_hours": self.working or WORKING,
            "evening": self.evening or EVENING,
        }[self.interval]
        first, end = hours.start_hour, hours.end_hour
        if first > end:
            return (lambda hour: hour >= first), (lambda hour: hour < end)
        within, never = (lambda hour: first <= hour < end), (lambda hour: False)
        after_midnight = self.interval == "night" and first < self.day_start_hour
        return (never, within) if after_midnight else (within, never)

    def _mask(self, belongs: Callable[[int], bool], later: bool) -> int:
        """Return the bits of the slots of half a day that belong."""
        slots = self.daily_permanence.slots
        bits = (bit_of(slot, slots) for slot in range(slots) if belongs(slot * 24 // slots))
        return sum(bit for half, bit in bits if half == later)

    def _counts(self, day: datetime) -> bool:
        """Return whether a day is in the window and of the type."""
        if day < self.daily_permanence.start_date:
            return False
        weekday, holiday = day.weekday(), day.date() in (self.holidays or ())
        return {
            "all": True,
            "workdays": weekday < 5 and not holiday,
            "weekends": weekday >= 5,
            "holidays": holiday,
        }.get(self.day_type, WEEKDAYS[weekday] == self.day_type)


_HALVES = ("morning", "afternoon")
