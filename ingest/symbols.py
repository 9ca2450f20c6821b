"""How symbols are written, checked where people name them."""

import re

from trademl.errors import ConfigError

LONGEST = 32
_SYMBOL = re.compile(r"[A-Z0-9]+(p[A-Z]?)?([._/-][A-Z0-9]+)*")
"""``AAPL``, ``BRK.B``, ``BTCUSDT``, FRED's ``T10Y2Y``; ``AMpB`` is a preferred share at Massive."""
_TICKER = re.compile(r"[A-Z0-9_]+:" + _SYMBOL.pattern)


def read_symbols(text: str, *, with_exchange: bool = False) -> tuple[str, ...]:
    """The symbols that a person names, each once.

    Args:
        text: Separated by commas or lines; ones in small letters are meant in capitals.
        with_exchange: Whether they are written as ``NASDAQ:AAPL``.

    Raises:
        ConfigError: None is named, or one is no symbol.
    """
    named = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if not named:
        raise ConfigError("no symbol is named; leave the option away to take the landed listing")
    return tuple(dict.fromkeys(_symbol(name, with_exchange) for name in named))


def _symbol(name: str, with_exchange: bool) -> str:
    symbol = name.upper() if name.islower() else name
    form, example = (_TICKER, "NYSE:BRK.B") if with_exchange else (_SYMBOL, "BRK.B")
    if len(symbol) > LONGEST or not form.fullmatch(symbol):
        raise ConfigError(
            f"{name[:LONGEST]!r} is no symbol: write it in capitals and digits such as {example}, "
            f"{LONGEST} characters at most"
        )
    return symbol
