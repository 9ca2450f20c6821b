"""The market's delistings in EDGAR's format: quarterly indexes, notices of removal, tickers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from simulator.replay.protocol import Reply

Listings = Mapping[str, Mapping[str, Any]]

FIRST_CIK = 9_000_000
"""The market knows no CIKs: its listings are counted from here on."""
_EXCHANGES = {"NASDAQ": (1354457, "NASDAQ STOCK MARKET LLC")}
_NYSE = (876661, "NEW YORK STOCK EXCHANGE LLC")
_PROVISION = "17 CFR 240.12d2-2(a)(3)"
_INDEX_HEAD = (
    "Description:           Master Index of EDGAR Dissemination Feed\n"
    " \n \n \n"
    "CIK|Company Name|Form Type|Date Filed|Filename\n"
    "--------------------------------------------------------------------------------\n"
)


@dataclass(frozen=True, slots=True)
class _Removal:
    """A notice of removal.

    Attributes:
        cik: The issuer.
        name: The issuer's name.
        exchange: CIK and name of the exchange.
        filed: The day after the last bar.
        accession: Number of the filing.
    """

    cik: int
    name: str
    exchange: tuple[int, str]
    filed: date
    accession: str


def companies(listings: Listings, traded: Listings, today: date) -> list[list[Any]]:
    """CIK, name, ticker and exchange of what is listed on a day.

    Args:
        listings: All listings of the market, so that a CIK is the same at every clock.
        traded: Those that trade by the day.
        today: The day.
    """
    return [
        [cik, row.get("name") or symbol, symbol.replace(".", "-"), row.get("exchange") or ""]
        for cik, symbol, row in _counted(listings)
        if symbol in traded and (row.get("last_bar_date") is None or row["last_bar_date"] >= today)
    ]


def answer(path: str, listings: Listings, today: date) -> Reply | None:
    """An index or a notice as of a day, none where there is no such file.

    Args:
        path: The path asked.
        listings: All listings of the market.
        today: The day; later removals are not told.
    """
    removals = [removal for removal in _removals(listings) if removal.filed <= today]
    if path.endswith("/master.idx"):
        year, quarter = path.split("/")[-3], path.split("/")[-2]
        return _index(removals, int(year), int(quarter.removeprefix("QTR")), today)
    for removal in removals:
        folder = removal.accession.replace("-", "")
        if path.endswith(f"/{folder}/primary_doc.xml"):
            return Reply(200, _notice(removal).encode(), content_type="application/xml")
    return None


def _counted(listings: Listings) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    for place, symbol in enumerate(sorted(listings)):
        yield FIRST_CIK + place, symbol, listings[symbol]


def _removals(listings: Listings) -> Iterator[_Removal]:
    for cik, symbol, row in _counted(listings):
        last = row.get("last_bar_date")
        if last is None:
            continue
        exchange = _EXCHANGES.get(row.get("exchange") or "", _NYSE)
        filed = last + timedelta(days=1)
        accession = f"{exchange[0]:010d}-{filed:%y}-{cik - FIRST_CIK:06d}"
        yield _Removal(cik, row.get("name") or symbol, exchange, filed, accession)


def _index(removals: list[_Removal], year: int, quarter: int, today: date) -> Reply | None:
    """The filings of a quarter, each under its issuer and its exchange, among others."""
    first = date(year, 3 * quarter - 2, 1)
    if first > today:
        return None
    lines = []
    for removal in removals:
        if (removal.filed.year, (removal.filed.month + 2) // 3) == (year, quarter):
            file = f"{removal.accession}.txt"
            lines += [
                f"{removal.cik}|{removal.name}|25-NSE|{removal.filed}|edgar/data/{removal.cik}/{file}",
                f"{removal.exchange[0]}|{removal.exchange[1]}|25-NSE|{removal.filed}"
                f"|edgar/data/{removal.exchange[0]}/{file}",
                f"{removal.cik}|{removal.name}|253G2|{removal.filed}|edgar/data/{removal.cik}/{file}",
            ]
    text = _INDEX_HEAD + "".join(f"{line}\n" for line in lines)
    return Reply(200, text.encode("latin-1", "replace"), content_type="text/plain")


def _notice(removal: _Removal) -> str:
    name = removal.name.replace("&", "&amp;").replace("<", "&lt;")
    return f"""<?xml version="1.0"?>
<notificationOfRemoval>
    <exchange><cik>{removal.exchange[0]:010d}</cik><entityName>{removal.exchange[1]}</entityName></exchange>
    <issuer><cik>{removal.cik:010d}</cik><entityName>{name}</entityName><fileNumber>001-00001</fileNumber></issuer>
    <descriptionClassSecurity>Common Stock</descriptionClassSecurity>
    <ruleProvision>{_PROVISION}</ruleProvision>
    <signatureData><signatureDate>{removal.filed}</signatureDate></signatureData>
</notificationOfRemoval>
"""
