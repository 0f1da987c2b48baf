"""Check that no token outlives a cap."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowauth.errors import Refusal
from flowauth.expiry import LONGEST_LIFE_MINUTES, Limit, expiry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
moments = st.integers(-10_000, 10_000).map(
    lambda minutes: NOW + timedelta(minutes=minutes, microseconds=minutes % 7)
)
limit = st.builds(
    Limit,
    owner=st.just("role r"),
    longest_life=st.integers(1, LONGEST_LIFE_MINUTES).map(lambda minutes: timedelta(minutes=minutes)),
    latest=st.none() | moments,
)


@given(st.lists(limit, min_size=1, max_size=6), st.none() | moments)
def test_no_expiry_is_beyond_any_cap(limits: list[Limit], requested: datetime | None) -> None:
    try:
        end = expiry(limits, NOW, requested).at
    except Refusal:
        past = any(one.latest is not None and one.latest < NOW + timedelta(seconds=1) for one in limits)
        too_far = requested is not None and any(
            requested > NOW + one.longest_life
            or (one.latest is not None and requested > one.latest.replace(microsecond=0))
            for one in limits
        )
        assert past or too_far or (requested is not None and requested <= NOW)
        return
    assert end > NOW
    assert all(end <= NOW + one.longest_life for one in limits)
    assert all(one.latest is None or end <= one.latest for one in limits)
    assert requested is None or end == requested


def test_the_deciding_cap_is_named() -> None:
    server = Limit("server s", timedelta(days=31), NOW + timedelta(days=3))
    role = Limit("role r", timedelta(days=4), None)
    assert expiry([server, role], NOW).reason == "latest expiry of server s"
    assert expiry([Limit("server s", timedelta(days=31), None), role], NOW).reason == "longest life of role r"


def test_a_cap_already_past_refuses() -> None:
    with pytest.raises(Refusal) as refusal:
        expiry([Limit("role r", timedelta(days=1), NOW - timedelta(days=1))], NOW)
    assert refusal.value.status == 401
    assert "role r" in refusal.value.message
