"""Decoding of a page into an Arrow table, checked for its shape while it is read."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from ingest.payloads.endpoint import UTC_TIME, Endpoint
from ingest.transport.client import NOT_JSON, Answer
from trademl.errors import SchemaDrift, Unavailable

Decoded = TypeVar("Decoded")
_NOTHING: Mapping[str, pa.Array] = {}
_Beyond = dict[int, dict[str, str]]
"""By row, the values of fields that their columns cannot hold."""
_UNTYPED = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)
"""What Arrow raises for values that are not of a type."""

_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_ALL_TIMES = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""The first and last microsecond of the years 1 to 9999, from 1970 on."""

DRIFT = "no longer has the shape its connector knows"
"""In the message of every payload that is refused for its shape."""


@dataclass(frozen=True, slots=True)
class Page:
    """One body of a fetch.

    Attributes:
        rows: The endpoint's vendor columns, then ``extra`` and ``vendor_ts``.
        payload_sha256: Hash of the body as received.
        source_uri: Where it came from, without keys and page tokens.
        request_hash: Hash of the request, page tokens excluded.
    """

    rows: pa.Table
    payload_sha256: str
    source_uri: str
    request_hash: str


def read_json(decode: Callable[[bytes], Decoded], body: bytes, where: str) -> Decoded:
    """Decodes a body.

    Args:
        decode: A msgspec decoder's ``decode``.
        body: The body as received.
        where: Names the endpoint in messages.

    Raises:
        Unavailable: The body is not a whole JSON document; asking again may help.
        SchemaDrift: It is JSON of another shape.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise SchemaDrift(_drift(where, str(error))) from error
    except NOT_JSON as error:
        raise Unavailable(
            f"{where} sent {len(body)} bytes that are not JSON ({error}); ask again later"
        ) from error


def decode_strict(decode: Callable[[bytes], Decoded], body: bytes) -> Decoded | None:
    """What a body of exactly the documented shape says.

    None for any other body: it is read again the slow way, which keeps fields that are new and
    names the one that is wrong.

    Args:
        decode: Of a decoder that takes no other shape.
        body: The body as received.
    """
    try:
        return decode(body)
    except NOT_JSON:
        return None


def table_of(
    endpoint: Endpoint,
    records: Sequence[Mapping[str, Any]],
    vendor_ts: pa.Array | None = None,
    given: Mapping[str, pa.Array | Sequence[Any]] = _NOTHING,
    used_fields: Collection[str] = (),
) -> pa.Table:
    """Builds the typed table of a page from decoded records.

    Args:
        endpoint: Whose columns to fill. Fields that it does not know go to ``extra`` as JSON, with
            the values that a column cannot hold.
        records: One mapping per row, under the vendor's names.
        vendor_ts: The rows' vendor time, null when not given.
        given: Columns that are made already, or the values of all rows; copying them into every
            row first costs a third of the time.
        used_fields: Fields of the rows that ``given`` was made of, under the vendor's other names.

    Raises:
        SchemaDrift: A field that is always sent is absent, or has another type.
    """
    known = frozenset({*endpoint.columns.names, *used_fields})
    _refuse_absence(endpoint, records, given)
    sent = _columns(records, endpoint.columns.names)
    # Of a column that was made of the rows nobody knows any more whether a row said null.
    never_null = endpoint.never_null.union(given.keys() & endpoint.key)
    extra = _extra(records, known)
    return _table(endpoint, {**sent, **given}, extra, vendor_ts, _typed, never_null)


def table_of_columns(
    endpoint: Endpoint,
    columns: Mapping[str, pa.Array | Sequence[Any]],
    vendor_ts: pa.Array | None = None,
) -> pa.Table:
    """Builds the typed table of a page whose decoder has checked every type: no ``extra``.

    Args:
        endpoint: Whose columns to fill; ones that are not given become null.
        columns: Arrays, or the decoder's values (days as text), by name.
        vendor_ts: The rows' vendor time, null when not given.

    Raises:
        SchemaDrift: A field that is always sent is absent, or a text is not a day.
    """
    count = len(next(iter(columns.values())))
    absent = {name: [None] * count for name in endpoint.columns.names if name not in columns}
    extra = pa.nulls(count, pa.string())
    never_null = endpoint.never_null.union(endpoint.key)
    return _table(endpoint, {**columns, **absent}, extra, vendor_ts, _checked, never_null)


def utc_of(values: Sequence[int | None], unit: str, endpoint: Endpoint) -> pa.Array:
    """Whole numbers since 1970 as UTC times; none for one that is beyond all times.

    Args:
        values: As a decoder has checked them, none where there is no time.
        unit: What they count: ``s``, ``ms`` or ``us``.
        endpoint: Named in messages.

    Raises:
        SchemaDrift: One is not a whole number.
    """
    first, last = (bound // _MICROSECONDS[unit] for bound in _ALL_TIMES)
    try:
        if not all(value is None or first <= value <= last for value in values):
            values = [
                None if value is None or not first <= value <= last else value for value in values
            ]
        return pa.array(values, pa.timestamp(unit, "UTC")).cast(UTC_TIME)
    except (*_UNTYPED, TypeError) as error:
        raise SchemaDrift(_drift(endpoint.path, f"a time is none: {error}")) from error


def moment_of(text: str, endpoint: Endpoint) -> datetime:
    """A written time, with a zone where one is written.

    Args:
        text: ISO 8601.
        endpoint: Named in messages.

    Raises:
        SchemaDrift: It is none, or so far off that it has no UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SchemaDrift(_drift(endpoint.path, f"{text[:60]!r} is not a time")) from error
    if not MINYEAR < moment.year < MAXYEAR:
        raise SchemaDrift(_drift(endpoint.path, f"{text[:60]!r} is beyond all times"))
    return moment


