"""The training panel: features and labels of one published version, as arrays.

The only place that uses ibis.

Rows are (session, security) pairs of the eligible equity universe that have a finished label,
ordered by session, then security. Time is counted in sessions: positions on one axis of session
dates that features and labels share.
"""

import hashlib
import warnings
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, cast

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models_ml.profile import LabelChoice, TrainingProfile
from trademl.errors import ConfigError, DataError

BATCH_ROWS = 65_536

ENDINGS = (
    *("horizon", "not_entered", "next_price", "worthless", "cash_merger", "stock_merger"),
    *("unknown_removal", "long_halt"),
)
"""The values of ``exit_reason`` of a label, see its description in the lake."""

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Codes = NDArray[np.int32]
Dates = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Panel:
    """n rows of features and labels.

    Attributes:
        features: (n, f) float32, C order; nan where unknown.
        feature_names: f names in the order of the columns.
        absent_features: Names the profile asks for that the version does not have.
        securities: Permanent ids, sorted; ``security`` indexes it.
        symbols: Display symbols, sorted; ``symbol`` indexes it.
        sessions: datetime64[D] axis, sorted; ``session``, ``label_start`` and ``label_end`` index
            it.
        session: The session whose close the features are known at; non-decreasing.
        label_start: First session that the label looks at.
        label_end: Last session that the label looks at.
        ret: Simple return over the label's window.
        ret_rel: ``ret`` minus the mean of the eligible universe.
        next_open_ret: Simple return from the session's close to the next opening, nan where there
            is none. Nothing learns from it: it is what a feature must not tell.
        next_close_ret: The same to the next close.
        known_at: datetime64[us], UTC: when features and label were both known; NaT where one was
            never.
        ending: Index into ``ENDINGS``: how the label's position ended.
    """

    features: Matrix
    feature_names: tuple[str, ...]
    absent_features: tuple[str, ...]
    securities: NDArray[np.object_]
    symbols: NDArray[np.object_]
    sessions: Dates
    security: Codes
    symbol: Codes
    session: Codes
    label_start: Codes
    label_end: Codes
    ret: Floats
    ret_rel: Floats
    next_open_ret: Floats
    next_close_ret: Floats
    known_at: Dates
    ending: Codes

    def __len__(self) -> int:
        return len(self.session)

    def take(self, rows: NDArray[Any]) -> "Panel":
        """The panel of some rows, by increasing index or boolean mask."""
        return replace(
            self,
            features=self.features[rows],
            **{name: getattr(self, name)[rows] for name in _ROW_FIELDS},
        )

    def every(self, stride: int) -> "Panel":
        """The rows of every n-th session, counted from the first one that has rows."""
        if stride == 1 or not len(self):
            return self
        return self.take((self.session - self.session[0]) % stride == 0)

    def rows_before(self, later: "Panel", sessions: int) -> NDArray[np.intp]:
        """Where each row's name stands in this panel some sessions before.

        Args:
            later: Some rows of this panel, by ``take`` or ``every``.
            sessions: How many sessions of the axis before.

        Returns:
            (rows of ``later``,) indices into this panel; -1 where the name has no row then.
        """
        width = len(self.securities)
        keys = self.session.astype(np.int64) * width + self.security
        wanted = (later.session.astype(np.int64) - sessions) * width + later.security
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, at, -1)

    def endings(self) -> dict[str, int]:
        """How many labels ended in each way that occurs, in the order of ``ENDINGS``."""
        counts = np.bincount(self.ending, minlength=len(ENDINGS))
        return {name: int(n) for name, n in zip(ENDINGS, counts, strict=True) if n}

    def digest(self) -> str:
        """SHA-256 over all content: what "the same data" means for a model id."""
        state = hashlib.sha256()
        names = [*self.feature_names, "", *self.securities, "", *self.symbols]
        state.update("\n".join(names).encode())
        state.update(np.ascontiguousarray(self.sessions).view(np.int64).data)
        for name in ("features", *_ROW_FIELDS):
            state.update(np.ascontiguousarray(getattr(self, name)).view(np.uint8).data)
        return state.hexdigest()


