"""Rules of every discovery, whatever its scanners are."""

from pathlib import Path

import msgspec

from trademl.errors import ConfigError

RULES = Path(__file__).resolve().parent / "rules.yml"


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits, from ``rules.yml``.

    Attributes:
        pool_cap: Candidates that go on to selection at most.
        metadata_coverage: Share of candidates that must have tick size, lot size and precision.
        benchmarks: Identities that are marked as benchmarks.
        stale_hours: Age of a candidate's last session in the lake at most.
        toxic_days: For so long a candidate is vetoed after a bar that was rejected for its return.
    """

    pool_cap: int
    metadata_coverage: float
    benchmarks: frozenset[str]
    stale_hours: int
    toxic_days: int


def read_rules(path: Path = RULES) -> Rules:
    """The rules of discovery.

    Raises:
        ConfigError: The file cannot be read or holds something else.
    """
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Rules)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path.name}: {' '.join(str(error).split())}") from error
