"""Ask Prefect's server which schedules are paused.

No night loads a source whose schedule is paused.
"""

import base64
import json
import os
import urllib.request
from collections.abc import Iterable

from flowetl.errors import ConfigurationError
from flowetl.orchestrator import credentials

_PATIENCE_SECONDS = 3.0
_DEFAULT_URL = "http://127.0.0.1:4200/api"


def paused_sources(names: Iterable[str]) -> list[str] | None:
    """Return those of these sources whose schedule is paused, or None.

    None: the server does not answer, or the password is not given.
    """
    # Without Prefect's client, whose import takes seconds that each look at the status would wait.
    try:
        account = base64.b64encode(credentials().encode()).decode()
        asked = urllib.request.Request(
            f"{os.environ.get('PREFECT_API_URL') or _DEFAULT_URL}/deployments/filter",
            data=b"{}",
            headers={"Content-Type": "application/json", "Authorization": f"Basic {account}"},
        )
        # The server is near, so ignore the environment's proxies.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(asked, timeout=_PATIENCE_SECONDS) as reply:
            found = json.load(reply)
    except (OSError, ValueError, ConfigurationError):
        return None
    paused = {
        each["name"]
        for each in found
        if each.get("paused") or not any(schedule["active"] for schedule in each.get("schedules", []))
    }
    return sorted(paused & set(names))
