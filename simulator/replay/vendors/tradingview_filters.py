"""The screener's filter conditions, evaluated on a row."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Row = Mapping[str, Any]
"""A symbol's values by column; what is not known is absent or null."""


class Condition(msgspec.Struct):
    """A filter as it is sent; ``right`` may name another column."""

    left: str
    operation: str
    right: Any = None


class UnknownOperation(Exception):
    """A filter asks for something that is not played here."""


def holds(condition: Condition, row: Row) -> bool:
    """Whether a row passes a filter. Nothing but ``empty`` and the negations holds of a null.

    Raises:
        UnknownOperation: Naming the operation.
    """
    left = row.get(condition.left)
    if condition.operation in ("empty", "nempty"):
        return (left is None) == (condition.operation == "empty")
    compare = _OPERATIONS.get(condition.operation)
    if compare is None:
        raise UnknownOperation(condition.operation)
    right = _resolved(condition.right, row)
    if left is None:
        return condition.operation in _NEGATIONS
    return right is not None and compare(left, right)


def _resolved(right: Any, row: Row) -> Any:
    """A text that names a column stands for its value; ``above%`` has one in a list."""
    if isinstance(right, str):
        return row.get(right, right)
    if isinstance(right, list) and right and isinstance(right[0], str) and right[0] in row:
        return [row[right[0]], *right[1:]]
    return right


def _within(left: Any, right: Any) -> bool:
    """Between two numbers, both included; among texts."""
    if isinstance(left, str):
        return left in right
    return bool(right[0] <= left <= right[1])


def _has(left: Any, right: Any) -> bool:
    return bool(set(left) & set(right))


def _percent(left: float, right: list[float]) -> bool:
    """Above a column times a factor."""
    return right[0] is not None and left > right[0] * right[1]


def _below_percent(left: float, right: list[float]) -> bool:
    return right[0] is not None and left < right[0] * right[1]


_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "greater": lambda left, right: bool(left > right),
    "egreater": lambda left, right: bool(left >= right),
    "less": lambda left, right: bool(left < right),
    "eless": lambda left, right: bool(left <= right),
    "equal": lambda left, right: bool(left == right),
    "nequal": lambda left, right: bool(left != right),
    "in_range": _within,
    "not_in_range": lambda left, right: not _within(left, right),
    "match": lambda left, right: str(right).lower() in str(left).lower(),
    "nmatch": lambda left, right: str(right).lower() not in str(left).lower(),
    "has": _has,
    "has_none_of": lambda left, right: not _has(left, right),
    "above%": _percent,
    "below%": _below_percent,
}
_NEGATIONS = frozenset({"nequal", "not_in_range", "nmatch", "has_none_of"})
