"""Parsing of Alpaca's request parameters, and the refusals of malformed ones."""

import base64
import binascii
import re

from simulator.replay.protocol import Query, Refusal, json_reply

_SYMBOL = re.compile(r"[A-Z0-9]+([./-][A-Z0-9]+)*")


def refusal(message: str, status: int = 400) -> Refusal:
    """The vendor's error envelope."""
    return Refusal(json_reply({"message": message}, status))


def symbols_of(query: Query, required: bool) -> list[str]:
    """The symbols asked for, sorted."""
    symbols = sorted(set(listed(query, "symbols")))
    if required and not symbols:
        raise refusal("symbols is required")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise refusal(f"invalid symbol: {symbol}")
    return symbols


def listed(query: Query, name: str) -> list[str]:
    """The parts of a comma-separated parameter."""
    return [text for text in query.get(name, "").split(",") if text]


def limit_of(query: Query, default: int, most: int) -> int:
    """How many rows a page may hold."""
    text = query.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise refusal(f"invalid limit: {text}")
    return int(text)


def token_of(place: str | None) -> str | None:
    """The opaque token of a place, none for none."""
    return None if place is None else base64.b64encode(place.encode()).decode()


def place_of(token: str) -> str:
    """The place in a token."""
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise refusal("invalid page_token") from error
