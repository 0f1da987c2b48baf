"""Ask the containers' country, and break a container."""

from __future__ import annotations

import os
import signal
from typing import Any

import pandas as pd
from docker.models.containers import Container

import flowclient

DAYS = ["2016-01-01", "2016-01-02", "2016-01-03"]


def residents(connection: flowclient.Connection, **changes: Any) -> flowclient.APIQuery:
    """Return a query about the residents of one day."""
    day = {"date": "2016-01-02", "aggregation_unit": "admin1", "method": "last", **changes}
    return flowclient.spatial_aggregate(
        connection=connection, locations=flowclient.daily_location_spec(**day)
    )


def answer(connection: flowclient.Connection, **changes: Any) -> pd.DataFrame:
    """Return the residents by region, where there are enough to be told."""
    found = residents(connection, **changes).get_result().dropna(subset=["value"])
    return found.set_index("pcod").sort_index()


def crash(container: Container) -> None:
    """Kill the program of a container as a crash does."""
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
