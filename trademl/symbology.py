"""Symbol notations: parsing, and conversion between the lake and vendors.

Vendors spell share classes differently (``BRK-B`` for the lake's ``BRK.B``). What is asked of a
vendor is spelled its way, and what it says is read the lake's way wherever the program compares it
with a symbol; landed rows stay as the vendor said them. A single letter after the mark is a class
or a unit. Longer suffixes (preferred shares, warrants) no two vendors write alike.
"""

import re

from trademl.errors import ConfigError

LONGEST = 32
_SYMBOL = re.compile(r"[A-Z0-9]+(p[A-Z]?)?([._/-][A-Z0-9]+)*")
"""``AAPL``, ``BRK.B``, ``BTCUSDT``, FRED's ``T10Y2Y``; ``AMpB`` is a preferred share at Massive."""
_TICKER = re.compile(r"[A-Z0-9_]+:" + _SYMBOL.pattern)

_WITH_DOT = re.compile(r"([A-Z]+)\.([A-Z])")
_WITH_HYPHEN = re.compile(r"([A-Z]+)-([A-Z])")


_SCREENER_EXCHANGES = {"ARCA": "AMEX", "NYSEARCA": "AMEX", "BATS": "CBOE"}

US_EXCHANGES = ("AMEX", "CBOE", "NASDAQ", "NYSE")
"""The exchanges of US stocks and funds, as the screener names them."""

DOLLARS = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "USD")
"""Quote currencies worth a dollar; one that ends like another stands before it."""
_QUOTES = (*DOLLARS, "BTC", "ETH", "BNB")


def screener_exchange(exchange: str) -> str:
    """The screener's name of an exchange that the lake (and the vendor of assets) names."""
    return _SCREENER_EXCHANGES.get(exchange, exchange)


def split_pair(symbol: str) -> tuple[str, str]:
    """The base and the quote currency of a crypto pair: ``BTC``, ``USDT`` of ``BTCUSDT``.

    Returns:
        The whole symbol and an empty quote where no known currency ends it.
    """
    quotes = (quote for quote in _QUOTES if symbol.endswith(quote) and symbol != quote)
    quote = next(quotes, "")
    return symbol.removesuffix(quote), quote


def parse_symbols(text: str, *, with_exchange: bool = False) -> tuple[str, ...]:
    """The symbols that a person names, each once.

    Args:
        text: Separated by commas or lines; ones in small letters are meant in capitals.
        with_exchange: Whether they are written as ``NASDAQ:AAPL``.

    Raises:
        ConfigError: None is named, or one is not a symbol.
    """
    names = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if not names:
        raise ConfigError("no symbol is named; leave the option away to take the landed listing")
    return tuple(dict.fromkeys(_symbol(name, with_exchange) for name in names))


def _symbol(name: str, with_exchange: bool) -> str:
    symbol = name.upper() if name.islower() else name
    form, example = (_TICKER, "NYSE:BRK.B") if with_exchange else (_SYMBOL, "BRK.B")
    if len(symbol) > LONGEST or not form.fullmatch(symbol):
        raise ConfigError(
            f"{name[:LONGEST]!r} is not a symbol: write it in capitals and digits such as "
            f"{example}, {LONGEST} characters at most"
        )
    return symbol


def to_vendor(symbol: str, class_mark: str) -> str:
    """A symbol of the lake as a vendor writes it.

    Args:
        symbol: The lake's symbol, e.g. ``BRK.B``.
        class_mark: What the vendor writes before a share class, ``.`` or ``-``.
    """
    match = _WITH_DOT.fullmatch(symbol) if class_mark == "-" else None
    return f"{match[1]}-{match[2]}" if match else symbol


def from_vendor(symbol: str, class_mark: str) -> str:
    """A vendor's symbol as the lake writes it; see ``to_vendor``."""
    match = _WITH_HYPHEN.fullmatch(symbol) if class_mark == "-" else None
    return f"{match[1]}.{match[2]}" if match else symbol
