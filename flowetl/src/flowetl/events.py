"""Define the event types' columns in PostgreSQL and in the columnar files."""

from dataclasses import dataclass
from typing import Literal, get_args

CdrType = Literal["calls", "sms", "mds", "topups"]
CDR_TYPES: tuple[CdrType, ...] = get_args(CdrType)

Kind = Literal["text", "identifier", "boolean", "number", "integer", "timestamp"]
"""What a column holds; ``identifier`` columns exist only as pseudonyms."""


@dataclass(frozen=True)
class Column:
    """Describe one column of an events table.

    ``columnar`` names its columnar column and type, or None. ``limits`` are the smallest and largest
    plausible numbers in our unit.
    """

    name: str
    kind: Kind
    columnar: tuple[str, str] | None = None
    required: bool = False
    limits: tuple[float, float] | None = None


YEAR_SECONDS = 366 * 86400.0
TERABYTE = 1e6
"""In megabytes, the unit of volumes."""

_ID = Column("id", "text", ("event_id", "BIGINT"))
_OUTGOING = Column("outgoing", "boolean", ("outgoing", "BOOLEAN"))
_DATETIME = Column("datetime", "timestamp", ("time", "TIMESTAMP"), required=True)
_DURATION = Column("duration", "number", ("duration", "DOUBLE"), limits=(0.0, YEAR_SECONDS))
_NETWORK = Column("network", "text")
_MSISDN = Column("msisdn", "identifier", ("subscriber", "BIGINT"), required=True)
_COUNTERPART = Column("msisdn_counterpart", "identifier", ("counterpart", "BIGINT"))
_PLACE_AND_DEVICE = (
    Column("location_id", "text", ("cell", "INTEGER")),
    Column("imsi", "identifier"),
    Column("imei", "identifier"),
    Column("tac", "integer", ("tac", "INTEGER")),
    Column("operator_code", "number"),
    Column("country_code", "number"),
)


def _numbers(*names: str, limits: tuple[float, float] | None = None) -> tuple[Column, ...]:
    return tuple(Column(name, "number", (name, "DOUBLE"), limits=limits) for name in names)


COLUMNS: dict[CdrType, tuple[Column, ...]] = {
    "calls": (_ID, _OUTGOING, _DATETIME, _DURATION, _NETWORK, _MSISDN, _COUNTERPART, *_PLACE_AND_DEVICE),
    "sms": (_ID, _OUTGOING, _DATETIME, _NETWORK, _MSISDN, _COUNTERPART, *_PLACE_AND_DEVICE),
    "mds": (
        _ID,
        _DATETIME,
        _DURATION,
        *_numbers("volume_total", "volume_upload", "volume_download", limits=(0.0, TERABYTE)),
        _MSISDN,
        *_PLACE_AND_DEVICE,
    ),
    "topups": (
        _ID,
        _DATETIME,
        Column("type", "text"),
        *_numbers("recharge_amount", "airtime_fee", "tax_and_fee", "pre_event_balance", "post_event_balance"),
        _MSISDN,
        *_PLACE_AND_DEVICE,
    ),
}

TAC_DIGITS = 8
"""The digits of a type allocation code, the only integer column there is."""

HAS_COUNTERPARTS: frozenset[CdrType] = frozenset({"calls", "sms"})
"""Types whose events carry the other party. Never mds or topups: a default query unions the types named here."""


def column_names(cdr_type: CdrType) -> tuple[str, ...]:
    """Return the columns of ``events.<cdr_type>`` in their physical order."""
    return tuple(column.name for column in COLUMNS[cdr_type])


def columnar_columns(cdr_type: CdrType) -> tuple[tuple[str, str], ...]:
    """Return a columnar day file's columns in order: (name, DuckDB type)."""
    present = dict(column.columnar for column in COLUMNS[cdr_type] if column.columnar)
    present["local_time"] = "TIMESTAMP"
    first = ("subscriber", "time", "local_time", "cell", "tac", "counterpart", "outgoing", "event_id")
    order = [name for name in first if name in present] + [name for name in present if name not in first]
    return tuple((name, present[name]) for name in order)
