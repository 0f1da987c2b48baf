"""The definition of residents who are active."""

from __future__ import annotations

from ..oracle import FLOOR, Oracle, Row, Spec, definition, group, ids, ordered, unit_fields


@definition
def active_residents(oracle: Oracle, spec: Spec) -> list[Row]:
    events = oracle.events(spec)
    fields = unit_fields(spec["reference_location"])
    unit = fields["aggregation_unit"]
    types = spec.get("event_types") or ["calls", "sms"]
    homes = [row for row in oracle.answer(spec["reference_location"]) if row[1] is not None]
    rows = []
    for day in sorted({day for event_type, day in oracle.world.loaded if event_type in types}):
        if not spec["start_date"] <= str(day) < spec["end_date"]:
            continue
        for home, residents in group((home, who) for who, home in homes).items():
            seen = {
                event.subscriber
                for event in events
                if event.time.date() == day
                and (spec.get("active") != "at_home" or home in oracle.places_of(event, unit, fields))
            }
            active = sum(who in seen for who in residents)
            if len(residents) > FLOOR and all(
                count == 0 or count > FLOOR for count in (active, len(residents) - active)
            ):
                numbers = (len(residents), active, active / len(residents))
                rows.append((*ids(home, unit), day, *numbers))
    return ordered(rows)
