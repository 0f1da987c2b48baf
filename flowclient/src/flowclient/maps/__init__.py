"""Results on maps. The packages that draw are imported when first needed."""

from __future__ import annotations

from flowclient.maps.figure import plot
from flowclient.maps.interactive import explore
from flowclient.maps.panels import Panel, panels
from flowclient.maps.places import CRS, geodataframe, located, require_geopandas

__all__ = ["CRS", "Panel", "explore", "geodataframe", "located", "panels", "plot", "require_geopandas"]
