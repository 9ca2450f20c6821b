"""The exceptions of the project, and the exit code that each one means.

    TradeMLError
    |- ConfigError                         2  usage or configuration
    |- DataError                           3  the data cannot be trusted or is not there
    |  |- SchemaDrift  StaleData  LookaheadError  GateFailed
    |- VendorError                         4  a vendor refused or failed
    |  |- RateLimited  Unavailable            (worth retrying)
    |  |- Rejected  NotEntitled               (not)
    |     |- WrongKey  UnknownSymbol
    |- SolverError                         5  no acceptable solution
       |- Infeasible  Unbounded  Numerical

A message says what happened, the value that was got, and what to do next.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 30
"""Names that a message lists in full; of more it shows the first and the last."""


class TradeMLError(Exception):
    """Anything the project raises on purpose.

    Attributes:
        exit_code: Of a command that ends with it.
        code: Its kind in one word, e.g. ``SCHEMA_DRIFT``: what programs compare, since a message
            is for people.
    """

    exit_code = 1
    code = "ERROR"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()


class ConfigError(TradeMLError):
    """Wrong usage, profile or setting."""

    exit_code = 2


class DataError(TradeMLError):
    """Data that is missing, broken or not allowed."""

    exit_code = 3


class SchemaDrift(DataError):
    """A payload's shape is not the one its connector knows."""


class StaleData(DataError):
    """Data older than the gate allows."""


class LookaheadError(DataError):
    """Something would have used knowledge from the future."""


class GateFailed(DataError):
    """A named gate refused, with the value that made it refuse."""


class VendorError(TradeMLError):
    """A vendor did not give what was asked."""

    exit_code = 4


class RateLimited(VendorError):
    """The vendor asks us to slow down; ``retry_after`` is in seconds where it says so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(VendorError):
    """The vendor cannot be reached or answers with a server error."""


class Rejected(VendorError):
    """The vendor understood and refused: a wrong key, symbol or parameter."""


class WrongKey(Rejected):
    """The vendor does not take the key: it refuses whatever is asked until that is mended."""


class UnknownSymbol(Rejected):
    """The vendor does not know the symbol, series or company it was asked for."""


class NotEntitled(VendorError):
    """The vendor knows the key and has the data, but the plan or the place does not cover it."""


class SolverError(TradeMLError):
    """The optimizer has no acceptable answer."""

    exit_code = 5


class Infeasible(SolverError):
    """No weights satisfy the constraints."""


class Unbounded(SolverError):
    """The objective has no finite optimum."""


class Numerical(SolverError):
    """The solver stopped without reaching its tolerance."""


def unknown_name(given: str, kind: str, known: Iterable[str], otherwise: str = "") -> str:
    """The message about a name that is not known: the nearest one, and all there are.

    Args:
        given: The name that was got.
        kind: What it should be, with its article.
        known: The names there are.
        otherwise: What else may be given, e.g. a file's path.

    Example:
        >>> unknown_name("cryto", "a profile", ["crypto", "equities"])
        "'cryto' is not a profile; did you mean 'crypto'? There are: crypto, equities"
    """
    names = sorted(known)
    nearest = get_close_matches(given, names, n=1)
    guess = f"; did you mean {nearest[0]!r}? There are: " if nearest else "; there are: "
    shown = names if len(names) <= LISTED else [*names[:3], "...", *names[-3:]]
    return f"{given!r} is not {kind}{guess}{', '.join(shown) or 'none'}{otherwise}"
