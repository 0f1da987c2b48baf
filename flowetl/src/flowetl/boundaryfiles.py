"""Find which file of a folder holds which level, by our names or as downloaded."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from flowetl.errors import DataFault
from flowetl.mappings import BoundaryMapping, read_boundary_mappings
from flowetl.vectorfiles import SUFFIXES, layers_of

MAXIMUM_LEVEL: Final = 3
_ENDS: Final = r"\.(?:geojson|json|gpkg|shp|fgb|geojson\.zip|json\.zip)"
_DOWNLOADS: Final = tuple(
    re.compile(pattern + _ENDS, re.IGNORECASE)
    for pattern in (
        # GADM, such as gadm41_NPL_1.json.zip
        r"gadm\d+_[a-z]{3}_(?P<level>[0-3])",
        # geoBoundaries, such as geoBoundaries-NPL-ADM1_simplified.geojson
        r"geoboundaries-[a-z]{3}-adm(?P<level>[0-3])(?:_simplified)?",
        # HDX, such as npl_admbnda_adm1_nd_20240320.geojson and npl_admin1.geojson
        r"[a-z]{3}_(?:adm[a-z]*_)?adm(?:in)?(?P<level>[0-3])(?:_.*)?",
    )
)
_COUNTRY_FILE: Final = re.compile(r"gadm\d+_[a-z]{3}\.gpkg", re.IGNORECASE)
_LAYER: Final = re.compile(r"ADM_ADM_([0-3])")


class BoundaryFile(NamedTuple):
    """Name the file of a level, and its mapping if it needs one."""

    level: int
    path: Path
    mapping: BoundaryMapping | None


def boundary_files(folder: Path) -> list[BoundaryFile]:
    """Return the file of each level that a folder, or its ``boundaries``, has.

    ``boundaries.yml`` names files first, our own names second, names of downloads third.

    Raises
    ------
    DataFault
        When a mapping names a file that is not there, or two downloads are of one level.
    """
    mappings = [
        path
        for path in (folder / "boundaries" / "boundaries.yml", folder / "boundaries.yml")
        if path.exists()
    ]
    given = read_boundary_mappings(mappings[0]) if mappings else {}
    downloads = defaultdict(list)
    for found in _downloads(folder):
        downloads[found.level].append(found)
    files = []
    for level in range(MAXIMUM_LEVEL + 1):
        if mapping := given.get(level):
            files.append(BoundaryFile(level, named(mappings[0], mapping.file), mapping))
            continue
        ours = [folder / "boundaries" / f"admin{level}{suffix}" for suffix in SUFFIXES]
        there = [path for path in ours if path.exists()]
        if there:
            files.append(BoundaryFile(level, there[0], None))
        elif len(downloads[level]) > 1:
            names = ", ".join(found.path.name for found in downloads[level])
            raise DataFault(
                f"admin{level}: {names} are all of this level: leave one, or name it in boundaries.yml"
            )
        else:
            files += downloads[level]
    return files


def named(mapping: Path, name: str) -> Path:
    """Return the file that a mapping names in its own folder."""
    path = mapping.parent / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
        raise DataFault(f"{mapping.name}: file {name!r} is not in the folder of {mapping.name}")
    return path


def _downloads(folder: Path) -> Iterator[BoundaryFile]:
    for path in sorted((*folder.glob("*"), *(folder / "boundaries").glob("*"))):
        if not path.is_file():
            continue
        if _COUNTRY_FILE.fullmatch(path.name):
            for layer in layers_of(path):
                if match := _LAYER.fullmatch(layer):
                    yield BoundaryFile(int(match[1]), path, BoundaryMapping(file=path.name, layer=layer))
        for pattern in _DOWNLOADS:
            if match := pattern.fullmatch(path.name):
                yield BoundaryFile(int(match["level"]), path, None)
                break
