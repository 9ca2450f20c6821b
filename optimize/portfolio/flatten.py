"""Flattening: net signed weights per physical symbol from weights per atom."""

from collections.abc import Iterable, Mapping
from typing import Any

from optimize.portfolio.two_layer import Portfolio

_FLAT = 1e-12


def flatten(
    portfolios: Iterable[Portfolio], atoms: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The assets of every portfolio by physical symbol, heaviest first.

    Net is the sum of atom weights with shorts negative, gross the sum of their magnitudes; they
    differ where a symbol is held both ways, so both are kept.

    Args:
        portfolios: Solved over atoms.
        atoms: Atom id to its row of the atoms table (symbol, direction, market, sector).
    """
    return {portfolio.name: {"assets": _assets(portfolio, atoms)} for portfolio in portfolios}


def _assets(portfolio: Portfolio, atoms: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    triples = zip(portfolio.atoms, portfolio.weights, portfolio.cluster_ids, strict=True)
    for atom_id, weight, cluster_id in triples:
        atom = atoms[atom_id]
        sign = -1.0 if atom["direction"] == "SHORT" else 1.0
        row = rows.setdefault(
            atom["physical_symbol"],
            {
                "Symbol": atom["physical_symbol"],
                "Net_Weight": 0.0,
                "Gross_Weight": 0.0,
                "Cluster_ID": cluster_id,
                "Market": atom["market"],
                "Sector": atom["sector"],
            },
        )
        row["Net_Weight"] += sign * float(weight)
        row["Gross_Weight"] += abs(float(weight))
    for row in rows.values():
        row["Weight"] = row["Gross_Weight"]
        row["Direction"] = _direction(row["Net_Weight"])
    return sorted(rows.values(), key=lambda row: (-row["Gross_Weight"], row["Symbol"]))


def _direction(net: float) -> str:
    if abs(net) <= _FLAT:
        return "FLAT"
    return "LONG" if net > 0.0 else "SHORT"
