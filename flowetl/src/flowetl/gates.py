"""Decide whether a day may become visible, is held back or is doubtful."""

import datetime as dt
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor

from flowetl import quality
from flowetl.errors import ConfigurationError, Held
from flowetl.identifiers import shape
from flowetl.source import Source
from flowetl.staging import StagedDay

WEEKS = 4
FEWEST_WEEKS = 2
"""Fewer days of the same weekday before say nothing about how many rows a day has."""
SHOWN = 3


@dataclass
class Verdict:
    """Hold reasons to hold the day back, doubts to record, and facts to tell."""

    held: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    def settle(self, file_name: str, accepted: str | None) -> list[str]:
        """Return the notes of a day that may become visible.

        Raises
        ------
        Held
            When it may not, and nobody has accepted it.
        """
        if self.held and accepted is None:
            raise Held(f"{file_name}: {'; '.join(self.held)}. Once it is right as it is: the command accept")
        return [*self.held, *([f"accepted: {accepted}"] if self.held else []), *self.told]


def require_gates(source: Source) -> None:
    """Check that every gate of a source names a built-in check.

    Raises
    ------
    ConfigurationError
        When one does not; what may be named is told.
    """
    names = [check.name for check in quality.discover(source.cdr_type) if check.packaged]
    for name in source.gates:
        if name not in names:
            raise ConfigurationError(
                f"{source.name}: gates.{name}: no such check of {source.cdr_type}; allowed: {', '.join(names)}"
            )


def judge_content(cursor: Cursor, day: StagedDay, minimum_known_cells: float) -> Verdict:
    """Judge a day by unread columns, and by cells, device models and usual rows."""
    verdict = judge_unread(day)
    _judge_cells(cursor, day, minimum_known_cells, verdict)
    _judge_models(cursor, day, verdict)
    _judge_rows(cursor, day, verdict)
    return verdict


def judge_unread(day: StagedDay) -> Verdict:
    """Judge a day by the share of each optional column that could not be read."""
    verdict, rejects = Verdict(), day.source.rejects
    for name, count in day.unread.items():
        if count <= rejects.maximum_unreadable * day.rows:
            continue
        told = (
            f"{name} could not be read in {count} of {day.rows} records, more than "
            f"rejects.maximum_unreadable {rejects.maximum_unreadable:g}"
        )
        if rejects.unreadable == "hold":
            verdict.held.append(f"{told}; correct mapping.{name}, or set rejects.unreadable to warn")
        else:
            verdict.told.append(told)
    return verdict


def judge_outcomes(source: Source, rows: int, outcomes: quality.Outcomes) -> Verdict:
    """Judge a day by the packaged checks' outcomes and the source's gates."""
    verdict = Verdict()
    for name, gate in source.gates.items():
        try:
            found = float(outcomes.get(name) or "")
        except ValueError:
            continue
        share = found / max(rows, 1)
        for key, bound, value in (
            ("minimum", gate.minimum, found),
            ("maximum", gate.maximum, found),
            ("maximum_share", gate.maximum_share, share),
        ):
            if bound is not None and (value < bound if key == "minimum" else value > bound):
                told = f"{name} is {value:g}{' of the rows' * (key == 'maximum_share')}, beyond gates.{name}.{key} {bound:g}"
                (verdict.held if gate.action == "hold" else verdict.told).append(told)
    return verdict


def _judge_cells(cursor: Cursor, day: StagedDay, minimum: float, verdict: Verdict) -> None:
    if "location_id" not in day.source.mapping:
        return
    cursor.execute(
        "SELECT id, bool_or(geom_point IS NOT NULL AND coalesce(date_of_first_service, '-infinity') <= %(date)s "
        "AND coalesce(date_of_last_service, 'infinity') >= %(date)s) FROM infrastructure.cells GROUP BY id",
        {"date": day.date},
    )
    listed: dict[str, bool] = dict(cursor.fetchall())
    events = day.events_by_location
    named = pc.sum(events.column("events")).as_py() or 0
    if not named:
        verdict.told.append("no record names a cell")
        return
    if not listed:
        verdict.told.append(
            "no cell list is loaded, so that no event has a place: load it with the command geography"
        )
        return
    serving = pa.array([cell for cell, serves in listed.items() if serves], pa.string())
    known = pc.is_in(events.column("location_id"), serving)
    count = pc.sum(events.column("events").filter(known)).as_py() or 0
    verdict.facts.append(f"{_percent(count, day.rows)} of records are at a known cell")
    if count < minimum * named:
        unknown = events.filter(pc.invert(known))
        verdict.held.append(
            f"only {count} of {named} records name a cell that is in the cell list on {day.date}, less than "
            f"minimum_known_cells {minimum:g}{_cell_cure(unknown, listed)}"
        )
    if named * 2 < day.rows:
        verdict.told.append(f"only {named} of {day.rows} records name a cell")


_SPELLINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("without .0 at their end", lambda cell: cell.removesuffix(".0")),
    ("without leading zeros", lambda cell: cell.lstrip("0")),
    ("in small letters", str.lower),
    ("without blanks and separators", lambda cell: "".join(filter(str.isalnum, cell))),
)


def _cell_cure(unknown: pa.Table, listed: dict[str, bool]) -> str:
    """Explain why cells are unknown, and what to do, without showing cells."""
    counts: dict[str, int] = dict(
        zip(unknown.column("location_id").to_pylist(), unknown.column("events").to_pylist(), strict=True)
    )
    total = sum(counts.values())
    elsewhen = sum(count for cell, count in counts.items() if cell in listed)
    if elsewhen * 2 > total:
        return (
            f": {elsewhen} name one of the list that has no position or does not serve on that day; correct "
            "date_of_first_service and date_of_last_service, and repeat the command geography"
        )
    for told, spelling in _SPELLINGS:
        same = {spelling(cell) for cell in listed}
        found = sum(count for cell, count in counts.items() if spelling(cell) in same)
        if found * 2 > total:
            return (
                f": {told}, {found} more would be known; write cells alike in the cell list and in the file, and "
                "repeat the command geography"
            )
    came, _ = max(((shape(cell), count) for cell, count in counts.items()), key=lambda entry: entry[1])
    return (
        f": those of the list are such as {', '.join(sorted(listed)[:SHOWN])}, what came was {came}; correct "
        "mapping.location_id, or load the operator's newest cell list with the command geography"
    )


def _judge_models(cursor: Cursor, day: StagedDay, verdict: Verdict) -> None:
    cursor.execute("SELECT id::integer FROM infrastructure.tacs")
    listed = [tac for (tac,) in cursor.fetchall()]
    if not listed:
        return
    models = day.events_by_model
    whole = pc.sum(models.column("events")).as_py() or 0
    is_known = pc.is_in(models.column("tac"), pa.array(listed, models.column("tac").type))
    known = pc.sum(models.column("events").filter(is_known)).as_py() or 0
    verdict.facts.append(f"{_percent(known, day.rows)} of records are of a known device model")
    if known * 2 < whole:
        verdict.told.append(
            f"only {known} of {whole} records are of a device model in tacs.csv: load its newest edition with the "
            "command geography, or correct mapping.imei"
        )


def _judge_rows(cursor: Cursor, day: StagedDay, verdict: Verdict) -> None:
    weekdays = [day.date - dt.timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    cursor.execute(
        "SELECT rows FROM etl.current_loads JOIN etl.loads USING (load_id, cdr_type, cdr_date) "
        "WHERE cdr_type = %s AND cdr_date = ANY (%s) AND rows IS NOT NULL",
        (day.cdr_type, weekdays),
    )
    before: Sequence[int] = [rows for (rows,) in cursor.fetchall()]
    if len(before) < FEWEST_WEEKS:
        return
    usual = statistics.median(before)
    minimum = day.source.minimum_share
    verdict.facts.append(
        f"{_percent(day.rows, usual)} of the {usual:,g} records that are usual on this weekday"
    )
    if day.rows < minimum * usual:
        verdict.held.append(
            f"{day.rows} records are less than minimum_share {minimum:g} of the {usual:g} that are usual on this weekday: "
            "ask the operator for the rest"
        )


def _percent(part: int, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"
