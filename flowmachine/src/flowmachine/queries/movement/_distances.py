"""Compute distances between places."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Sources
from flowmachine.sql.geometry import geodesic_metres


def distances_between(sources: Sources, unit: SpatialUnit, visits: FromClause) -> FromClause:
    """Return ``place``, ``home``, ``km`` for each pair of places in ``visits``.

    The expensive distance is computed once for each pair instead of for each row.
    """
    distinct = sa.select(visits.c.place, visits.c.home).distinct().subquery("distinct_pairs")
    place = sources.regions(unit).alias("place")
    home = sources.regions(unit).alias("home")
    metres = geodesic_metres(place.c.lon, place.c.lat, home.c.lon, home.c.lat)
    return (
        sa.select(distinct.c.place, distinct.c.home, (metres / 1000).label("km"))
        .join(place, distinct.c.place == place.c.location)
        .join(home, distinct.c.home == home.c.location)
        .subquery("distances")
    )
