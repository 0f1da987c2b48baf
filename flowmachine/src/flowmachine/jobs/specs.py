"""Keep the queries of jobs parsed within a process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import Query

#: Number of submitted queries to keep parsed, and the largest number of parts of each. 10,000 parts take
#: about 20 MB.
KEPT = 16
MOST_PARTS = 10_000

_lock = Lock()
_latest: OrderedDict[str, Query] = OrderedDict()
#: Every query still in use with all of its parts: a worker computes the parts of a query that it has planned.
_known: WeakValueDictionary[str, Query] = WeakValueDictionary()


def query_of(job: Mapping[Any, Any]) -> Query:
    """Return the query of a job's row, by its ``query_id`` and ``spec``."""
    with _lock:
        found = _known.get(job["query_id"])
    if found is None:
        found = load_any(job["spec"])
        remember(found)
    return found


def remember(query: Query) -> None:
    """Keep a query that is likely to be needed again soon."""
    parts = list(query.graph())
    if len(parts) > MOST_PARTS:
        return
    with _lock:
        for part in parts:
            _known.setdefault(part.query_id, part)
        _latest[query.query_id] = query
        _latest.move_to_end(query.query_id)
        if len(_latest) > KEPT:
            _latest.popitem(last=False)
