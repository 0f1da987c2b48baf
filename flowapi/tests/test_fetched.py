"""Fetch the signed list of revoked tokens from a server that can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest

from flowapi import fetched
from flowapi.app import create_app
from flowapi.fetched import LIST_TYPE, FetchedTokens, NoList
from flowapi.settings import Settings, parse_public_keys
from flowapi.testing import TokenBuilder
from flowapi.tokens import TokenError, TokenReader

pytestmark = pytest.mark.anyio


class Publisher:
    """Serve ``text``; None answers 500, as an app without its database does."""

    def __init__(self) -> None:
        self.text: str | None = None
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(500 if publisher.text is None else 200)
                self.end_headers()
                self.wfile.write((publisher.text or "").encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/revoked-tokens"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    thread = threading.Thread(target=publisher.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield publisher
    publisher.server.shutdown()
    publisher.server.server_close()
    thread.join()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "revoked.jwt"


def signed(tokens: TokenBuilder, *ids: str, at: float | None = None, typ: str = LIST_TYPE) -> str:
    payload = {"iat": int(time.time() if at is None else at), "revoked": list(ids)}
    return jwt.encode(payload, tokens.private_key, algorithm="RS256", headers={"typ": typ})


@pytest.fixture
def settings(lonely_settings: Settings, publisher: Publisher, copy: Path) -> Settings:
    return lonely_settings.model_copy(update={"revocation_url": publisher.url, "revocation_copy": copy})


async def test_a_token_that_is_revoked_meanwhile_is_refused(
    settings: Settings,
    publisher: Publisher,
    tokens: TokenBuilder,
    captured: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetched, "FETCH_EVERY_SECONDS", 0.01)
    publisher.text = signed(tokens)
    mine = tokens.header({"none": ["run"]}, jti="mine")
    async with create_app(settings, captured.logs()).test_app() as running:
        client = running.test_client()
        assert (await client.get("/api/0/available_dates", headers=mine)).status_code == 403
        publisher.text = signed(tokens, "mine")
        deadline = time.monotonic() + 10
        while (reply := await client.get("/api/0/available_dates", headers=mine)).status_code != 401:
            assert time.monotonic() < deadline
        assert "revoked" in await reply.get_data(as_text=True)


async def test_the_last_list_outlives_the_auth_app_and_its_age_is_told(
    settings: Settings, publisher: Publisher, tokens: TokenBuilder, captured: Any
) -> None:
    publisher.text = signed(tokens, "mine", at=time.time() - 100)
    for _ in range(2):
        async with create_app(settings, captured.logs()).test_app() as running:
            publisher.text = None
            client = running.test_client()
            reply = await client.get(
                "/api/0/available_dates", headers=tokens.header({"none": ["run"]}, jti="mine")
            )
            assert reply.status_code == 401
            ready = await (await client.get("/api/0/health/ready")).get_json()
            assert 100 <= ready["revoked_tokens_age_seconds"] < 200
    assert "revoked tokens not fetched" in captured.text


def test_without_any_list_the_api_does_not_start(settings: Settings, captured: Any, copy: Path) -> None:
    with pytest.raises(NoList, match=f"none in {copy}. Start the auth app"):
        create_app(settings, captured.logs())


def test_what_is_no_newer_list_of_the_auth_app_changes_nothing(
    publisher: Publisher, tokens: TokenBuilder, foreign_tokens: TokenBuilder, captured: Any, copy: Path
) -> None:
    publisher.text = good = signed(tokens, "mine")
    listed = FetchedTokens(publisher.url, copy, parse_public_keys(tokens.public_key), captured.logs())
    assert copy.read_text() == good
    for bad in (
        signed(foreign_tokens),
        signed(tokens, at=time.time() - 60),
        signed(tokens, at=time.time() + 3600),
        signed(tokens, typ="JWT"),
        tokens.token({}, revoked=[]),
        "mine",
        "é",
        "",
        good[:-1],
    ):
        publisher.text = bad
        listed.fetch()
        assert "mine" in listed
        assert copy.read_text() == good
    publisher.text = signed(tokens, "other", at=time.time() + 1)
    listed.fetch()
    assert ("mine" in listed, "other" in listed) == (False, True)


def test_a_list_is_no_token(publisher: Publisher, tokens: TokenBuilder) -> None:
    reader = TokenReader(parse_public_keys(tokens.public_key), tokens.audience)
    with pytest.raises(TokenError):
        reader.read(f"Bearer {signed(tokens, 'mine')}")


def test_a_list_without_end_is_not_read(
    publisher: Publisher, tokens: TokenBuilder, captured: Any, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetched, "LARGEST_LIST", 2000)
    publisher.text = signed(tokens, *(["mine"] * 2000))
    with pytest.raises(NoList):
        FetchedTokens(publisher.url, copy, parse_public_keys(tokens.public_key), captured.logs())
