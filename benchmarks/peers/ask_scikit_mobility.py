"""Ask scikit-mobility for measures of a file of events: ``EVENTS ASKED ANSWERS``."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
import skmob  # noqa: E402
from asking import answer  # noqa: E402
from skmob.measures import individual  # noqa: E402


def main() -> None:
    events = pd.read_csv(sys.argv[1], parse_dates=["time"]).dropna(subset=["lon"])
    trajectories = skmob.TrajDataFrame(
        events[["subscriber", "time", "lon", "lat"]],
        latitude="lat",
        longitude="lon",
        datetime="time",
        user_id="subscriber",
    )

    def compute(question: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        function = getattr(individual, question["function"])

        def run() -> dict[str, Any]:
            rows = function(trajectories, show_progress=False, **question["arguments"])
            if "lng" in rows:
                return {row.uid: [row.lng, row.lat] for row in rows.itertuples()}
            found = dict(zip(rows["uid"], rows.iloc[:, -1].astype(float), strict=True))
            # An undefined value is no answer.
            return {uid: value for uid, value in found.items() if not math.isnan(value)}

        return run

    answer("scikit-mobility", compute)


if __name__ == "__main__":
    main()
