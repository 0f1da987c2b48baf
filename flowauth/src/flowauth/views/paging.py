"""Long lists, a page at a time; counted and cut by the database."""

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
    """Some of the rows, and where they are among all."""

    rows: Sequence[Row]
    number: int
    pages: int
    total: int


def paged(query: Select[tuple[Row]], *order: Any) -> Page[Row]:
    """The page that the request asks for; beyond the last one it is the last."""
    counted = query.order_by(None).with_only_columns(func.count(), maintain_column_froms=True)
    total = database().scalar(counted) or 0
    pages = max(-(-total // SIZE), 1)
    number = min(forms.page(), pages)
    rows = database().scalars(query.order_by(*order).limit(SIZE).offset((number - 1) * SIZE)).all()
    return Page(rows, number, pages, total)
