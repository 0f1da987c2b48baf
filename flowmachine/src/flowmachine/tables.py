"""Declare the database relations that the engine uses, for SQLAlchemy."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import ColumnElement

from flowmachine.spec.places import ADMIN_LEVELS, SpatialUnit
from flowmachine.sql.sketches import SKETCH, VALUE_SKETCH

metadata = sa.MetaData()

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("store", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("spec", JSONB),
    sa.Column("state", sa.Text),
    sa.Column("planned", sa.Boolean),
    sa.Column("pending", sa.Integer),
    sa.Column("parts", sa.Integer),
    sa.Column("executor", sa.Text),
    sa.Column("requested_by", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("created", sa.DateTime(timezone=True)),
    sa.Column("queued_at", sa.DateTime(timezone=True)),
    sa.Column("started_at", sa.DateTime(timezone=True)),
    sa.Column("finished_at", sa.DateTime(timezone=True)),
    sa.Column("worker", sa.Text),
    sa.Column("lease_until", sa.DateTime(timezone=True)),
    sa.Column("attempts", sa.Integer),
    sa.Column("cancel_requested", sa.Boolean),
    sa.Column("error_class", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("cells_version", sa.BigInteger),
    sa.Column("inputs", JSONB),
    sa.Column("code_version", sa.Text),
    sa.Column("floor", sa.Integer),
    sa.Column("compute_ms", sa.Double),
    sa.Column("rows", sa.BigInteger),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("metadata", JSONB(none_as_null=True)),
    sa.Column("score", sa.Double),
    sa.Column("access_count", sa.BigInteger),
    sa.Column("last_accessed", sa.DateTime(timezone=True)),
    schema="engine",
)

edges = sa.Table(
    "edges",
    metadata,
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("store", sa.Text, primary_key=True),
    sa.Column("depends_on", sa.Text, primary_key=True),
    sa.Column("depends_store", sa.Text, primary_key=True),
    sa.Column("waiting", sa.Boolean),
    schema="engine",
)

plan_parts = sa.Table(
    "plan_parts",
    metadata,
    sa.Column("root", sa.Text, primary_key=True),
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("store", sa.Text, primary_key=True),
    schema="engine",
)

#: One row in an unlogged table: gone when the server has emptied all unlogged tables.
intact = sa.Table("intact", metadata, sa.Column("only_row", sa.Boolean, primary_key=True), schema="engine")

#: Workers and their last heartbeats.
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("seen", sa.DateTime(timezone=True)),
    sa.Column("ill", sa.Text),
    schema="engine",
)

#: What was released, and by what it can be compared with other releases; kept when the results are dropped.
ledger_results = sa.Table(
    "ledger_results",
    metadata,
    sa.Column("release", sa.Integer, primary_key=True),
    sa.Column("query_id", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("form", sa.Text),
    sa.Column("measure", sa.Text),
    sa.Column("statistic", sa.Text),
    sa.Column("withheld", sa.ARRAY(sa.Text)),
    sa.Column("family", sa.Text),
    sa.Column("at", sa.DateTime(timezone=True)),
    schema="engine",
)

#: The rows of releases, those that were withheld too, with the sketches of the subscribers behind.
ledger_rows = sa.Table(
    "ledger_rows",
    metadata,
    sa.Column("row_key", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.BigInteger) for name in (*SKETCH, *VALUE_SKETCH)),
    sa.Column("release", sa.Integer, primary_key=True),
    sa.Column("subscribers", sa.Integer),
    sa.Column("place", sa.Integer),
    sa.Column("repeats", sa.Integer),
    sa.Column("size", sa.SmallInteger),
    sa.Column("served", sa.Boolean),
    sa.Column("value", sa.Text),
    schema="engine",
)

#: What rows are about, and the keys of the rows of totals that they are part of.
ledger_places = sa.Table(
    "ledger_places",
    metadata,
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("form", sa.Text),
    sa.Column("row_key", sa.BigInteger),
    sa.Column("parts_of", sa.ARRAY(sa.BigInteger)),
    schema="engine",
)

#: How many places rows are about, and the fewest rows of a release, by size from 1.
ledger_forms = sa.Table(
    "ledger_forms",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("places", sa.Integer),
    sa.Column("fewest", sa.ARRAY(sa.Integer)),
    schema="engine",
)

#: Questions of which each row is made of rows of a release. ``position`` counts from 1, as in ``parts_of``.
ledger_totals = sa.Table(
    "ledger_totals",
    metadata,
    sa.Column("release", sa.Integer, primary_key=True),
    sa.Column("position", sa.SmallInteger, primary_key=True),
    sa.Column("question", sa.Text),
    schema="engine",
)

#: All rows of a release together, by the row of the total that they make.
ledger_sums = sa.Table(
    "ledger_sums",
    metadata,
    sa.Column("release", sa.Integer, primary_key=True),
    sa.Column("position", sa.SmallInteger, primary_key=True),
    sa.Column("row_key", sa.BigInteger, primary_key=True),
    sa.Column("whole", sa.BigInteger),
    sa.Column("subscribers", sa.Integer),
    schema="engine",
)

#: The published rows of a release together, by the row of the total that they are part of.
ledger_margins = sa.Table(
    "ledger_margins",
    metadata,
    sa.Column("row_key", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.BigInteger) for name in SKETCH),
    sa.Column("release", sa.Integer, primary_key=True),
    sa.Column("subscribers", sa.Integer),
    sa.Column("position", sa.SmallInteger, primary_key=True),
    sa.Column("served", sa.Boolean),
    sa.Column("valued", sa.Boolean),
    sa.Column("everybody", sa.BigInteger),
    schema="engine",
)

#: Locations that users joined to others in the last day.
ledger_inputs = sa.Table(
    "ledger_inputs",
    metadata,
    sa.Column("username", sa.Text, primary_key=True),
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text),
    sa.Column("subscribers", sa.BigInteger),
    *(sa.Column(name, sa.BigInteger) for name in SKETCH),
    sa.Column("near", sa.Text),
    sa.Column("at", sa.DateTime(timezone=True)),
    schema="engine",
)

#: Subsets that submitted queries may use where only listed ones are allowed.
approved_subsets = sa.Table(
    "approved_subsets",
    metadata,
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("spec", JSONB),
    sa.Column("note", sa.Text),
    sa.Column("at", sa.DateTime(timezone=True)),
    schema="engine",
)

#: Requests and answers; rows can be added and read, never changed.
audit = sa.Table(
    "engine_requests",
    metadata,
    sa.Column("audit_id", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True)),
    sa.Column("request_id", sa.Text),
    sa.Column("username", sa.Text),
    sa.Column("action", sa.Text),
    sa.Column("query_id", sa.Text),
    sa.Column("params", JSONB),
    sa.Column("status", sa.Text),
    sa.Column("message", sa.Text),
    sa.Column("seconds", sa.Double),
    schema="audit",
)

#: Sets of subscribers that subsets stand for, with parity sketches. ``used`` is the row of the earlier set in
#: whose place it stands; only a set that is used itself has ``members``, the keys of its subscribers.
ledger_subsets = sa.Table(
    "ledger_subsets",
    metadata,
    sa.Column("subset", sa.Integer, primary_key=True),
    sa.Column("query_id", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("used", sa.Integer),
    sa.Column("subscribers", sa.BigInteger),
    *(sa.Column(name, sa.BigInteger) for name in SKETCH),
    sa.Column("members", sa.ARRAY(sa.BigInteger)),
    sa.Column("at", sa.DateTime(timezone=True)),
    schema="engine",
)

current_loads = sa.table(
    "current_loads",
    sa.column("cdr_type", sa.Text),
    sa.column("cdr_date", sa.Date),
    sa.column("load_id", sa.Uuid),
    schema="etl",
)

loads = sa.table(
    "loads",
    sa.column("load_id", sa.Uuid),
    sa.column("cdr_type", sa.Text),
    sa.column("cdr_date", sa.Date),
    sa.column("state", sa.Text),
    sa.column("started", sa.DateTime(timezone=True)),
    sa.column("finished", sa.DateTime(timezone=True)),
    schema="etl",
)

columnar_files = sa.table(
    "columnar_files",
    sa.column("cdr_type", sa.Text),
    sa.column("cdr_date", sa.Date),
    sa.column("load_id", sa.Uuid),
    sa.column("path", sa.Text),
    sa.column("rows", sa.BigInteger),
    sa.column("bytes", sa.BigInteger),
    sa.column("sha256", sa.Text),
    sa.column("tally_path", sa.Text),
    sa.column("tally_bytes", sa.BigInteger),
    sa.column("tally_sha256", sa.Text),
    schema="etl",
)

#: Numbers that change with every change of results' inputs besides events and cells.
versions = sa.table(
    "versions", sa.column("subject", sa.Text), sa.column("version", sa.BigInteger), schema="etl"
)

#: Tables that specs may name in a spatial unit, as ``schema.table``, and their columns.
unit_tables = sa.table(
    "unit_tables", sa.column("name", sa.Text), sa.column("columns", sa.ARRAY(sa.Text)), schema="etl"
)

#: Days whose columnar file the loader must rebuild; rows can be added, never removed.
damaged_files = sa.table(
    "damaged_files", sa.column("cdr_type", sa.Text), sa.column("cdr_date", sa.Date), schema="etl"
)

location_keys = sa.table(
    "location_keys", sa.column("location_id", sa.Text), sa.column("location_key", sa.Integer), schema="etl"
)

#: Keys of the columnar files and their pseudonyms.
subscriber_keys = sa.table(
    "subscriber_keys",
    sa.column("subscriber_key", sa.BigInteger),
    sa.column("pseudonym", sa.Text),
    schema="etl",
)

quality_checks = sa.table(
    "deduped_post_etl_queries",
    sa.column("cdr_date", sa.Date),
    sa.column("cdr_type", sa.Text),
    sa.column("type_of_query_or_check", sa.Text),
    sa.column("outcome", sa.Text),
    schema="etl",
)


def location_table() -> sa.TableClause:
    """Return the table of cells that ``events.*.location_id`` refers to."""
    return sa.table(
        "cells",
        sa.column("id", sa.Text),
        sa.column("version", sa.Integer),
        sa.column("site_id", sa.Text),
        sa.column("date_of_first_service", sa.Date),
        sa.column("date_of_last_service", sa.Date),
        sa.column("geom_point"),
        schema="infrastructure",
    )


def site_table() -> sa.TableClause:
    """Return the table of the sites of cells."""
    return sa.table(
        "sites",
        sa.column("id", sa.Text),
        sa.column("version", sa.Integer),
        sa.column("date_of_first_service", sa.Date),
        sa.column("date_of_last_service", sa.Date),
        sa.column("geom_point"),
        schema="infrastructure",
    )


def admin_table(unit: SpatialUnit) -> tuple[sa.TableClause, ColumnElement[str]]:
    """Return an administrative unit's boundaries and their place code."""
    pcod = f"{unit.name}pcod"
    table = sa.table(unit.name, sa.column(pcod, sa.Text), sa.column("geom"), schema="geography")
    return table, table.c[pcod]


