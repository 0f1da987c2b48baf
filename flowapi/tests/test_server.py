"""Test the API behind its real web server.

Limits, cut-off replies and shutdown are tested over HTTP/1.1 and over HTTP/2 with TLS.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from quart import Response

import flowapi.recording
import flowapi.server
from flowapi.access import public
from flowapi.app import create_app
from flowapi.delivery import deliver
from flowapi.encoding import JsonEncoder
from flowapi.server import hypercorn_config, serve_until
from flowapi.services import services_of
from flowapi.settings import Settings
from flowapi.testing import TokenBuilder

pytestmark = pytest.mark.anyio

ROWS = 300_000
STATEMENTS = {
    "many": f"SELECT number FROM generate_series(1, {ROWS}) AS number",
    "one": "SELECT 1 AS one",
    "endless": "SELECT generate_series(1, 1000000000) AS number",
    "broken": f"SELECT 1 / ({ROWS // 2} - number) FROM generate_series(1, {ROWS}) AS number",
}

Client = httpx.AsyncClient


@dataclass
class Serving:
    """Hold a running server, its client, further clients and its stop."""

    client: Client
    connect: Callable[[], Client]
    stop: asyncio.Event


Served = Callable[[], AbstractAsyncContextManager[Serving]]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a folder with a certificate for localhost and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert-flowkit.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key-flowkit.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return folder


@pytest.fixture
def settings(lonely_settings: Settings, module_database: Any, free_port: Callable[[], int]) -> Settings:
    url = module_database.url("flowapi")
    return lonely_settings.model_copy(
        update={
            "port": free_port(),
            "database_host": url.host,
            "database_port": url.port,
            "database_password": url.password,
            "database_name": url.database,
            "max_body": 4 * 1024 * 1024,
        }
    )


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def served(request: pytest.FixtureRequest, settings: Settings, tls: Path, captured: Any) -> Served:
    """Provide an API that can also deliver the statements above, and a client."""
    is_http2 = request.param == "HTTP/2"
    if is_http2:
        files = {"certificate": tls / "cert-flowkit.pem", "certificate_key": tls / "key-flowkit.pem"}
        settings = settings.model_copy(update=files)

    @asynccontextmanager
    async def run() -> AsyncIterator[Serving]:
        app = create_app(settings, captured.logs())

        @app.get("/deliver/<name>")
        @public
        async def deliver_statement(name: str) -> Response:
            return await deliver(STATEMENTS[name], JsonEncoder(name), filename=name)

        stop = asyncio.Event()
        serving = asyncio.create_task(serve_until(stop, app, hypercorn_config(settings, services_of(app))))
        trust = ssl.create_default_context(cafile=str(tls / "cert-flowkit.pem"))
        base = f"{'https://localhost' if is_http2 else 'http://127.0.0.1'}:{settings.port}"

        def connect() -> Client:
            return Client(base_url=base, verify=trust, http2=is_http2, http1=not is_http2)

        try:
            async with connect() as client:
                await _until_up(client, serving)
                yield Serving(client, connect, stop)
        finally:
            stop.set()
            await serving

    return run


async def _until_up(client: Client, serving: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20):
        while not serving.done():
            try:
                await client.get("/")
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
            else:
                return
    await serving


async def _closing_line(captured: Any, path: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            for line in captured.lines("access"):
                if line["event"].startswith("request ") and line["request"]["path"] == path:
                    return line
            await asyncio.sleep(0.02)


async def test_a_large_result_arrives_whole(served: Served, captured: Any) -> None:
    async with served() as serving:
        response = await serving.client.get("/deliver/many")
        assert response.status_code == 200
        assert len(response.json()["query_result"]) == ROWS
        assert response.headers["Content-Disposition"] == "attachment;filename=many"
        closing = await _closing_line(captured, "/deliver/many")
        assert (closing["rows"], closing["bytes"]) == (ROWS, response.num_bytes_downloaded)
        assert closing["bytes"] < len(response.content) / 3, "compressed"
        assert closing["complete"]
        assert ("Strict-Transport-Security" in response.headers) == (response.http_version == "HTTP/2")


async def test_clients_are_told_fewer_seconds_than_an_idle_connection_is_kept(
    served: Served, settings: Settings, captured: Any
) -> None:
    async with served() as serving:
        response = await serving.client.get("/")
    if response.http_version == "HTTP/2":
        assert "Keep-Alive" not in response.headers
        return
    told = int(response.headers["Keep-Alive"].removeprefix("timeout="))
    app = create_app(settings, captured.logs())
    assert 30 <= told < hypercorn_config(settings, services_of(app)).keep_alive_timeout


async def test_a_broken_result_never_looks_whole(served: Served, captured: Any) -> None:
    async with served() as serving:
        received = b""
        with pytest.raises(httpx.RemoteProtocolError):
            # A compressor would hold the first rows back.
            plain = {"Accept-Encoding": "identity"}
            async with serving.client.stream("GET", "/deliver/broken", headers=plain, timeout=20) as response:
                assert response.status_code == 200
                async for chunk in response.aiter_bytes():
                    received += chunk
        assert received
        closing = await _closing_line(captured, "/deliver/broken")
        assert closing["event"] == "request cut off"
        assert not closing["complete"]
        assert "division by zero" in captured.debug.getvalue()
        assert "Traceback" not in captured.debug.getvalue()
        assert (await serving.client.get("/")).status_code == 200


async def test_a_reader_who_leaves_is_noticed(served: Served, captured: Any) -> None:
    async with served() as serving:
        async with serving.connect() as leaving, leaving.stream("GET", "/deliver/endless") as response:
            await anext(response.aiter_bytes())
        closing = await _closing_line(captured, "/deliver/endless")
        assert closing["event"] == "request cut off"
        assert (await serving.client.get("/deliver/one")).json()["query_result"] == [{"one": 1}]


async def test_a_reader_who_stops_reading_is_cut_off(
    served: Served, captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flowapi.recording, "STALLED_READER_SECONDS", 0.5)
    async with served() as serving:
        async with serving.connect() as stalled, stalled.stream("GET", "/deliver/endless"):
            closing = await _closing_line(captured, "/deliver/endless")
        assert closing["event"] == "request cut off"
        assert (await serving.client.get("/deliver/one")).json()["query_result"] == [{"one": 1}]


async def test_the_head_of_a_result_streams_nothing(served: Served, captured: Any) -> None:
    async with served() as serving:
        response = await serving.client.head("/deliver/many")
        assert (response.status_code, response.content) == (200, b"")
        assert (await _closing_line(captured, "/deliver/many"))["rows"] < ROWS


# Over HTTP/2 the server's GOAWAY can overtake the end of the last stream, which clients report as cut off.
@pytest.mark.parametrize("served", ["HTTP/1.1"], indirect=True)
async def test_a_stop_lets_replies_finish(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowapi.server, "SHUTDOWN_SECONDS", 60)
    async with served() as serving:
        received = b""
        async with serving.client.stream("GET", "/deliver/many") as response:
            async for chunk in response.aiter_bytes():
                serving.stop.set()
                received += chunk
        assert received.endswith(b"]}")


async def test_the_container_s_health_check_finds_out_whether_the_api_speaks_https(
    served: Served, tls: Path, tmp_path: Path
) -> None:
    program = Path(__file__).parents[2] / "tools" / "containers" / "health"
    async with served() as serving:
        url = serving.client.base_url
        secrets = tls if url.scheme == "https" else tmp_path
        for path, code in (("/api/0/health/live", 0), ("/api/0/nonesuch", 1)):
            check = await asyncio.create_subprocess_exec(
                *(str(program), str(url.port), path),
                env={**os.environ, "FLOWKIT_SECRETS": str(secrets)},
            )
            assert await check.wait() == code


async def test_headers_of_32_kib_are_read(served: Served) -> None:
    async with served() as serving:
        response = await serving.client.get(
            "/api/0/available_dates", headers={"Authorization": "Bearer " + "x" * 32 * 1024}
        )
        assert response.status_code == 401
        assert response.json()["msg"]


async def test_a_body_over_the_limit_gets_an_answer(served: Served, tokens: TokenBuilder) -> None:
    headers = tokens.header({"all": ["run", "admin3:flows:flows"]})
    async with served() as serving:
        for size, code in ((3_000_000, 403), (5_000_000, 413)):
            body = {"query_kind": "nonesuch", "text": "a" * size}
            response = await serving.client.post("/api/0/run", json=body, headers=headers)
            assert response.status_code == code
            assert response.json()["msg"]
        response = await serving.client.post("/api/0/run", content=b"a" * 5_000_000)
        assert response.status_code == 401


def _environment(settings: Settings, tokens: TokenBuilder, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "FLOWKIT_SECRETS": str(tmp_path),
        "FLOWAPI_IDENTIFIER": settings.identifier,
        "PUBLIC_JWT_SIGNING_KEY": tokens.public_key,
        "FLOWAPI_PORT": str(settings.port),
        "FLOWAPI_LOG_LEVEL": "warning",
        "FLOWMACHINE_PORT": str(settings.engine_port),
        "FLOWMACHINE_KEY": settings.engine_key,
        "FLOWDB_HOST": settings.database_host,
        "FLOWDB_PORT": str(settings.database_port),
        "FLOWDB_DATABASE": settings.database_name,
        "FLOWAPI_FLOWDB_PASSWORD": settings.database_password,
    }


async def test_the_command_serves_counts_and_stops(
    settings: Settings, tokens: TokenBuilder, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    metrics_port = free_port()
    environment = _environment(settings, tokens, tmp_path) | {"FLOWAPI_METRICS_PORT": str(metrics_port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flowapi", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    ended = asyncio.create_task(process.communicate())
    async with Client(base_url=f"http://127.0.0.1:{settings.port}") as client:
        async with asyncio.timeout(30):
            while not ended.done():
                try:
                    await client.get("/")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        # A request is counted when its reply has been sent, possibly after the reply was read.
        counted = 'flowapi_requests_total{method="GET",route="/",status="200"}'
        async with asyncio.timeout(30):
            while counted not in (await client.get(f"http://127.0.0.1:{metrics_port}/metrics")).text:
                await asyncio.sleep(0.05)
        assert (await client.get("/metrics")).status_code == 404
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        output, errors = await ended
    assert process.returncode == 0, errors
    assert b'"request finished"' in output
    assert b"plain HTTP" in errors
    assert b"Traceback" not in errors


def test_the_command_names_a_missing_setting(
    settings: Settings, tokens: TokenBuilder, tmp_path: Path
) -> None:
    environment = _environment(settings, tokens, tmp_path)
    del environment["FLOWAPI_IDENTIFIER"]
    done = subprocess.run([sys.executable, "-m", "flowapi"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "FLOWAPI_IDENTIFIER" in done.stderr
    assert "Traceback" not in done.stderr
