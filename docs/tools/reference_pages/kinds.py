"""The page of query kinds, from the engine's registry and the client's functions."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

import flowclient
from flowmachine.queries.catalogue import kinds, submittable_kinds
from flowmachine.queries.examples import example, query, variants
from flowmachine.settings import LOWEST_FLOOR
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import EventTypes
from flowmachine.spec.nested import Nested, NestedList
from flowmachine.spec.published import (
    AllOrNothing,
    KeepGroups,
    KeepOver,
    KeepShares,
    NothingPersonal,
    Rule,
)
from flowmachine.spec.query import Query
from reference_pages.evidence import Evidence, evidence

_HEAD = f"""\
<!-- Written by docs/tools/generate.py from the engine's registry; edit the kinds instead. -->

# Query kinds

Audience: analysts and engineers. Reading time: 2 minutes for the first two sections; the rest is to look things up.

A query is a JSON object with its kind's name in `query_kind` and the fields listed here; the client's functions of the same names build it.
Unknown fields are refused. A field without a default must be given. Wherever a field takes a *specification*, it is a whole query of one
of the kinds named.

| | |
|---|---|
| Dates | ISO text such as `2016-01-01` or `2016-01-01 12:00`, on the wall clock of the operator's zone, without an offset. An end is not included, unless said otherwise. Of a time that the clock shows twice the first is meant; hours that balances, gaps and durations last are hours that passed |
| Places | a column `pcod` holds a region's place code. A query at `lon-lat` has two columns in its stead, `lon` and `lat`, with the same suffix |
| Release | more than {LOWEST_FLOOR} subscribers stand behind everything that leaves, or as many as the operator demands beyond that. What is withheld is absent |
| Order | rows are in ascending order of the columns named, text by its bytes, nulls last |
| GeoJSON | kinds marked so can be fetched as GeoJSON, too |
| Samples | a kind with the field `sampling` can be cut to a random sample of its rows, the same for the same settings and independent of samples of others: `sampling_method` (`system`, `bernoulli` or `random_ids`), `seed`, and either `size` or `fraction` |

## Checklist

A kind is done when it has four things: its module, a world of events worked out by hand, a definition in plain Python, and a test that compares it
against the definition on worlds drawn at random, on every executor. The marks are
derived from the tests, which each kind's section names, and a test demands all of them.