def named_regions(unit: SpatialUnit) -> sa.Subquery:
    """Return an administrative unit's regions: pcod, name, parent, parent_name, geom.

    ``parent`` is the place code of the region one level up. It is null in the country, and where the boundary
    files named no parent.
    """

    def view(level: int) -> sa.TableClause:
        columns = (f"admin{level}pcod", f"admin{level}name", "parent_pcod", "geom")
        return sa.table(f"admin{level}", *map(sa.column, columns), schema="geography")

    level = ADMIN_LEVELS.index(unit.name)
    table = view(level)
    parent_name: ColumnElement[Any] = sa.null()
    joined: sa.FromClause = table
    if level:
        upper = view(level - 1)
        joined = table.outerjoin(upper, table.c.parent_pcod == upper.c[f"admin{level - 1}pcod"])
        parent_name = upper.c[f"admin{level - 1}name"]
    return (
        sa.select(
            table.c[f"admin{level}pcod"].label("pcod"),
            table.c[f"admin{level}name"].label("name"),
            table.c.parent_pcod.label("parent"),
            parent_name.label("parent_name"),
            table.c.geom,
        )
        .select_from(joined)
        .subquery("regions")
    )


def regions_around(unit: SpatialUnit) -> sa.Select[Any]:
    """Select an administrative unit's place codes, and those of the regions around.

    The place code of the region around is in a column with the name of its level.
    """
    own = _boundaries(unit.name)
    found: list[ColumnElement[Any]] = [own.c.pcod]
    joined: sa.FromClause = own
    parent: ColumnElement[Any] = own.c.parent_pcod
    for level in reversed(ADMIN_LEVELS[: ADMIN_LEVELS.index(unit.name)]):
        around = _boundaries(level)
        # Boundary files may name no parents.
        code = sa.func.coalesce(parent, region_around(sa.func.ST_PointOnSurface(own.c.geom), level))
        joined = joined.outerjoin(around, around.c.pcod == code)
        found.append(around.c.pcod.label(level))
        parent = around.c.parent_pcod
    return sa.select(*found).select_from(joined).distinct(own.c.pcod).order_by(own.c.pcod, *found[1:])


