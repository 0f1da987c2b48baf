"""Assemble the application: routes, access control and shared resources."""

from __future__ import annotations

import asyncio

from quart import Quart, Response
from sqlalchemy import URL

from flowapi.access import install_access_control
from flowapi.bodies import DRAINED_FACTOR
from flowapi.description import Description
from flowapi.engine import EngineAway, EngineClient, EngineSilent, EngineWithoutDatabase
from flowapi.errors import ApiError, install_error_handlers, json_response
from flowapi.fetched import FetchedTokens
from flowapi.logs import Logs
from flowapi.metrics import Metrics
from flowapi.openapi import operations_of
from flowapi.queries import KnownQueries
from flowapi.rates import Rates
from flowapi.recording import RequestRecorder
from flowapi.results import DatabaseDown, ResultGone, ResultStore, ResultWithheld
from flowapi.revocation import AnyOf, RevokedTokens
from flowapi.routes import catalogue, description, geography, health, queries
from flowapi.services import Services, install_services
from flowapi.settings import Settings
from flowapi.tokens import TokenReader
from flowapi.turns import Turns
from flowapi.usage import QueryScopes, TokenUse


def create_app(settings: Settings, logs: Logs | None = None) -> Quart:
    """Build the HTTP API as an ASGI app; connections open when serving starts.

    Raises
    ------
    NoList
        The list of revoked tokens can be neither fetched nor read from its copy.
    """
    logs = logs or Logs(settings.log_level)
    app = Quart("flowapi", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = DRAINED_FACTOR * settings.max_body
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # Clients of this API do not follow redirects, so an odd path gets 404.
    app.url_map.merge_slashes = False
    metrics = Metrics()
    query_scopes = QueryScopes(settings.query_scopes_file, logs)
    shared = Services(
        settings=settings,
        logs=logs,
        metrics=metrics,
        engine=EngineClient(
            settings.engine_host,
            settings.engine_port,
            settings.engine_key,
            timeout=settings.engine_timeout,
            run_timeout=settings.run_timeout,
        ),
        results=ResultStore(
            _database_url(settings), pool_size=settings.database_pool_size, timeout=settings.database_timeout
        ),
        queries=KnownQueries(query_scopes),
        turns=Turns(),
        description=Description(
            settings.identifier, lambda: operations_of(app), cancel=settings.cancel_enabled
        ),
        fetched=_fetched(settings, logs),
    )
    install_services(app, shared)
    install_error_handlers(app, logs)
    _install_outage_handlers(app)
    lists = (RevokedTokens(settings.revocation_file), shared.fetched or ())
    reader = TokenReader(settings.public_keys, settings.identifier, settings.token_issuer, AnyOf(lists))
    use = TokenUse(settings.token_use_file, logs)
    rates = Rates(settings.rate_runs, settings.rate_requests)
    install_access_control(app, reader, logs, use, rates)
    for blueprint in (
        health.blueprint,
        queries.blueprint,
        geography.blueprint,
        catalogue.dates,
        catalogue.quality,
        description.blueprint,
        description.resource,
    ):
        app.register_blueprint(blueprint)
    if settings.cancel_enabled:
        app.add_url_rule("/api/0/cancel/<query_id>", "cancel_query", queries.cancel_query, methods=["POST"])

    app.before_serving(shared.engine.open)
    app.before_serving(use.open)
    app.before_serving(query_scopes.open)
    if shared.fetched is not None:
        app.before_serving(shared.fetched.open)
        app.after_serving(shared.fetched.close)

    @app.after_serving
    async def close() -> None:
        await use.close()
        await query_scopes.close()
        await shared.engine.close()
        await asyncio.to_thread(shared.results.close)

    app.asgi_app = RequestRecorder(  # type: ignore[assignment, method-assign]
        app.asgi_app,  # type: ignore[arg-type]
        logs,
        metrics,
        trusted_proxies=settings.trusted_proxies,
        tls=settings.tls,
    )
    return app


def _fetched(settings: Settings, logs: Logs) -> FetchedTokens | None:
    if settings.revocation_url is None or settings.revocation_copy is None:
        return None
    return FetchedTokens(settings.revocation_url, settings.revocation_copy, settings.public_keys, logs)


def _database_url(settings: Settings) -> URL:
    return URL.create(
        "postgresql+psycopg2",
        username=settings.database_user,
        password=settings.database_password,
        host=settings.database_host,
        port=settings.database_port,
        database=settings.database_name,
    )


def _install_outage_handlers(app: Quart) -> None:
    async def engine_silent(error: EngineSilent) -> Response:
        body = {"status": "error", "msg": str(error)}
        return json_response(body, 504, {"Retry-After": "10"})

    async def engine_away(error: EngineAway) -> Response:
        return json_response({"status": "error", "msg": str(error)}, 503, {"Retry-After": "5"})

    async def database_down(error: DatabaseDown | EngineWithoutDatabase) -> Response:
        message = str(error) or "The database cannot be reached."
        return json_response({"status": "error", "msg": message}, 503, {"Retry-After": "10"})

    async def result_gone(error: ResultGone) -> Response:
        refusal = ApiError(
            404, "The stored result is not there any more; run the query again.", status="Error"
        )
        return json_response(refusal.body(), refusal.code)

    async def result_withheld(error: ResultWithheld) -> Response:
        refusal = ApiError(403, "The result has not been released, so it cannot be served.", status="Error")
        return json_response(refusal.body(), refusal.code)

    app.register_error_handler(EngineAway, engine_away)
    app.register_error_handler(EngineSilent, engine_silent)
    app.register_error_handler(DatabaseDown, database_down)
    app.register_error_handler(EngineWithoutDatabase, database_down)
    app.register_error_handler(ResultGone, result_gone)
    app.register_error_handler(ResultWithheld, result_withheld)
