"""Find a day's files by a path with the date and stars."""

import datetime as dt
import glob
import re
from pathlib import Path

_DATE = re.compile(r"\{date(?::([^{}]*))?\}")
_PARTS = {
    "%Y": r"[0-9]{4}",
    "%y": r"[0-9]{2}",
    "%m": r"[0-9]{2}",
    "%d": r"[0-9]{2}",
    "%j": r"[0-9]{3}",
    "%b": "[A-Za-z]{3}",
}
"""The parts of a date in a name, and what they look like."""


def require_path(path: str) -> str:
    """Check the path of a source.

    Raises
    ------
    ValueError
        When no day could be told by it, or it leaves the landing folder.
    """
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError(f"{path!r} must be relative to the landing folder and stay inside it")
    found = _DATE.findall(path)
    if len(found) > 1 or re.search(r"[{}]", _DATE.sub("", path)):
        raise ValueError(
            f"{path!r} must hold {{date}} once, or with its form, such as {{date:%Y%m%d}}, and no other placeholder"
        )
    if not found:
        return path
    form = found[0] or "%Y-%m-%d"
    day = dt.date(2016, 12, 31)
    for part in re.findall("%-?.", form):
        if part not in _PARTS:
            raise ValueError(f"{path!r}: {part} is no part of a date; allowed: {', '.join(_PARTS)}")
    if "*" in form or "/" in form:
        raise ValueError(f"{path!r}: the form of the date may hold neither * nor /")
    try:
        told = dt.datetime.strptime(day.strftime(form), form).date()
    except ValueError:
        told = None
    if told != day:
        raise ValueError(f"{path!r}: {form!r} does not tell the day; such as %Y%m%d does")
    return path


def expected(path: str, date: dt.date) -> str:
    """The path of one day's file, in which stars may be left."""
    return _DATE.sub(lambda found: date.strftime(found[1] or "%Y-%m-%d"), path)


def has_date(path: str) -> bool:
    """Return whether a file's name contains its day."""
    return _DATE.search(path) is not None


def has_star(path: str) -> bool:
    """Return whether a day may have several files."""
    return "*" in path


def files_of(landing: Path, path: str, date: dt.date) -> list[Path]:
    """Return a day's files, sorted by name; names with a leading dot are ignored."""
    wanted = expected(path, date)
    if not has_star(wanted):
        there = landing / wanted
        return [there] if there.exists() else []
    pattern = "*".join(map(glob.escape, wanted.split("*")))
    return sorted(
        found for found in landing.glob(pattern) if found.is_file() and not found.name.startswith(".")
    )


def day_of(path: str, name: str) -> dt.date | None:
    """Return the day in a file's name; None if the file is not the source's."""
    found = _match(path, name)
    if found is None or not has_date(path):
        return None
    form = _DATE.split(path)[1] or "%Y-%m-%d"
    try:
        return dt.datetime.strptime(found["day"], form).date()
    except ValueError:
        return None


def fits(path: str, name: str) -> bool:
    """Return whether a file of this name belongs to the source."""
    return day_of(path, name) is not None if has_date(path) else _match(path, name) is not None


def _match(path: str, name: str) -> re.Match[str] | None:
    parts = _DATE.split(path)
    parts[0] = parts[0].rpartition("/")[2]
    pattern = [".*".join(map(re.escape, part.split("*"))) for part in parts[::2]]
    if len(parts) == 3:
        form = parts[1] or "%Y-%m-%d"
        told = re.sub(r"%-?.|[^%]+", lambda part: _PARTS.get(part[0]) or re.escape(part[0]), form)
        pattern.insert(1, f"(?P<day>{told})")
    return re.fullmatch("".join(pattern), name)
