"""Hold one module per query kind, in folders by theme.

Every kind's class can also be imported from here.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Return the class of a kind by its name, found on first use."""
    from flowmachine.queries.catalogue import all_kinds

    if name == "__all__":
        return __dir__()
    if name[:1].isupper() and not name.isupper():
        for cls in all_kinds().values():
            if cls.__name__ == name:
                return cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Show the class of every kind in completion."""
    from flowmachine.queries.catalogue import all_kinds

    return sorted(cls.__name__ for cls in all_kinds().values())
