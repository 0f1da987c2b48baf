"""Hold every key of a description to right values, wrong ones and the refusal."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from flowetl.errors import ConfigurationError
from flowetl.expressions import Expression
from flowetl.faults import _model_in
from flowetl.mappings import BoundaryMapping, TableMapping, read_boundary_mappings, read_table_mapping
from flowetl.moneysource import MoneySource, read_money_source
from flowetl.source import Source, read_source

from .test_forms import BASE

TABLE = {"dsn_secret": "FLOWETL_DSN_A", "name": "calls", "day": "started"}
MAPPED = BASE["mapping"]
CASES = {"when": "kind", "MOC": "number", "MTC": "other"}


def mapped(**columns: Any) -> dict[str, Any]:
    return {"mapping": MAPPED | columns}


def named(**identifiers: Any) -> dict[str, Any]:
    return {"identifiers": BASE["identifiers"] | identifiers}


def tabled(**table: Any) -> dict[str, Any]:
    return {"path": None, "table": TABLE | table}


def placed(**place: Any) -> dict[str, Any]:
    rest = [
        {"name": name, "from": 2 * at + 3, "to": 2 * at + 4} for at, name in enumerate(BASE["fields"][1:])
    ]
    return {"fields": [{"name": "kind", "from": 1, "to": 2} | place, *rest]}


def laid_out(**layouts: Any) -> dict[str, Any]:
    return {"fields": None, "layouts": {"by": 1, "20": BASE["fields"]} | layouts}


def alike(**joined: Any) -> dict[str, Any]:
    return mapped(location_id={"join": ["kind", "cell"]} | joined)


def words(**changed: Any) -> dict[str, Any]:
    return mapped(outgoing={"column": "kind", "values": {"MOC": True}} | changed)


@dataclasses.dataclass
class Rule:
    """Hold descriptions with right values of a key, and wrong ones with the refusal."""

    key: str
    right: list[dict[str, Any]]
    wrong: list[tuple[dict[str, Any], str]]


SOURCE = [
    Rule("name", [{"name": "a-b_2"}], [({"name": "A b"}, "name: String should match pattern '^[a-z]")]),
    Rule("cdr_type", [{"cdr_type": "sms"}], [({"cdr_type": "fax"}, "cdr_type: Input should be 'calls', 'sms', 'mds'")]),
    Rule(
        "path",
        [{"path": "in/c{date:%Y%m%d}_*.csv.gz"}],
        [
            ({"path": "calls_*.csv"}, "path: 'calls_*.csv' holds no {date}"),
            ({"path": "{date:%H}"}, "path: '{date:%H}': %H is no part of a date; allowed: %Y, %y"),
            ({"path": "/a/{date}"}, "path: '/a/{date}' must be relative to the landing folder"),
            ({"path": None}, "needs either path, for files, or table"),
        ],
    ),
    Rule("table", [tabled()], [({"table": TABLE}, "needs either path, for files, or table")]),
    Rule("table.dsn_secret", [tabled()], [(tabled(dsn_secret="PASSWORD"), "table.dsn_secret: String should match pattern '^FLOWETL_DSN_")]),
    Rule("table.schema_name", [tabled(schema="x")], [(tabled(schema=""), "table.schema: String should have at least 1")]),
    Rule("table.name", [tabled(name="x")], [(tabled(name=""), "table.name: String should have at least 1")]),
    Rule("table.day", [tabled(day="at")], [(tabled(day=None), "neither day nor where chooses the rows of a day")]),
    Rule("table.where", [tabled(day=None, where="d = '{date:%Y%m%d}'")], [(tabled(day=None, where="true"), "use {date} in where")]),
    Rule("timezone", [{"timezone": "Asia/Kathmandu"}], [({"timezone": "NPT"}, "timezone: 'NPT' is not a time zone of the IANA")]),
    Rule(
        "schedule",
        [{"schedule": "*/5 2 * * 1-5"}, {"schedule": "0 2 * * * 30"}],
        [
            ({"schedule": "nightly"}, "schedule: 'nightly' is not a cron expression"),
            ({"schedule": "0 25 * * *"}, "schedule: '0 25 * * *': hour 25 is not within 0 to 23"),
            ({"schedule": "0 */0 * * *"}, "a step of hour is 0; it must be 1 or more"),
        ],
    ),
    Rule("start", [{"start": "2016-02-29"}], [({"start": "2015-02-29"}, "start: Input should be a valid date"), ({"start": None}, "start: Field required")]),
    Rule("end", [{"end": "2020-01-01"}], [({"end": "2019-12-31"}, "end 2019-12-31 is before start 2020-01-01")]),
    Rule("format", [{"format": "parquet"}], [({"format": ["csv"]}, "format: must be keys with their values")]),
    Rule("format.kind", [{"format": {"kind": "delimited"}}], [({"format": "excel"}, "format.kind: Input should be 'delimited', 'fixed' or 'parquet', not 'excel'")]),
    Rule("format.delimiter", [{"format": {"delimiter": "\t"}}], [({"format": {"delimiter": ";;"}}, "format.delimiter: ';;' is not one character. Where a character is repeated")]),
    Rule("format.quote", [{"format": {"quote": "'"}}], [({"format": {"quote": ","}}, "delimiter and quote are both ','; they must differ")]),
    Rule("format.encoding", [{"format": {"encoding": "utf-16"}}], [({"format": {"encoding": "utf-32"}}, "format.encoding: 'utf-32' is not an encoding that extends ASCII")]),
    Rule("format.header", [{"format": {"header": False}}], [({"format": {"header": "perhaps"}}, "format.header: Input should be a valid boolean, unable to interpret input, not 'perhaps'")]),
    Rule("format.nulls", [{"format": {"nulls": ["", "NULL"]}}], [({"format": {"nulls": "NULL"}}, "format.nulls: Input should be a valid tuple, not 'NULL'")]),
    Rule("format.strip", [{"format": {"strip": False}}], [({"format": {"strip": "left"}}, "format.strip: Input should be a valid boolean")]),
    Rule("format.sizes", [{"format": {"sizes": {}}}], [({"format": {"sizes": 5}}, "format.sizes: must be keys with their values, not '5'")]),
    Rule("format.sizes.line", [{"format": {"sizes": {"line": 4000}}}], [({"format": {"sizes": {"line": 10}}}, "format.sizes.line: Input should be greater than or equal to 1000, not '10'")]),
    Rule("format.sizes.file", [{"format": {"sizes": {"file": 1}}}], [({"format": {"sizes": {"file": 0}}}, "format.sizes.file: Input should be greater than or equal to 1")]),
    Rule("format.sizes.ratio", [{"format": {"sizes": {"ratio": 500}}}], [({"format": {"sizes": {"ratio": 0}}}, "format.sizes.ratio: Input should be greater")]),
    Rule("format.sizes.free", [{"format": {"sizes": {"free": 0}}}], [({"format": {"sizes": {"free": -1}}}, "format.sizes.free: Input should be greater")]),
    Rule("format.skip_lines", [{"format": {"skip_lines": 2}}], [({"format": {"skip_lines": "two"}}, "format.skip_lines: must be keys with their values, not 'two'")]),
    Rule("format.skip_lines.first", [{"format": {"skip_lines": {"first": 3}}}], [({"format": {"skip_lines": -1}}, "format.skip_lines.first: Input should be greater")]),
    Rule("format.skip_lines.last", [{"format": {"skip_lines": {"last": 3}}}], [({"format": {"skip_lines": {"last": 2000}}}, "format.skip_lines.last: Input should be less than or equal to 1000, not '2000'")]),
    Rule("format.skip_lines.matching", [{"format": {"skip_lines": {"matching": "^#"}}}], [({"format": {"skip_lines": {"matching": "("}}}, "format.skip_lines.matching: '(' is not a regular expression")]),
    Rule(
        "fields",
        [{"fields": [*BASE["fields"], "more"]}],
        [
            ({"fields": ["kind"]}, "fields: Tuple should have at least 2 items"),
            ({"fields": [*BASE["fields"], "KIND"]}, "fields: names a field twice; names that differ by case alone are the same"),
        ],
    ),
    Rule("places", [placed()], [({"format": "fixed"}, "each is written {name: NAME, from: FIRST, to: LAST}")]),
    Rule("places.name", [placed()], [(placed(name=""), "places.0.name: String should have at least 1")]),
    Rule("places.from_", [placed(**{"from": 2})], [(placed(**{"from": 0}), "places.0.from: Input should be greater than or equal to 1, not '0'")]),
    Rule("places.to", [placed(to=2)], [(placed(**{"from": 2, "to": 1}), "to 1 is before from 2")]),
    Rule("layouts", [laid_out()], [({"layouts": {"by": 1, "20": ["x", "y"]}}, "layouts: only for delimited files, and instead of fields")]),
    Rule("layouts.by", [laid_out(by=2)], [(laid_out(by=0), "layouts.by: Input should be greater"), (laid_out(by=6), "'20' has 5 fields; the kind of a record is in place 6")]),
    Rule("layouts.kinds", [laid_out(**{"30": ["kind", "cell"]})], [(laid_out(**{"30": ["kind", "kind"]}), "'30' names a field twice")]),
    Rule("only", [{"only": {"kind": ["MOC", "MTC"]}}, {"only": {"kind": "MOC"}}], [({"only": {"sort": ["MOC"]}}, "only: 'sort' is not among fields: kind, started")]),
    Rule("skip", [{"skip": {"kind": ["CF"]}}], [({"skip": {"sort": ["CF"]}}, "skip: 'sort' is not among fields: kind, started")]),
    Rule(
        "mapping",
        [{"mapping": {"datetime": "started", "msisdn": "number"}}],
        [
            ({"mapping": {"msisdn": "number"}}, "mapping.datetime is missing; every event needs it"),
            (mapped(colour="cell"), "mapping.colour: no such column of calls; allowed: id, outgoing"),
            (mapped(id="number"), "mapping.id: 'number' is the raw identifier of mapping.msisdn"),
            (mapped(tac={"constant": 123456789}), "mapping.tac: 123456789.0 is not a number of 1 to 8 digits"),
            (mapped(datetime={"constant": "now"}), "mapping.datetime must name a column"),
        ],
    ),
    Rule("mapping.column", [mapped(id="cell")], [(mapped(id="call"), "mapping.id: 'call' is not among fields: kind, started"), (mapped(id={}), "needs exactly one of column, join, when, sum and constant, not none")]),
    Rule("mapping.join", [alike()], [(alike(join=["cell"]), "join needs two fields or more")]),
    Rule("mapping.with_", [alike(**{"with": "-"})], [(alike(**{"with": "123456789"}), "mapping.location_id.with: String should have at most 8 characters, not '123456789'")]),
    Rule("mapping.when", [mapped(msisdn=CASES)], [(mapped(msisdn={"when": "kind"}), "when 'kind' names no text and its field, such as MOC: calling")]),
    Rule("mapping.cases", [mapped(msisdn=CASES)], [(mapped(msisdn=CASES | {"MTC": "them"}), "mapping.msisdn: 'them' is not among fields")]),
    Rule("mapping.sum", [mapped(duration={"sum": ["cell", "kind"]})], [(mapped(duration={"sum": ["cell"], "column": "kind"}), "needs exactly one of column, join, when, sum and constant, not ['column', 'sum']")]),
    Rule("mapping.constant", [mapped(network={"constant": "N"})], [(mapped(network={"constant": [1]}), "mapping.network.constant")]),
    Rule("mapping.values", [words()], [(mapped(outgoing={"constant": True, "values": {"a": True}}), "values can only translate a column")]),
    Rule("mapping.divide_by", [mapped(duration={"column": "cell", "divide_by": 1000})], [(mapped(duration={"column": "cell", "divide_by": 0}), "mapping.duration.divide_by: Input should be greater than 0, not '0'")]),
    Rule(
        "mapping.format",
        [mapped(datetime={"column": "started", "format": ["%Y%m%d%H%M%S%z", "epoch_s"]}), mapped(duration={"column": "cell", "format": {}})],
        [
            (mapped(datetime={"column": "started", "format": "%Q"}), "'%Q' is not a strptime pattern"),
            (mapped(datetime={"column": "started", "format": "%H:%M"}), "'%H:%M' does not tell the day; such as"),
            (mapped(datetime={"column": "started", "format": []}), "names no pattern"),
        ],
    ),
    Rule("mapping.format.decimal", [mapped(duration={"column": "cell", "format": {"decimal": ","}})], [(mapped(duration={"column": "cell", "format": {"decimal": "x"}}), "decimal: Input should be '.' or ',', not 'x'")]),
    Rule("mapping.format.thousands", [mapped(duration={"column": "cell", "format": {"thousands": "'"}})], [(mapped(duration={"column": "cell", "format": {"thousands": "."}}), "decimal and thousands are both '.'; they must differ")]),
    Rule("mapping.form", [mapped(duration={"column": "cell", "form": "clock"})], [(mapped(duration={"column": "cell", "form": "time"}), "mapping.duration.form: Input should be 'number' or 'clock', not 'time'")]),
    Rule("mapping.served", [mapped(msisdn={"column": "number", "served": True})], [(mapped(msisdn={"column": "number", "served": "maybe"}), "mapping.msisdn.served: Input should be a valid boolean")]),
    Rule("identifiers", [{"identifiers": None}], [({"identifiers": "977"}, "identifiers: must be keys with their values, not '977'")]),
    Rule("identifiers.pseudonymise", [named(pseudonymise="upstream")], [(named(pseudonymise="there"), "identifiers.pseudonymise: Input should be 'here' or 'upstream', not 'there'")]),
    Rule("identifiers.calling_code", [named(calling_code="1")], [(named(calling_code="+977"), "identifiers.calling_code: String should match pattern '^[0-9]{0,3}$', not '+977'")]),
    Rule("identifiers.trunk_prefix", [named(trunk_prefix="")], [(named(trunk_prefix="x"), "identifiers.trunk_prefix: String should match pattern")]),
    Rule("identifiers.national_lengths", [named(national_lengths=[7, 14])], [(named(national_lengths=[3]), "identifiers.national_lengths.0: Input should be greater than or equal to 7, not '3'")]),
    Rule("identifiers.key_id", [named(key_id="2026")], [(named(key_id="a b"), "identifiers.key_id: String should match pattern")]),
    Rule("identifiers.msisdn", [named(msisdn={})], [(named(msisdn="imsi"), "identifiers.msisdn: must be keys with their values, not 'imsi'")]),
    Rule("identifiers.msisdn.form", [named(msisdn={"form": form}) for form in ("number", "e164", "national", "imsi", "text")], [(named(msisdn={"form": "uuid"}), "identifiers.msisdn.form: Input should be 'number', 'e164', 'national', 'imsi' or 'text', not 'uuid'")]),
    Rule("identifiers.msisdn.pattern", [named(msisdn={"form": "text", "pattern": "[0-9]{1,6}"})], [(named(msisdn={"pattern": "x"}), "pattern is only for form: text, not number"), (named(msisdn={"form": "text", "pattern": "["}), "'[' is not a regular expression")]),
    Rule("identifiers.msisdn_counterpart", [named(msisdn_counterpart={"form": "imsi"})], [(named(msisdn_counterpart={"form": "x"}), "identifiers.msisdn_counterpart.form: Input should be")]),
    Rule("identifiers.filler", [named(filler="F")], [(named(filler="0"), "identifiers.filler: Input should be '', 'F' or 'f', not '0'")]),
    Rule("identifiers.pattern", [named(pseudonymise="upstream", pattern="[0-9]+")], [(named(pattern="[0-9]+"), "here it is msisdn.pattern")]),
    Rule("days", [{"days": "by_record"}], [({"days": "by_guess"}, "days: Input should be 'named' or 'by_record', not 'by_guess'")]),
    Rule("late", [{"days": "by_record", "late": {}}], [({"late": {"days": 2}}, "late: only with days: by_record")]),
    Rule("late.days", [{"days": "by_record", "late": {"days": 31}}], [({"days": "by_record", "late": {"days": 32}}, "late.days: Input should be less than or equal to 31, not '32'")]),
    Rule("late.early", [{"days": "by_record", "late": {"early": 0}}], [({"days": "by_record", "late": {"early": -1}}, "late.early: Input should be greater")]),
    Rule("late.action", [{"days": "by_record", "late": {"action": "quarantine"}}], [({"days": "by_record", "late": {"action": "drop"}}, "late.action: Input should be 'merge' or 'quarantine', not 'drop'")]),
    Rule("stability", [{"stability": {}}], [({"stability": 5}, "stability: must be keys with their values, not '5'")]),
    Rule("stability.pause", [{"stability": {"pause": 0}}], [({"stability": {"pause": -1}}, "stability.pause: Input should be greater")]),
    Rule("stability.timeout", [{"stability": {"timeout": 0}}], [({"stability": {"timeout": "long"}}, "stability.timeout: Input should be a valid number, unable to parse string as a number, not 'long'")]),
    Rule("wait", [{"wait": {}}], [({"wait": 5}, "wait: must be keys with their values, not '5'")]),
    Rule("wait.timeout", [{"wait": {"timeout": 0}}], [({"wait": {"timeout": -1}}, "wait.timeout: Input should be greater")]),
    Rule("wait.poll", [{"wait": {"poll": 0.1}}], [({"wait": {"poll": 0}}, "wait.poll: Input should be greater than 0")]),
    Rule("rejects", [{"rejects": {}}], [({"rejects": 0.1}, "rejects: must be keys with their values, not '0.1'")]),
    Rule("rejects.maximum_rate", [{"rejects": {"maximum_rate": 1}}], [({"rejects": {"maximum_rate": 2}}, "rejects.maximum_rate: Input should be less than or equal to 1, not '2'")]),
    Rule("rejects.tolerated", [{"rejects": {"tolerated": 0}}], [({"rejects": {"tolerated": -1}}, "rejects.tolerated: Input should be greater")]),
    Rule("rejects.maximum_unreadable", [{"rejects": {"maximum_unreadable": 0}}], [({"rejects": {"maximum_unreadable": 20}}, "rejects.maximum_unreadable: Input should be less")]),
    Rule("rejects.unreadable", [{"rejects": {"unreadable": "hold"}}], [({"rejects": {"unreadable": "stop"}}, "rejects.unreadable: Input should be 'warn' or 'hold', not 'stop'")]),
    Rule("minimum_rows", [{"minimum_rows": 0}], [({"minimum_rows": -1}, "minimum_rows: Input should be greater")]),
    Rule("minimum_share", [{"minimum_share": 0}], [({"minimum_share": 50}, "minimum_share: Input should be less than or equal to 1, not '50'")]),
    Rule("minimum_known_cells", [{"minimum_known_cells": 0}], [({"minimum_known_cells": 1.1}, "minimum_known_cells: Input should be less")]),
    Rule("gates", [{"gates": {"count_duplicates": {"maximum": 5}}}], [({"gates": {"count_duplicates": 5}}, "gates.count_duplicates: must be keys with their values, not '5'")]),
    Rule("gates.minimum", [{"gates": {"x": {"minimum": 1}}}], [({"gates": {"x": {"minimum": "few"}}}, "gates.x.minimum: Input should be a valid number")]),
    Rule("gates.maximum", [{"gates": {"x": {"maximum": 1}}}], [({"gates": {"x": {}}}, "needs minimum, maximum or maximum_share")]),
    Rule("gates.maximum_share", [{"gates": {"x": {"maximum_share": 0.1}}}], [({"gates": {"x": {"maximum_share": -1}}}, "gates.x.maximum_share: Input should be greater")]),
    Rule("gates.action", [{"gates": {"x": {"maximum": 1, "action": "hold"}}}], [({"gates": {"x": {"maximum": 1, "action": "stop"}}}, "gates.x.action: Input should be 'warn' or 'hold', not 'stop'")]),
    Rule("indexes", [{"indexes": []}], [({"indexes": ["volume_total"]}, "indexes: no column 'volume_total' of calls; allowed: id, outgoing")]),
]  # fmt: skip

MONEY = {
    "name": "money",
    "mobile_money": "s",
    "path": "m/{date}",
    "schedule": "0 3 * * *",
    "start": "2016-01-01",
}
MONEY_RULES = [
    Rule("name", [{"name": "m"}], [({"name": "M"}, "name: String should match pattern"), ({"name": "s"}, "name 's' is taken by another source")]),
    Rule("mobile_money", [{}], [({"mobile_money": "x"}, "mobile_money: no source 'x' of events; there are: s")]),
    Rule("path", [{"path": "{date:%Y%m%d}"}], [({"path": "m/{date}/*.csv"}, "'m/{date}/*.csv' must hold {date}, and no star")]),
    Rule("schedule", [{"schedule": "5 4 * * *"}], [({"schedule": "0 0 * * 9"}, "weekday 9 is not within 0 to 7")]),
    Rule("start", [{"start": "2016-01-02"}], [({"start": "soon"}, "start: Input should be a valid date")]),
    Rule("end", [{"end": "2016-01-01"}], [({"end": "2015-01-01"}, "end 2015-01-01 is before start 2016-01-01")]),
    Rule("stability", [{"stability": {"pause": 1}}], [({"stability": 1}, "stability: must be keys")]),
    Rule("wait", [{"wait": {"timeout": 1}}], [({"wait": 1}, "wait: must be keys")]),
]  # fmt: skip

CELLS = {"file": "a.txt", "columns": {"id": "CELL", "latitude": "Y", "longitude": "X"}}
CELL_RULES = [
    Rule("file", [{}], [({"file": None}, "file: Field required")]),
    Rule("fields", [{"fields": ["CELL", "Y", "X"]}], [({"fields": "CELL"}, "fields: Input should be a valid tuple, not 'CELL'")]),
    Rule("only", [{"only": {"net": [1]}}], [({"only": {"net": 1}}, "only.net: Input should be a valid tuple, not '1'")]),
    Rule("columns", [{"columns": {"id": 7}}], [({"columns": None}, "columns: Field required")]),
    Rule("columns.join", [{"columns": {"id": {"join": ["a", "b"]}}}], [({"columns": {"id": {"join": ["a"]}}}, "join: Tuple should have at least 2 items")]),
    Rule("columns.with_", [{"columns": {"id": {"join": ["a", "b"], "with": ""}}}], [({"columns": {"id": {"join": ["a", "b"], "with": "123456789"}}}, "with: String should have at most 8 characters, not '123456789'")]),
    Rule("delimiter", [{"delimiter": "|"}], [({"delimiter": "||"}, "delimiter: String should have at most 1 character, not '||'")]),
    Rule("encoding", [{"encoding": "latin-1"}], [({"encoding": "utf-9"}, "encoding: 'utf-9' is not an encoding, such as utf-8 or latin-1")]),
    Rule("dates", [{"dates": "%d.%m.%Y"}, {"dates": ["%Y", "%Y%m"]}], [({"dates": 5}, "dates: Input should be a valid tuple, not '5'")]),
]  # fmt: skip

LEVEL = {"file": "a.gpkg", "layer": "x", "pcod": "c", "name": "n", "parent": "p"}
LEVEL_RULES = [
    Rule("file", [{}], [({"file": None}, "admin1.file: Field required")]),
    Rule("layer", [{"layer": None}], [({"layer": ["a"]}, "admin1.layer: Input should be a valid string")]),
    Rule("pcod", [{"pcod": None, "name": None}], [({"pcod": None}, "pcod and name are given both or neither")]),
    Rule("name", [{}], [({"name": None}, "pcod and name are given both or neither")]),
    Rule("parent", [{"parent": None}], [({"parent": ["p"]}, "admin1.parent: Input should be a valid string")]),
]  # fmt: skip


def read_cells(path: Path) -> object:
    return read_table_mapping(path)


def read_levels(path: Path) -> object:
    path.write_text(yaml.safe_dump({"admin1": yaml.safe_load(path.read_text())}))
    return read_boundary_mappings(path)


def read_money(path: Path) -> object:
    return read_money_source(path, {"s": Source.model_validate(BASE)})


KINDS = {
    "source": (Source, BASE, read_source, SOURCE),
    "money": (MoneySource, MONEY, read_money, MONEY_RULES),
    "cells": (TableMapping, CELLS, read_cells, CELL_RULES),
    "boundaries": (BoundaryMapping, LEVEL, read_levels, LEVEL_RULES),
}


def written(path: Path, base: dict[str, Any], changed: dict[str, Any]) -> Path:
    path.write_text(
        yaml.safe_dump({key: value for key, value in (base | changed).items() if value is not None})
    )
    return path


RULES = [(kind, rule) for kind, (*_, rules) in KINDS.items() for rule in rules]


@pytest.mark.parametrize(("kind", "rule"), RULES, ids=[f"{kind} {rule.key}" for kind, rule in RULES])
def test_a_key_takes_what_is_right_and_says_what_is_wrong(tmp_path: Path, kind: str, rule: Rule) -> None:
    _, base, read, _ = KINDS[kind]
    path = tmp_path / "s.yml"
    for right in rule.right:
        read(written(path, base, right))
    assert rule.wrong
    for wrong, told in rule.wrong:
        with pytest.raises(ConfigurationError) as refused:
            read(written(path, base, wrong))
        assert told in str(refused.value)
        assert str(refused.value).startswith("s.yml: ")


def keys_of(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield every key of a description, with those inside of it."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        yield before + name
        inner = _model_in(field.annotation)
        # Numbers have a format of their own, which stands beside texts of times.
        if inner and not (model is Source and name == "mapping"):
            yield from keys_of(inner, f"{before}{name}.")
        elif inner:
            yield from keys_of(Expression, "mapping.")


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_has_a_rule(kind: str) -> None:
    model, *_, rules = KINDS[kind]
    of_others = ("stability.", "wait.") if kind == "money" else ("identifiers.msisdn_counterpart.",)
    keys = {key for key in keys_of(model) if not key.startswith(of_others)}
    assert {rule.key for rule in rules} == keys


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_key_is_told_with_those_that_are_known(tmp_path: Path, kind: str) -> None:
    model, base, read, _ = KINDS[kind]
    with pytest.raises(ConfigurationError) as refused:
        read(written(tmp_path / "s.yml", base, {"colour": "red"}))
    known = [field.alias or name for name, field in model.model_fields.items() if not field.exclude]
    assert f"colour: no such key; allowed: {', '.join(known)}" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: s\nstart: 2016-13-01\n", "cannot be read as YAML: month must be in 1..12"),
        ("- a list\n", "must be a mapping of keys to values"),
        ("name: [", "cannot be read as YAML"),
    ],
)
def test_what_is_no_description_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "s.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        read_source(tmp_path / "s.yml")
