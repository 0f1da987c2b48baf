"""Units that only direct use knows: the network's own places."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from flowmachine.queries import LastLocation
from flowmachine.spec.places import CELLS, SITES, VERSIONED_CELLS, SpatialUnit

from .world import Stage, World

NOBODY = World([])


def frame(stage: Stage, executor: str, relation: str, unit: SpatialUnit) -> list[tuple[Any, ...]]:
    with stage.loaded(NOBODY) as (connection, data):
        chosen = stage.executors[executor]
        found = getattr(chosen.sources(data, connection), relation)(unit)
        columns = list(found.c.keys())
        rows = chosen.frame(sa.select(found), connection).astype(object)
        rows = rows.where(rows.notna(), None)
        return sorted(rows[columns].itertuples(index=False, name=None), key=repr)


def test_cells_are_all_that_were_ever_named_in_byte_order(stage_in_utc: Stage, executor: str) -> None:
    regions = dict(frame(stage_in_utc, executor, "regions", CELLS))
    names = ["beside", "closed", "in-B", "in-a1", "in-b", "in-two-regions", "in-é"]
    names += ["meets", "moves", "nowhere", "outside", "unknown"]
    assert [regions[key] for key in sorted(regions)] == names


def test_cells_are_always_in_service(stage_in_utc: Stage, executor: str) -> None:
    rows = frame(stage_in_utc, executor, "cells", CELLS)
    assert len({row[0] for row in rows}) == len(rows) == 12
    assert {row[1:3] for row in rows} == {(datetime(1, 1, 1), datetime(9999, 12, 31))}


def test_versions_of_cells_and_sites_keep_those_without_a_point(stage_in_utc: Stage, executor: str) -> None:
    cells = {row[1:] for row in frame(stage_in_utc, executor, "regions", VERSIONED_CELLS)}
    assert {("moves", 0, 84.25, 27.25), ("moves", 1, 85.25, 28.5), ("nowhere", 0, None, None)} <= cells
    assert len(cells) == 13
    sites = {row[1:] for row in frame(stage_in_utc, executor, "regions", SITES)}
    assert {("moved", 0, 85.5, 27.5), ("moved", 1, 84.2525, 27.25), ("nowhere", 0, None, None)} <= sites
    assert len(sites) == 9


def test_a_new_name_of_a_cell_moves_the_map_of_cells_only(stage_in_utc: Stage) -> None:
    with stage_in_utc.loaded(NOBODY) as (_, before):
        pass
    with stage_in_utc.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO etl.location_keys VALUES ('a new one', 1000)"))
    try:
        with stage_in_utc.loaded(NOBODY) as (_, after):
            pass
    finally:
        with stage_in_utc.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM etl.location_keys WHERE location_key = 1000"))
    at_cells, in_regions = (
        LastLocation(start_date="2016-01-01", end_date="2016-01-02", aggregation_unit=unit)
        for unit in ("cell", "admin3")
    )
    # Stored results hold positions in the list of all names, so those at cells are no longer fresh.
    assert after.fingerprints(at_cells) != before.fingerprints(at_cells)
    assert after.fingerprints(in_regions) == before.fingerprints(in_regions)
    assert after.map_version(CELLS) != before.map_version(CELLS)
    assert after.map_version(SITES) == before.map_version(SITES)