"""

_SHAPES = {
    "Hours": "`start_hour` and `end_hour`, whole numbers from 0 to 24",
    "Bins": "`n_bins`, a whole number, or `bin_list`, ascending edges",
    "Bounds": "`lower_bound` and `upper_bound`, numbers, or a list of the two",
    "Labels": "GeoJSON polygons by label",
    "HourScores": "24 numbers from -1 to 1",
    "WeekdayScores": "a number from -1 to 1 for each of `monday` to `sunday`",
    "SubscriberSubset": "a specification of any kind with a row for each subscriber, or a query's id",
    "Moment": "date",
    "Month": "month such as `2016-01`",
    "TableName": "table, as `schema.table`",
    "ColumnName": "column",
    "Text": "text",
    "Flag": "`true` or `false`",
    "Sampling": "a sample",
    "UsualLabels": "list of `usual`, `home` and `work`",
}


def page() -> str:
    """The whole page."""
    found = evidence()
    rows = [
        (
            _mark(found[name]),
            f"[`{name}`](#{name})",
            "to submit" if name in submittable_kinds() else "nested",
            ", or ".join(dict.fromkeys(_short_rule(one) for one in _and_variants(name))),
        )
        for name in _ordered()
    ]
    checklist = "\n".join(_table("Done", "Kind", "Use", "Release rule", rows=rows))
    sections = [
        ("Kinds to submit", "Their results leave the building, by the rule that each names."),
        (
            "Kinds within others",
            "They have a row for each subscriber and never leave; aggregates are made of them.",
        ),
    ]
    body = []
    for (title, text), submittable in zip(sections, (True, False), strict=True):
        names = [name for name in kinds() if (name in submittable_kinds()) is submittable]
        body.append(f"## {title}\n\n{text}\n\n" + "\n".join(section(name) for name in names))
    return _HEAD + checklist + "\n\n" + "\n".join(body)


def section(name: str) -> str:
    """All there is to say of one kind."""
    cls = kinds()[name]
    one = query(name)
    lines = [f"### {name}", "", _markdown(inspect.getdoc(cls) or ""), ""]
    lines += _table("Field", "Takes", "Default", "Meaning", rows=[_field(cls, field) for field in cls.fields])
    lines += ["", "| | |", "|---|---|"]
    facts = {
        "Columns": _columns(name),
        "Order": _order(one),
        "Spatial unit": _unit(one)
        + ("" if one.unit is None or _allowed(name, "lon-lat") else ", not `lon-lat`"),
        "Released": _rules(name),
        "GeoJSON": "yes" if isinstance(one, Aggregate) and one.geographic else "no",
        "Client": _client(name),
        "Tests": _tests(evidence()[name]),
    }
    lines += [f"| {label} | {text} |" for label, text in facts.items()]
    lines += ["", '??? example "The shortest specification"', "", "    ```json"]
    lines += textwrap.indent(_json(example(name)), "    ").splitlines()
    return "\n".join([*lines, "    ```", ""])


def _and_variants(name: str) -> list[Query]:
    """The example, and its variants."""
    return [query(name), *(one for _, _, one in variants(name))]


# The facts of a kind


def _published(one: Query) -> Mapping[str, Any]:
    if isinstance(one, Aggregate):
        return one.published.columns
    # Inside the engine regions are integer keys; users who may see such rows get their codes.
    return {
        **{("pcod" if name == "location" else name): type_ for name, type_ in one.columns.items()},
        **({"pcod": sa.Text()} if "location" in one.columns else {}),
    }


def _columns(name: str) -> str:
    base = _published(query(name))
    shapes: dict[tuple[str, ...], list[str]] = {tuple(base): []}
    types: dict[str, dict[str, None]] = {column: {_type(type_): None} for column, type_ in base.items()}
    for field_name, word, one in variants(name):
        columns = _published(one)
        shapes.setdefault(tuple(columns), []).append(f"`{field_name}` `{word}`")
        for column, type_ in columns.items():
            types.setdefault(column, {})[_type(type_)] = None
    described = ", ".join(f"`{column}` ({' or '.join(types[column])})" for column in base)
    others = [
        f"with {' or '.join(words)}: "
        + ", ".join(
            f"`{column}`" + ("" if column in base else f" ({' or '.join(types[column])})") for column in shape
        )
        for shape, words in shapes.items()
        if shape != tuple(base)
    ]
    return "; ".join([described, *others])


def _type(type_: Any) -> str:
    if isinstance(type_, type):
        type_ = type_()
    if isinstance(type_, ARRAY | sa.ARRAY):
        return f"list, each {_type(type_.item_type)}"
    if isinstance(type_, sa.Integer):
        return "whole number"
    if isinstance(type_, sa.Double | sa.Numeric):
        return "whole number" if getattr(type_, "scale", None) == 0 else "number"
    if isinstance(type_, sa.DateTime):
        return "date and time"
    if isinstance(type_, sa.Date):
        return "date"
    if isinstance(type_, sa.Text):
        return "text"
    return str(type_.get_col_spec())


def _order(one: Query) -> str:
    if not isinstance(one, Aggregate):
        return "none"
    names = [
        f"`{name.lstrip('-')}`" + (" descending" if name.startswith("-") else "")
        for name in one.published.ordering
    ]
    return ", ".join(names)


def _unit(one: Query) -> str:
    if one.unit is None:
        return "none"
    if "aggregation_unit" in one.fields:
        return "its own"
    for name in one.fields:
        value = getattr(one, name)
        first = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, Query) and first.unit == one.unit:
            return f"that of `{name}`"
    raise LookupError(one.kind)


def _allowed(name: str, unit: str) -> bool:
    try:
        query(name, unit)
    except ma.ValidationError:
        return False
    return True


def _short_rule(one: Query) -> str:
    if not isinstance(one, Aggregate):
        return "never leaves"
    words: dict[type, str] = {
        KeepOver: "row by row",
        KeepGroups: "place by place",
        KeepShares: "share by share",
        AllOrNothing: "all or nothing",
        NothingPersonal: "not judged",
    }
    return words[type(one.published.rule)]


def _rules(name: str) -> str:
    """The rule of the example, and those of the words that bring another."""
    base = _rule(query(name))
    others: dict[str, list[str]] = {}
    for field_name, word, one in variants(name):
        if (rule := _rule(one)) != base:
            others.setdefault(rule, []).append(f"`{field_name}` `{word}`")
    return "; ".join([base, *(f"with {' or '.join(words)}, {rule}" for rule, words in others.items())])


def _rule(one: Query) -> str:
    if not isinstance(one, Aggregate):
        return "never: it has a row for each subscriber"
    rule: Rule = one.published.rule
    if isinstance(rule, NothingPersonal):
        return f"all rows: {rule.reason}"
    counted = (
        f"`{rule.count}` is over {LOWEST_FLOOR}"
        if rule.count in one.published.columns
        else f"more than {LOWEST_FLOOR} distinct subscribers stand behind it"
    )
    if isinstance(rule, KeepOver):
        return f"row by row: a row leaves if {counted}{_beside(rule)}"
    if isinstance(rule, KeepGroups):
        place = "pair of places" if len(rule.by) > 1 else "place"
        return f"{place} by {place}: all rows of a {place} leave if in each {counted}, else none; rows at no place never leave"
    if isinstance(rule, KeepShares):
        return (
            f"share by share: a row leaves if {counted}, and those withheld at its place are together nobody or "
            f"more than {LOWEST_FLOOR}, too{_beside(rule)}"
        )
    return f"all or nothing: all rows leave if in each {counted}; else there is one row, of nulls"


def _beside(rule: KeepOver | KeepShares) -> str:
    if not rule.beside:
        return ""
    counts = " and ".join(name.replace("_", " ") for name in rule.beside)
    return f". Of {counts} each is nobody or more than {LOWEST_FLOOR}"


def _client(name: str) -> str:
    functions = [f"{name}_spec", *([name] if hasattr(flowclient.aggregates, name) else [])]
    found = [f"`flowclient.{function}`" for function in functions if hasattr(flowclient, function)]
    if name == "modal_location":
        found.append("`flowclient.modal_location_from_dates_spec`, of each day of a window")
    if name == "geography":
        found = ["`flowclient.get_geography`, which asks a route of its own"]
    return ", ".join(found)


# Fields


def _table(*titles: str, rows: list[tuple[str, ...]]) -> list[str]:
    """The lines of a table, without columns that have nothing to say."""
    said = [number for number in range(len(titles)) if any(row[number] for row in rows)]
    lines = [titles, ("---",) * len(titles), *rows]
    return ["| " + " | ".join(line[number] for number in said) + " |" for line in lines]


def _field(cls: type[Query], name: str) -> tuple[str, ...]:
    argument = cls.arguments[name]
    field = argument.field
    default = "" if field.required else f"`{json.dumps(field.load_default)}`"
    if argument.may_be_absent:
        default = "absent"
    if field.required and not argument.required:
        default = f"by the client `{json.dumps(argument.default)}`"
    said = [_markdown(argument.doc).rstrip(".").replace("None", "`null`")]
    if argument.keyword != name:
        said.append(f"The client's keyword is `{argument.keyword}`")
    return f"`{name}`", _takes(field), default, ". ".join(filter(None, said))


def _takes(field: ma.fields.Field) -> str:
    if isinstance(field, NestedList):
        assert isinstance(field.inner, Nested)
        return f"list of specifications: {_links(field.inner)}"
    if isinstance(field, Nested):
        return f"specification: {_links(field)}"
    words = getattr(field, "words", None)
    if words:
        return ", ".join(f"`{word}`" for word in words)
    if isinstance(field, EventTypes):
        return "list of `calls`, `sms`, `mds`, `topups`"
    if isinstance(field, ma.fields.Integer | ma.fields.Float):
        return _number(field)
    return _SHAPES[type(field).__name__]


def _number(field: Any) -> str:
    word = "whole number" if isinstance(field, ma.fields.Integer) else "number"
    low, high = field.at_least, field.at_most
    if (low, high) == (None, None):
        return word
    exclusive = getattr(field, "exclusive", False)
    if high is None:
        return f"{word} over {low:g}" if exclusive else f"{word}, {low} or more"
    if exclusive:
        return f"{word} between {low:g} and {high:g}, exclusive"
    if getattr(field, "above", False):
        return f"{word} over {low:g}, at most {high:g}"
    return f"{word} from {low:g} to {high:g}"


def _links(field: Nested) -> str:
    return ", ".join(f"[`{kind}`](#{kind})" for kind in field.kinds)


# Text


def _ordered() -> list[str]:
    """Kinds to submit first."""
    return sorted(kinds(), key=lambda name: (name not in submittable_kinds(), name))


def _mark(found: Evidence) -> str:
    return " " if found.lacking else "✓"


def _tests(found: Evidence) -> str:
    named = [text for text in (found.world, found.drawing) if text is not None]
    return ", ".join(f"`{text.replace(': ', '::')}`" for text in named)


def _markdown(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def _json(value: Any) -> str:
    """JSON of several lines, lists of numbers on one."""
    text = json.dumps(value, indent=2)
    for part in _flat_lists(value):
        nested = json.dumps(part, indent=2)
        for depth in range(0, 12):
            text = text.replace(textwrap.indent(nested, "  " * depth).lstrip(), json.dumps(part))
    return text


def _flat_lists(value: Any) -> Iterator[list[Any]]:
    """The lists of numbers or of lists of numbers in a value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _flat_lists(item)
    elif isinstance(value, list):
        if "{" not in json.dumps(value):
            yield value
        else:
            for item in value:
                yield from _flat_lists(item)
