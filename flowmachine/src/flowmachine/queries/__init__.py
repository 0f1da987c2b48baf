"""One module per query kind, in folders by theme; every kind's class can be imported from here, too."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The class of a kind by its name, found when it is first asked for."""
    from flowmachine.queries.catalogue import all_kinds

    if name[:1].isupper() and not name.isupper():
        for cls in all_kinds().values():
            if cls.__name__ == name:
                return cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
