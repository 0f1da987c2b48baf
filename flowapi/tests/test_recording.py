"""Check the source address that a request is recorded with."""

from __future__ import annotations

import ipaddress

import pytest

from flowapi.recording import source_address

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
