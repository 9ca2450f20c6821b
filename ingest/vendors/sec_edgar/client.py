"""SEC EDGAR: tickers, companies, filings and XBRL facts by CIK (10 requests a second for all)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from ingest.payloads.decode import Page, moment_of, page_of_records, read_json
from ingest.payloads.endpoint import UTC_TIME, Endpoint
from ingest.transport.client import Answer, Banned, VendorClient
from ingest.transport.throttle import Pace
from ingest.vendors.sec_edgar.schema import COMPANIES, FACTS, SUBMISSIONS, TICKERS
from trademl.errors import (
    ConfigError,
    Rejected,
    SchemaDrift,
    Unavailable,
    VendorError,
    WrongKey,
)

PACE = Pace(0.2)
"""Five requests a second, half of what is allowed over both hosts and all machines."""


_NEW_YORK = ZoneInfo("America/New_York")
_OPENS, _CLOSES = time(6), time(22)
"""EDGAR accepts filings between these times in New York."""
_CIK = re.compile(r"(?:CIK)?(\d{1,10})")
_MAIL = re.compile(r"\S+@\S+\.\S+")


class Absent(Rejected):
    """There is no such file."""


class _Tickers(msgspec.Struct):
    fields: list[str]
    data: list[list[Any]]


class _File(msgspec.Struct):
    name: str
    filingCount: int  # noqa: N815 - the vendor's name


class _Filings(msgspec.Struct):
    recent: dict[str, list[Any]]
    files: list[_File]


class _Submissions(msgspec.Struct):
    cik: str | int
    filings: _Filings


class _Concept(msgspec.Struct):
    units: dict[str, list[dict[str, Any]]]
    label: str | None = None
    description: str | None = None


class _Facts(msgspec.Struct):
    cik: str | int
    entityName: str  # noqa: N815
    facts: dict[str, dict[str, _Concept]]


_TICKERS_BODY = msgspec.json.Decoder(_Tickers)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_SUBMISSIONS_BODY = msgspec.json.Decoder(_Submissions)
_COLUMNS_BODY = msgspec.json.Decoder(dict[str, list[Any]])
_FACTS_BODY = msgspec.json.Decoder(_Facts)


def headers(user_agent: str) -> dict[str, str]:
    """The name and mail address that the vendor wants with every call.

    Raises:
        ConfigError: There is no mail address in it.
    """
    if not _MAIL.search(user_agent):
        raise ConfigError(
            "sec_edgar wants to know who asks: set SEC_USER_AGENT to a name and a mail address"
        )
    return {"User-Agent": user_agent}


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """Both refusals come as a page with 403: one that asks too fast, and an unnamed caller.

    The limit comes first: a page may tell of both, and asking on makes the ban longer.
    """
    if status in (403, 429) and "Rate Threshold" in message:
        return Banned
    if "Undeclared Automated Tool" in message:
        return WrongKey
    return Absent if status == 404 else None


def is_cik(text: str) -> bool:
    """Whether a text is a CIK, with or without the letters before it."""
    return _CIK.fullmatch(text) is not None


def cik_of(text: str) -> str:
    """Ten digits, from ``320193`` or ``CIK0000320193``.

    Raises:
        ConfigError: The text is not a CIK.
    """
    match = _CIK.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not a CIK; sec_edgar wants numbers such as 320193")
    return match[1].zfill(10)


def tickers(client: VendorClient) -> Iterator[Page]:
    """Present listings with their CIKs (host ``www``); names that are gone are not in it."""
    answer = client.get(
        "/files/company_tickers_exchange.json",
        {},
        lambda body: read_json(_TICKERS_BODY.decode, body, TICKERS.path),
    )
    payload = answer.value
    records = [dict(zip(payload.fields, row, strict=False)) for row in payload.data]
    yield page_of_records(
        answer, TICKERS, [{**row, "cik": _padded(row.get("cik"))} for row in records]
    )


def company(client: VendorClient, symbol: str) -> Iterator[Page]:
    """What a company is now: names, tickers, industry; without its filings."""
    cik = cik_of(symbol)
    answer = _known(client, f"/submissions/CIK{cik}.json", COMPANIES, _OBJECT.decode, cik)
    if answer is None:
        return
    fields = {name: value for name, value in answer.value.items() if name != "filings"}
    lists = ("tickers", "exchanges", "formerNames")
    written = {name: msgspec.json.encode(fields.get(name)).decode() for name in lists}
    yield page_of_records(answer, COMPANIES, [{**fields, **written, "cik": cik}])


def submissions(client: VendorClient, symbol: str) -> Iterator[Page]:
    """All filings of a company, the older ones from the files that the first answer names.

    Raises:
        Unavailable: A file holds fewer filings than the first answer says.
    """
    cik = cik_of(symbol)
    read = _SUBMISSIONS_BODY.decode
    answer = _known(client, f"/submissions/CIK{cik}.json", SUBMISSIONS, read, cik)
    if answer is None:
        return
    filings = answer.value.filings
    parts: list[tuple[Answer[Any], list[dict[str, Any]]]] = [(answer, _records(filings.recent))]
    for file in filings.files:
        older = client.get(f"/submissions/{file.name}", {}, partial(_read_older, file=file))
        parts.append((older, older.value))
    times = [row.get("acceptanceDateTime") for _, rows in parts for row in rows]
    read_as = UTC if states_utc(times) else _NEW_YORK
    for source, rows in parts:
        accepted = [accepted_at(row.get("acceptanceDateTime"), read_as) for row in rows]
        named = [{**_without_blanks(row, "reportDate"), "cik": cik} for row in rows]
        yield page_of_records(source, SUBMISSIONS, named, pa.array(accepted, UTC_TIME))


def companyfacts(client: VendorClient, symbol: str) -> Iterator[Page]:
    """Every XBRL fact of every filing of a company, restated ones beside the first."""
    cik = cik_of(symbol)
    path = f"/api/xbrl/companyfacts/CIK{cik}.json"
    answer = _known(client, path, FACTS, _FACTS_BODY.decode, cik)
    if answer is None:
        return
    payload = answer.value
    records = [
        {
            "cik": cik,
            "entityName": payload.entityName,
            "taxonomy": taxonomy,
            "tag": tag,
            "label": concept.label,
            "description": concept.description,
            "unit": unit,
            **fact,
        }
        for taxonomy, concepts in payload.facts.items()
        for tag, concept in concepts.items()
        for unit, facts in concept.units.items()
        for fact in facts
    ]
    yield page_of_records(answer, FACTS, records)


def states_utc(texts: Sequence[Any]) -> bool:
    """Whether a filer's acceptance times are the UTC that their ``Z`` claims.

    For about a fifth of all filers they are New York's wall clock. One reading puts filings
    outside 06:00-22:00 New York, when none are accepted; where neither does, or both do, New York
    is taken: it is the later reading, so nothing is known too early.
    """
    as_utc = sum(_at_night(accepted_at(text, UTC)) for text in texts)
    as_new_york = sum(_at_night(accepted_at(text, _NEW_YORK)) for text in texts)
    return as_utc < as_new_york


def accepted_at(text: Any, zone: Any) -> datetime | None:
    """A time such as ``2026-02-05T21:07:41.000Z`` whose ``Z`` is read as a given zone.

    Raises:
        SchemaDrift: The text is not a time.
    """
    if not text:
        return None
    return moment_of(str(text), SUBMISSIONS).replace(tzinfo=zone).astimezone(UTC)


def _at_night(moment: datetime | None) -> bool:
    return moment is not None and not _OPENS <= moment.astimezone(_NEW_YORK).time() <= _CLOSES


def _known(
    client: VendorClient,
    path: str,
    endpoint: Endpoint,
    decode: Callable[[bytes], Any],
    cik: str,
) -> Answer[Any] | None:
    """The answer about a company, none where the vendor has nothing about it."""
    try:
        answer = client.get(path, {}, lambda body: read_json(decode, body, endpoint.path))
    except Absent:
        return None
    payload = answer.value
    sent = _padded(payload.get("cik") if isinstance(payload, dict) else payload.cik)
    if sent != cik:
        raise SchemaDrift(
            f"{endpoint.path} answered for CIK {sent}, {cik} was asked; nothing is landed"
        )
    return answer


def _read_older(body: bytes, file: _File) -> list[dict[str, Any]]:
    rows = _records(read_json(_COLUMNS_BODY.decode, body, SUBMISSIONS.path))
    if len(rows) < file.filingCount:
        raise Unavailable(
            f"{SUBMISSIONS.path} sent {len(rows)} of {file.filingCount} filings in {file.name}; "
            "run it again"
        )
    return rows


def _records(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Column arrays as rows.

    Raises:
        SchemaDrift: The columns are not equally long.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaDrift(f"{SUBMISSIONS.path} sent columns of unequal length: {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _padded(cik: Any) -> str:
    return str(cik).zfill(10)


def _without_blanks(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**row, **{name: None for name in names if row.get(name) == ""}}
