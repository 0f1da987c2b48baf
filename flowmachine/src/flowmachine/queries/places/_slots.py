"""Say where subscribers are in the slots of a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from marshmallow import validate
from sqlalchemy.sql import FromClause

from flowmachine.spec.fields import Flag, Form, Integer, Number, optional
from flowmachine.spec.query import Sources, field_group

#: Numbers of slots of a day: whole parts of hours, so that an hour begins with a slot.
SLOTS = (24, 48, 96)

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1)
#: Clocks are put forward or back by a multiple of this, and slots are multiples, too.
_STEP = timedelta(minutes=15)

#: The longest gap, a leap year, fits into the microseconds of a statement many times.
_MOST_SECONDS = 366 * 86400


class SlotCount(Integer):
    """Accept a number of slots of a day."""

    form: ClassVar[Form] = Form("int", example=48)

    def __init__(self) -> None:
        super().__init__()
        self.validators = [validate.OneOf(SLOTS)]

    def describe(self) -> dict[str, Any]:
        return {"type": "integer", "enum": list(SLOTS)}


@field_group
class Slotted:
    """Hold the fields of kinds about where subscribers are in each slot of a day."""

    clean: bool = optional(
        Flag(),
        False,
        "Leave out events that are over 10 km from the events before and after, at over 55 m/s.",
    )
    slots: int = optional(SlotCount(), 24, "Slots of a day: 24, 48 or 96.")
    max_gap_other: int = optional(
        Integer(0, _MOST_SECONDS),
        900,
        "Longest gap in seconds between events at two cells of which all is known.",
        example=600,
    )
    max_gap_day: int = optional(
        Integer(0, _MOST_SECONDS), 7200, "The same at one cell, in seconds.", example=3600
    )
    max_gap_night: int = optional(
        Integer(0, _MOST_SECONDS),
        28800,
        "The same at one cell within a night, 23 to 9 o'clock, in seconds.",
        example=14400,
    )
    max_speed: float = optional(
        Number(0.0, 1000.0, above=True),
        13.889,
        "An event that is passed faster, in metres a second, is a move and no stay.",
        example=20.0,
    )


def bit_of(slot: int, slots: int) -> tuple[bool, int]:
    """Return whether a slot lies in the second half of the day, and its bit there.

    The bits of each half of a day fit into one integer.
    """
    half = slots // 2
    return slot >= half, 1 << slot % half


def slot_table(slots: int) -> FromClause:
    """Return ``slot``, and its bit in ``morning`` or in ``afternoon``."""
    rows = []
    for slot in range(slots):
        later, bit = bit_of(slot, slots)
        rows.append(
            sa.select(
                sa.literal(slot).label("slot"),
                _big(0 if later else bit).label("morning"),
                _big(bit if later else 0).label("afternoon"),
            )
        )
    return sa.union_all(*rows).subquery("slots")


def pieces(sources: Sources, day: datetime, slots: int) -> FromClause:
    """Return ``slot``, ``begin``, ``end`` and ``length`` of a day's slots.

    Times are half microseconds in UTC; ``length`` is the slot's whole length in microseconds. A skipped hour has no
    slot. A repeated one belongs to the same slots as its first occurrence, which then have two pieces or are longer.
    """
    found: list[tuple[int, datetime, datetime]] = []
    moment, end = sources.utc(day), sources.utc(day + _DAY)
    while moment < end:
        clock = sources.local(moment)
        slot = (clock.hour * 60 + clock.minute) * slots // 1440
        if found and found[-1][0] == slot:
            found[-1] = slot, found[-1][1], moment + _STEP
        else:
            found.append((slot, moment, moment + _STEP))
        moment += _STEP
    lengths: dict[int, int] = {}
    for slot, first, after in found:
        lengths[slot] = lengths.get(slot, 0) + (_number(after) - _number(first))
    return sa.union_all(
        *(
            sa.select(
                sa.literal(slot).label("slot"),
                _big(2 * _number(first)).label("begin"),
                _big(2 * _number(after)).label("end"),
                _big(lengths[slot]).label("length"),
            )
            for slot, first, after in found
        )
    ).subquery("pieces")


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _big(number: int) -> Any:
    return sa.literal(number, sa.BigInteger)
