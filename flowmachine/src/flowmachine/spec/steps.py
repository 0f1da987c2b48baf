"""Define the steps on which the edges of windows and of hours of the day lie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta

#: Hours of the day that an interval may begin or end at, both midnights included.
_HOURS_OF_DAY = range(25)


@dataclass(frozen=True)
class Steps:
    """Hold the steps in one part of a spec.

    ``step`` is the time between possible edges of windows. ``hours`` is the number of hours between possible
    edges of hours of the day. ``where`` names the part in messages.
    """

    step: timedelta
    hours: int = 1
    where: str = ""

    def edge_problem(self, edge: datetime) -> str | None:
        """Return what is wrong with an edge of a window, or None."""
        if not (edge - datetime.combine(edge.date(), time.min)) % self.step:
            return None
        step = f"{self.step.total_seconds():g} seconds"
        return f"{edge} must be a multiple of {step} from midnight, as each edge of windows{self.where}."

    def hour_problem(self, hour: int) -> str | None:
        """Return what is wrong with an edge of hours of the day, or None."""
        allowed = _HOURS_OF_DAY[:: self.hours]
        if hour in allowed:
            return None
        return f"{hour} must be one of {', '.join(map(str, allowed))}, as each edge of hours{self.where}."
