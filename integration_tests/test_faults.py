"""Kill each part with SIGKILL while queries run; nothing may be lost.

An analyst may only notice longer waits.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import requests

import flowclient

if TYPE_CHECKING:
    from conftest import Stack

DEADLINE = 120.0


def wait_until(condition: Callable[[], Any]) -> Any:
    """Return the first true value of the condition."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError("the condition did not come true in time")


def new_query(connection: flowclient.Connection, hours: tuple[int, int]) -> flowclient.APIQuery:
    """Return a query of nine parts that no other test has run."""
    home = flowclient.modal_location_from_dates_spec(
        start_date="2016-01-01", end_date="2016-01-08", aggregation_unit="admin2", method="last", hours=hours
    )
    return flowclient.spatial_aggregate(connection=connection, locations=home)


def kill(stack: Stack, name: str) -> None:
    """Kill a service with SIGKILL and wait until it is healthy again."""
    before = stack.native.processes()[name]["pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: stack.native.processes().get(name, {}).get("pid") not in (None, before))
    wait_until(lambda: not stack.native.ill())


def finished(query: flowclient.APIQuery) -> bool:
    """Return whether the query is done.

    A restarting part does not answer, or answers 503 or 504.
    """
    try:
        return query.status == "completed"
    except flowclient.FlowclientConnectionError as error:
        if getattr(error, "status_code", None) in (None, 500, 503, 504):
            return False
        raise


def services(stack: Stack, part: str) -> list[str]:
    return [name for name in stack.native.processes() if name.startswith(part)]


@pytest.mark.parametrize(
    ("part", "hours"),
    [("worker", (0, 23)), ("flowmachine", (1, 23)), ("flowapi", (2, 23)), ("postgres", (3, 23))],
)
def test_kill(stack: Stack, connection: flowclient.Connection, part: str, hours: tuple[int, int]) -> None:
    query = new_query(connection, hours)
    query.run()
    names = services(stack, part)
    assert names, f"no service is named {part}: {sorted(stack.native.processes())}"
    for name in names:
        kill(stack, name)
    wait_until(lambda: finished(query))
    result = query.get_result(disable_progress=True)
    assert len(result) > 5
    assert result["value"].min() > 15
    again = new_query(connection, hours).get_result(disable_progress=True)
    assert again.equals(result)


def test_a_damaged_columnar_file_is_whole_again_by_itself(
    stack: Stack, connection: flowclient.Connection
) -> None:
    """Check that a damaged columnar file is rebuilt without the analyst noticing.

    The engine reports the file and the loader rebuilds it.
    """
    folder = stack.layout.state / "columnar" / "events" / "type=calls" / "date=2016-01-05"
    (path,) = folder.glob("*.parquet")
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    result = new_query(connection, (4, 23)).get_result(disable_progress=True)
    assert result["value"].min() > 15
    wait_until(lambda: path.stat().st_ino != before.st_ino)
    rebuilt = new_query(connection, (4, 22)).get_result(disable_progress=True)
    assert rebuilt["value"].min() > 15


def test_a_token_of_before_still_works_and_no_stack_trace_is_served(stack: Stack, token: str) -> None:
    reply = requests.get(
        f"{stack.api}/api/0/poll/nonsense", headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    assert reply.status_code == 404
    assert set(reply.json()) >= {"msg"}
    assert "Traceback" not in reply.text
