"""Find the locations of each subscriber in the slots of one day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.movement._distances import distances_between
from flowmachine.queries.movement._sequence import PLACES, without_wrong
from flowmachine.queries.places._slots import Slotted, pieces, slot_table
from flowmachine.spec.fields import Moment, required
from flowmachine.spec.places import CELLS
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import WHOLE_DAYS, SubsetFields
from flowmachine.sql.events import select_events
from flowmachine.sql.functions import first_by, microseconds

_DAY = timedelta(days=1)
_SECOND = 1_000_000
#: Two times of night lie in one night if less than this is between them, however clocks change.
_ONE_NIGHT = 12 * 3600 * _SECOND
#: After all points.
_NO_POINT = (1 << 31) - 1

#: What the sequence has of each event, in the order that breaks ties.
_ORDER = ("time", "region", "cell")
_MORE = ("region", "cell", "night", "inside")


def day_number(day: date) -> int:
    """Return the day's number, so that a day less one is the day before."""
    return day.toordinal()


@query_kind("permanence_of_day", direct=True)
class PermanenceOfDay(Unit, SubsetFields, Slotted, Query):
    """Find the slots of one day that each subscriber spends at each location.

    ``morning`` and ``afternoon`` have one bit for each slot of half a day. Days are parts that ``daily_permanence``
    and what is made of it share, so that a year is a sum of days. A day that is not loaded has no rows.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "day": sa.Integer(),
        "location": sa.Integer(),
        "morning": sa.BigInteger(),
        "afternoon": sa.BigInteger(),
    }
    may_lack_data: ClassVar[bool] = True

    date: datetime = required(Moment(), "The day, ISO text or a date.", example="2016-01-01")

    def check(self) -> None:
        super().check()
        if (problem := WHOLE_DAYS.edge_problem(self.date)) is not None:
            raise ma.ValidationError({"date": [problem]})

    @property
    def events(self) -> tuple[EventSelection]:
        """Return the events of the day, of the day before and of the day after."""
        return (
            EventSelection(
                self.date - _DAY, self.date + 2 * _DAY, self.event_types, subset=self.subscriber_subset
            ),
        )

    def select(self, sources: Sources) -> Select[Any]:
        (selection,) = self.events
        if self.date.date() not in sources.loaded_dates(replace(selection, start=self.date)):
            # Each store has its own type of subscribers.
            nobody = sources.events(selection, ["subscriber"])
            nothing = (sa.cast(sa.null(), type_).label(name) for name, type_ in [*self.columns.items()][1:])
            return sa.select(nobody.c.subscriber, *nothing).where(sa.false())
        spans = self._spans(sources)
        slots = pieces(sources, self.date, self.slots)
        inside = sa.func.least(spans.c.end, slots.c.end) - sa.func.greatest(spans.c.begin, slots.c.begin)
        # Half microseconds that add up to a slot's microseconds are half the slot.
        filled = (
            sa.select(spans.c.subscriber, spans.c.location, slots.c.slot)
            .join(slots, sa.and_(spans.c.begin < slots.c.end, spans.c.end > slots.c.begin))
            .group_by(spans.c.subscriber, spans.c.location, slots.c.slot, slots.c.length)
            .having(sa.func.sum(inside) >= slots.c.length)
            .subquery("filled")
        )
        bits = slot_table(self.slots)
        return (
            sa.select(
                filled.c.subscriber,
                sa.literal(day_number(self.date), sa.Integer).label("day"),
                filled.c.location,
                *(sa.cast(sa.func.sum(bits.c[name]), sa.BigInteger).label(name) for name in _HALVES),
            )
            .join(bits, bits.c.slot == filled.c.slot)
            .group_by(filled.c.subscriber, filled.c.location)
        )

    def _spans(self, sources: Sources) -> FromClause:
        """Return the time around events: ``begin`` and ``end`` in half microseconds."""
        steps = self._steps(sources)
        distances = sa.select(distances_between(sources, PLACES, steps)).cte("pairs")
        back, on = (distances.alias(name) for name in ("back", "on"))
        way = (back.c.km + on.c.km) * 1000
        lasted = sa.cast(steps.c.next_at - steps.c.last_at, sa.Double) / _SECOND
        # The direct way is never longer than that over the event.
        passed = sa.and_(steps.c.inside == 1, lasted > 0, way > self.max_speed * lasted)
        other = self.max_gap_other * _SECOND

        def reach(gap: ColumnElement[int], cell: ColumnElement[int], night: ColumnElement[int]) -> Any:
            """Return twice the time that belongs to an event on one side."""
            in_one_night = sa.and_(steps.c.night == 1, night == 1, gap < _ONE_NIGHT)
            longest = sa.case(
                (sa.and_(cell == steps.c.cell, in_one_night), self.max_gap_night * _SECOND),
                (cell == steps.c.cell, self.max_gap_day * _SECOND),
                else_=other,
            )
            return sa.case(
                (gap.is_(None), _big(other)), (gap <= longest, gap), else_=sa.func.least(gap, _big(other))
            )

        before = reach(steps.c.at - steps.c.last_at, steps.c.last_cell, steps.c.last_night)
        after = reach(steps.c.next_at - steps.c.at, steps.c.next_cell, steps.c.next_night)
        joined = steps.outerjoin(
            back, sa.and_(back.c.place == steps.c.place, back.c.home == steps.c.home)
        ).outerjoin(on, sa.and_(on.c.place == steps.c.next_place, on.c.home == steps.c.place))
        return (
            sa.select(
                steps.c.subscriber,
                steps.c.location,
                (2 * steps.c.at - before).label("begin"),
                (2 * steps.c.at + after).label("end"),
            )
            .select_from(joined)
            .where(sa.not_(sa.func.coalesce(passed, sa.false())))
            .subquery("spans")
        )

    def _steps(self, sources: Sources) -> FromClause:
        """Return the sequence, each event with what there is of its neighbours."""
        events = self._sequence(sources)
        order: dict[str, Any] = {
            "partition_by": events.c.subscriber,
            "order_by": [events.c.at, events.c.region, events.c.cell],
        }

        def beside(shift: Any, name: str) -> ColumnElement[Any]:
            return shift(events.c[name]).over(**order)

        return sa.select(
            events.c.subscriber,
            events.c.at,
            events.c.region.label("location"),
            events.c.cell,
            events.c.night,
            events.c.inside,
            events.c.place,
            beside(sa.func.lag, "place").label("home"),
            beside(sa.func.lead, "place").label("next_place"),
            *(beside(sa.func.lag, name).label(f"last_{name}") for name in ("at", "cell", "night")),
            *(beside(sa.func.lead, name).label(f"next_{name}") for name in ("at", "cell", "night")),
        ).cte("steps")

    def _sequence(self, sources: Sources) -> FromClause:
        """Return the day's events with the last event before and the first event after."""
        before, on_day, after = (self._events(sources, self.date + n * _DAY) for n in (-1, 0, 1))
        events: FromClause = sa.union_all(
            _outermost(before, latest=True),
            sa.select(on_day, sa.literal(1).label("inside")),
            _outermost(after, latest=False),
        ).subquery("events")
        if self.clean:
            events = without_wrong(sources, events, *_MORE)
        return sa.select(
            events.c.subscriber,
            microseconds(events.c.time).label("at"),
            events.c.location.label("place"),
            *(events.c[name] for name in _MORE),
        ).subquery("sequence")

    def _events(self, sources: Sources, day: datetime) -> FromClause:
        """Return one day's events, each with its region and its point (``location``)."""
        (selection,) = self.events
        cells = self._cells(sources, day)
        events = select_events(
            sources, replace(selection, start=day, end=day + _DAY), ("time", "local_time", "cell")
        )
        hour = sa.extract("hour", events.c.local_time)
        return (
            sa.select(
                events.c.subscriber,
                events.c.time,
                cells.c.location,
                cells.c.region,
                cells.c.number.label("cell"),
                sa.case((sa.or_(hour >= 23, hour < 9), 1), else_=0).label("night"),
            )
            .join(cells, cells.c.cell == events.c.cell)
            .subquery("placed")
        )

    def _cells(self, sources: Sources, day: datetime) -> FromClause:
        """Return each cell once: the region and the point of one version, and its number.

        Of several versions on the day that at the first region counts, then that at the first point. The number
        is that of the cell's name in order, the same in all stores.
        """

        def serving(name: str, cells: FromClause) -> FromClause:
            valid = sa.and_(cells.c.valid_from <= day, cells.c.valid_before > day)
            return sa.select(cells).where(valid).subquery(name)

        regions = serving("regions", sources.cells(self.unit))
        points = serving("points", sources.cells(PLACES))
        names = serving("names", sources.cells(CELLS))
        same = [regions.c[name] == points.c[name] for name in ("cell", "valid_from", "valid_before")]
        key = [-regions.c.location, -sa.func.coalesce(points.c.location, _NO_POINT)]
        versions = (
            sa.select(
                regions.c.cell,
                sa.func.min(regions.c.location).label("region"),
                first_by(points.c.location, *key).label("location"),
            )
            .select_from(regions.outerjoin(points, sa.and_(*same)))
            .where(regions.c.location.is_not(None))
            .group_by(regions.c.cell)
            .subquery("versions")
        )
        numbers = (
            sa.select(names.c.cell, sa.func.min(names.c.location).label("number"))
            .group_by(names.c.cell)
            .subquery("numbers")
        )
        return (
            sa.select(versions, numbers.c.number)
            .join(numbers, numbers.c.cell == versions.c.cell)
            .subquery("cells")
        )


_HALVES = ("morning", "afternoon")


def _outermost(events: FromClause, *, latest: bool) -> Select[Any]:
    """Select each subscriber's last event of a day, or the first."""
    edge = sa.func.max(events.c.time) if latest else sa.func.min(events.c.time)
    edges = sa.select(events.c.subscriber, edge.label("time")).group_by(events.c.subscriber).subquery("edges")
    sign = 1 if latest else -1
    keys = [sign * events.c.region, sign * events.c.cell]
    return (
        sa.select(
            events.c.subscriber,
            events.c.time,
            *(
                first_by(events.c[name], *keys).label(name)
                for name in ("location", "region", "cell", "night")
            ),
            sa.literal(0).label("inside"),
        )
        .join(edges, sa.and_(edges.c.subscriber == events.c.subscriber, edges.c.time == events.c.time))
        .group_by(events.c.subscriber, events.c.time)
    )


def _big(number: int) -> ColumnElement[int]:
    return sa.literal(number, sa.BigInteger)
