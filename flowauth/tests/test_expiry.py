"""Check that no token outlives a cap."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowauth.errors import Refusal
from flowauth.expiry import LONGEST_LIFE_MINUTES, Cap, Limit, earliest, expiry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
moments = st.integers(-10_000, 10_000).map(
    lambda minutes: NOW + timedelta(minutes=minutes, microseconds=minutes % 7)
) | st.sampled_from([NOW - MOMENT, NOW, NOW + MOMENT, NOW + timedelta(seconds=1)])
lives = st.integers(1, LONGEST_LIFE_MINUTES).map(lambda minutes: timedelta(minutes=minutes))


@st.composite
def limits_of_many(draw: st.DrawFn) -> list[Limit]:
    """Draw limits whose latest expiry may equal longest lives or each other."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        life = draw(lives | st.sampled_from([one.longest_life for one in found] or [timedelta(minutes=1)]))
        found.append(Limit(f"role {number}", life, draw(st.none() | moments | st.just(NOW + life))))
    return found


def caps(limits: list[Limit]) -> list[tuple[datetime, str]]:
    """Return every moment that a limit sets, to the second for administrators' limits."""
    found = []
    for one in limits:
        found.append((NOW + one.longest_life, f"longest life of {one.owner}"))
        if one.latest is not None:
            found.append((one.latest.replace(microsecond=0), f"latest expiry of {one.owner}"))
    return found


@given(limits_of_many(), st.data())
def test_a_token_ends_when_asked_and_never_beyond_a_cap(limits: list[Limit], data: st.DataObject) -> None:
    ends = sorted({at for at, _ in caps(limits)})
    beside = [at + step for at in ends for step in (-MOMENT, timedelta(0), MOMENT)]
    requested = data.draw(st.none() | moments | st.sampled_from(beside), "requested")
    last = ends[0]
    if last > NOW and (requested is None or NOW < requested <= last):
        cap = expiry(limits, NOW, requested)
        assert cap.at == (requested or last)
        assert (cap.reason == "your choice") is (requested is not None)
        assert requested is not None or (cap.at, cap.reason) in caps(limits)
        return
    with pytest.raises(Refusal) as refusal:
        expiry(limits, NOW, requested)
    assert (refusal.value.status, refusal.value.field) == ((401, None) if last <= NOW else (400, "expires"))


def test_a_life_may_be_as_long_as_its_cap_to_the_microsecond() -> None:
    limit = Limit("role r", timedelta(days=4), None)
    assert expiry([limit], NOW, NOW + timedelta(days=4)) == Cap(
        NOW + timedelta(days=4), "your choice", is_chosen=True
    )
    with pytest.raises(Refusal, match="longest life of role r"):
        expiry([limit], NOW, NOW + timedelta(days=4) + MOMENT)


def test_the_deciding_cap_is_named() -> None:
    server = Limit("server s", timedelta(days=31), NOW + timedelta(days=3))
    role = Limit("role r", timedelta(days=4), None)
    assert expiry([server, role], NOW).reason == "latest expiry of server s"
    assert expiry([Limit("server s", timedelta(days=31), None), role], NOW).reason == "longest life of role r"


def test_of_equal_caps_the_first_is_named_and_of_one_limit_its_longest_life() -> None:
    pair = [Limit(f"role {name}", timedelta(days=4), NOW + timedelta(days=4)) for name in "ab"]
    assert earliest(pair, NOW) == Cap(NOW + timedelta(days=4), "longest life of role a")


def test_a_cap_already_past_refuses() -> None:
    for latest in (NOW - timedelta(days=1), NOW):
        with pytest.raises(Refusal) as refusal:
            expiry([Limit("role r", timedelta(days=1), latest)], NOW)
        assert refusal.value.status == 401
        assert "latest expiry of role r" in refusal.value.message


def test_the_longest_life_is_ten_years_and_limits_and_caps_do_not_change() -> None:
    assert timedelta(minutes=LONGEST_LIFE_MINUTES) == timedelta(days=3660)
    with pytest.raises(FrozenInstanceError):
        Limit("role r", timedelta(days=1), None).owner = "role s"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Cap(NOW, "").at = NOW + MOMENT  # type: ignore[misc]
