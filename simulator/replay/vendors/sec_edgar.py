"""The market's filings in EDGAR's wire format: submissions, company facts, removals."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any

from simulator.replay.book import NEW_YORK
from simulator.replay.market_files import market_rows, new_york_day
from simulator.replay.protocol import Refusal, Reply, Request, Terms, json_reply
from simulator.replay.vendors import sec_removals

RECENT_FILINGS = 1_000
_FACTS, _SUBMISSIONS = "/api/xbrl/companyfacts/", "/submissions/"
_TICKERS, _ARCHIVES = "/files/company_tickers_exchange.json", "/Archives/edgar/"
_COLUMNS = (
    "accessionNumber",
    "filingDate",
    "reportDate",
    "acceptanceDateTime",
    "act",
    "form",
    "fileNumber",
    "filmNumber",
    "items",
    "core_type",
    "size",
    "isXBRL",
    "isInlineXBRL",
    "primaryDocument",
    "primaryDocDescription",
)
_PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
    "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" lang="en" xml:lang="en">
<head>
<meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
<meta http-equiv="Cache-Control" content="no-cache, no-store" />
<style type="text/css">
html, body { height: 100%; margin: 0; font-family: Helvetica, Arial, sans-serif; }
#header { background: #205493; color: #ffffff; padding: 20px; }
</style>
<title>SEC.gov | {text}</title>
</head>
<body><div id="header">U.S. Securities and Exchange Commission</div><h1>{text}</h1>
<p>Access is shared by everybody, so requests of undeclared automated tools may be limited.</p>
</body></html>
"""
_EARLY, _LATE = time(6, 30), time(17, 10)


class SecWire:
    """Answers EDGAR's requests on both its hosts; filings after the clock's day are not told.

    Args:
        terms: The market; filings are those that its facts name, removals those of its listings.
    """

    name = "sec_edgar"

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._today = new_york_day(terms.book.clock)

    def owns(self, path: str) -> bool:
        """Whether a path is EDGAR's."""
        return path.startswith((_FACTS, _SUBMISSIONS, _TICKERS, _ARCHIVES))

    def check(self, request: Request) -> None:
        """No key, but a mail address in the name of the caller."""
        if "@" not in request.headers.get("user-agent", ""):
            text = "Your Request Originates from an Undeclared Automated Tool"
            raise Refusal(_page(403, text))

    def cost(self, request: Request) -> int:  # noqa: ARG002
        """Every call counts once."""
        return 1

    def limit_headers(self, now: float, seconds: int | None) -> Mapping[str, str]:  # noqa: ARG002
        """The vendor states no limits."""
        return {}

    def refuse_rate(self, seconds: int, headers: Mapping[str, str]) -> Reply:  # noqa: ARG002
        """403 with a page."""
        return _page(403, "Request Rate Threshold Exceeded")

    def fail(self) -> Reply:
        """503 with a page."""
        return _page(503, "Service Unavailable")

    def answer(self, request: Request, fault: str | None) -> Reply:
        """Answers a path; ``wrong_symbol`` answers for another company."""
        path = request.path
        if path == _TICKERS:
            traded = self._terms.book.listings
            rows = sec_removals.companies(self._listings, traded, self._today)
            return json_reply({"fields": ["cik", "name", "ticker", "exchange"], "data": rows})
        if path.startswith(_ARCHIVES):
            return sec_removals.answer(path, self._listings, self._today) or _absent()
        cik = path.rpartition("/")[2].removeprefix("CIK")[:10]
        facts = self._facts.get(int(cik), []) if cik.isdigit() else []
        if not facts:
            return _absent()
        reply_cik = int(cik) + (fault == "wrong_symbol")
        if path.startswith(_FACTS):
            return json_reply(_company_facts(facts, reply_cik))
        return self._filings(path, facts, reply_cik)

    @cached_property
    def _facts(self) -> dict[int, list[dict[str, Any]]]:
        """Facts that are filed, by CIK."""
        by_cik: dict[int, list[dict[str, Any]]] = {}
        for row in market_rows(self._terms.market, "sec_companyfacts"):
            if row["filed"] <= self._today:
                by_cik.setdefault(int(row["cik"]), []).append(row)
        return by_cik

    @cached_property
    def _listings(self) -> dict[str, dict[str, Any]]:
        return {row["symbol"]: row for row in market_rows(self._terms.market, "listings")}

    def _filings(self, path: str, facts: Sequence[Mapping[str, Any]], cik: int) -> Reply:
        """The newest filings, and the names of the files with the older ones."""
        zone = NEW_YORK if sorted(self._facts).index(int(facts[0]["cik"])) % 2 else UTC
        filings = [_filing(row, zone) for row in _newest_filings(facts)]
        parts = [
            filings[first : first + RECENT_FILINGS]
            for first in range(0, len(filings), RECENT_FILINGS)
        ]
        if "-submissions-" in path:
            number = int(path.removesuffix(".json").rpartition("-")[2])
            return json_reply(_in_columns(parts[number])) if number < len(parts) else _absent()
        files = [
            {
                "name": f"CIK{cik:010d}-submissions-{number:03d}.json",
                "filingCount": len(part),
                "filingFrom": part[-1]["filingDate"],
                "filingTo": part[0]["filingDate"],
            }
            for number, part in enumerate(parts)
            if number
        ]
        return json_reply(
            {
                "cik": f"{cik:010d}",
                "entityType": "operating",
                "name": facts[0]["entity"],
                "tickers": [],
                "exchanges": [],
                "formerNames": [],
                "filings": {"recent": _in_columns(parts[0]), "files": files},
            }
        )


