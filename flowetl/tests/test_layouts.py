"""Write one population in six layouts, and load the same people from each.

``layouts/population.csv`` is the golden day: each line is one party of one call, by UTC. The sources are those that
come with the loader.
"""

import csv
import datetime as dt
import gzip
import hashlib
import hmac
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import flowetl
from flowetl.loading import load_day

from .conftest import KEY

DAY = dt.date(2016, 1, 1)
KATHMANDU = dt.timezone(dt.timedelta(hours=5, minutes=45))
LAST_SEEN = {"1": 3, "2": 1, "3": 2, "4": 4}
PEOPLE = 10
EVENTS_BY_SIX_HOURS = [14, 4, 8, 7]
"""Answers that every layout must give: subscribers by the cell where they were last seen, and others. They were counted in
``population.csv`` by hand."""

SOURCES = Path(flowetl.__file__).parent / "sources" / "layouts"


class Party(NamedTuple):
    """One party's record of a call; an empty cell is unknown."""

    id: str
    time: dt.datetime
    outgoing: bool
    seconds: float
    person: int
    other: int
    cell: str


def population() -> list[Party]:
    with (Path(__file__).parent / "layouts" / "population.csv").open() as file:
        return [
            Party(
                row["id"],
                dt.datetime.fromisoformat(f"{DAY}T{row['time']}+00:00"),
                row["direction"] == "out",
                float(row["seconds"]),
                int(row["person"]),
                int(row["other"]),
                row["cell"],
            )
            for row in csv.DictReader(file)
        ]


def number(person: int) -> str:
    return f"98410000{person:02}"


def sim(person: int) -> str:
    return f"4290110000000{person:02}"


def device(person: int) -> str:
    return f"351234560000{person:02}"


def token(person: int) -> str:
    """The pseudonym that an operator gives."""
    return hashlib.md5(number(person).encode(), usedforsecurity=False).hexdigest()


