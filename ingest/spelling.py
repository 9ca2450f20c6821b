"""How a vendor writes a share class: ``BRK-B`` for what the project calls ``BRK.B``.

What is asked of a vendor is spelled its way, and what it says is read ours wherever the program
compares it with a symbol; landed rows stay as the vendor said them. A single letter after the mark
is a class or a unit. Longer suffixes (preferred shares, warrants) no two vendors write alike.
"""

import re

HYPHENS = frozenset({"alphavantage", "fmp", "sec_edgar"})
"""Vendors that write a hyphen; all others write a dot."""

_OURS = re.compile(r"([A-Z]+)\.([A-Z])")
_THEIRS = re.compile(r"([A-Z]+)-([A-Z])")


def theirs(vendor: str, symbol: str) -> str:
    """A symbol of ours as the vendor writes it."""
    found = _OURS.fullmatch(symbol) if vendor in HYPHENS else None
    return f"{found[1]}-{found[2]}" if found else symbol


def ours(vendor: str, symbol: str) -> str:
    """A symbol of the vendor as the lake writes it."""
    found = _THEIRS.fullmatch(symbol) if vendor in HYPHENS else None
    return f"{found[1]}.{found[2]}" if found else symbol
