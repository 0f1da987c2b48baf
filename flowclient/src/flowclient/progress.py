"""The bar that counts the parts of queries still to run."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any


class PartsBar:
    """One bar over the parts of one or several queries.

    It appears with the first report, so a stored result shows nothing, and is closed as failed unless every query
    reported was finished. A part is one query of the dependency tree that is not yet stored.

    Parameters
    ----------
    disable : bool or None
        True never shows it, False always, None only on a terminal or in a notebook, and not at all if the environment
        variable ``FLOWCLIENT_DISABLE_PROGRESS`` is set.
    """

    def __init__(self, disable: bool | None = None) -> None:
        if disable is None and os.environ.get("FLOWCLIENT_DISABLE_PROGRESS"):
            disable = True
        self._disable = disable
        self._bar: Any = None
        self._eligible: dict[str, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> PartsBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def report(self, query_id: str, progress: Mapping[str, int]) -> None:
        """Show one poll's progress.

        More parts than before raise the total; done parts stay done.
        """
        with self._lock:
            # A query that is not ready has a part to run, even where all of its parts are under way.
            eligible = max(progress["eligible"], 1)
            if self._bar is None:
                # A notebook without widgets shows plain text, which tqdm would take for a stream nobody watches.
                disable = False if self._disable is None and _in_notebook() else self._disable
                self._bar = _tqdm()(total=eligible, desc="Parts run", unit="q", disable=disable)
                self._eligible[query_id] = eligible
            fall = self._eligible.get(query_id, 0) - eligible
            self._eligible[query_id] = eligible
            self._bar.set_postfix(queued=progress["queued"], running=progress["running"], refresh=False)
            if fall < 0:
                self._raise_total(-fall)
            self._advance(max(fall, 0))

    def finish(self, query_id: str) -> None:
        """Count the rest of a query's parts as run."""
        with self._lock:
            rest = self._eligible.pop(query_id, 0)
            if self._bar is not None:
                if not self._eligible:
                    self._bar.set_postfix_str("", refresh=False)
                self._advance(rest)

    def _advance(self, parts: int) -> None:
        # `update` draws only now and then, and says whether it did: one report is one line where lines are kept.
        if not self._bar.update(parts):
            self._bar.refresh()

    def _raise_total(self, rise: int) -> None:
        self._bar.total += rise
        # A notebook's widget keeps its own copy of the total.
        container = getattr(self._bar, "container", None)
        if container is not None:
            container.children[1].max = self._bar.total


def _in_notebook() -> bool:
    """Return whether this process is a notebook's kernel.

    An imported notebook package does not make a process a kernel.
    """
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and bool(kernel.IPKernelApp.initialized())


def _tqdm() -> Any:
    """Return the bar that fits the surroundings.

    Without notebook widgets this is the plain bar, without a warning.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm
