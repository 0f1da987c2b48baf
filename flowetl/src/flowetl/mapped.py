"""Generate SQL from an operator's fields to typed columns and reject reasons."""

import pyarrow as pa
import pyarrow.compute as pc

from flowetl.events import COLUMNS, TAC_DIGITS, Column
from flowetl.expressions import EPOCHS, Expression, has_offset
from flowetl.source import Source

SHORTEST_SPELLING = 7
"""Digits of a text that can be the spelling of an identifier; shorter ones are short codes and everywhere."""
SHORTEST_PART = 10
"""Digits of an identifier that is also found amid others, where fewer would be found by accident."""
LONGEST_TEXT = 1000
"""Bytes of a text column. An index of PostgreSQL refuses a row from 2,704 on, and with it the whole day."""
STAGED_TYPES = {
    "text": "VARCHAR",
    "identifier": "BIGINT",
    "boolean": "BOOLEAN",
    "number": "DOUBLE",
    "integer": "INTEGER",
    "timestamp": "TIMESTAMP",
}


def quoted(name: str) -> str:
    """Quote an identifier for DuckDB's SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | bool) -> str:
    """Write a value in DuckDB's SQL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def raw_name(field: str) -> str:
    """Return the name of a raw field among the columns of a batch."""
    return f"raw {field}"


def own_name(column: str) -> str:
    """Return the name of a column derived from a raw identifier."""
    return f"own {column}"


def unread_name(column: str) -> str:
    """Return the name of the column that marks unreadable text of an optional column."""
    return f"unread {column}"


def nobody_name(column: str) -> str:
    """Return the name of the column that marks texts that are no number."""
    return f"nobody {column}"


def text_field(target: str, expression: Expression) -> str:
    """Return the field with a column's text.

    A text made of several fields has the name of its column.
    """
    return expression.column or f"made {target}"


def takes_tac(source: Source) -> bool:
    """Return whether the device model comes from the raw IMEI before hashing."""
    return "imei" in source.mapping and "tac" not in source.mapping


def optional(source: Source) -> tuple[Column, ...]:
    """Return the mapped columns that may be unreadable without refusing the record.

    Subscriber and time are required, and so is the direction of a record that has one: a word that ``values`` does not
    translate there is another kind of record. A text that is too long, or is an identifier, must not be stored.
    """
    return tuple(
        column
        for column in COLUMNS[source.cdr_type]
        if column.name in source.mapping
        and not column.required
        and (
            column.kind in ("identifier", "number", "integer")
            or (column.kind == "text" and source.mapping[column.name].values)
        )
        and source.mapping[column.name].constant is None
    )


def may_be_nobody(source: Source) -> tuple[str, ...]:
    """Return the mapped columns whose text may say that there is no number."""
    return tuple(name for name in ("msisdn", "msisdn_counterpart") if name in source.mapping)


def made_fields(table: pa.Table, source: Source) -> pa.Table:
    """Add the fields that the mapping makes of several to a batch."""
    for target, expression in source.mapping.items():
        if expression.join:
            parts = [table.column(field).cast(pa.string()) for field in expression.join]
            made = pc.binary_join_element_wise(*parts, expression.with_)
        elif expression.when is not None:
            kind = table.column(expression.when)
            made = pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
            for text, field in expression.cases.items():
                chosen = pc.fill_null(pc.equal(kind, text), False)
                made = pc.if_else(chosen, table.column(field).cast(pa.string()), made)
        else:
            continue
        table = table.append_column(text_field(target, expression), made)
    return table


