"""The market in Tidewater's wire format: what it costs to borrow a share."""

from collections.abc import Mapping

from simulator.replay.protocol import Reply, Request, Terms, json_reply

_PATH = "/tidewater/v1/borrow"


class TidewaterWire:
    """Answers Tidewater's requests; no key is asked for.

    Args:
        terms: The book and the minute.
    """

    name = "tidewater"

    def __init__(self, terms: Terms) -> None:
        self._book = terms.book

    def owns(self, path: str) -> bool:
        """Whether a path is Tidewater's."""
        return path == _PATH

    def check(self, request: Request) -> None:
        """Rates are for everybody."""

    def cost(self, request: Request) -> int:
        """One of the minute's."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:
        """The vendor states no limits."""
        return {}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:
        """429 with the seconds to wait."""
        return Reply(429, b"slow down", {**headers, "Retry-After": str(seconds)})

    def fail(self) -> Reply:
        """503."""
        return Reply(503, b"down")

    def answer(self, request: Request, fault: str | None) -> Reply:
        """A fee for every share that is listed; the market knows none, so all cost the same."""
        asof = self._book.clock.date().isoformat()
        rates = [
            {"symbol": symbol.replace(".", "-"), "asof": asof, "fee_pct": 0.25}
            for symbol in self._book.equities.symbols
        ]
        return json_reply({"rates": rates})


WIRE = TidewaterWire