def page_of(answer: Answer[Any], rows: pa.Table) -> Page:
    """The rows of an answer with its evidence."""
    return Page(rows, answer.payload_sha256, answer.source_uri, answer.request_hash)


def page_of_records(
    answer: Answer[Any],
    endpoint: Endpoint,
    records: Sequence[Mapping[str, Any]],
    vendor_ts: pa.Array | None = None,
) -> Page:
    """The records of an answer as ``table_of`` makes a table of them, with its evidence.

    Raises:
        SchemaDrift: A field that is always sent is absent, or has another type.
    """
    return page_of(answer, table_of(endpoint, records, vendor_ts))


def empty(endpoint: Endpoint) -> pa.Table:
    """The table of a page without rows."""
    return table_of(endpoint, [])


def check_symbols(endpoint: Endpoint, sent: Iterable[str], requested: frozenset[str]) -> None:
    """Refuses rows of symbols that nobody asked for (a mixed-up answer poisons histories).

    Raises:
        SchemaDrift: Naming what came and what was wanted.
    """
    strangers = sorted(set(sent) - requested)
    if strangers:
        raise SchemaDrift(
            f"{endpoint.path} answered for {', '.join(strangers[:5])}, which was not asked "
            f"({len(requested)} symbols were); nothing of this fetch is landed, run it again"
        )


def repeated(value: str | None, count: int) -> pa.Array:
    """One text for all rows; a dictionary array costs a fifth of the repeated text to write."""
    if value is None:
        return pa.nulls(count, pa.string())
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([value], pa.string()))


def _table(
    endpoint: Endpoint,
    columns: Mapping[str, pa.Array | Sequence[Any]],
    extra: pa.Array,
    vendor_ts: pa.Array | None,
    typed: Callable[[Sequence[Any], pa.DataType], pa.Array],
    never_null: frozenset[str],
) -> pa.Table:
    beyond: _Beyond = {}
    arrays = [
        _column(endpoint, field, columns[field.name], typed, beyond) for field in endpoint.columns
    ]
    for field, array in zip(endpoint.columns, arrays, strict=True):
        if field.name in never_null and array.null_count:
            row = array.is_valid().index(False).as_py()
            raise SchemaDrift(_drift(endpoint.path, f"field {field.name} is absent in row {row}"))
    times = pa.nulls(len(extra), UTC_TIME) if vendor_ts is None else vendor_ts
    names = [*endpoint.columns.names, "extra", "vendor_ts"]
    return pa.table([*arrays, _with_beyond(extra, beyond), times], names=names)