def selection(source: Source) -> str:
    """Select mapped columns, without identifiers, ``row`` and ``reason`` from a batch.

    A null reason means a valid record. ``instant`` is the UTC time of a record whose text has an offset;
    ``datetime`` is any other record's time by the file's clock. An ``unread`` column for each optional column
    marks unreadable text, a ``nobody`` column a counterpart that is no number.
    """
    mapping = source.mapping
    selected, reasons, identifiers, unread = [], [], [], []
    columns = COLUMNS[source.cdr_type]
    may_be_unread = optional(source)
    for column in columns:
        if column.kind == "identifier" and column.name in mapping:
            identifiers.append(quoted(f"compared {column.name}"))
            raw = _text(column, mapping[column.name])
            selected.append(f"{_compared(column.name, raw)} AS {identifiers[-1]}")
    for column in columns:
        expression = mapping.get(column.name)
        value = quoted(column.name)
        if column.kind == "identifier":
            value = quoted(own_name(column.name))
        elif column.name == "tac" and takes_tac(source):
            selected.append(f"TRY_CAST({quoted(own_name('tac'))} AS INTEGER) AS tac")
        elif column.kind == "timestamp" and expression:
            selected += _times(_text(column, expression), source.time_patterns)
            value = f"coalesce({value}, instant)"
        else:
            sql = _select(column, expression) if expression else "NULL"
            selected.append(f"CAST({sql} AS {STAGED_TYPES[column.kind]}) AS {column.name}")
        given = _given(column, expression) if expression else ""
        nobody = quoted(nobody_name(column.name))
        if given and column in may_be_unread:
            read = f"NOT {nobody} AND " if column.name in may_be_nobody(source) else ""
            unread.append(f"({read}{value} IS NULL AND {given}) AS {quoted(unread_name(column.name))}")
            if read:
                unread.append(nobody)
        elif given:
            if column.kind == "identifier":
                reasons.append(f"WHEN {nobody} THEN 'no_number'")
            reasons.append(f"WHEN {value} IS NULL AND {given} THEN 'malformed_{column.name}'")
        if column.kind == "text" and expression and expression.has_text and not expression.values:
            searched = quoted(f"searched {column.name}")
            selected.append(f"{_searched(_text(column, expression))} AS {searched}")
            held = " OR ".join(_holds(searched, identifier) for identifier in identifiers)
            reasons.append(f"WHEN {held} THEN 'identifier_in_{column.name}'")
        if column.required:
            reasons.append(f"WHEN {value} IS NULL THEN 'missing_{column.name}'")
    names = [column.name for column in columns if column.kind != "identifier"]
    return (
        f"SELECT row, {', '.join([*names, 'instant', *unread])}, CASE {' '.join(reasons)} END AS reason "  # noqa: S608 - names of columns
        f"FROM (SELECT *, {', '.join(selected)} FROM batch)"
    )


def times(source: Source) -> str:
    """Select ``datetime`` and ``instant``, as ``selection`` does, alone from a batch."""
    column = next(column for column in COLUMNS[source.cdr_type] if column.kind == "timestamp")
    found = _times(_text(column, source.mapping[column.name]), source.time_patterns)
    return f"SELECT {', '.join(found)} FROM batch"  # noqa: S608 - names of columns


def _text(column: Column, expression: Expression) -> str:
    return quoted(raw_name(text_field(column.name, expression)))


def _given(column: Column, expression: Expression) -> str:
    """Return SQL for whether a record has a column; empty for a constant."""
    if expression.when is not None:
        kind = quoted(raw_name(expression.when))
        cases = [
            (f"{kind} = {literal(text)}", quoted(raw_name(field))) for text, field in expression.cases.items()
        ]
        if not column.required:
            return "(" + " OR ".join(f"({chosen} AND {field} IS NOT NULL)" for chosen, field in cases) + ")"
        # An unforeseen kind of record counts as having the column.
        empty = " OR ".join(f"({chosen} AND {field} IS NULL)" for chosen, field in cases)
        return f"{kind} IS NOT NULL AND NOT ({empty})"
    return " AND ".join(f"{quoted(raw_name(field))} IS NOT NULL" for field in expression.raw_fields)


def _select(column: Column, expression: Expression) -> str:
    """Return SQL for one mapped column that is neither identifier nor time.

    Its value is null where absent or unreadable.
    """
    kind = STAGED_TYPES[column.kind]
    if expression.constant is not None:
        return f"CAST({literal(expression.constant)} AS {kind})"
    if expression.sum:
        total = " + ".join(_number(quoted(raw_name(field)), expression) for field in expression.sum)
        return _scaled(f"({total})", column, expression)
    field = _text(column, expression)
    if expression.values:
        cases = " ".join(
            f"WHEN {literal(text)} THEN {literal(value)}" for text, value in expression.values.items()
        )
        return f"TRY_CAST(CASE {field} {cases} END AS {kind})"
    if column.kind == "integer":
        # A cast alone would round fractions and accept numbers too large for the database.
        return f"CASE WHEN regexp_full_match({field}, '[0-9]{{1,{TAC_DIGITS}}}') THEN CAST({field} AS {kind}) END"
    if column.kind == "text":
        return f"CASE WHEN strlen({field}) <= {LONGEST_TEXT} THEN {field} END"
    if column.kind == "number":
        return _scaled(_number(field, expression), column, expression)
    return f"TRY_CAST({field} AS {kind})"


