"""Exchange sessions from the exchange_calendars library, landed like any vendor's answer."""

from collections.abc import Iterator
from datetime import date

import msgspec

from ingest.payloads.decode import Page, table_of
from ingest.vendors.exchange_calendars.schema import SESSIONS
from trademl.files import sha256_of_bytes
from trademl.sessions import EXCHANGE, sessions_between


def session_pages(start: date, end: date) -> Iterator[Page]:
    """The sessions of a span as one page."""
    sessions = sessions_between(start, end)
    records = [
        {
            "exchange": EXCHANGE,
            "session_date": session.day,
            "open_at": session.open_at,
            "close_at": session.close_at,
            "is_early_close": session.is_early_close,
        }
        for session in sessions
    ]
    body = msgspec.json.encode(records)
    uri = f"exchange_calendars:{EXCHANGE}?start={start}&end={end}"
    yield Page(
        table_of(SESSIONS, records), sha256_of_bytes(body), uri, sha256_of_bytes(uri.encode())
    )
