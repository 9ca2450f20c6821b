"""Alpaca's reference data of a book: corporate actions, assets, calendar and clock."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from simulator.replay.book import NEW_YORK, Book, day_of
from trademl.sessions import sessions_between

Action = tuple[str, dict[str, Any]]
"""A group such as ``forward_splits``, and one of its entries."""

_T1_SETTLEMENT = date(2024, 5, 28)
_FORTNIGHT = timedelta(days=15)


def actions(book: Book) -> list[Action]:
    """Every action known by the clock, in the vendor's order; its process date is the event's."""
    return sorted(_actions(book), key=_action_order)


def parties(action: dict[str, Any]) -> set[str]:
    """The symbols that an action is about."""
    return {action[name] for name in ("symbol", "old_symbol", "new_symbol") if name in action}


def grouped(page: list[Action]) -> dict[str, list[dict[str, Any]]]:
    """Actions by group; a group without actions is absent."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for kind, action in page:
        groups.setdefault(kind, []).append(action)
    return groups


def _identity(*parts: object) -> str:
    return str(uuid5(NAMESPACE_URL, "|".join(map(str, parts))))


def _cusip(symbol: str) -> str:
    return uuid5(NAMESPACE_URL, f"cusip|{symbol}").hex[:9].upper()


def _actions(book: Book) -> Iterator[Action]:
    for row in book.splits:
        yield _split(row["symbol"], row["ex_date"].isoformat(), row["ratio"])
    for row in book.dividends:
        symbol, day = row["symbol"], row["ex_date"].isoformat()
        yield (
            "cash_dividends",
            {
                "id": _identity("dividend", symbol, day, row["cash"]),
                "symbol": symbol,
                "cusip": _cusip(symbol),
                "rate": row["cash"],
                "special": False,
                "foreign": False,
                "process_date": day,
                "ex_date": day,
            },
        )
    for row in book.renames:
        old, new = row["old_symbol"], row["new_symbol"]
        day = row["effective_date"].isoformat()
        yield (
            "name_changes",
            {
                "id": _identity("rename", old, new, day),
                "old_symbol": old,
                "old_cusip": _cusip(old),
                "new_symbol": new,
                "new_cusip": _cusip(new),
                "process_date": day,
            },
        )


def _split(symbol: str, day: str, ratio: float) -> Action:
    """A split in small whole numbers where its ratio is such a fraction."""
    near = Fraction(ratio).limit_denominator(1000)
    exact = abs(float(near) - ratio) < 1e-9 * ratio
    new, old = (near.numerator, near.denominator) if exact else (ratio, 1)
    dates = {"process_date": day, "ex_date": day}
    action = {
        "id": _identity("split", symbol, day, ratio),
        "symbol": symbol,
        "new_rate": new,
        "old_rate": old,
        **dates,
    }
    if ratio >= 1:
        return "forward_splits", {**action, "cusip": _cusip(symbol)}
    cusips = {"old_cusip": _cusip(symbol), "new_cusip": _cusip(f"{symbol}|{day}")}
    return "reverse_splits", {**action, **cusips}


def _action_order(entry: Action) -> tuple[str, str, str]:
    kind, action = entry
    return action["process_date"], kind, action["id"]


def assets(book: Book) -> Iterator[dict[str, Any]]:
    """One asset per listed symbol, and per symbol that has bars but no listing."""
    spans = {symbol: last for symbol, _, last in book.equities.spans()}
    renamed = {row["old_symbol"]: row["new_symbol"] for row in book.renames}
    newest = day_of(book.equities.newest) if book.equities.newest is not None else date.max
    for symbol in sorted({*book.listings, *spans}):
        listing = book.listings.get(symbol) or book.listings.get(renamed.get(symbol, "")) or {}
        last = listing.get("last_bar_date")
        is_inactive = symbol in renamed or (last is not None and last < newest)
        yield _asset(symbol, listing, is_active=not is_inactive)


def _asset(symbol: str, listing: dict[str, Any], is_active: bool) -> dict[str, Any]:
    return {
        "id": _identity("asset", symbol),
        "class": "us_equity",
        "exchange": listing.get("exchange") or "NYSE",
        "symbol": symbol,
        "name": listing.get("name") or symbol,
        "status": "active" if is_active else "inactive",
        "tradable": is_active,
        "marginable": is_active,
        "shortable": is_active,
        "easy_to_borrow": is_active,
        "borrow_status": "easy_to_borrow" if is_active else "not_available",
        "fractionable": is_active,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "attributes": [],
    }


def calendar(first: date, last: date) -> list[dict[str, str]]:
    """The open days of a span with New York wall times and the day on which trades settle."""
    sessions = sessions_between(first, last + _FORTNIGHT)
    days = [session.day for session in sessions]
    return [
        {
            "date": session.day.isoformat(),
            "open": f"{session.open_at.astimezone(NEW_YORK):%H:%M}",
            "close": f"{session.close_at.astimezone(NEW_YORK):%H:%M}",
            "session_open": "0400",
            "session_close": "1700" if session.is_early_close else "2000",
            "settlement_date": days[
                place + (1 if session.day >= _T1_SETTLEMENT else 2)
            ].isoformat(),
        }
        for place, session in enumerate(sessions)
        if session.day <= last
    ]


def market_clock(clock: datetime) -> dict[str, Any]:
    """Whether the exchange is open at a time, and when it opens and closes next."""
    today = clock.astimezone(NEW_YORK).date()
    coming = sessions_between(today, today + _FORTNIGHT)
    is_open = any(session.open_at <= clock < session.close_at for session in coming)
    opens = next(session.open_at for session in coming if session.open_at > clock)
    closes = next(session.close_at for session in coming if session.close_at > clock)
    return {
        "timestamp": clock.astimezone(NEW_YORK).isoformat(),
        "is_open": is_open,
        "next_open": opens.astimezone(NEW_YORK).isoformat(),
        "next_close": closes.astimezone(NEW_YORK).isoformat(),
    }
