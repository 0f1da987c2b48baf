"""Locate each subscriber in a month."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places._locating import last_location, modal_location, most_common_location
from flowmachine.spec.fields import Choice, Form, Integer, optional, required
from flowmachine.spec.query import EventSelection, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields


class Month(ma.fields.String):
    """Accept a month such as 2016-01."""

    form: ClassVar[Form] = Form("str", example="2016-01")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not re.fullmatch(r"[1-9]\d{3}-(0[1-9]|1[0-2])", text, re.ASCII) or text == "9999-12":
            raise ma.ValidationError("Must be a month such as 2016-01.")
        return text

    def describe(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\d{4}-\d{2}$"}


@query_kind(
    "monthly_location", summary="One location per subscriber: the most frequent daily location of a month."
)
class MonthlyLocation(Unit, EventFields, Sampled, SubscriberLocations):
    """Find the location that most of a month's daily locations name.

    Daily locations are those of ``daily_location`` by ``method``. Subscribers with fewer than
    ``minimum_days`` days with a daily location, wherever it is, have no row; days that are not loaded count
    for nobody. Ties go to the location named latest, then to the location that sorts first.
    """

    month: str = required(Month(), "The month, such as ``2016-01``.")
    method: str = required(Choice("last", "most-common"))
    minimum_days: int = optional(Integer(1, 28), 10, "Days with a daily location that a subscriber needs.")

    @property
    def events(self) -> tuple[EventSelection]:
        start = datetime.fromisoformat(f"{self.month}-01")
        end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return (EventSelection(start, end, self.event_types, self.hours, self.subscriber_subset),)

    def select(self, sources: Sources) -> Select[Any]:
        locate = last_location if self.method == "last" else most_common_location
        days = locate(sources, self.events[0], self.unit, by_day=True).subquery("days")
        # The day of the month orders the days of one month.
        turn = sa.cast(sa.extract("day", days.c.date), sa.Integer).label("turn")
        stays = sa.select(days.c.subscriber, days.c.location, turn).subquery("stays")
        return modal_location(
            stays, turns=32, regions=sources.region_count(self.unit), minimum=self.minimum_days
        )
