"""The lineage of an output: the hashes that lead from a weight back to the data.

``foundation_hash`` is over the content of the tables a run uses, not over file names, which hold
random ids: the same rows give the same hash however they are stored or ordered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from trademl import __version__
from trademl.files import sha256_of_bytes

ENGINE_VERSION = __version__


@dataclass(frozen=True, slots=True)
class Lineage:
    """The identity that every output of one run carries."""

    trace_id: str
    foundation_hash: str
    engine_version: str = ENGINE_VERSION

    def as_dict(self) -> dict[str, str]:
        """The three fields as they stand in every JSON output."""
        return {
            "trace_id": self.trace_id,
            "foundation_hash": self.foundation_hash,
            "engine_version": self.engine_version,
        }


def table_hash(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """The SHA-256 of a table's columns and rows, whatever the order of the rows.

    Every row is hashed to 64 bits with all its cells; the count, the exclusive or and the 128-bit
    sum of the row hashes are what is hashed. The sum sees what the exclusive or cannot: a row
    that was doubled together with another.

    Args:
        connection: A connection on which ``table`` resolves.
        table: A trusted name, ``schema.table``.
    """
    columns = connection.execute(
        "select column_name, column_type from (describe from " + table + ") order by column_name"
    ).fetchall()
    cells = ", ".join(f't."{name}"' for name, _ in columns)
    content = connection.execute(
        "select count(*), coalesce(bit_xor(row_hash), 0), coalesce(sum(row_hash::hugeint), 0) "
        f"from (select hash(row({cells})) as row_hash from {table} as t)"
    ).fetchone()
    return sha256_of_bytes(repr((table, columns, content)).encode())


def foundation_hash(table_hashes: Mapping[str, str]) -> str:
    """One hash over the hashes of several tables, in the order of their names."""
    return combine(*(f"{name}={table_hashes[name]}" for name in sorted(table_hashes)))


def trace_id(run_id: str, foundation: str, *inputs: str) -> str:
    """The run's identity, 32 hexadecimal digits that depend on nothing but its inputs."""
    return combine(run_id, foundation, *inputs)[:32]


def combine(*parts: str) -> str:
    """The SHA-256 of several texts, each with its length, so that no two lists collide."""
    return sha256_of_bytes("".join(f"{len(part)}:{part}" for part in parts).encode())


def hash_tables(connection: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> dict[str, str]:
    """``table_hash`` of each table."""
    return {table: table_hash(connection, table) for table in tables}
