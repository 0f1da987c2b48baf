"""Build the statements that the API reads results and boundaries with.

Each row is a GeoJSON feature: ``type``, ``id``, ``geometry``, ``properties``. Geometries are WGS 84. ``id``
numbers the features in the order of the result, or of the regions' ids where a feature is a region.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import Region
from flowmachine.sql.functions import in_full_order
from flowmachine.tables import admin_table, named_regions, result_name


def as_text(statement: Select[Any]) -> str:
    """Return a statement as text for the API to run."""
    return str(
        statement.compile(
            dialect=postgresql.dialect(paramstyle="named"),
            compile_kwargs={"literal_binds": True},
        )
    )


def result_statement(query: Aggregate) -> Select[Any]:
    """Select the rows of a released result, in the order of its kind."""
    table = _result_table(query)
    return sa.select(*table.c).order_by(*_ordering(query, table))


def feature_statement(query: Aggregate) -> Select[Any]:
    """Select the features of a released result.

    There is one feature a row, or one a region for results with two regions a row.
    """
    suffixes = [part.suffix for part in query.published.parts if isinstance(part, Region)]
    if suffixes == [""]:
        return _row_features(query)
    return _flow_features(query)


def geography_statement(unit: SpatialUnit) -> Select[Any]:
    """Select the features of all regions of a unit."""
    names = list(unit.id_columns)
    if unit.has_polygons:
        regions: FromClause = named_regions(unit)
        names += ["name", "parent", "parent_name"]
    else:
        # Do not use the unit's map, because the API may not read the engine's own tables.
        columns = (*unit.id_columns, "geom")
        regions = sa.table("cell_points", *map(sa.column, columns), schema="geography")
    return _features(regions, names, regions.c.geom, _ids_ascending(regions, unit))


def _row_features(query: Aggregate) -> Select[Any]:
    table = _result_table(query)
    unit = query.unit
    assert unit is not None
    joined, geometry = _with_geometry(table, unit, "")
    return _features(table, list(query.published.columns), geometry, _ordering(query, table), joined)


def _flow_features(query: Aggregate) -> Select[Any]:
    """Select a feature for each region at either end.

    ``outflows`` and ``inflows`` are {other region: value}.
    """
    table = _result_table(query)
    unit = query.unit
    assert unit is not None
    names = list(unit.id_columns)
    ends = sa.union(
        *(
            sa.select(*(table.c[f"{name}{suffix}"].label(name) for name in names))
            for suffix in ("_from", "_to")
        )
    ).subquery("ends")
    here, geometry = _with_geometry(ends, unit, "")
    properties: list[ColumnElement[Any]] = []
    for name in names:
        properties += [sa.literal(name), ends.c[name]]
    for label, own, other in (("outflows", "_from", "_to"), ("inflows", "_to", "_from")):
        rows = _result_table(query).alias(label)
        flows = sa.func.coalesce(
            _flows(rows, names, own, other, ends, labelled="value_label" in query.published.columns),
            sa.cast(sa.literal("{}", sa.Text), postgresql.JSON),
        )
        properties += [sa.literal(label), flows]
    properties += [sa.literal("centroid"), _json(sa.func.ST_Centroid(geometry))]
    known = sa.and_(*(ends.c[name].is_not(None) for name in names))
    order = _ids_ascending(ends, unit)
    return (
        sa.select(
            sa.literal("Feature").label("type"),
            sa.func.row_number().over(order_by=order).label("id"),
            _json(geometry).label("geometry"),
            sa.func.json_build_object(*properties).label("properties"),
        )
        .select_from(here)
        .where(known)
        .order_by(*order)
    )


def _flows(
    rows: Any, names: list[str], own: str, other: str, ends: FromClause, *, labelled: bool
) -> ColumnElement[Any]:
    def name_of(source: Any, suffix: str) -> ColumnElement[Any]:
        if len(names) == 1:
            return source.c[f"{names[0]}{suffix}"]
        return sa.func.concat_ws(",", *(source.c[f"{name}{suffix}"] for name in names))

    same = [rows.c[f"{name}{own}"] == ends.c[name] for name in names]
    other_known = [rows.c[f"{name}{other}"].is_not(None) for name in names]
    if not labelled:
        return (
            sa.select(_json_object(name_of(rows, other), rows.c.value))
            .where(*same, *other_known)
            .scalar_subquery()
        )
    by_label = (
        sa.select(
            rows.c.value_label,
            _json_object(name_of(rows, other), rows.c.value).label("flows"),
        )
        .where(*same, *other_known)
        .group_by(rows.c.value_label)
        .lateral()
    )
    label = sa.func.coalesce(by_label.c.value_label, "null")
    return sa.select(_json_object(label, by_label.c.flows)).scalar_subquery()


def _features(
    source: FromClause,
    names: list[str],
    geometry: ColumnElement[Any],
    order: list[ColumnElement[Any]],
    joined: FromClause | None = None,
) -> Select[Any]:
    properties: list[ColumnElement[Any]] = []
    for name in names:
        properties += [sa.literal(name), source.c[name]]
    properties += [sa.literal("centroid"), _json(sa.func.ST_Centroid(geometry))]
    return (
        sa.select(
            sa.literal("Feature").label("type"),
            sa.func.row_number().over(order_by=order).label("id"),
            _json(geometry).label("geometry"),
            sa.func.json_build_object(*properties).label("properties"),
        )
        .select_from(source if joined is None else joined)
        .order_by(*order)
    )


def _with_geometry(
    table: FromClause, unit: SpatialUnit, suffix: str
) -> tuple[FromClause, ColumnElement[Any]]:
    if unit.has_polygons:
        boundaries, pcod = admin_table(unit)
        return table.outerjoin(boundaries, table.c[f"pcod{suffix}"] == pcod), boundaries.c.geom
    return table, _point(table, suffix)


def _point(table: FromClause, suffix: str = "") -> ColumnElement[Any]:
    return sa.func.ST_SetSRID(sa.func.ST_MakePoint(table.c[f"lon{suffix}"], table.c[f"lat{suffix}"]), 4326)


def _ordering(query: Aggregate, table: FromClause) -> list[ColumnElement[Any]]:
    """Return the order of the kind's rows."""
    return in_full_order(dict(table.c), query.published.order)


def _ids_ascending(regions: FromClause, unit: SpatialUnit) -> list[ColumnElement[Any]]:
    """Return the order of a unit's ids, texts by bytes."""
    ids = [(regions.c[name], type_) for name, type_ in unit.id_columns.items()]
    return [sa.collate(column, "C") if isinstance(type_, sa.Text) else column for column, type_ in ids]


def _json_object(name: ColumnElement[Any], value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Aggregate an object with its names ordered by their bytes."""
    return sa.func.json_object_agg(name, postgresql.aggregate_order_by(value, sa.collate(name, "C")))


def _json(geometry: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.cast(sa.func.ST_AsGeoJSON(geometry), postgresql.JSON)


def _result_table(query: Aggregate) -> sa.TableClause:
    return sa.table(
        result_name(query.query_id),
        *(sa.column(name, type_) for name, type_ in query.published.columns.items()),
        schema="cache",
    )