def _newest_filings(facts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One fact per filing, that of the latest period, newest filing first."""
    by_accession: dict[str, Mapping[str, Any]] = {}
    for row in facts:
        known = by_accession.get(row["accn"])
        if known is None or row["end"] > known["end"]:
            by_accession[row["accn"]] = row
    return sorted(by_accession.values(), key=lambda row: (row["filed"], row["accn"]), reverse=True)


def _filing(row: Mapping[str, Any], zone: Any) -> dict[str, Any]:
    """A filing; its time of day is made up, early or late in EDGAR's day.

    The time carries a ``Z`` whatever the zone, as at the vendor.
    """
    is_early = int(row["accn"][-1]) % 2 == 0
    moment = datetime.combine(row["filed"], _EARLY if is_early else _LATE, NEW_YORK)
    columns: dict[str, Any] = dict.fromkeys(_COLUMNS, "")
    return columns | {
        "accessionNumber": row["accn"],
        "filingDate": str(row["filed"]),
        "reportDate": str(row["end"]),
        "acceptanceDateTime": f"{moment.astimezone(zone):%Y-%m-%dT%H:%M:%S}.000Z",
        "act": "34",
        "form": row["form"],
        "core_type": row["form"],
        "size": 0,
        "isXBRL": 1,
        "isInlineXBRL": 0,
    }


def _in_columns(filings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [filing[name] for filing in filings] for name in _COLUMNS}


def _company_facts(rows: Sequence[Mapping[str, Any]], cik: int) -> dict[str, Any]:
    facts: dict[str, dict[str, Any]] = {}
    for row in rows:
        concepts = facts.setdefault(row["taxonomy"], {})
        concept = concepts.setdefault(
            row["concept"], {"label": row["concept"], "description": None, "units": {}}
        )
        concept["units"].setdefault(row["unit"], []).append(_fact(row))
    return {"cik": cik, "entityName": rows[0]["entity"], "facts": facts}


def _fact(row: Mapping[str, Any]) -> dict[str, Any]:
    """A fact; ``start`` and ``frame`` are left out where there are none."""
    value = row["val"]
    fact = {
        "end": str(row["end"]),
        "val": int(value) if float(value).is_integer() else value,
        "accn": row["accn"],
        "fy": row["fy"],
        "fp": row["fp"],
        "form": row["form"],
        "filed": str(row["filed"]),
    }
    start: date | None = row["start"]
    if start is not None:
        fact["start"] = str(start)
    return fact | ({"frame": row["frame"]} if row["frame"] else {})


def _absent() -> Reply:
    body = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code></Error>'
    return Reply(404, body, content_type="application/xml")


def _page(status: int, text: str) -> Reply:
    """A page as the vendor's servers build them: what it says comes late."""
    return Reply(status, _PAGE.replace("{text}", text).encode(), content_type="text/html")


WIRE = SecWire
