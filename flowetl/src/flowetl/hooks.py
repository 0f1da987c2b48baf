"""Tell the operator's own alarm that a day was not loaded."""

import datetime as dt
import http.client
import json
import os
import subprocess
import urllib.request

import structlog

from flowetl.errors import Held, LoadError, NotReady
from flowetl.moneysource import MoneySource
from flowetl.source import Source

_log = structlog.get_logger(__name__)

_SECONDS = 30.0
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ")
"""Variables that a command is given; others of ours are secrets."""


def tell(hook: str | None, source: Source | MoneySource, date: dt.date, error: LoadError) -> None:
    """Tell a command or an address of a day; a failing hook stops nothing.

    The content is JSON: ``source``, ``cdr_type``, ``date``, ``state`` (``failed``, ``held`` or ``missing``) and ``cause``,
    which names files and columns and never an identifier.
    """
    if not hook:
        return
    state = "held" if isinstance(error, Held) else "missing" if isinstance(error, NotReady) else "failed"
    told = {
        "source": source.name,
        "cdr_type": source.cdr_type,
        "date": date.isoformat(),
        "state": state,
        "cause": str(error),
    }
    content = json.dumps(told).encode()
    try:
        if hook.startswith(("http://", "https://")):
            request = urllib.request.Request(hook, content, {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=_SECONDS).close()
        else:
            environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            subprocess.run([hook], input=content, env=environment, timeout=_SECONDS, check=True)
    except (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError) as fault:
        _log.error("the hook failed", source=source.name, date=str(date), error=type(fault).__name__)
