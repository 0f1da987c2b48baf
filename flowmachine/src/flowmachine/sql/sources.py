"""What a query's SQL may read. Each executor offers the same relations over its own store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.sql import FromClause

if TYPE_CHECKING:
    from flowmachine.registry import Query
    from flowmachine.sql.events import EventSelection
    from flowmachine.units import SpatialUnit


class Sources(Protocol):
    """Relations for one query. Subscribers are opaque keys: 64-bit integers in one store, pseudonyms in the other."""

    def events(self, selection: EventSelection, columns: Sequence[str]) -> FromClause:
        """Events of the window, hours and types of the selection (not its subset), with the named columns.

        Columns: ``subscriber``, ``time`` (UTC, for order and durations), ``local_time`` (wall clock, for dates and
        hours), ``cell``, ``tac``, ``counterpart``, ``outgoing``, ``event_id``, ``duration``, ``volume_total``,
        ``volume_upload``, ``volume_download``, ``recharge_amount``, ``airtime_fee``, ``tax_and_fee``,
        ``pre_event_balance``, ``post_event_balance``. Rows of several types are concatenated with repeats.
        """
        ...

    def utc(self, moment: datetime) -> datetime:
        """When it is a moment of wall-clock time, such as a window's edge, to be compared with ``time`` of events."""
        ...

    def cells(self, unit: SpatialUnit) -> FromClause:
        """The pre-joined map: ``cell``, ``valid_from``, ``valid_before`` (wall clock, half-open, never null), ``location``.

        ``location`` is null where a mapping table puts the cell into a region that does not exist: the null place, which as
        in SQL is one group, but equals nothing.
        """
        ...

    def regions(self, unit: SpatialUnit) -> FromClause:
        """The regions: ``location`` and the id columns; for lon-lat these are ``lon`` and ``lat`` in degrees."""
        ...

    def region_count(self, unit: SpatialUnit) -> int:
        """How many regions there are, so that ``location`` lies in [0, count) or is null."""
        ...

    def moves(self, unit: SpatialUnit) -> Sequence[date]:
        """The dates, in order, on which entries of the map begin or end: between two of them no cell changes its place."""
        ...

    def boundaries(self, unit: SpatialUnit) -> FromClause:
        """The regions of an administrative unit: ``location`` and ``geom``, a geometry of the store's own kind."""
        ...

    def stored(self, query: Query) -> FromClause:
        """The stored result of a sub-query, with its columns."""
        ...

    def devices(self) -> FromClause:
        """Device models: ``tac``, ``hnd_type``, ``brand``, ``model``, ``software_os_name``, ``software_os_vendor``."""
        ...