def region_around(place: ColumnElement[Any], level: str) -> ColumnElement[str]:
    """Return the place code of the region around a point; the first of several."""
    around = _boundaries(level)
    return (
        sa.select(sa.func.min(around.c.pcod)).where(sa.func.ST_Within(place, around.c.geom)).scalar_subquery()
    )


def _boundaries(level: str) -> sa.FromClause:
    view = sa.table(
        level,
        sa.column(f"{level}pcod", sa.Text),
        sa.column("parent_pcod", sa.Text),
        sa.column("geom"),
        schema="geography",
    )
    return sa.select(view.c[f"{level}pcod"].label("pcod"), view.c.parent_pcod, view.c.geom).subquery(
        f"around_{level}"
    )


def weights(table: str, column: str) -> sa.Subquery:
    """Return ``pcod`` and ``weight`` of a table of weights, without incomplete rows.

    ``column`` of ``table`` holds the weight.
    """
    rows = named_table(table, "pcod", column)
    pcod, weight = sa.cast(rows.c.pcod, sa.Text), sa.cast(rows.c[column], sa.Double)
    known = sa.and_(pcod.is_not(None), weight.is_not(None))
    return sa.select(pcod.label("pcod"), weight.label("weight")).where(known).subquery("weights")


def named_table(name: str, *columns: str) -> sa.TableClause:
    """Return a table named by a spec, ``schema.table``; names are always quoted."""
    schema, _, table = name.rpartition(".")
    return sa.table(
        sa.quoted_name(table, quote=True),
        *(sa.column(sa.quoted_name(column, quote=True)) for column in dict.fromkeys(columns)),
        schema=sa.quoted_name(schema, quote=True),
    )


def device_models() -> sa.Subquery:
    """Return device models: the code that events hold as ``tac``, and properties."""
    names = ("hnd_type", "brand", "model", "software_os_name", "software_os_vendor")
    tacs = sa.table(
        "tacs", sa.column("id"), *(sa.column(name, sa.Text) for name in names), schema="infrastructure"
    )
    return sa.select(sa.cast(tacs.c.id, sa.Integer).label("tac"), *(tacs.c[name] for name in names)).subquery(
        "devices"
    )


def result_name(query_id: str) -> str:
    """Return a released result's table in schema ``cache``."""
    return f"x{query_id}"


def intermediate_name(query_id: str) -> str:
    """Return the PostgreSQL executor's intermediate table in schema ``cache``."""
    return f"i{query_id}"
