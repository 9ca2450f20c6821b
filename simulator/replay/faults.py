"""Injection of vendor faults at given rates, the same for the same seed."""

import random
from collections import Counter
from dataclasses import dataclass, field

from trademl.errors import ConfigError

KINDS = (
    "429",
    "5xx",
    "451",
    "timeout",
    "cut",
    "malformed",
    "duplicate_page",
    "wrong_symbol",
    "shuffle",
)

_OPTIONS = {"seed": 0, "hang": 35, "retry_after": 1, "limit": 0, "free": 0, "gzip": 0}
_OF_ONE_VENDOR = ("limit", "free")
_OLD_NAMES = {"weight": "binance/limit"}


@dataclass(slots=True)
class Faults:
    """Decides, request by request, whether something goes wrong.

    The draw hangs on the seed, the request and how often it was made, not on the order in which
    threads serve requests: a run can be repeated, and a retry gets a new draw.

    Attributes:
        rates: Probability per kind, one kind at most per request; ``massive/429`` befalls one
            vendor, ``429`` all of them.
        seed: Chooses the draws.
        hang: Seconds that a ``timeout`` keeps the connection open.
        retry_after: Seconds that a ``429`` asks to wait.
        limit: What a vendor's minute allows in its own units, 0 for no limit. Without a vendor it
            counts requests of every vendor but Binance, whose unit is the weight.
        free: Whether the free plan is played, which does not cover everything.
        gzip: Whether bodies are compressed for clients that accept it.
        own: The options that were given for one vendor, such as ``massive/limit``.
    """

    rates: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    hang: int = 35
    retry_after: int = 1
    limit: int = 0
    free: int = 0
    gzip: int = 0
    own: dict[str, int] = field(default_factory=dict)
    _seen: Counter[str] = field(default_factory=Counter, init=False)

    def draw(self, request: str, vendor: str = "") -> str | None:
        """The kind of fault that befalls this request, most often none.

        Args:
            request: The request's path and query.
            vendor: Who is asked.
        """
        self._seen[request] += 1
        point = random.Random(f"{self.seed}|{request}|{self._seen[request]}").random()
        for name, rate in self.rates.items():
            whose, _, kind = name.rpartition("/")
            if whose in ("", vendor):
                point -= rate
            if point < 0:
                return kind
        return None

    def limit_of(self, vendor: str) -> int:
        """What the vendor's minute allows, 0 for no limit."""
        return self.own.get(f"{vendor}/limit", 0 if vendor == "binance" else self.limit)

    def is_free(self, vendor: str) -> bool:
        """Whether the vendor's free plan is played."""
        return bool(self.own.get(f"{vendor}/free", self.free))


def parse_faults(spec: str) -> Faults:
    """Reads a specification such as ``429:0.05,massive/cut:0.01;seed=7;retry_after=0``.

    Args:
        spec: ``kind:rate`` separated by commas, then ``option=integer`` separated by semicolons;
            kinds, ``limit`` and ``free`` may name a vendor, as in ``massive/limit=5``.

    Raises:
        ConfigError: An unknown kind or option, or rates that add up to more than 1.
    """
    rates: dict[str, float] = {}
    options, own = dict(_OPTIONS), dict[str, int]()
    for part in filter(None, (part.strip() for part in spec.replace(";", ",").split(","))):
        key, sign, value = part.partition("=" if "=" in part else ":")
        name = _OLD_NAMES.get(key, key)
        vendor, _, kind = name.rpartition("/")
        try:
            if sign == "=" and name in options:
                options[name] = int(value)
            elif sign == "=" and vendor and kind in _OF_ONE_VENDOR:
                own[name] = int(value)
            elif sign == ":" and kind in KINDS:
                rates[name] = float(value)
            else:
                raise ValueError(part)
        except ValueError as error:
            raise ConfigError(
                f"faults: {part!r} is neither KIND:RATE ({', '.join(KINDS)}) nor OPTION=INTEGER "
                f"({', '.join(options)}), either after VENDOR/ where it is for one vendor"
            ) from error
    if sum(rates.values()) > 1 or any(rate < 0 for rate in rates.values()):
        raise ConfigError(f"faults: rates of {spec!r} must be positive and add up to 1 at most")
    return Faults(rates, **options, own=own)
