import duckdb
import pyarrow as pa
import pytest

from trademl.runs.lineage import (
    ENGINE_VERSION,
    Lineage,
    combine,
    foundation_hash,
    table_hash,
    trace_id,
)


def content_hash(table: pa.Table) -> str:
    connection = duckdb.connect()
    connection.register("incoming", table)
    connection.execute("create schema s; create table s.t as select * from incoming")
    return table_hash(connection, "s.t")


BASE = {"symbol": ["A", "B", "C"], "ret": [0.1, None, -0.0], "n": [1, 2, 3]}


def test_the_hash_is_of_content_not_of_row_order() -> None:
    turned = {name: values[::-1] for name, values in BASE.items()}
    assert content_hash(pa.table(BASE)) == content_hash(pa.table(turned))


@pytest.mark.parametrize(
    "change",
    [
        {"ret": [0.1 + 1e-17, None, 1e-300]},
        {"ret": [0.10000000000000002, None, -0.0]},
        {"ret": [0.1, 0.0, -0.0]},
        {"symbol": ["A", "B", "D"]},
        {"symbol": ["A", "B", None]},
        {"n": [1, 3, 2]},
        {"symbol": ["B", "A", "C"]},
    ],
)
def test_any_changed_cell_changes_the_hash(change: dict[str, list[object]]) -> None:
    assert content_hash(pa.table(BASE)) != content_hash(pa.table({**BASE, **change}))


def test_rows_doubled_in_pairs_change_the_hash() -> None:
    doubled = {name: values * 2 for name, values in BASE.items()}
    tripled = {name: values * 3 for name, values in BASE.items()}
    assert len({content_hash(pa.table(rows)) for rows in (BASE, doubled, tripled)}) == 3


def test_types_and_column_names_count() -> None:
    table = pa.table(BASE)
    renamed = table.rename_columns(["symbol", "return", "n"])
    narrow = table.set_column(1, "ret", table["ret"].cast(pa.float32()))
    assert len({content_hash(found) for found in (table, renamed, narrow)}) == 3


def test_identity_depends_on_every_input_and_on_nothing_else() -> None:
    inputs = ("R1", "f", "p", "m")
    assert trace_id(*inputs) == trace_id(*inputs)
    others = {trace_id(*(*inputs[:k], "other", *inputs[k + 1 :])) for k in range(4)}
    assert len(others | {trace_id(*inputs)}) == 5
    assert foundation_hash({"a": "1", "b": "2"}) == foundation_hash({"b": "2", "a": "1"})
    assert combine("ab", "c") != combine("a", "bc")
    assert set(Lineage("t", "f").as_dict()) == {"trace_id", "foundation_hash", "engine_version"}
    assert Lineage("t", "f").engine_version == ENGINE_VERSION