_CODES = ("security", "symbol", "session", "label_start", "label_end")
_RETURNS = ("ret", "ret_rel", "next_open_ret", "next_close_ret")
_ROW_FIELDS = (*_CODES, *_RETURNS, "known_at", "ending")


def load_panel(
    connection: duckdb.DuckDBPyConnection,
    profile: TrainingProfile,
    left_out: tuple[str, ...] = (),
) -> Panel:
    """Reads the panel of a profile from a published version.

    Args:
        connection: On the version, its catalog attached as ``lake``.
        profile: Says which features and which label.
        left_out: Permanent ids that are not trained on; ``ret_rel`` stays relative to all names.

    Raises:
        DataError: A table is missing or no row is left.
        ConfigError: The profile's features match nothing.
    """
    with warnings.catch_warnings():
        # ibis 12 calls Arrow methods that duckdb 1.5 has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        backend = ibis.duckdb.from_connection(connection)
        connection.execute("set enable_progress_bar = false")  # ibis draws one on any output
        features = _table(backend, "matrices", "features_matrix")
        labels = _table(backend, "labels", "label_horizon")
        bars = _table(backend, "curated", "equities_ohlcv_adj")
        names, absent = choose_features(profile.features, tuple(features.columns))
        if left_out:
            features = features.filter(features.security_id.notin(left_out))
        labels = _finished(labels, profile.label)
        rows = _joined(features, labels, _moves(bars), names)
        count = int(backend.execute(rows.count()))
        if count == 0:
            raise DataError(
                "no eligible equity has features and a finished label over "
                f"{profile.label.horizon} sessions"
            )
        return _read(backend, rows, names, absent, count)


