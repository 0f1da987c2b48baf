"""Page long lists; the database counts and slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, func

from flowauth.access import database
from flowauth.views import forms

SIZE = 50
Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Hold some of the rows and their position among all rows."""

    rows: Sequence[Row]
    number: int
    pages: int
    total: int


def paged(query: Select[tuple[Row]], *order: Any) -> Page[Row]:
    """Return the requested page; beyond the end, the last page."""
    counted = query.order_by(None).with_only_columns(func.count(), maintain_column_froms=True)
    total = database().scalar(counted) or 0
    pages = max(-(-total // SIZE), 1)
    number = min(forms.page(), pages)
    rows = database().scalars(query.order_by(*order).limit(SIZE).offset((number - 1) * SIZE)).all()
    return Page(rows, number, pages, total)