def plain(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def bandicoot(parties: list[Party]) -> dict[str, str]:
    lines = ["user_id,interaction,direction,correspondent_id,datetime,call_duration,antenna_id"]
    for one in parties:
        way = "out" if one.outgoing else "in"
        lines.append(
            f"{number(one.person)},call,{way},{number(one.other)},{plain(one.time)},{one.seconds:g},{one.cell}"
        )
        lines.append(f"{number(one.person)},text,{way},{number(one.other)},{plain(one.time)},,{one.cell}")
    return {f"bandicoot_{DAY}.csv": "\n".join(lines)}


def d4d(parties: list[Party]) -> dict[str, str]:
    lines = [f"{100_000 + one.person}\t{plain(one.time)}\t{one.cell or -1}" for one in parties]
    return {f"SET2_{DAY:%Y%m%d}.tsv": "\n".join(lines)}


def voice_3gpp(parties: list[Party]) -> dict[str, str]:
    head = "record_type;calling;called;imsi;imei;start_local;utc_offset;duration_ds;lac;ci;msc;call_ref;cause"
    files: dict[str, list[str]] = {}
    for place, one in enumerate(parties):
        local = one.time.astimezone(KATHMANDU)
        calling, called = (one.person, one.other) if one.outgoing else (one.other, one.person)
        area, cell = ("1538", f"100{one.cell}") if one.cell else ("", "")
        # Two switches; a party's number is spelled as its switch spells it.
        spelled = (number, lambda person: f"+977{number(person)}")[place % 2]
        files.setdefault(f"MSC{place % 2}_{local:%Y%m%d}.csv", [head]).append(
            f"{'MOC' if one.outgoing else 'MTC'};{spelled(calling)};{spelled(called)};{sim(one.person)};{device(one.person)};"
            f"{local:%Y%m%d%H%M%S};+0545;{one.seconds * 10:g};{area};{cell};MSC{place % 2};{one.id};16"
        )
    files["MSC0_20160101.csv"].append("CF;9841000001;9841000002;;;20160101120000;+0545;;;;MSC0;forward;16")
    return {name: "\n".join(lines) for name, lines in files.items()}


def gateway(parties: list[Party]) -> dict[str, str]:
    lines = []
    for one in parties:
        area, cell = ("1538", f"100{one.cell}") if one.cell else ("", "")
        way = "OUTGOING" if one.outgoing else "INCOMING"
        end = one.time + dt.timedelta(seconds=one.seconds)
        for kind in ("VOICE_CALL", "SMS"):
            lines.append(
                f"{one.time:%d-%m-%Y;%H:%M:%S};3;{number(one.other)};8997701000000000{one.person:03};{one.seconds * 1000:g};"
                f"LOCAL;16;2100;{one.seconds * 1000 + 2100:g};A;OK;{device(one.person)};{sim(one.person)};{kind};{way};;42901;"
                f"{area};{cell};900;{end:%d-%m-%Y;%H:%M:%S}"
            )
    return {f"gateway_{DAY}.csv": "\n".join(lines)}


def minimal(parties: list[Party]) -> dict[str, str]:
    lines = ["msisdn,event_time,cell_id"]
    lines += [f"{number(one.person)},{plain(one.time)},{one.cell or 'Undefined'}" for one in parties]
    return {f"minimal_{DAY}.csv.gz": "\n".join(lines)}


def long_term_store(parties: list[Party]) -> dict[str, str]:
    lines = ["msisdn,imei,imsi,tac,cell_id,timestamp,event_id,event_type,other_msisdn,duration"]
    for place, one in enumerate(parties):
        fraction = ".250" if place % 2 else ""
        lines.append(
            f"{token(one.person)},{token(one.person)[::-1]},{token(one.person + 50)},{token(one.person + 60)},{one.cell},"
            f"{one.time:%Y-%m-%dT%H:%M:%S}{fraction}+00:00,{one.id},{1 if one.outgoing else 2},{token(one.other)},{one.seconds:g}"
        )
    return {f"lts_calls_{DAY}.csv": "\n".join(lines)}


def pseudonym(normal: str) -> str:
    return hmac.new(bytes.fromhex(KEY), f"msisdn:{normal}".encode(), hashlib.sha256).hexdigest()


class Layout(NamedTuple):
    """Say how a layout is written and what it tells of both parties."""

    write: Callable[[list[Party]], dict[str, str]]
    person: Callable[[int], str]
    other: Callable[[int], str] | None
    cell: str = "{}"


def by_number(person: int) -> str:
    return pseudonym(f"977{number(person)}")


LAYOUTS = {
    "bandicoot": Layout(bandicoot, by_number, by_number),
    "d4d": Layout(d4d, lambda person: pseudonym(f"text:{100_000 + person}"), None),
    "voice_3gpp": Layout(voice_3gpp, by_number, by_number, "1538-100{}"),
    "gateway": Layout(gateway, lambda person: pseudonym(f"imsi:{sim(person)}"), by_number, "1538-100{}"),
    "minimal": Layout(minimal, by_number, None),
    "long_term_store": Layout(long_term_store, token, token),
}


@pytest.fixture(params=LAYOUTS)
def loaded(request, operator) -> Iterator[tuple[Layout, Any]]:
    """An operator whose day came in one of the layouts."""
    layout = LAYOUTS[request.param]
    for path in operator.deployment.sources_folder.glob("*.yml"):
        path.unlink()
    source = (SOURCES / f"{request.param}.yml").read_text()
    (operator.deployment.sources_folder / "source.yml").write_text(source + "stability: {pause: 0}\n")
    for name, content in layout.write(population()).items():
        data = content.encode()
        (operator.deployment.landing / name).write_bytes(
            gzip.compress(data) if name.endswith(".gz") else data
        )
    result = load_day(operator.deployment, operator.sources[request.param], DAY)
    assert (result.rows, result.rejects) == (33, 0)
    return layout, operator


def test_every_source_that_comes_with_the_loader_is_tested() -> None:
    assert sorted(path.stem for path in SOURCES.glob("*.yml")) == sorted(LAYOUTS)


def test_each_layout_gives_the_golden_day(loaded) -> None:
    layout, operator = loaded
    expected = []
    for one in population():
        both = layout.other is not None
        expected.append(
            (
                layout.person(one.person),
                one.time,
                layout.cell.format(one.cell) if one.cell else None,
                one.outgoing if both else None,
                one.seconds if both else None,
                layout.other(one.other) if layout.other else None,
            )
        )
    stored = operator.rows(
        "SELECT msisdn, date_trunc('second', datetime), location_id, outgoing, duration::float, msisdn_counterpart FROM events.calls"
    )
    assert sorted(stored, key=str) == sorted(expected, key=str)


def test_each_layout_gives_the_same_answers(loaded) -> None:
    layout, operator = loaded
    last = (
        "SELECT location_id, count(*) FROM (SELECT DISTINCT ON (msisdn) msisdn, location_id FROM events.calls "
        "WHERE location_id IS NOT NULL ORDER BY msisdn, datetime DESC) AS last GROUP BY 1 ORDER BY 1"
    )
    assert operator.rows(last) == [(layout.cell.format(cell), people) for cell, people in LAST_SEEN.items()]
    assert operator.value("SELECT count(DISTINCT msisdn) FROM events.calls") == PEOPLE
    quarters = "SELECT count(*) FROM events.calls GROUP BY extract(hour FROM datetime)::integer / 6 ORDER BY extract(hour FROM min(datetime))::integer / 6"
    assert [count for (count,) in operator.rows(quarters)] == EVENTS_BY_SIX_HOURS
