"""Routing facts: the vendors' calls of the day, and what they have filled."""

from datetime import date
from pathlib import Path

from ingest.catalog.routing import RoutingFacts
from ingest.control.database import control_path
from ingest.control.reader import read_spent
from ingest.node.planning.audit import TABLES
from trademl.lake import versions as lake
from trademl.lake.sql import symbol_as_of


def routing_facts(data_dir: Path, dataset: str, asof: date, today: date) -> RoutingFacts:
    """What the newest published version and the control file know, each where there is one.

    Args:
        data_dir: The data directory.
        dataset: Logical dataset; only one whose table is audited has partitions.
        asof: The date of the data.
        today: The UTC date whose calls count.

    Raises:
        DataError: A version or the control file cannot be read.
    """
    path = control_path(data_dir)
    spent = read_spent(path, today) if path.exists() else {}
    return RoutingFacts(_green(data_dir, dataset, asof), spent)


def _green(data_dir: Path, dataset: str, asof: date) -> dict[str, set[str]]:
    """By vendor, the symbols whose partition of the date is GREEN."""
    tables = {audited.dataset: (name, audited.asset_class) for name, audited in TABLES.items()}
    versions = lake.list_versions(data_dir)
    if dataset not in tables or not versions:
        return {}
    query = f"""
        select status.source_name, symbols.symbol
        from quality.partition_status as status
        inner join reference.symbols as symbols
            on symbols.asset_class = $asset_class and {symbol_as_of("status.symbol", "status.dt")}
        where status.table_name = $table and status.dt = $day and status.status = 'GREEN'
    """
    table, asset_class = tables[dataset]
    parameters = {"table": table, "asset_class": asset_class, "day": asof}
    by_vendor: dict[str, set[str]] = {}
    with lake.open_version(data_dir, versions[-1]) as connection:
        for vendor, symbol in connection.execute(query, parameters).fetchall():
            by_vendor.setdefault(vendor, set()).add(symbol)
    return by_vendor
