"""Find subscribers' usual environments, homes and workplaces by their permanence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.queries.places.daily_permanence import DailyPermanence
from flowmachine.queries.places.permanence import Permanence
from flowmachine.settings import PERMANENCE, Defaults
from flowmachine.spec.fields import Integer, optional
from flowmachine.spec.query import Sources, field_group
from flowsettings.lookup import find

USUAL, HOME, WORK = "usual", "home", "work"
LABELS = (USUAL, HOME, WORK)

#: The permanence that rules compare: the whole of it, of nights, and of working hours of workdays.
_OF: dict[str, dict[str, Any]] = {
    "all": {},
    "night": {"interval": "night"},
    "working": {"day_type": "workdays", "interval": "working_hours"},
}


class OfDeployment(Integer):
    """Accept a whole number; a spec without one has the deployment's."""

    def __init__(self, threshold: str) -> None:
        known = PERMANENCE[threshold]
        super().__init__(known.lowest, known.highest)
        self.threshold = threshold

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> int:
        number = super().deserialize(value, attr, data, **kwargs)
        return in_force()[self.threshold] if number is None else number


def in_force() -> Mapping[str, int]:
    """Return the thresholds of specs that give none.

    FLOWMACHINE_PERMANENCE replaces some of the usual ones.
    """
    return _defaults(find("FLOWMACHINE_PERMANENCE")).permanence


@lru_cache(maxsize=4)
def _defaults(_text: str | None) -> Defaults:
    return Defaults.load()


def _threshold(name: str, doc: str, example: int) -> Any:
    usual = f"The deployment's if absent, usually {PERMANENCE[name].usual}."
    return optional(OfDeployment(name), doc=f"{doc} {usual}", null=False, example=example)


@field_group
class Thresholds:
    """Hold the fields of kinds that label locations by permanence."""

    min_score: int = _threshold(
        "min_score",
        "Slots of an hour that a subscriber must be observed in; of finer slots as many times more.",
        100,
    )
    min_days: int = _threshold("min_days", "Days on which a subscriber must be observed.", 10)
    gap_share: int = _threshold(
        "gap_share", "Locations after a fall of the score by this percentage of the highest are left out.", 30
    )
    gap_score: int = _threshold("gap_score", "The same for homes and workplaces, in slots.", 5)
    ue_share: int = _threshold(
        "ue_share", "Percentage of the observed slots that makes a location usual.", 60
    )
    label_share: int = _threshold("label_share", "The same for homes and workplaces.", 70)

    @property
    def thresholds(self) -> dict[str, int]:
        """Return the fields of this group, for another kind with the same ones."""
        return {name: getattr(self, name) for name in Thresholds.__annotations__}


def permanences(daily: DailyPermanence) -> tuple[Permanence, ...]:
    """Return the permanence that labels are made of: all, nights, working hours."""
    return tuple(Permanence(daily_permanence=daily, **which) for which in _OF.values())


def labelled(
    sources: Sources, daily: DailyPermanence, given: Thresholds, label: str, name: str
) -> FromClause:
    """Return (``subscriber``, ``location``, ``score``, ``days``) of a label.

    Score and days are those that rank the locations: at all times, or for workplaces in working hours of workdays.
    """
    places = _places(sources, daily, given, name)
    near = _kept(places, "all_score", lambda fall, top: fall * 100 >= top * given.gap_share, f"{name}_near")
    measures: tuple[str, ...] = ("all_score", "night_score", "working_score", "all_days")
    found = _by_first_rule(near, measures, given.ue_share, f"{name}_usual")
    ranking = "working" if label == WORK else "all"
    if label != USUAL:
        high = _kept(found, f"{ranking}_score", lambda fall, top: fall >= given.gap_score, f"{name}_high")
        home, work = ("all_score", "night_score", "night_days"), ("working_score", "working_days")
        found = _by_first_rule(high, work if label == WORK else home, given.label_share, f"{name}_labelled")
    return sa.select(
        found.c.subscriber,
        found.c.location,
        found.c[f"{ranking}_score"].label("score"),
        found.c[f"{ranking}_days"].label("days"),
    ).subquery(name)


def _places(sources: Sources, daily: DailyPermanence, given: Thresholds, name: str) -> FromClause:
    """Return the scores of all locations of subscribers who are observed enough.

    Scores are null where a location has none.
    """
    stored = {
        word: sa.select(sources.stored(query)).subquery(f"{name}_{word}")
        for word, query in zip(_OF, permanences(daily), strict=True)
    }
    always = stored["all"]
    joined: FromClause = always
    for word in ("night", "working"):
        other = stored[word]
        same = [other.c[column] == always.c[column] for column in ("subscriber", "location")]
        joined = joined.outerjoin(other, sa.and_(*same))
    columns = [
        stored[word].c[measure].label(f"{word}_{measure}")
        for word in _OF
        for measure in ("score", "days", "observed_score", "observed_days")
    ]
    return (
        sa.select(always.c.subscriber, always.c.location, *columns)
        .select_from(joined)
        .where(
            always.c.observed_score * 24 >= given.min_score * daily.slots,
            always.c.observed_days >= given.min_days,
        )
        .subquery(f"{name}_places")
    )


def _kept(
    places: FromClause,
    score: str,
    is_gap: Callable[[ColumnElement[int], ColumnElement[int]], ColumnElement[bool]],
    name: str,
) -> FromClause:
    """Return the locations with a score down to the first gap.

    ``is_gap`` says whether a fall of the score is one, beside the subscriber's highest score.
    """
    order: dict[str, Any] = {
        "partition_by": places.c.subscriber,
        "order_by": [places.c[score].desc(), places.c.location],
    }
    ranked = (
        sa.select(
            places,
            (sa.func.lag(places.c[score]).over(**order) - places.c[score]).label("fall"),
            sa.func.max(places.c[score]).over(partition_by=places.c.subscriber).label("top"),
        )
        .where(places.c[score].is_not(None))
        .subquery(f"{name}_ranked")
    )
    order = {
        "partition_by": ranked.c.subscriber,
        "order_by": [ranked.c[score].desc(), ranked.c.location],
    }
    gap = sa.case((is_gap(ranked.c.fall, ranked.c.top), 1), else_=0)
    gaps = sa.func.max(gap).over(**order, rows=(None, 0)).label("gaps")
    fallen = sa.select(ranked, gaps).subquery(f"{name}_fallen")
    return sa.select(*(fallen.c[column.name] for column in places.c)).where(fallen.c.gaps == 0).subquery(name)


def _by_first_rule(places: FromClause, measures: Sequence[str], share: int, name: str) -> FromClause:
    """Return the locations that reach the share of a measure.

    The measure is the first of which one of the subscriber's locations does. A location without a measure does not reach it.
    """
    reached = []
    for rule, measure in enumerate(measures):
        word, _, what = measure.partition("_")
        enough = places.c[measure] * 100 >= places.c[f"{word}_observed_{what}"] * share
        reached.append((enough, rule))
    passed: ColumnElement[int] = sa.case(*reached)
    judged = sa.select(places, passed.label("rule")).where(passed.is_not(None)).subquery(f"{name}_judged")
    first = sa.func.min(judged.c.rule).over(partition_by=judged.c.subscriber).label("first_rule")
    decided = sa.select(judged, first).subquery(f"{name}_decided")
    return (
        sa.select(*(decided.c[column.name] for column in places.c))
        .where(decided.c.rule == decided.c.first_rule)
        .subquery(name)
    )
