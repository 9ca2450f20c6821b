"""The typed columns of every landed endpoint, and the envelope that each row carries after them."""

from dataclasses import dataclass

import pyarrow as pa

UTC_TIME = pa.timestamp("us", tz="UTC")

ENVELOPE = pa.schema(
    [
        ("extra", pa.string()),
        ("ingest_id", pa.string()),
        ("ingested_at", UTC_TIME),
        ("source_name", pa.string()),
        ("source_uri", pa.string()),
        ("vendor_ts", UTC_TIME),
        ("api_version", pa.string()),
        ("request_hash", pa.string()),
        ("payload_sha256", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One table of a vendor as it is landed.

    Attributes:
        vendor: First folder under ``raw/``.
        name: Second folder under ``raw/``.
        columns: The vendor's fields, under the vendor's names.
        key: Columns that tell two rows of one fetch apart; these are never null.
        source_name: What the rows' ``source_name`` says.
        api_version: What the rows' ``api_version`` says.
        required: Fields that the vendor always sends, beside the key.
        event_time: Column that holds the session of a row, where freshness is judged by it.
    """

    vendor: str
    name: str
    columns: pa.Schema
    key: tuple[str, ...]
    source_name: str
    api_version: str
    required: tuple[str, ...] = ()
    event_time: str | None = None

    @property
    def path(self) -> str:
        """``vendor/name``, the name in ``ENDPOINTS`` and the folder under ``raw/``."""
        return f"{self.vendor}/{self.name}"

    @property
    def schema(self) -> pa.Schema:
        """All columns of a landed file: the vendor's, then the envelope."""
        return pa.schema([*self.columns, *ENVELOPE])

    @property
    def never_null(self) -> frozenset[str]:
        """Fields whose absence is a drift of the schema."""
        return frozenset(self.key) | frozenset(self.required)


def _fields(kind: pa.DataType, names: str) -> list[pa.Field]:
    return [pa.field(name, kind) for name in names.split()]


_TEXT, _NUMBER, _FLAG, _DAY = pa.string(), pa.float64(), pa.bool_(), pa.date32()

_BARS = pa.schema(
    [
        *_fields(_TEXT, "symbol"),
        *_fields(UTC_TIME, "t"),
        *_fields(_NUMBER, "o h l c v"),
        *_fields(pa.int64(), "n"),
        *_fields(_NUMBER, "vw"),
    ]
)
_CORPORATE_ACTIONS = pa.schema(
    [
        *_fields(_TEXT, "action_type id symbol old_symbol new_symbol cusip"),
        *_fields(_NUMBER, "old_rate new_rate rate cash_rate"),
        *_fields(_FLAG, "special foreign"),
        *_fields(_DAY, "ex_date effective_date record_date payable_date process_date"),
    ]
)
_ASSETS = pa.schema(
    [
        *_fields(_TEXT, "id class exchange symbol name status"),
        *_fields(_FLAG, "tradable marginable shortable easy_to_borrow fractionable"),
    ]
)
_CALENDAR = pa.schema(
    [
        *_fields(_DAY, "date"),
        *_fields(_TEXT, "open close session_open session_close"),
        *_fields(_DAY, "settlement_date"),
    ]
)
_KLINES = pa.schema(
    [
        *_fields(_TEXT, "symbol"),
        *_fields(pa.int64(), "open_time"),
        *_fields(_TEXT, "open high low close volume"),
        *_fields(pa.int64(), "close_time"),
        *_fields(_TEXT, "quote_volume"),
        *_fields(pa.int64(), "trades"),
        *_fields(_TEXT, "taker_buy_base_volume taker_buy_quote_volume"),
    ]
)
_EXCHANGE_INFO = pa.schema(
    _fields(_TEXT, "symbol status base_asset quote_asset tick_size step_size min_qty min_notional")
)
_SECTORS = pa.schema(_fields(_TEXT, "symbol name exchange asset_type sector industry"))
_MEMBERSHIP = pa.schema(
    [*_fields(_TEXT, "index_name symbol"), *_fields(_DAY, "start_date end_date")]
)
_EARNINGS = pa.schema(
    [
        *_fields(_TEXT, "symbol"),
        *_fields(_DAY, "earnings_date"),
        *_fields(UTC_TIME, "announced_at"),
    ]
)
_SESSIONS = pa.schema(
    [
        *_fields(_TEXT, "exchange"),
        *_fields(_DAY, "session_date"),
        *_fields(UTC_TIME, "open_at close_at"),
        *_fields(_FLAG, "is_early_close"),
    ]
)

_ALL = (
    Endpoint(
        "alpaca",
        "bars_1d",
        _BARS,
        ("symbol", "t"),
        "alpaca_sip",
        "v2",
        ("o", "h", "l", "c", "v", "n", "vw"),
        event_time="t",
    ),
    Endpoint(
        "alpaca",
        "corporate_actions",
        _CORPORATE_ACTIONS,
        ("action_type", "id"),
        "alpaca",
        "v1",
        ("process_date",),
    ),
    Endpoint(
        "alpaca",
        "assets",
        _ASSETS,
        ("id",),
        "alpaca",
        "v2",
        ("class", "exchange", "symbol", "status", "tradable"),
    ),
    Endpoint("alpaca", "calendar", _CALENDAR, ("date",), "alpaca", "v2", ("open", "close")),
    Endpoint(
        "binance",
        "klines_1d",
        _KLINES,
        ("symbol", "open_time"),
        "binance_spot",
        "v3",
        tuple(name for name in _KLINES.names if name not in ("symbol", "open_time")),
        event_time="open_time",
    ),
    Endpoint(
        "binance",
        "exchange_info",
        _EXCHANGE_INFO,
        ("symbol",),
        "binance_spot",
        "v3",
        ("status", "base_asset", "quote_asset"),
    ),
    Endpoint("file", "sectors", _SECTORS, ("symbol",), "file", "1"),
    Endpoint(
        "file", "index_membership", _MEMBERSHIP, ("index_name", "symbol", "start_date"), "file", "1"
    ),
    Endpoint("file", "earnings_dates", _EARNINGS, ("symbol", "earnings_date"), "file", "1"),
    Endpoint(
        "exchange_calendars",
        "sessions",
        _SESSIONS,
        ("exchange", "session_date"),
        "exchange_calendars",
        "4",
        ("open_at", "close_at", "is_early_close"),
    ),
)

ENDPOINTS: dict[str, Endpoint] = {endpoint.path: endpoint for endpoint in _ALL}
"""Every endpoint that can be landed, by ``vendor/name``."""
