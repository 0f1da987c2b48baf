"""Check the source address and the id that a request is recorded with."""

from __future__ import annotations

import ipaddress
import re

import pytest

from flowapi.recording import request_id, source_address

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", [b"198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"192.0.2.66, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [b"192.0.2.66", b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"nonsense"], "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: list[bytes], expected: str) -> None:
    scope = {"client": (peer, 4711), "headers": [(b"x-forwarded-for", value) for value in forwarded]}
    assert source_address(scope, TRUSTED) == expected


@pytest.mark.parametrize(
    "given",
    [[], [b""], [b"a b"], [b"x" * 65], [b"a\nb"], [b"a.b"], [b"\xff"], [b"one", b"two"]],
)
def test_an_id_that_is_no_plain_word_is_not_taken(given: list[bytes]) -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", request_id({"headers": [(b"x-request-id", one) for one in given]}))


def test_an_id_of_the_caller_is_kept_and_never_equal_to_another() -> None:
    scope = {"headers": [(b"X-Request-Id", b"notebook_7-a")]}
    ids = {request_id(scope) for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"notebook_7-a\.[0-9a-f]{32}", one) for one in ids)
