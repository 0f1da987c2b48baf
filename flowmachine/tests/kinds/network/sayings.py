"""What readers expect of the summaries of kinds about the network."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time

from ..land import REGIONS, SITES
from ..oracle import metres
from ..sayings import Row, says
from ..specs import window
from ..world import FRIDAYS, Event, World, moment

FRIDAY, SATURDAY, SUNDAY = (moment(str(day)).replace(tzinfo=UTC) for day in (1, 2, 3))

says(
    "total_network_objects",
    "The number of cells in use at each location, over time.",
    # On Sunday the others use a second cell in B.
    [
        ("B", 1, FRIDAY),
        ("B", 1, SATURDAY),
        ("B", 2, SUNDAY),
        ("b", 1, FRIDAY),
        ("b", 1, SATURDAY),
        ("b", 1, SUNDAY),
    ],
)
says(
    "aggregate_network_objects",
    "A statistic of the published numbers of cells in use per location, over time.",
    [("B", 4, FRIDAY), ("b", 3, FRIDAY)],
    total_network_objects=window("total_network_objects"),
    statistic="sum",
    aggregate_by="month",
)


def on_fridays(cell: str, numbers: list[int]) -> list[Event]:
    """Let each of sixteen people have so many events at a cell each Friday."""
    return [
        Event(f"{cell}{person}", datetime.combine(day, time(hour)), cell)
        for day, number in zip(FRIDAYS, numbers, strict=True)
        for hour in range(number)
        for person in range(16)
    ]


says(
    "network_silence",
    "The cells of each location that fall silent after busy weeks, by day.",
    # Of two cells in é that had 160 events on each Friday before, one has none and the other as many as ever.
    [("é", FRIDAYS[-1], 2, 1, 320.0, 0.5)],
    world=World(
        [*on_fridays("in-é", [10, 10, 10, 10, 0]), *on_fridays("beside", [10] * 5)],
        frozenset(("calls", day) for day in FRIDAYS),
    ),
    start_date="2016-01-29",
    end_date="2016-01-30",
)
says("geography", "List each region with its geometry.", lambda rows: regions(rows) == set(REGIONS["admin3"]))


def regions(rows: list[Row]) -> set[str]:
    """Return the names of the regions that have a geometry."""
    return {text for row in rows for text in row if isinstance(text, str) and text in REGIONS["admin3"]}


#: The sites' points on Saturday, when one has moved; two have none or were not in service.
IN_SERVICE = {
    site.id: site.point
    for site in SITES
    if site.point is not None and (site.first is None or site.first <= date(2016, 1, 3)) and site.last is None
}


def all_pairs(rows: list[Row]) -> bool:
    """Check the kilometres between all versions of sites, also of a site with itself."""
    versions = [(site.id, site.version, *(site.point or (None, None))) for site in SITES]
    found = {(row[0], row[1]): row[2] for row in rows}
    known = {
        (a, b): metres(a[2:], b[2:]) / 1000  # type: ignore[arg-type]
        for a in versions
        for b in versions
        if a[2] is not None and b[2] is not None
    }
    return all(abs(found[pair] - distance) < 1e-6 for pair, distance in known.items()) and all(
        pair in known or value is None for pair, value in found.items()
    )


says(
    "distance_matrix",
    "Compute the distance from every place to every place, itself included.",
    all_pairs,
    aggregation_unit="versioned-site",
)


def circles(rows: list[Row]) -> bool:
    """Check that each site has a shape with the area of a circle.

    It is true to two hundredths so far from the mean of the points as one of the sites is.
    """
    names = {row[0][0] if isinstance(row[0], tuple) else row[0] for row in rows}
    shapes = [
        json.loads(text) for row in rows for text in row if isinstance(text, str) and text.startswith("{")
    ]
    areas = [row[-1] for row in rows]
    return (
        names == set(IN_SERVICE)
        and len(shapes) == len(rows)
        and all(abs(area / (math.pi * 4) - 1) < 0.02 for area in areas)
    )


says(
    "location_area",
    "Draw the area of each site or cell in service on a date as GeoJSON.",
    circles,
    date="2016-01-03",
    method="radius",
    radius=2,
)


def clusters(rows: list[Row]) -> bool:
    """Check that four sites, some 500 m apart, are one cluster and the only one."""
    members = {(row[0][0] if isinstance(row[0], tuple) else row[0]): row[-1] for row in rows}
    return members == dict.fromkeys(("p", "beside p", "near p", "moved"), 0)


says(
    "location_cluster",
    "Number, from 0, the cluster of each site or cell in service on a date.",
    clusters,
    date="2016-01-03",
    method="dbscan",
    density_tolerance=3,
)
