"""The candidate pool: the universe at the decision date, with that date's features.

Features are looked up in ``features_matrix`` and never computed here: what the data cycle did not
provide does not exist for the alpha cycle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from optimize.profiles import MODEL_SCORE, SELECTION_FEATURES, Profile
from trademl.errors import GateFailed
from trademl.quant.arrays import FloatArray

EXECUTION = ("tick_size", "lot_size", "price_precision")
"""What an order needs: price step, quantity step, and decimals of the price."""

SHOWN = 8
"""Names that a message lists."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A strategy atom that may be chosen: one security, one logic, one direction.

    Attributes:
        atom_id: A display key; nothing is ever parsed out of it.
        features: Raw values at the decision date by short name (``momentum``), null as None.
        execution: What an order needs, by the names of ``EXECUTION``, unknown as None.
    """

    atom_id: str
    security_id: str
    symbol: str
    exchange: str
    asset_class: str
    sector: str | None
    logic: str
    direction: str
    features: Mapping[str, float | None]
    execution: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The candidates and the complete feature rows behind them, in the same order."""

    candidates: tuple[Candidate, ...]
    rows: pa.Table
    funnel: dict[str, int]

    def matrix(self, columns: list[str]) -> FloatArray:
        """The named columns as float64, shape (n, k), null as NaN."""
        if not columns:
            return np.empty((self.rows.num_rows, 0))
        return np.column_stack(
            [self.rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in columns]
        )

    def keep(self, names: set[str]) -> "Pool":
        """Only the candidates with these atom ids."""
        mask = [candidate.atom_id in names for candidate in self.candidates]
        kept = tuple(item for item, is_kept in zip(self.candidates, mask, strict=True) if is_kept)
        return Pool(kept, self.rows.filter(pa.array(mask, pa.bool_())), self.funnel)


def read_pool(
    connection: duckdb.DuckDBPyConnection,
    profile: Profile,
    decision_date: date,
    listed: frozenset[str] | None = None,
) -> Pool:
    """The candidates of a profile at a date, ordered by symbol.

    Args:
        connection: A read-only connection on a published version.
        profile: Whose asset class, exclusions and floors apply.
        decision_date: The session whose features are looked up.
        listed: The only symbols that may enter; None for all of the universe.

    Raises:
        GateFailed: The features are absent, lack a ranked column, or nobody is eligible.
    """
    rows = connection.execute(
        f"select features.*, {', '.join(EXECUTION)} from matrices.features_matrix as features "
        "left join quality.lakehouse_catalog as catalog using (asset_class, security_id) "
        "where features.asset_class = $1 and session_date = $2 "
        "order by features.symbol, security_id",
        [profile.asset_class, decision_date],
    ).to_arrow_table()
    if not rows.num_rows:
        raise GateFailed(
            f"FOUNDATION_FEATURES_ABSENT: features_matrix has no {profile.asset_class} rows at "
            f"{decision_date}: run the data cycle, alpha never computes features"
        )
    _require_columns(rows, profile)
    mask, funnel = _admit(rows, profile, listed)
    admitted = rows.filter(pa.array(mask, pa.bool_()))
    if not admitted.num_rows:
        raise GateFailed(
            f"NO_CANDIDATES: none of {rows.num_rows} {profile.asset_class} symbols is admitted at "
            f"{decision_date} ({_describe(funnel)}): check the universe and the profile's floors"
        )
    candidates = tuple(_candidate(record, profile) for record in admitted.to_pylist())
    return Pool(candidates, admitted, funnel)


def require_metadata(candidates: Sequence[Candidate], least: float) -> dict[str, float]:
    """The guardrail before selection: enough candidates have what an order needs, each of it.

    Args:
        candidates: The pool, at least one.
        least: Share of them, 0 to 1.

    Returns:
        The share that each of ``EXECUTION`` is known of, as ``<name>_known``.

    Raises:
        GateFailed: With the names of those that lack it.
    """
    shares = {}
    for name in EXECUTION:
        lacking = [item.symbol for item in candidates if item.execution[name] is None]
        shares[f"{name}_known"] = share = 1.0 - len(lacking) / len(candidates)
        if share < least:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            raise GateFailed(
                f"METADATA_COVERAGE: {name} is known of {share:.1%} of {len(candidates)} "
                f"candidates, {least:.0%} are asked; missing: {', '.join(lacking[:SHOWN])}{more}: "
                "land the venue's filters (for pairs `trademl ingest run --vendor binance "
                "--dataset crypto_filters`) and build"
            )
    return shares


def _require_columns(rows: pa.Table, profile: Profile) -> None:
    needed = [f"feat_{name}" for name in profile.ranking if name != MODEL_SCORE]
    if profile.data.require_eligible:
        needed.append("is_eligible")
    absent = [name for name in needed if name not in rows.column_names]
    if absent:
        raise GateFailed(
            f"FOUNDATION_FEATURES_ABSENT: features_matrix has no {', '.join(absent)}: "
            "the data cycle must provide what the profile ranks by"
        )


def _admit(
    rows: pa.Table, profile: Profile, listed: frozenset[str] | None
) -> tuple[list[bool], dict[str, int]]:
    """Which rows enter the pool, and how many were left after each filter."""
    n_rows, symbols = rows.num_rows, rows["symbol"].to_pylist()
    steps = {}
    if listed is not None:
        steps["listed"] = [symbol in listed for symbol in symbols]
    steps["not_excluded"] = [symbol not in set(profile.exclude_symbols) for symbol in symbols]
    eligible = [True] * n_rows
    if profile.data.require_eligible:
        eligible = [flag is True for flag in rows["is_eligible"].to_pylist()]
    liquid = [True] * n_rows
    if profile.data.min_adv_usd > 0.0:
        floor = profile.data.min_adv_usd
        liquid = [value is not None and value >= floor for value in _column(rows, "feat_adv_usd")]
    steps |= {"eligible": eligible, "liquid": liquid}
    mask, funnel = [True] * n_rows, {"universe": n_rows}
    for name, flags in steps.items():
        mask = [before and flag for before, flag in zip(mask, flags, strict=True)]
        funnel[name] = sum(mask)
    return mask, funnel


def _column(rows: pa.Table, name: str) -> list[float | None]:
    if name not in rows.column_names:
        return [None] * rows.num_rows
    values: list[float | None] = rows[name].to_pylist()
    return values


def _candidate(record: dict[str, object], profile: Profile) -> Candidate:
    symbol, logic = str(record["symbol"]), profile.selection.logic
    sector, exchange = record.get("sector"), record.get("exchange")
    return Candidate(
        atom_id=f"{symbol}_{logic}_{profile.direction}",
        security_id=str(record["security_id"]),
        symbol=symbol,
        exchange="" if exchange is None else str(exchange),
        asset_class=profile.asset_class,
        sector=None if sector is None else str(sector),
        logic=logic,
        direction=profile.direction,
        features={name: _number(record.get(f"feat_{name}")) for name in SELECTION_FEATURES},
        execution={name: _number(record[name]) for name in EXECUTION},
    )


def _number(value: object) -> float | None:
    """A finite number, or None for what is absent, NaN or infinite."""
    if isinstance(value, int | float) and np.isfinite(value):
        return float(value)
    return None


def _describe(funnel: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in funnel.items())
