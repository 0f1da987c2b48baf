"""Warnings that point at the user's line instead of at ours."""

from __future__ import annotations

import sys
import warnings


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside this package."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "flowclient":
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
