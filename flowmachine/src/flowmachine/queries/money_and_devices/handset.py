"""Find the device that each subscriber used."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.spec.fields import Choice, required
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import select_events
from flowmachine.sql.functions import first_by


@query_kind("handset", summary="A characteristic of each subscriber's handset.")
class Handset(Window, EventFields, Sampled, SubscriberMetric):
    """Return a characteristic of each subscriber's last or most common device.

    Of two devices used last at once, the lower code counts. Events without a device code are left out. The
    value is null where the code is not in the list of devices.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Text()}
    reads_cells: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("devices",)

    characteristic: str = required(
        Choice("hnd_type", "brand", "model", "software_os_name", "software_os_vendor"),
        client_default="hnd_type",
    )
    method: str = required(Choice("last", "most-common"), client_default="last")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        # Few devices stand behind many events, so look up and compare devices only.
        events = select_events(sources, self.events[0], ("time", "tac"))
        used = (
            sa.select(
                events.c.subscriber,
                events.c.tac,
                sa.func.count().label("events"),
                sa.func.max(events.c.time).label("latest"),
            )
            .where(events.c.tac.is_not(None))
            .group_by(events.c.subscriber, events.c.tac)
            .subquery("used")
        )
        return self._last(sources, used) if self.method == "last" else self._most_common(sources, used)

    def _last(self, sources: Sources, used: FromClause) -> Select[Any]:
        devices = sources.devices()
        last = (
            sa.select(used.c.subscriber, first_by(used.c.tac, used.c.latest, -used.c.tac).label("tac"))
            .group_by(used.c.subscriber)
            .subquery("last")
        )
        return sa.select(last.c.subscriber, devices.c[self.characteristic].label("value")).select_from(
            last.outerjoin(devices, last.c.tac == devices.c.tac)
        )

    def _most_common(self, sources: Sources, used: FromClause) -> Select[Any]:
        devices = sources.devices()
        value = devices.c[self.characteristic]
        # Number characteristics by byte order, from 1, so that a tie goes to the first; 0 is unknown.
        place = sa.func.dense_rank().over(order_by=sa.collate(value, "C"))
        placed = sa.select(devices.c.tac, value.label("value"), place.label("place")).where(
            value.is_not(None)
        )
        known = placed.cte("known")
        number = sa.func.coalesce(known.c.place, 0)
        counts = (
            sa.select(
                used.c.subscriber,
                number.label("place"),
                sa.cast(sa.func.sum(used.c.events), sa.BigInteger).label("events"),
            )
            .select_from(used.outerjoin(known, used.c.tac == known.c.tac))
            .group_by(used.c.subscriber, number)
            .subquery("counts")
        )
        # An unknown characteristic is used only where no other is known, however common.
        events = sa.case((counts.c.place == 0, 0), else_=counts.c.events)
        chosen = (
            sa.select(counts.c.subscriber, first_by(counts.c.place, events, -counts.c.place).label("place"))
            .group_by(counts.c.subscriber)
            .subquery("chosen")
        )
        names = sa.select(known.c.place, known.c.value).distinct().subquery("names")
        return sa.select(chosen.c.subscriber, names.c.value).select_from(
            chosen.outerjoin(names, names.c.place == chosen.c.place)
        )
