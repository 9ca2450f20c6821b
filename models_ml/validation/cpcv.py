"""Combinatorial purged cross-validation over blocks of dates.

Lopez de Prado, "Advances in Financial Machine Learning" (2018), chapters 7 and 12. Rows of all
symbols that share a session always stay together, so that neither a date nor the market factor of
that date stands on both sides of a split.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trademl.errors import ConfigError, DataError

IndexArray = NDArray[np.intp]
IntegerArray = NDArray[np.int64]
BitArray = NDArray[np.unsignedinteger]

_MAX_GROUPS = 64
_MAX_SPLITS = 10_000


@dataclass(frozen=True, slots=True)
class CombinatorialPurgedCV:
    """Train and test rows for every choice of k test groups out of N contiguous date groups.

    Attributes:
        n_groups: N, contiguous blocks of sessions of (nearly) equal length, at most 64.
        n_test_groups: k, groups tested together in one split.
        embargo: sessions after each test block, counted from its last label end, whose rows are
            not trained on.
        purge_scope: ``all`` drops a training row of any symbol whose label overlaps a test block
            [first session, last label end]; ``symbol`` only looks at test rows of the same symbol
            (and embargoes from that symbol's own last label end).
        min_group_sessions: fewest sessions a group may hold; six months are 126.

    Raises:
        ConfigError: a parameter out of range.
    """

    n_groups: int = 8
    n_test_groups: int = 2
    embargo: int = 10
    purge_scope: Literal["all", "symbol"] = "all"
    min_group_sessions: int = 1

    def __post_init__(self) -> None:
        """Refuse parameters that no data could satisfy."""
        if not 2 <= self.n_groups <= _MAX_GROUPS:
            raise ConfigError(f"n_groups must be 2..{_MAX_GROUPS}, got {self.n_groups}")
        if not 1 <= self.n_test_groups < self.n_groups:
            raise ConfigError(
                f"n_test_groups must be 1..{self.n_groups - 1}, got {self.n_test_groups}"
            )
        if self.embargo < 0:
            raise ConfigError(f"embargo must be 0 or more sessions, got {self.embargo}")
        if self.purge_scope not in ("all", "symbol"):
            raise ConfigError(f"purge_scope must be 'all' or 'symbol', got {self.purge_scope!r}")
        if self.n_splits > _MAX_SPLITS:
            raise ConfigError(f"{self.n_splits} splits are a model fit each: use fewer groups")

    @property
    def n_splits(self) -> int:
        """Number of splits, C(N, k)."""
        return comb(self.n_groups, self.n_test_groups)

    @property
    def n_paths(self) -> int:
        """Number of complete out-of-sample paths, C(N, k) k / N = C(N - 1, k - 1)."""
        return comb(self.n_groups - 1, self.n_test_groups - 1)

    @property
    def test_groups(self) -> tuple[tuple[int, ...], ...]:
        """The test groups of every split, in the order of ``split``."""
        return tuple(combinations(range(self.n_groups), self.n_test_groups))

    def path_splits(self) -> IndexArray:
        """Say which split's model predicts each group on each path.

        Returns:
            Shape (n_paths, n_groups): entry [p, g] is the position of a split in which group g is
            a test group. Every (split, test group) pair is used exactly once over all paths, so
            path p is the predictions of split [p, g] on the rows of group g, for g = 0..N-1.
        """
        uses: list[list[int]] = [[] for _ in range(self.n_groups)]
        for split, groups in enumerate(self.test_groups):
            for group in groups:
                uses[group].append(split)
        return np.array(uses, dtype=np.intp).T

    def group_of(self, label_start: ArrayLike) -> IndexArray:
        """Return the group of every row, shape (rows,), from its session position.

        The distinct sessions present are cut into N runs whose lengths differ by at most one, the
        longer ones first.

        Raises:
            DataError: positions that are not integers, or fewer sessions than the groups need.
        """
        start = _positions(label_start, "label_start")
        table, low, _ = self._groups(start)
        return table[start - low].astype(np.intp)

    def split(
        self,
        label_start: ArrayLike,
        label_end: ArrayLike,
        symbols: ArrayLike | None = None,
    ) -> Iterator[tuple[IndexArray, IndexArray]]:
        """Yield (train, test) row numbers of every split, each in the original row order.

        A row's label covers sessions [label_start, label_end]. For each contiguous test block,
        with first session a and last label end T, a training row is dropped when its label
        touches [a, T] (purge) or starts in (T, T + embargo] (embargo).

        Args:
            label_start: shape (rows,), integer position of the row's session in the calendar.
            label_end: shape (rows,), position of the last session the label looks at.
            symbols: shape (rows,), any hashable code per row; needed for purge_scope 'symbol'.

        Raises:
            DataError: shapes differ, positions are not integers, a label ends before it starts,
                or there are too few sessions.
            ConfigError: purge_scope 'symbol' without symbols.
        """
        start = _positions(label_start, "label_start")
        end = _positions(label_end, "label_end")
        if start.shape != end.shape:
            raise DataError(f"label_start has {start.size} rows, label_end {end.size}")
        is_reversed = end < start
        if is_reversed.any():
            row = int(np.argmax(is_reversed))
            raise DataError(f"row {row}: label ends at {end[row]}, before its start {start[row]}")
        if self.purge_scope == "all":
            return self._pick(*self._bits(start, end))
        return self._pick(*self._bits_by_symbol(start, end, _codes(start, symbols)))

    def _groups(self, start: IntegerArray) -> tuple[BitArray, int, IntegerArray]:
        """Group of every session from the first on, that session, and each group's first one."""
        low = int(start.min())
        is_present = np.zeros(int(start.max()) - low + 1, dtype=np.bool_)
        is_present[start - low] = True
        sessions = np.flatnonzero(is_present)
        needed = self.n_groups * self.min_group_sessions
        if sessions.size < needed:
            raise DataError(
                f"{sessions.size} sessions for {self.n_groups} groups of at least "
                f"{self.min_group_sessions}: need {needed}"
            )
        parts = np.array_split(sessions, self.n_groups)
        table = np.zeros(is_present.size, dtype=np.uint8)
        for group, part in enumerate(parts):
            table[part] = group
        return table, low, np.array([part[0] + low for part in parts], dtype=np.int64)

    def _bits(self, start: IntegerArray, end: IntegerArray) -> tuple[BitArray, BitArray]:
        """Bit g of ``own``: the row is in group g; of ``hits``: testing g rules the row out.

        Purging against a block of adjacent test groups equals purging against each of its groups,
        because the rows between them are test rows themselves. A label touches [a, T + embargo]
        when it ends at a or later and starts by T + embargo: one table over ends and one over
        starts replace a comparison per group and row.
        """
        table, low, first = self._groups(start)
        latest = np.full(table.size, np.iinfo(np.int64).min)
        np.maximum.at(latest, start - low, end)
        dtype = np.min_scalar_type((1 << self.n_groups) - 1)
        bit = np.left_shift(dtype.type(1), np.arange(self.n_groups, dtype=dtype))
        last = np.array([latest[table == group].max() for group in range(self.n_groups)])
        positions = np.arange(low, int(latest.max()) + 1)[:, None]
        not_before = np.where(positions >= first, bit, 0).sum(axis=1, dtype=dtype)
        not_after = np.where(positions <= last + self.embargo, bit, 0).sum(axis=1, dtype=dtype)
        return bit[table][start - low], not_before[end - low] & not_after[start - low]

    def _bits_by_symbol(
        self, start: IntegerArray, end: IntegerArray, codes: IndexArray
    ) -> tuple[BitArray, BitArray]:
        """The same with each row held against its own symbol's part of a group only."""
        table, low, _ = self._groups(start)
        group = table[start - low]
        own = np.zeros(start.size, dtype=np.min_scalar_type((1 << self.n_groups) - 1))
        hits = np.zeros_like(own)
        for tested in range(self.n_groups):
            bit, member = own.dtype.type(1 << tested), group == tested
            opens, last = _symbol_spans(start[member], end[member], codes[member], codes)
            own[member] |= bit
            hits[member | ((end >= opens) & (start <= last + self.embargo))] |= bit
        return own, hits

    def _pick(self, own: BitArray, hits: BitArray) -> Iterator[tuple[IndexArray, IndexArray]]:
        masked, chosen = np.empty_like(own), np.empty(own.shape, dtype=np.bool_)
        for groups in self.test_groups:
            tested = own.dtype.type(sum(1 << group for group in groups))
            np.equal(np.bitwise_and(hits, tested, out=masked), 0, out=chosen)
            train = np.flatnonzero(chosen)
            np.not_equal(np.bitwise_and(own, tested, out=masked), 0, out=chosen)
            yield train, np.flatnonzero(chosen)


def _codes(start: IntegerArray, symbols: ArrayLike | None) -> IndexArray:
    if symbols is None:
        raise ConfigError("purge_scope 'symbol' needs the symbols argument")
    codes = np.unique(np.asarray(symbols), return_inverse=True)[1]
    if codes.shape != start.shape:
        raise DataError(f"symbols has {codes.size} rows, label_start {start.size}")
    return np.asarray(codes, dtype=np.intp)


def _symbol_spans(
    start: IntegerArray, end: IntegerArray, member_codes: IndexArray, codes: IndexArray
) -> tuple[IntegerArray, IntegerArray]:
    """First session and last label end of each row's own symbol in a group.

    A symbol that is not in the group gets a span that nothing touches.
    """
    n_symbols = int(codes.max()) + 1
    opens = np.full(n_symbols, np.iinfo(np.int64).max // 2)
    last = np.full(n_symbols, np.iinfo(np.int64).min // 2)
    np.minimum.at(opens, member_codes, start)
    np.maximum.at(last, member_codes, end)
    return opens[codes], last[codes]


def _positions(values: ArrayLike, name: str) -> IntegerArray:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0:
        raise DataError(f"{name} must be a one-dimensional array with rows, got {array.shape}")
    if array.dtype.kind not in "iu":
        raise DataError(f"{name} must hold integer session positions, got {array.dtype}")
    return array.astype(np.int64, copy=False)
