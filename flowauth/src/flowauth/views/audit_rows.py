"""Stream events of the audit trail as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select

from flowauth import clock
from flowauth.models import AuditEvent
from flowauth.services import Services

COLUMNS = ("id", "at", "actor", "action", "subject", "detail", "address", "request_id", "hash")
_AT_ONCE = 500


def _rows(services: Services, query: Select[tuple[AuditEvent]]) -> Iterator[dict[str, Any]]:
    # Use a separate session, because the request's session closes before the last row is sent.
    with services.session(reading=True) as database:
        rows = database.scalars(query.order_by(AuditEvent.id).execution_options(yield_per=_AT_ONCE))
        for event in rows:
            yield {name: getattr(event, name) for name in COLUMNS} | {"at": clock.iso(event.at)}


def as_csv(services: Services, query: Select[tuple[AuditEvent]]) -> Iterator[str]:
    """Stream a header line and a line for each event."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in _rows(services, query):
        row["detail"] = json.dumps(row["detail"], sort_keys=True)
        writer.writerow([row[name] for name in COLUMNS])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def as_json(services: Services, query: Select[tuple[AuditEvent]]) -> Iterator[str]:
    """Stream an array with one event object a line."""
    before = "[\n"
    for row in _rows(services, query):
        yield before + json.dumps(row, sort_keys=True)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"
