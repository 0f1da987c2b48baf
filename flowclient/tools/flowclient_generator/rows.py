"""Rows of the table of kinds: keywords of Python and the fields of a specification that they fill."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

REQUIRED = object()


@dataclass(frozen=True)
class Argument:
    """A keyword of a function and the field of the specification it fills.

    Attributes
    ----------
    keyword, annotation, doc : str
        As they appear in the function.
    default : object
        Its default; ``REQUIRED`` if it has none.
    key : str
        The field's name on the wire, by default the keyword.
    write : str
        Function of :mod:`flowclient.values` that turns the argument into the field's value.
    omit_none : bool
        Whether the field is left out where the argument is None; other fields are then sent as null.
    """

    keyword: str
    annotation: str
    doc: str
    default: Any = REQUIRED
    key: str = ""
    write: str = ""
    omit_none: bool = False

    @property
    def wire(self) -> str:
        return self.key or self.keyword

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Kind:
    """A kind of query.

    Attributes
    ----------
    name : str
        Its ``query_kind``; the function is this name with ``specification``.
    doc : str
        What a result says, in one sentence.
    arguments : tuple of Argument
        In the order of the signature.
    columns : tuple of str
        Columns of the result; ``location`` stands for the unit's identifying columns.
    inside : str
        For kinds that are computed only inside others: some of those, for a refusal to name.
    fractions : tuple of str
        Columns that are no whole numbers: averages, shares, amounts of money.
    columns_with : tuple of (str, str, tuple of str)
        A field, a word in it, and the columns of a result asked for with that word, where they are others.
    component : str
        Its name among the OpenAPI components, by default the kind in CamelCase.
    expression : str
        For functions that compose other kinds: what they return. Such a row is no kind of its own.
    """

    name: str
    doc: str
    arguments: tuple[Argument, ...]
    columns: tuple[str, ...] = ()
    inside: str = field(default="", kw_only=True)
    fractions: tuple[str, ...] = field(default=(), kw_only=True)
    component: str = ""
    columns_with: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    expression: str = field(default="", repr=False)

    @property
    def openapi_component(self) -> str:
        camel = "".join(word.capitalize() for word in self.name.split("_"))
        return self.component or camel.replace("OdMatrix", "ODMatrix")


def arguments(*given: Argument | tuple[Argument, ...]) -> tuple[Argument, ...]:
    flat: list[Argument] = []
    for argument in given:
        flat.extend(argument if isinstance(argument, tuple) else (argument,))
    return tuple(flat)


START = Argument("start_date", "DateLike", "First day, ISO text or a date.", write="iso_date")
END = Argument("end_date", "DateLike", "The day after the last, ISO text or a date.", write="iso_date")
DATES = (START, END)
UNIT = Argument(
    "aggregation_unit",
    "str",
    "``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.",
)
EVENTS = Argument(
    "event_types",
    "EventTypes",
    "Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.",
    None,
    write="list_of_types",
)
SUBSET = Argument(
    "subscriber_subset",
    "Subset",
    "Only these subscribers: a query's id or specification; None for all.",
    None,
)
GEOGRAPHY = (
    Argument(
        "mapping_table", "str | None", "Table that maps cells to areas, in place of their position.", None
    ),
    Argument("geom_table", "str | None", "Table of geometries, for ``lon-lat`` only.", None),
    Argument("geom_table_join_column", "str | None", "Column of that table to join on.", None),
)
HOURS = Argument(
    "hours",
    "Hours",
    "Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.",
    None,
    write="hours_of_day",
)
ESGH = arguments(EVENTS, SUBSET, GEOGRAPHY, HOURS)
GESH = arguments(GEOGRAPHY, EVENTS, SUBSET, HOURS)
ESH = arguments(EVENTS, SUBSET, HOURS)
ESG = arguments(EVENTS, SUBSET, GEOGRAPHY)

STATISTICS = "``avg``, ``max``, ``min``, ``median``, ``mode``, ``stddev``, ``variance``, ``sum`` or ``count``"
STATISTIC = Argument("statistic", "str", f"{STATISTICS}.")
DIRECTION = Argument("direction", "str", "``in``, ``out`` or ``both``.", "both")
LOCATION_METHOD = Argument("method", "str", "``last`` or ``most-common``.")
PERIODS = (
    Argument("total_periods", "int", "Number of periods."),
    Argument("period_unit", "str", "``days``, ``hours`` or ``minutes``.", "days"),
    Argument("period_length", "int", "Length of a period, in that unit.", 1),
)


def specification(keyword: str, doc: str, key: str = "") -> Argument:
    return Argument(keyword, "Spec", doc, key=key)


def specifications(keyword: str, doc: str) -> Argument:
    return Argument(keyword, "list[Spec]", doc)


REFERENCE_KINDS = "daily, modal, most frequent, visited most days, majority or coalesced location"
FLOW_KINDS = f"{REFERENCE_KINDS}, or unique locations"
UNIQUE = "Specification of unique locations."
PERIOD_DATES = (replace(START, doc="Start of the first period, ISO text or a date."),)
