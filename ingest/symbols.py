"""How symbols are written, checked where people name them."""

import re

from trademl.errors import ConfigError

LONGEST = 32
_SYMBOL = re.compile(r"[A-Z0-9]+(p[A-Z]?)?([._/-][A-Z0-9]+)*")
"""``AAPL``, ``BRK.B``, ``BTCUSDT``, FRED's ``T10Y2Y``; ``AMpB`` is a preferred share at Massive."""


def read_symbols(text: str) -> tuple[str, ...]:
    """The symbols that a person names, each once.

    Args:
        text: Separated by commas or lines; ones in small letters are meant in capitals.

    Raises:
        ConfigError: None is named, or one is no symbol.
    """
    named = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if not named:
        raise ConfigError("no symbol is named; leave the option away to take the landed listing")
    return tuple(dict.fromkeys(_symbol(name) for name in named))


def _symbol(name: str) -> str:
    symbol = name.upper() if name.islower() else name
    if len(symbol) > LONGEST or not _SYMBOL.fullmatch(symbol):
        raise ConfigError(
            f"{name[:LONGEST]!r} is no symbol: write it in capitals and digits, a class behind a "
            f"dot (BRK.B), {LONGEST} characters at most"
        )
    return symbol
