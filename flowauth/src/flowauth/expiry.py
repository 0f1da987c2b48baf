"""Compute a token's expiry: the earliest of all caps, and its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import gettext

from flowauth.errors import Refusal

#: Upper bound of every limit (ten years), so that date arithmetic cannot overflow.
LONGEST_LIFE_MINUTES = 10 * 366 * 24 * 60


@dataclass(frozen=True)
class Limit:
    """Hold the limits of a server or role: longest lifetime and latest expiry."""

    owner: str
    longest_life: timedelta
    latest: datetime | None


@dataclass(frozen=True)
class Cap:
    """Hold a moment that a token may not outlive, and the reason."""

    at: datetime
    reason: str
    is_chosen: bool = False


def cap_of(limit: Limit, now: datetime) -> Cap:
    """Return the cap that one limit sets at a moment."""
    end = now + limit.longest_life
    if limit.latest is not None and limit.latest < end:
        return Cap(
            limit.latest.replace(microsecond=0), gettext("latest expiry of %(owner)s", owner=limit.owner)
        )
    return Cap(end, gettext("longest life of %(owner)s", owner=limit.owner))


def earliest(limits: Iterable[Limit], now: datetime) -> Cap:
    """Return the earliest cap; the first of equals."""
    return min((cap_of(limit, now) for limit in limits), key=lambda cap: cap.at)


def expiry(limits: Iterable[Limit], now: datetime, requested: datetime | None = None) -> Cap:
    """Return the expiry of a token requested now.

    Parameters
    ----------
    requested
        An earlier end that the user wishes; None for the latest allowed.

    Raises
    ------
    Refusal
        401 when a cap is already past; 400 when the requested end is past or beyond the cap.
    """
    cap = earliest(limits, now)
    if cap.at <= now:
        raise Refusal(gettext("No token can be made: the %(reason)s has passed.", reason=cap.reason), 401)
    if requested is None:
        return cap
    if requested <= now:
        raise Refusal(gettext("The expiry must be in the future."), field="expires")
    if requested > cap.at:
        raise Refusal(
            gettext("The expiry may be no later than the %(reason)s.", reason=cap.reason), field="expires"
        )
    return Cap(requested, gettext("your choice"), is_chosen=True)
