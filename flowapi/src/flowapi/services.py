"""Share settings, logs, the engine's connection, results and known queries."""

from __future__ import annotations

from dataclasses import dataclass

from quart import Quart, current_app, g

from flowapi.description import Description
from flowapi.engine import Conversation, EngineClient
from flowapi.fetched import FetchedTokens
from flowapi.logs import Logs
from flowapi.metrics import Metrics
from flowapi.queries import KnownQueries
from flowapi.record import current_record
from flowapi.results import ResultStore
from flowapi.settings import Settings
from flowapi.turns import Turns

_EXTENSION = "flowapi"


@dataclass(frozen=True)
class Services:
    """Hold one running application's services."""

    settings: Settings
    logs: Logs
    metrics: Metrics
    engine: EngineClient
    results: ResultStore
    queries: KnownQueries
    turns: Turns
    description: Description
    fetched: FetchedTokens | None = None


def install_services(app: Quart, shared: Services) -> None:
    """Make ``shared`` the services of ``app``."""
    app.extensions[_EXTENSION] = shared


def services_of(app: Quart) -> Services:
    """Return the services of an application."""
    return app.extensions[_EXTENSION]


def services() -> Services:
    """Return the services of the application that answers the present request."""
    return current_app.extensions[_EXTENSION]


def engine() -> Conversation:
    """Return the exchange with the engine for the present request."""
    if "conversation" not in g:
        g.conversation = services().engine.conversation(current_record().request_id)
    return g.conversation