def _column(
    endpoint: Endpoint,
    field: pa.Field,
    values: pa.Array | Sequence[Any],
    typed: Callable[[Sequence[Any], pa.DataType], pa.Array],
    beyond: _Beyond,
) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    try:
        try:
            return typed(values, field.type)
        except _UNTYPED:
            return typed(_within(field, values, typed, beyond), field.type)
    except _UNTYPED as error:
        raise SchemaDrift(_drift(endpoint.path, f"field {field.name}: {error}")) from error


def _within(
    field: pa.Field,
    values: Sequence[Any],
    typed: Callable[[Sequence[Any], pa.DataType], pa.Array],
    beyond: _Beyond,
) -> Sequence[Any]:
    """Values without those that a column cannot hold: each costs itself, not the answer.

    Where not one is of the column's type the shape has changed, and they stay as they are.
    """
    held = [_number(v, field.type) if type(v) is int else v for v in values]
    wrong = {row for row, value in enumerate(held) if not _is_typed(value, field.type, typed)}
    if wrong and all(value is None for row, value in enumerate(held) if row not in wrong):
        return values
    for row, value in enumerate(values):
        if value is not None and (row in wrong or held[row] is None):
            held[row] = None
            beyond.setdefault(row, {})[field.name] = str(value)
    return held


def _is_typed(
    value: Any, kind: pa.DataType, typed: Callable[[Sequence[Any], pa.DataType], pa.Array]
) -> bool:
    try:
        typed([value], kind)
    except _UNTYPED:
        return False
    return True


def _number(value: int, kind: pa.DataType) -> int | float | None:
    if pa.types.is_floating(kind):
        try:
            return float(value)
        except OverflowError:
            return None
    return value if not pa.types.is_integer(kind) or -(2**63) <= value < 2**63 else None


def _with_beyond(extra: pa.Array, beyond: _Beyond) -> pa.Array:
    if not beyond:
        return extra
    rest = extra.to_pylist()
    for row, fields in beyond.items():
        known = msgspec.json.decode(rest[row]) if rest[row] else {}
        rest[row] = msgspec.json.encode({**known, **fields}, order="sorted").decode()
    return pa.array(rest, pa.string())


def _refuse_absence(
    endpoint: Endpoint,
    records: Sequence[Mapping[str, Any]],
    given: Mapping[str, pa.Array | Sequence[Any]],
) -> None:
    for name in (*endpoint.key, *endpoint.nullable):
        if name in given:
            continue
        for row, record in enumerate(records):
            if name not in record:
                raise SchemaDrift(_drift(endpoint.path, f"field {name} is absent in row {row}"))


def _typed(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    kinds = set(map(type, values))
    if str in kinds and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return pa.array(values, pa.string()).cast(kind)
    # Arrow counts days from a number, takes a boolean for 1.0 and cuts 1.5 to 1, without a word.
    if pa.types.is_temporal(kind) and kinds & {int, float}:
        raise pa.ArrowTypeError("expected a day or time as text, got a number")
    if pa.types.is_floating(kind) and bool in kinds:
        raise pa.ArrowTypeError("expected a number, got a boolean")
    if pa.types.is_integer(kind) and float in kinds:
        raise pa.ArrowTypeError("expected an integer, got a number with a decimal point")
    return pa.array(values, kind)


def _checked(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_date(kind):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


def _columns(
    records: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Sequence[Any]]:
    """The values by name; rows of one shape are transposed at once, which takes half the time."""
    shapes = set(map(tuple, records))
    if len(shapes) != 1:
        return {name: [row.get(name) for row in records] for name in names}
    absent = [None] * len(records)
    values = zip(*(row.values() for row in records), strict=True)
    sent = dict(zip(shapes.pop(), values, strict=True))
    return {name: sent.get(name, absent) for name in names}


def _extra(records: Sequence[Mapping[str, Any]], known: frozenset[str]) -> pa.Array:
    if frozenset().union(*records) <= known:
        return pa.nulls(len(records), pa.string())
    rest = [None if known.issuperset(row) else _unknown(row, known) for row in records]
    return pa.array(rest, pa.string())


def _unknown(row: Mapping[str, Any], known: Collection[str]) -> str:
    rest = {name: value for name, value in row.items() if name not in known}
    return msgspec.json.encode(rest, order="sorted").decode()


def _drift(where: str, reason: str) -> str:
    return f"{where} {DRIFT}: {reason}; nothing is landed"
