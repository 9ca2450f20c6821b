"""SEC EDGAR: Form 25, the removal of a security from listing, from the quarterly indexes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

from ingest.payloads.decode import Page, page_of_records
from ingest.transport.client import Answer, VendorClient
from ingest.vendors.sec_edgar import client as sec_edgar
from ingest.vendors.sec_edgar.client import Absent
from ingest.vendors.sec_edgar.schema import FORM_25
from trademl.errors import SchemaDrift, Unavailable, VendorError

FORMS = frozenset({"25", "25/A", "25-NSE", "25-NSE/A"})
"""Matched exactly: a prefix would catch 253G2."""

INDEX_BEGINS = timedelta(days=7)
"""After the first day of a quarter, within which it may have no index yet."""

_WITH_NOTICE = frozenset({"25-NSE", "25-NSE/A"})
_HEADER = "CIK|Company Name|Form Type|Date Filed|Filename"
_ACCESSION = re.compile(r"(\d{10}-\d{2}-\d{6})\.txt$")
_NOTICE = {
    "issuer_cik": "issuer/cik",
    "issuer_name": "issuer/entityName",
    "issuer_file_number": "issuer/fileNumber",
    "exchange_cik": "exchange/cik",
    "exchange_name": "exchange/entityName",
    "description_class_security": "descriptionClassSecurity",
    "rule_provision": "ruleProvision",
    "signature_date": "signatureData/signatureDate",
}


def classify_refusal(status: int, message: str) -> type[VendorError] | None:
    """As on EDGAR's other paths, but an absent file of the archives may be a 403 as well."""
    if status == 403 and "<Code>AccessDenied</Code>" in message:
        return Absent
    return sec_edgar.classify_refusal(status, message)


def removals(client: VendorClient, start: date, end: date) -> Iterator[Page]:
    """Every Form 25 that was filed in a window, with what its notice says.

    A filing has a line for the issuer and one for the exchange; both are kept. The notice is a
    document of the exchanges' filings (25-NSE) and is asked once per filing.

    Args:
        client: On the host ``www``.
        start: First day of filing.
        end: Last day of filing, inclusive.

    Raises:
        Unavailable: A quarter that began more than a week before ``end`` has no index.
    """
    for first in _quarters(start, end):
        answer = _index(client, first)
        if answer is None and end - first > INDEX_BEGINS:
            raise Unavailable(f"{FORM_25.path} has no index of the quarter from {first}; try later")
        if answer is None:
            continue
        lines = [row for row in answer.value if str(start) <= row["date_filed"] <= str(end)]
        rest = [row for row in lines if row["form_type"] not in _WITH_NOTICE]
        yield page_of_records(answer, FORM_25, rest)
        by_filing: dict[str, list[dict[str, str]]] = {}
        for row in lines:
            if row["form_type"] in _WITH_NOTICE:
                by_filing.setdefault(row["accession"], []).append(row)
        for filing in by_filing.values():
            yield _with_notice(client, answer, filing)


def read_index(body: bytes) -> list[dict[str, str]]:
    """The lines of Form 25 in a quarterly index.

    Raises:
        Unavailable: A line has another number of fields, as in a cut body.
        SchemaDrift: The index has another header.
    """
    lines = body.decode("latin-1").splitlines()
    if _HEADER not in lines:
        raise SchemaDrift(f"{FORM_25.path}: an index without the line {_HEADER!r}")
    rows = []
    for line in lines[lines.index(_HEADER) + 1 :]:
        if not line.strip("- "):
            continue
        fields = line.split("|")
        match = _ACCESSION.search(fields[-1])
        if len(fields) != 5 or match is None:
            raise Unavailable(f"{FORM_25.path}: an index with a broken line {line[:60]!r}")
        if fields[2] in FORMS:
            rows.append(_line(fields, match[1]))
    return rows


def read_notice(body: bytes) -> dict[str, str | None]:
    """What a notice of removal says; what it leaves out is null.

    Raises:
        Unavailable: The body is not an XML document.
    """
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise Unavailable(f"{FORM_25.path}: a notice that is not XML ({error})") from error
    return {name: _text(root.findtext(f".//{path}")) for name, path in _NOTICE.items()}


def _line(fields: Sequence[str], accession: str) -> dict[str, str]:
    return {
        "accession": accession,
        "cik": fields[0].zfill(10),
        "company_name": fields[1],
        "form_type": fields[2],
        "date_filed": fields[3],
        "file_name": fields[4],
    }


def _text(value: str | None) -> str | None:
    return value.strip() or None if value else None


def _index(client: VendorClient, quarter: date) -> Answer[list[dict[str, str]]] | None:
    """The index of the quarter that begins on a day, none where there is none yet."""
    name = f"{quarter.year}/QTR{quarter.month // 3 + 1}"
    try:
        return client.get(f"/Archives/edgar/full-index/{name}/master.idx", {}, read_index)
    except Absent:
        return None


def _with_notice(
    client: VendorClient, index: Answer[Any], lines: Sequence[Mapping[str, Any]]
) -> Page:
    """The lines of one filing with its notice; without it where the filing has none."""
    accession = lines[0]["accession"]
    folder = f"/Archives/edgar/data/{int(lines[0]['cik'])}/{accession.replace('-', '')}"
    try:
        notice = client.get(f"{folder}/primary_doc.xml", {}, read_notice)
    except Absent:
        return page_of_records(index, FORM_25, lines)
    return page_of_records(notice, FORM_25, [{**line, **notice.value} for line in lines])


def _quarters(start: date, end: date) -> Iterator[date]:
    """The first days of the quarters that a window touches."""
    for year in range(start.year, end.year + 1):
        for quarter in range(1, 5):
            first = date(year, 3 * quarter - 2, 1)
            following = date(year + quarter // 4, 3 * (quarter % 4) + 1, 1)
            if first <= end and following > start:
                yield first
