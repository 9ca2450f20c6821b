"""What can go wrong with a vendor, at given rates, the same for the same seed."""

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

_OPTIONS = {"seed": 0, "hang": 35, "retry_after": 1, "limit": 0, "weight": 0, "free": 0, "gzip": 0}


@dataclass(slots=True)
class Faults:
    """Decides, request by request, whether something goes wrong.

    The draw hangs on the seed, the request and how often it was made, not on the order in which
    threads serve requests: a run can be repeated, and a retry gets a new draw.

    Attributes:
        rates: Probability per kind, one kind at most per request.
        seed: Chooses the draws.
        hang: Seconds that a ``timeout`` keeps the connection open.
        retry_after: Seconds that a ``429`` asks to wait.
        limit: Alpaca requests per minute before 429, 0 for no limit.
        weight: Binance weight per minute before 429 and then 418, 0 for no limit.
        free: Whether Alpaca's free plan is played, which refuses the last 15 minutes.
        gzip: Whether bodies are compressed for clients that accept it.
    """

    rates: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    hang: int = 35
    retry_after: int = 1
    limit: int = 0
    weight: int = 0
    free: int = 0
    gzip: int = 0
    _seen: Counter[str] = field(default_factory=Counter, init=False)

    def draw(self, request: str) -> str | None:
        """The kind of fault that befalls this request, most often none.

        Args:
            request: The request's path and query.
        """
        self._seen[request] += 1
        point = random.Random(f"{self.seed}|{request}|{self._seen[request]}").random()
        for kind, rate in self.rates.items():
            point -= rate
            if point < 0:
                return kind
        return None


def parse_faults(spec: str) -> Faults:
    """Reads a specification such as ``429:0.05,5xx:0.02,cut:0.01;seed=7;retry_after=0``.

    Args:
        spec: ``kind:rate`` separated by commas, then ``option=integer`` separated by semicolons.

    Raises:
        ConfigError: An unknown kind or option, or rates that add up to more than 1.
    """
    rates: dict[str, float] = {}
    options = dict(_OPTIONS)
    for part in filter(None, (part.strip() for part in spec.replace(";", ",").split(","))):
        name, rate, option = part.partition("=" if "=" in part else ":")
        try:
            if rate == "=" and name in options:
                options[name] = int(option)
            elif rate == ":" and name in KINDS:
                rates[name] = float(option)
            else:
                raise ValueError(part)
        except ValueError as error:
            raise ConfigError(
                f"faults: {part!r} is neither KIND:RATE ({', '.join(KINDS)}) nor OPTION=INTEGER "
                f"({', '.join(options)})"
            ) from error
    if sum(rates.values()) > 1 or any(rate < 0 for rate in rates.values()):
        raise ConfigError(f"faults: rates of {spec!r} must be positive and add up to 1 at most")
    return Faults(rates, **options)
