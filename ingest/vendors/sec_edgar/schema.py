"""EDGAR's endpoints: companies, filings, XBRL facts and removals from listing."""

import pyarrow as pa

from ingest.payloads.endpoint import DAY, NUMBER, TEXT, WHOLE, Endpoint, fields

_TICKERS = pa.schema(fields(TEXT, "cik name ticker exchange"))
_COMPANIES = pa.schema(
    fields(TEXT, "cik entityType sic sicDescription name tickers exchanges fiscalYearEnd")
    + fields(TEXT, "stateOfIncorporation formerNames")
)
_SUBMISSIONS = pa.schema(
    [
        *fields(TEXT, "cik accessionNumber"),
        *fields(DAY, "filingDate reportDate"),
        # A trailing Z that is wrong for some filers: landed as sent, ``vendor_ts`` is the reading.
        *fields(TEXT, "acceptanceDateTime act form fileNumber filmNumber items core_type"),
        *fields(WHOLE, "size isXBRL isInlineXBRL"),
        *fields(TEXT, "primaryDocument primaryDocDescription"),
    ]
)
_FACTS = pa.schema(
    [
        *fields(TEXT, "cik entityName taxonomy tag label description unit"),
        *fields(DAY, "start end"),
        *fields(NUMBER, "val"),
        *fields(WHOLE, "fy"),
        *fields(TEXT, "fp form"),
        *fields(DAY, "filed"),
        *fields(TEXT, "accn frame"),
    ]
)
_FORM_25 = pa.schema(
    [
        *fields(TEXT, "accession cik company_name form_type"),
        *fields(DAY, "date_filed"),
        *fields(TEXT, "file_name issuer_cik issuer_name issuer_file_number exchange_cik"),
        *fields(TEXT, "exchange_name description_class_security rule_provision signature_date"),
    ]
)


def _endpoint(
    name: str, columns: pa.Schema, key: tuple[str, ...], version: str, required: tuple[str, ...]
) -> Endpoint:
    return Endpoint(
        "sec_edgar",
        name,
        columns,
        key,
        "sec_edgar",
        version,
        required,
        symbol="cik",
        class_mark="-",
    )


TICKERS = _endpoint("company_tickers", _TICKERS, ("cik", "ticker"), "files", ("name",))
COMPANIES = _endpoint("companies", _COMPANIES, ("cik",), "submissions", ("name",))
SUBMISSIONS = _endpoint(
    "submissions",
    _SUBMISSIONS,
    ("cik", "accessionNumber"),
    "submissions",
    ("filingDate", "acceptanceDateTime", "form"),
)
FACTS = _endpoint(
    "companyfacts",
    _FACTS,
    ("cik", "taxonomy", "tag", "unit", "end", "accn"),
    "xbrl_v1",
    ("val", "filed", "form"),
)
FORM_25 = _endpoint(
    "form_25", _FORM_25, ("accession", "cik"), "full-index", ("form_type", "date_filed")
)

ALL = (
    TICKERS,
    COMPANIES,
    SUBMISSIONS,
    FACTS,
    FORM_25,
)