def choose_features(
    patterns: tuple[str, ...], columns: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The feature columns in the profile's order, and the names or patterns that matched none.

    Raises:
        ConfigError: No column matches at all.
    """
    chosen: dict[str, None] = {}
    absent = []
    for pattern in patterns:
        matches = sorted(c for c in columns if c.startswith("feat_") and fnmatchcase(c, pattern))
        chosen |= dict.fromkeys(matches)
        if not matches:
            absent.append(pattern)
    if not chosen:
        raise ConfigError(
            f"features: none of {', '.join(patterns)} is a column of matrices.features_matrix"
        )
    return tuple(chosen), tuple(absent)


def _table(backend: Any, schema: str, name: str) -> Any:
    try:
        return backend.table(name, database=("lake", schema))
    except (ibis.common.exceptions.TableNotFound, duckdb.Error) as error:
        raise DataError(
            f"the version has no table {schema}.{name}: build the lake again"
        ) from error


def _moves(bars: Any) -> Any:
    """What each name did after the close of a session: to the next opening, to the next close."""
    path = ibis.window(group_by="security_id", order_by="session_date")
    opening = (bars.open * bars.split_ratio).lead().over(path)
    return bars.select(
        "security_id",
        "session_date",
        next_open_ret=(opening / bars.close - 1).cast("float64"),
        next_close_ret=bars.ret.lead().over(path).cast("float64"),
    )


def _finished(labels: Any, label: LabelChoice) -> Any:
    """The labels of the horizon, with the profile's loss where the lake does not know one.

    No peer is compared with such a label (they are known too late), so that ``ret_rel`` moves by as
    much as ``ret`` does.
    """
    if "exit_reason" not in labels.columns:
        raise DataError(
            "labels.label_horizon has no exit_reason: build the lake again with --full-refresh"
        )
    finished = labels.filter(
        labels.horizon == label.horizon, labels.ret.notnull(), labels.ret_rel.notnull()
    )
    lost = finished.exit_reason.cases(
        ("unknown_removal", label.losses.unknown_removal_return),
        ("long_halt", label.losses.long_halt_return),
        else_=0.0,
    )
    change = (1 + finished.ret) * lost
    return finished.mutate(ret=finished.ret + change, ret_rel=finished.ret_rel + change)


def _joined(features: Any, labels: Any, moves: Any, names: tuple[str, ...]) -> Any:
    keys = ["security_id", "session_date"]
    eligible = features.filter(features.asset_class == "equity", features.is_eligible)
    label = labels.select(
        *keys, "t0", "t1", "ret", "ret_rel", "exit_reason", label_known_at=labels.known_at
    )
    rows = (
        eligible.select(*keys, "symbol", "known_at", *names)
        .join(label, keys)
        .left_join(moves, keys)
        .order_by(["session_date", "security_id"])
    )
    is_known = rows.known_at.notnull() & rows.label_known_at.notnull()
    known_at = is_known.ifelse(ibis.greatest(rows.known_at, rows.label_known_at), ibis.null())
    return rows.mutate(known_at=known_at)


def _read(
    backend: Any, rows: Any, names: tuple[str, ...], absent: tuple[str, ...], count: int
) -> Panel:
    known = {name: _distinct(backend, rows[name]) for name in ("security_id", "symbol")}
    known["exit_reason"] = pa.array(ENDINGS)
    features, columns = _stream(backend, rows, names, known, count)
    dates = [columns[name] for name in ("session_date", "t0", "t1")]
    sessions = np.unique(np.concatenate([np.unique(column) for column in dates]))
    session, start, end = (np.searchsorted(sessions, d).astype(np.int32) for d in dates)
    panel = Panel(
        features=features,
        feature_names=names,
        absent_features=absent,
        securities=np.array(known["security_id"].to_pylist(), dtype=object),
        symbols=np.array(known["symbol"].to_pylist(), dtype=object),
        sessions=sessions,
        security=columns["security_id"],
        symbol=columns["symbol"],
        session=session,
        label_start=start,
        label_end=end,
        ending=columns["exit_reason"],
        **{name: columns[name] for name in (*_RETURNS, "known_at")},
    )
    _check(panel)
    return panel


def _stream(
    backend: Any, rows: Any, names: tuple[str, ...], known: dict[str, pa.Array], count: int
) -> tuple[Matrix, dict[str, NDArray[Any]]]:
    """Streams the rows into arrays of their final size: Arrow and numpy never both hold all."""
    features = np.empty((count, len(names)), dtype=np.float32)
    columns: dict[str, NDArray[Any]] = {
        **{name: np.empty(count, dtype=np.int32) for name in known},
        **{name: np.empty(count, dtype="datetime64[D]") for name in ("session_date", "t0", "t1")},
        **{name: np.empty(count, dtype=np.float64) for name in _RETURNS},
        "known_at": np.empty(count, dtype="datetime64[us]"),
    }
    at = 0
    for batch in backend.to_pyarrow_batches(rows, chunk_size=BATCH_ROWS):
        span = slice(at, at + batch.num_rows)
        at = span.stop
        for place, name in enumerate(names):
            features[span, place] = _floats(batch.column(name))
        for name, target in columns.items():
            values = batch.column(name)
            if name in known:
                values = pc.index_in(values, value_set=known[name])
            if name in _RETURNS:
                values = values.cast(pa.float64())
            target[span] = values.to_numpy(zero_copy_only=False)
    assert at == count, "a published version does not change"
    return features, columns


def _distinct(backend: Any, column: Any) -> pa.Array:
    values = backend.to_pyarrow(column.as_table().distinct()).column(0).combine_chunks()
    return cast("pa.Array", values.sort())


def _floats(column: pa.Array) -> NDArray[Any]:
    """As numpy, null as nan (a column without any value may come as another type)."""
    return cast("NDArray[Any]", column.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _check(panel: Panel) -> None:
    """Refuses what would make every later number wrong."""
    key = panel.session.astype(np.int64) * len(panel.securities) + panel.security
    if np.any(np.diff(key) <= 0):
        at = int(np.argmax(np.diff(key) <= 0))
        raise DataError(
            f"two rows for {panel.securities[panel.security[at]]} on "
            f"{panel.sessions[panel.session[at]]}: features_matrix and label_horizon need one row "
            "per security and session"
        )
    if np.any(panel.label_start < panel.session) or np.any(panel.label_end < panel.label_start):
        raise DataError(
            "a label begins before the session at whose close its features are known at"
        )
