"""Decoding of delimited text (CSV) bodies, checked row by row while they are read."""

import csv
import io
from collections.abc import Sequence

from trademl.errors import SchemaDrift, Unavailable


def read_csv(body: bytes, header: Sequence[str], where: str) -> list[dict[str, str]]:
    """The rows of a CSV body, one mapping per row.

    Args:
        body: The body as received, UTF-8.
        header: Names that the first row begins with; names after them are kept as they are.
        where: Names the endpoint in messages.

    Raises:
        Unavailable: A row has another number of fields than the header, as in a cut body, or the
            body is a page.
        SchemaDrift: The first row is another one.
    """
    rows = _rows(_text(body, where), where)
    names = rows[0] if rows else []
    if names and names[0].startswith("<"):
        raise Unavailable(f"{where} sent a page in place of CSV; try later")
    if names[: len(header)] != list(header):
        raise SchemaDrift(
            f"{where} begins with {','.join(names)[:80]!r}, {','.join(header)!r} is known; "
            "nothing is landed"
        )
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise Unavailable(
                f"{where} sent {len(row)} fields in line {number} of {len(rows)}, the header has "
                f"{len(names)}; ask again later"
            )
    return [dict(zip(names, row, strict=True)) for row in rows[1:]]


def _rows(text: str, where: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise Unavailable(f"{where} sent text that is not CSV ({error}); try later") from error


def _text(body: bytes, where: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Unavailable(f"{where} sent bytes that are not text ({error}); try later") from error
