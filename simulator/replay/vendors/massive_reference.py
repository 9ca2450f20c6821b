"""Massive's reference data of a book: splits, dividends and tickers."""

from collections.abc import Iterator
from datetime import date, time
from fractions import Fraction
from typing import Any

from simulator.replay.book import NEW_YORK, Book, day_of, new_york
from simulator.replay.protocol import Query
from trademl.clock import iso

Rows = list[dict[str, Any]]

_MICS = {"NASDAQ": "XNAS", "NYSE": "XNYS", "NYSE ARCA": "ARCX", "AMEX": "XASE", "BATS": "BATS"}


def splits(book: Book, query: Query) -> Rows:
    """The splits that a query filters, by execution date; the newest first unless asked."""
    return _filtered([_split(row) for row in book.splits], "execution_date", query)


def dividends(book: Book, query: Query) -> Rows:
    """The dividends that a query filters, by ex-date; the newest first unless asked."""
    rows = [
        {
            "ticker": row["symbol"],
            "cash_amount": row["cash"],
            "currency": "USD",
            "dividend_type": "CD",
            "ex_dividend_date": row["ex_date"].isoformat(),
            "frequency": 4,
        }
        for row in book.dividends
    ]
    return _filtered(rows, "ex_dividend_date", query)


def tickers(book: Book, query: Query) -> Rows:
    """The shares that are listed on a day, or with ``active=false`` those that are no more."""
    today = book.clock.astimezone(NEW_YORK).date()
    day = date.fromisoformat(query.get("date", today.isoformat()))
    wants_active = query.get("active", "true") == "true"
    ticker = query.get("ticker")
    rows = [row for row in _listed(book, day) if row["active"] is wants_active]
    return [row for row in rows if ticker in (None, row["ticker"])]


def _split(row: dict[str, Any]) -> dict[str, Any]:
    """A split in small whole numbers where its ratio is such a fraction."""
    near = Fraction(row["ratio"]).limit_denominator(1000)
    exact = abs(float(near) - row["ratio"]) < 1e-9 * row["ratio"]
    new, old = (near.numerator, near.denominator) if exact else (row["ratio"], 1)
    return {
        "ticker": row["symbol"],
        "execution_date": row["ex_date"].isoformat(),
        "split_from": old,
        "split_to": new,
    }


def _filtered(rows: Rows, day: str, query: Query) -> Rows:
    first, last = query.get(f"{day}.gte", ""), query.get(f"{day}.lte", "9999")
    ticker = query.get("ticker")
    kept = [r for r in rows if first <= r[day] <= last and ticker in (None, r["ticker"])]
    newest_first = query.get("order", "desc") == "desc"
    return sorted(kept, key=lambda row: (row[day], row["ticker"]), reverse=newest_first)


def _listed(book: Book, day: date) -> Iterator[dict[str, Any]]:
    """Every ticker that had begun by a day, with whether it was still listed then."""
    spans = {symbol: (first, last) for symbol, first, last in book.equities.spans()}
    renamed = {row["old_symbol"] for row in book.renames}
    newest = book.equities.newest
    for symbol in sorted({*book.listings, *spans}):
        listing = book.listings.get(symbol, {})
        first_step, last_step = spans.get(symbol, (None, None))
        first = listing.get("first_bar_date") or (day_of(first_step) if first_step else date.min)
        last = listing.get("last_bar_date") or (day_of(last_step) if last_step else date.max)
        is_inactive = symbol in renamed or (newest is not None and last < day_of(newest))
        if first <= day:
            yield _ticker(symbol, listing, None if not is_inactive or last >= day else last)


def _ticker(symbol: str, listing: dict[str, Any], delisted: date | None) -> dict[str, Any]:
    row = {
        "ticker": symbol,
        "name": listing.get("name") or symbol,
        "market": "stocks",
        "locale": "us",
        "primary_exchange": _MICS.get(listing.get("exchange") or "NYSE", "XNYS"),
        "type": "CS",
        "active": delisted is None,
        "currency_name": "usd",
    }
    if delisted is None:
        return row
    return {**row, "delisted_utc": iso(new_york(delisted, time()))}
