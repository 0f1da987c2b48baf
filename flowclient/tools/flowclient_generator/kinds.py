"""The table of kinds: the one source of the client's query functions."""

from __future__ import annotations

from flowclient_generator.aggregates import AGGREGATES
from flowclient_generator.building_blocks import BUILDING_BLOCKS

KINDS = (*BUILDING_BLOCKS, *AGGREGATES)

__all__ = ["AGGREGATES", "BUILDING_BLOCKS", "KINDS"]
