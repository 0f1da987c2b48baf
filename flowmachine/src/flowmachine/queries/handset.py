"""What kind of device each subscriber used."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import Choice, required
from flowmachine.registry import SubscriberMetric, query_kind
from flowmachine.sampling import Sampled
from flowmachine.sql.events import EventFields, EventSelection, Window, select_events, window_selection
from flowmachine.sql.functions import first_by, smallest_mode
from flowmachine.sql.sources import Sources


@query_kind("handset")
class Handset(Window, EventFields, Sampled, SubscriberMetric):
    """A characteristic of the device last used (of two at once, the one with the lower code), or the most common one.

    Events without a device code are left out; null where the code is not in the list of devices.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Text()}
    reads_cells: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("devices",)

    characteristic: str = required(
        Choice("hnd_type", "brand", "model", "software_os_name", "software_os_vendor")
    )
    method: str = required(Choice("last", "most-common"))

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        devices = sources.devices()
        characteristic = devices.c[self.characteristic]
        if self.method == "last":
            events = select_events(sources, self.events[0], ("time", "tac"))
            used = (
                sa.select(
                    events.c.subscriber, first_by(events.c.tac, events.c.time, -events.c.tac).label("tac")
                )
                .where(events.c.tac.is_not(None))
                .group_by(events.c.subscriber)
                .subquery("used")
            )
            return sa.select(used.c.subscriber, characteristic.label("value")).select_from(
                used.outerjoin(devices, used.c.tac == devices.c.tac)
            )
        events = select_events(sources, self.events[0], ("tac",))
        return (
            sa.select(events.c.subscriber, smallest_mode(characteristic).label("value"))
            .select_from(events.outerjoin(devices, events.c.tac == devices.c.tac))
            .where(events.c.tac.is_not(None))
            .group_by(events.c.subscriber)
        )
