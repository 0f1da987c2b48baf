"""Read GeoPackages, shapefiles and other vector files."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from flowetl.errors import DataFault

SUFFIXES = (".geojson", ".json", ".gpkg", ".shp", ".fgb")
"""The ends of names of files with boundaries, in the order in which a folder is searched."""


class Feature(NamedTuple):
    """One region of a file: its properties, and its geometry as well-known binary."""

    properties: dict[str, Any]
    geometry: bytes | None


class Layer(NamedTuple):
    """The features of one layer, and the EPSG code of their coordinates."""

    features: list[Feature]
    system: int


def read_layer(path: Path, layer: str | None) -> Layer:
    """The features of a layer; a file of one layer needs no name of it.

    Raises
    ------
    DataFault
        When the file cannot be read, has several layers, or does not say which system its coordinates are of.
    """
    layers = layers_of(path)
    # Imported here, because most deliveries are GeoJSON and the library takes long to load.
    import pyogrio
    from pyogrio.raw import read

    try:
        if layer is None and len(layers) != 1:
            raise DataFault(f"{path.name} has the layers {', '.join(layers)}: name one in boundaries.yml")
        if layer is not None and layer not in layers:
            raise DataFault(f"{path.name} has no layer {layer!r}; there are: {', '.join(layers)}")
        meta, _, geometries, values = read(path, layer=layer, force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError) as error:
        raise DataFault(f"{path.name} cannot be read: {_told(path, error)}") from error
    names = [str(name) for name in meta["fields"]]
    rows = zip(*(column.tolist() for column in values), strict=True) if names else ((),) * len(geometries)
    features = [
        Feature(dict(zip(names, row, strict=True)), geometry)
        for row, geometry in zip(rows, geometries, strict=True)
    ]
    return Layer(features, _system(path, meta["crs"]))


def layers_of(path: Path) -> list[str]:
    """Return the names of a file's layers.

    Raises
    ------
    DataFault
        When the file cannot be read.
    """
    import pyogrio

    try:
        return [str(name) for name, _ in pyogrio.list_layers(path)]
    except pyogrio.errors.DataSourceError as error:
        raise DataFault(f"{path.name} cannot be read: {_told(path, error)}") from error


def _told(path: Path, error: Exception) -> str:
    return str(error).splitlines()[0].replace(str(path), path.name)


def _system(path: Path, given: str | None) -> int:
    """Return the EPSG code that a file names, alone or at the end of a description."""
    found = re.fullmatch(r"EPSG:([0-9]+)", given or "") or re.search(
        r'(?:ID|AUTHORITY)\["EPSG",\s*"?([0-9]+)"?\]\]\s*$', given or ""
    )
    if found:
        return int(found[1])
    if given and re.search(r"CRS84|WGS[ _]?(19)?84", given) and "PROJ" not in given:
        return 4326
    raise DataFault(
        f"{path.name} does not name the system of its coordinates by an EPSG code: convert it to EPSG:4326"
    )