def _number(field: str, expression: Expression) -> str:
    if expression.form == "clock":
        # Hours may be omitted and may exceed a day.
        return (
            f"CASE WHEN regexp_full_match({field}, '([0-9]{{1,5}}:)?[0-9]{{1,2}}:[0-9]{{1,2}}([.][0-9]{{1,9}})?') THEN "
            f"list_reduce(list_transform(string_split({field}, ':'), lambda x: CAST(x AS DOUBLE)), "
            "lambda a, b: a * 60 + b) END"
        )
    marks = expression.marks
    if marks.thousands:
        field = f"replace({field}, {literal(marks.thousands)}, '')"
    if marks.decimal != ".":
        field = f"replace({field}, {literal(marks.decimal)}, '.')"
    return f"TRY_CAST({field} AS DOUBLE)"


def _scaled(number: str, column: Column, expression: Expression) -> str:
    """Scale a number to our unit; null where it is infinite or implausible."""
    scaled = number if expression.divide_by == 1 else f"({number}) / {expression.divide_by!r}::DOUBLE"
    if column.limits is None:
        return f"CASE WHEN isfinite({number}) THEN {scaled} END"
    least, most = column.limits
    return f"CASE WHEN {scaled} BETWEEN {least!r} AND {most!r} THEN {scaled} END"


def _times(field: str, patterns: tuple[str, ...]) -> list[str]:
    """Return SQL of a time by the file's clock, and of one with an offset by UTC."""
    # A fraction of more than six digits cannot be read: it is cut where nothing else helps.
    cut = f"regexp_replace({field}, '([.,][0-9]{{6}})[0-9]{{1,3}}', '\\1')"
    tries = [(field, pattern) for pattern in patterns]
    tries += [(cut, pattern) for pattern in patterns if "%f" in pattern]
    here = [f"try_strptime({text}, {literal(pattern)})" for text, pattern in tries if not has_offset(pattern)]
    told = [_instant(text, pattern) for text, pattern in tries if has_offset(pattern)]
    chosen = [f"coalesce({', '.join(found)})" if found else "NULL" for found in (here, told)]
    names = ("datetime", "instant")
    return [f"CAST({sql} AS TIMESTAMP) AS {name}" for sql, name in zip(chosen, names, strict=True)]


def _instant(field: str, pattern: str) -> str:
    if pattern in EPOCHS:
        # Values beyond these are not plausible dates and may not be dates at all.
        micros = f"CAST(round(TRY_CAST({field} AS DOUBLE) * {EPOCHS[pattern]}) AS BIGINT)"
        return f"CASE WHEN TRY_CAST({field} AS DOUBLE) * {EPOCHS[pattern]} BETWEEN 0 AND 4e15 THEN make_timestamp({micros}) END"
    zulu = f"CASE WHEN ends_with({field}, 'Z') THEN left({field}, -1) || '+00:00' ELSE {field} END"
    return f"timezone('UTC', try_strptime({zulu}, {literal(pattern)}))"


_SEPARATORS = " ()+.-"
"""What people put between the digits of a number. Taking it out costs as much as all else: it is asked for first."""


def _searched(raw: str) -> str:
    """Return SQL for a text without separators and leading zeros.

    Texts are compared with identifiers in this form.
    """
    separated = " OR ".join(f"contains({raw}, '{separator}')" for separator in _SEPARATORS)
    return _without_zeros(
        f"CASE WHEN strlen({raw}) < {SHORTEST_SPELLING} THEN NULL "
        f"WHEN {separated} THEN translate({raw}, '{_SEPARATORS}', '') ELSE {raw} END"
    )


def _compared(column: str, raw: str) -> str:
    """Return SQL for a raw identifier's digits; of a device, the first fourteen.

    Null for an alphanumeric sender.
    """
    digits = (
        f"CASE WHEN TRY_CAST({raw} AS BIGINT) IS NOT NULL THEN {raw} "
        f"ELSE nullif(regexp_replace({raw}, '[^0-9]', '', 'g'), '') END"
    )
    return _without_zeros(f"substr({digits}, 1, 14)" if column == "imei" else digits)


def _without_zeros(text: str) -> str:
    """Return SQL for a text without leading zeros.

    Taking none off costs as much as a cast: it is asked for first.
    """
    return f"CASE WHEN starts_with({text}, '0') THEN ltrim({text}, '0') ELSE {text} END"


def _holds(text: str, identifier: str) -> str:
    """Return SQL for whether a text contains the same record's identifier.

    Looking like an identifier is not enough, because numbers of cells and calls do as well. A text that
    equals the record's identifier, or its end from the seventh digit on, is no coincidence. A long number
    that shares a few digits is.
    """
    return (
        f"strlen({text}) >= {SHORTEST_SPELLING} AND (ends_with({identifier}, {text}) "
        f"OR (strlen({identifier}) >= {SHORTEST_PART} AND contains({text}, {identifier})))"
    )
