"""Conditions that queries of a published version share."""


def symbol_as_of(security_id: str, day: str) -> str:
    """The SQL condition that ``symbols`` is what an identity was called on a day.

    Args:
        security_id: The identity, e.g. ``status.symbol``.
        day: The exchange date, e.g. ``status.dt``.

    Returns:
        A condition on ``reference.symbols as symbols``; the models' macro of that name is the same.
    """
    return (
        f"symbols.security_id = {security_id} "
        f"and (symbols.valid_from is null or {day} >= symbols.valid_from) "
        f"and (symbols.valid_to is null or {day} < symbols.valid_to)"
    )
