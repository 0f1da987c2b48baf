"""Specs of the kinds about top-ups, data volumes and handsets."""

from __future__ import annotations

from hypothesis import strategies as st

from ..conversations import conversations, most_hours, most_subsets, most_windows, statistics
from ..drawing import SPECS, STATISTICS, WORLDS, Spec, chosen, hours, selection, spec, subsets, windows


def handsets() -> st.SearchStrategy[Spec]:
    return spec(
        "handset",
        windows,
        *selection,
        chosen("characteristic", "hnd_type", "brand", "model", "software_os_name", "software_os_vendor"),
        chosen("method", "last", "most-common"),
    )


SPECS.update(
    {
        "topup_amount": lambda: spec(
            "topup_amount", windows, subsets, hours, chosen("statistic", *STATISTICS)
        ),
        "topup_balance": lambda: spec(
            "topup_balance", windows, subsets, hours, chosen("statistic", *STATISTICS)
        ),
        "handset": handsets,
    }
)

SPECS.update(
    {
        "mds_volume": lambda: spec(
            "mds_volume",
            most_windows,
            most_subsets,
            most_hours,
            statistics,
            chosen("volume", "total", "upload", "download"),
        ),
    }
)
WORLDS.update(dict.fromkeys(("mds_volume",), conversations))
