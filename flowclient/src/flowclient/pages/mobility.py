"""Hold what a page of a month's mobility shows, as the API answered."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from flowclient.pages.data import Area, Counts, Move, Movers, digest_of

#: The unit above each, whose share of active residents stands in for one that is withheld.
ABOVE = {"admin1": "admin0", "admin2": "admin1", "admin3": "admin2"}
#: Unit of the moves between home and work.
COMMUTING = "admin2"

#: Share of residents that were active, by area and day.
Shares = Mapping[str, Mapping[datetime.date, float]]


@dataclass(frozen=True)
class Month:
    """Hold a month: residents, and the share of them that was active, by unit."""

    residents: Counts
    shares: Mapping[str, Shares]

    def share(self, unit: str, pcod: str | None) -> float | None:
        """Return the mean share of an area's residents that was active on a day."""
        by_day = self.shares.get(unit, {}).get(pcod or "", {})
        return mean(by_day.values()) if by_day else None


@dataclass(frozen=True)
class Corrected:
    """Hold a number divided by a share of active residents, own or borrowed."""

    value: float
    borrowed: bool


@dataclass(frozen=True)
class MobilityData:
    """Hold everything that a page of a month's mobility draws.

    ``days`` and ``present`` count where subscribers were by day, by area and in the whole country. ``parents`` names
    the area above each, also of the areas of ``commutes``.
    """

    title: Mapping[str, str]
    unit: str
    floor: int
    areas: tuple[Area, ...]
    before: Month
    month: Month
    days: tuple[Counts, ...]
    present: Mapping[datetime.date, int]
    moves: tuple[Move, ...]
    movers: Movers
    commutes: tuple[Move, ...]
    names: Mapping[str, str]
    days_used: Mapping[str, tuple[datetime.date, ...]]
    days_missing: Mapping[str, tuple[datetime.date, ...]]
    query_ids: Mapping[str, str]
    made: datetime.datetime
    versions: Mapping[str, str]

    def corrected(self, month: Month, pcod: str, value: float | None) -> Corrected | None:
        """Return an area's number, corrected for phone use; None where no share is known."""
        if value is None:
            return None
        own = month.share(self.unit, pcod)
        if own:
            return Corrected(value / own, borrowed=False)
        parents = {area.pcod: area.parent for area in self.areas}
        above = month.share(ABOVE[self.unit], parents.get(pcod))
        return Corrected(value / above, borrowed=True) if above else None

    def corrected_present(self) -> dict[datetime.date, float]:
        """Return the whole country's number of each day, divided by that day's share."""
        by_day = next(iter(self.month.shares.get("admin0", {}).values()), {})
        return {day: value / by_day[day] for day, value in self.present.items() if by_day.get(day)}

    def facts(self) -> dict[str, Any]:
        """Return everything but the shapes and the time of making, as plain values."""

        def month(of: Month) -> dict[str, Any]:
            return {
                "residents": of.residents.facts(),
                "shares": {
                    unit: {
                        pcod: {day.isoformat(): share for day, share in sorted(by_day.items())}
                        for pcod, by_day in sorted(shares.items())
                    }
                    for unit, shares in sorted(of.shares.items())
                },
            }

        return {
            "unit": self.unit,
            "floor": self.floor,
            "areas": [[area.pcod, area.name, area.parent, area.parent_name] for area in self.areas],
            "before": month(self.before),
            "month": month(self.month),
            "days": [day.facts() for day in self.days],
            "present": {day.isoformat(): value for day, value in sorted(self.present.items())},
            "moves": [[move.origin, move.target, move.value] for move in self.moves],
            "movers": self.movers.facts(),
            "commutes": [[move.origin, move.target, move.value] for move in self.commutes],
            "query_ids": dict(sorted(self.query_ids.items())),
            "versions": dict(sorted(self.versions.items())),
        }

    @property
    def digest(self) -> str:
        """Return a digest of the facts: equal digests, equal numbers."""
        return digest_of(self.facts())
