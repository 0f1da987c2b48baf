"""Offer usual scope sets for roles, explain scopes and point out missing ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from flask_babel import gettext

from flowauth.language import mark

SIMPLE_SENTENCES = {
    "run": mark("Submit queries of the kinds below."),
    "get_result": mark("Fetch results of the kinds below, whoever ran them."),
    "get_available_dates": mark("See for which days there is data."),
    "get_qa_checks": mark("See the outcomes of the quality checks."),
    "cancel": mark("Stop a query that no other user asked for."),
    "extremes": mark(
        "See values that may be one subscriber's own: max, min and mode, and histograms without a range."
    ),
}
_COARSE_UNITS = frozenset({"nonspatial", "admin0", "admin1", "admin2"})
_MOST_HINTS = 10

PRESETS = {
    "coarse": mark("All kinds at admin2 and coarser"),
    "viewer": mark("Viewer: fetches what others ran, at admin2 and coarser"),
    "analyst": mark("Analyst: runs and fetches, at admin2 and coarser"),
    "monitor": mark("Monitor: days and quality checks, no results"),
}
_SIMPLE = {
    "viewer": {"get_result", "get_available_dates"},
    "analyst": {"get_result", "get_available_dates", "run"},
    "monitor": {"get_available_dates", "get_qa_checks"},
}


def preset(name: str, offered: Collection[str], chosen: Iterable[str]) -> set[str]:
    """Return a preset's scopes that the server offers.

    ``coarse`` keeps the chosen simple scopes.

    Raises
    ------
    KeyError
        There is no such preset.
    """
    simple = {one for one in chosen if ":" not in one} if name == "coarse" else _SIMPLE[name]
    coarse = {one for one in offered if ":" in one and one.split(":")[0] in _COARSE_UNITS}
    return (simple | (coarse if name != "monitor" else set())) & set(offered)


def sentence(scope: str, kinds: Mapping[str, str]) -> str:
    """Explain a scope by its kinds' descriptions; empty where there are none."""
    if ":" not in scope:
        known = SIMPLE_SENTENCES.get(scope)
        return gettext(known) if known else ""
    return kinds.get(scope.rpartition(":")[2], "")


def forgotten(chosen: Collection[str], offered: Collection[str]) -> list[str]:
    """Warn of each ticked kind whose queries lack a needed scope."""
    groups: dict[str, set[str]] = {}
    for scope in chosen:
        if ":" in scope:
            top, _, kind = scope.rpartition(":")
            groups.setdefault(top, set()).add(kind)
    told = []
    for group, kinds in sorted(groups.items()):
        own = group.partition(":")[2]
        inner = {one.rpartition(":")[2] for one in offered if one.rpartition(":")[0] == group} - {own}
        if own not in kinds and f"{group}:{own}" in offered:
            told.append(
                gettext("%(group)s: nothing can be asked without %(group)s:%(own)s.", group=group, own=own)
            )
        elif kinds == {own} and inner:
            told.append(
                gettext(
                    "%(group)s: queries with another kind inside, such as %(inner)s, are denied.",
                    group=group,
                    inner=min(inner),
                )
            )
    more = len(told) - _MOST_HINTS
    return told[:_MOST_HINTS] + ([gettext("And %(more)s more like these.", more=more)] if more > 0 else [])
