"""Check that the API records each token's last use and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flowapi.app import create_app
from flowapi.noting import FORGOTTEN_AFTER
from flowapi.settings import Settings
from flowapi.testing import TokenBuilder
from flowapi.usage import QueryScopes, TokenUse

pytestmark = pytest.mark.anyio
NOON = datetime(2016, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "used"


def lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


async def test_a_request_with_a_good_token_is_told_and_none_other(
    lonely_settings: Settings, tokens: TokenBuilder, foreign_tokens: TokenBuilder, captured: Any, path: Path
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    app = create_app(lonely_settings.model_copy(update={"token_use_file": path}), captured.logs())
    async with app.test_app() as running:
        client = running.test_client()
        # The request is forbidden, but the token counts as used.
        headers = tokens.header({"none": ["run"]}, jti="mine")
        assert (await client.get("/api/0/available_dates", headers=headers)).status_code == 403
        for other in (foreign_tokens.header({}, jti="foreign"), tokens.header({}, jti="old", lifetime=-99)):
            assert (await client.get("/api/0/available_dates", headers=other)).status_code == 401
    [[jti, moment]] = lines(path)
    assert jti == "mine"
    assert before <= datetime.fromisoformat(moment) <= datetime.now(UTC)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_restart_forgets_nothing_but_what_is_old(path: Path, captured: Any) -> None:
    moment = NOON
    first = TokenUse(path, captured.logs(), lambda: moment)
    first.note("a")
    first.note("b")
    first.write()
    moment = NOON + timedelta(minutes=1)
    second = TokenUse(path, captured.logs(), lambda: moment)
    second.note("b")
    second.write()
    assert lines(path) == [["a", "2016-01-01T12:00:00Z"], ["b", "2016-01-01T12:01:00Z"]]
    moment = NOON + FORGOTTEN_AFTER + timedelta(seconds=1)
    second.note("c")
    second.write()
    assert [jti for jti, _ in lines(path)] == ["b", "c"]


def test_scopes_of_queries_are_told_and_the_oldest_forgotten(
    path: Path, captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowapi.usage._MOST_QUERIES", 2)
    moment = NOON
    told = QueryScopes(path, captured.logs(), lambda: moment)
    for minute, query_id in enumerate(("b", "c", "a")):
        moment = NOON + timedelta(minutes=minute)
        told.note(query_id, frozenset({"admin1:flows:flows", "*:*:event_count"}))
    told.write()
    assert lines(path) == [
        ["a", "2016-01-01T12:02:00Z", "*:*:event_count", "admin1:flows:flows"],
        ["c", "2016-01-01T12:01:00Z", "*:*:event_count", "admin1:flows:flows"],
    ]


def test_what_cannot_be_written_is_kept_for_the_next_time(path: Path, captured: Any) -> None:
    use = TokenUse(path / "missing", captured.logs(), lambda: NOON)
    use.note("a")
    use.write()
    assert "token use not written" in captured.text
    path.mkdir()
    use.write()
    assert lines(path / "missing") == [["a", "2016-01-01T12:00:00Z"]]


@pytest.mark.parametrize("jti", [None, "", "two words", "line\nbreak", "x" * 37, "é"])
def test_an_odd_id_is_not_told(path: Path, captured: Any, jti: str | None) -> None:
    use = TokenUse(path, captured.logs(), lambda: NOON)
    use.note(jti)
    use.write()
    assert not path.exists()
