"""Reading the lake: which versions are published, and a read-only connection to one of them.

A version is published when its pointer file ``lakehouse/published/<version>.json`` exists; the
pointer is written last, by rename, at the end of a green build. Beside it lies the copy of the
catalog that the build made. Data files are immutable, so a reader needs no lock and never meets the
builder.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
from duckdb_extensions import import_extension

from trademl.clock import iso, parse_clock
from trademl.errors import ConfigError, DataError, unknown_name

_PACKAGE = Path(__file__).resolve().parents[1]
_PACKAGED_PROJECT = _PACKAGE / "project"


def user_cache() -> Path:
    """The folder for what can be made again, of this user, by the XDG convention.

    A relative ``XDG_CACHE_HOME`` does not count; a user without a home has the temporary folder.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        cache = named if named.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        cache = Path(tempfile.gettempdir())
    return cache / "trademl"


IS_INSTALLED = _PACKAGED_PROJECT.is_dir()
"""Whether this is an installed package, which holds a copy of the dbt project; else a clone."""
PROJECT_ROOT = _PACKAGED_PROJECT if IS_INSTALLED else _PACKAGE.parent
"""The dbt project's folder. An installed one may be read-only: nothing is written into it."""
EXTENSION_DIRECTORY = (user_cache() if IS_INSTALLED else PROJECT_ROOT) / ".duckdb_extensions"
"""Where every connection of the project takes DuckDB's extensions from."""


@dataclass(frozen=True, slots=True)
class Version:
    """One published version of the lake.

    Attributes:
        name: Sorts by age, e.g. ``v000042``.
        as_of: The knowledge time of the build, ISO 8601 UTC.
        snapshot_id: The DuckLake snapshot that was published.
        catalog: The published copy of the catalog.
    """

    name: str
    as_of: str
    snapshot_id: int
    catalog: Path


def check_data_dir(data_dir: Path) -> None:
    """Refuses a path in which SQL would read more than a name.

    Raises:
        ConfigError: It holds a quote or a wildcard: its landed files would not be found.
    """
    if special := sorted(set("'*?[]") & set(str(data_dir.resolve()))):
        raise ConfigError(f"a data directory's path must not hold {' '.join(special)}: {data_dir}")


def check_clock(data_dir: Path, as_of: datetime) -> None:
    """Refuses to go on building a lake at an earlier time than it has reached.

    Raises:
        ConfigError: What was learned since then would stay in its tables.
    """
    built = [parse_clock(version.as_of) for version in list_versions(data_dir)]
    if built and as_of < max(built):
        raise ConfigError(
            f"the lake in {data_dir} is built as of {iso(max(built))}, later than {iso(as_of)}: "
            "go on at a later time (TRADEML_CLOCK, --clock), build it anew with `trademl build "
            "--full-refresh`, or take another data directory"
        )


def lakehouse_dir(data_dir: Path) -> Path:
    """The folder of the lake under a data directory."""
    return data_dir / "lakehouse"


def install_extensions() -> None:
    """Puts the DuckLake extension of the installed wheel into the project's extension folder."""
    if not list(EXTENSION_DIRECTORY.rglob("ducklake.duckdb_extension")):
        EXTENSION_DIRECTORY.mkdir(parents=True, exist_ok=True)
        import_extension("ducklake", con=connect())


def connect() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB connection, in UTC, with extensions from the project's own folder."""
    connection = duckdb.connect(config={"extension_directory": str(EXTENSION_DIRECTORY)})
    connection.execute("set timezone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    return connection


def list_versions(data_dir: Path) -> list[Version]:
    """All published versions, oldest first; empty when nothing was published yet."""
    published = lakehouse_dir(data_dir) / "published"
    versions = []
    for pointer in sorted(published.glob("v*.json")):
        facts = json.loads(pointer.read_text())
        catalog = published / facts["catalog"]
        versions.append(Version(pointer.stem, facts["as_of"], facts["snapshot_id"], catalog))
    return versions


def find_version(data_dir: Path, name: str | None = None) -> Version:
    """The named version, or the newest.

    Raises:
        DataError: Nothing is published, or no version has that name.
    """
    versions = list_versions(data_dir)
    if not versions:
        raise DataError(
            f"no published version under {data_dir}: land data, then "
            f"`trademl build --data {data_dir}`"
        )
    for version in versions:
        if version.name == name:
            return version
    if name is None:
        return versions[-1]
    names = [version.name for version in versions]
    raise DataError(unknown_name(name, f"a published version under {data_dir}", names))


def newest_version(data_dir: Path, clock: datetime) -> Version | None:
    """The newest version that knows of nothing after the clock; none where there is no such."""
    known_versions = (
        version
        for version in reversed(list_versions(data_dir))
        if parse_clock(version.as_of) <= clock
    )
    return next(known_versions, None)


def attach_statement(data_dir: Path, version: Version) -> str:
    """The SQL that attaches a published version, read-only, under the name ``lake``."""
    data_path = lakehouse_dir(data_dir) / "data"
    return (
        f"attach 'ducklake:duckdb:{version.catalog}' as lake "
        f"(read_only, data_path '{data_path}/', override_data_path true)"
    )


def open_version(data_dir: Path, version: Version) -> duckdb.DuckDBPyConnection:
    """A read-only connection on one version; its tables are ``lake.<schema>.<table>``.

    Raises:
        DataError: The version's catalog or its files cannot be read.
    """
    install_extensions()
    connection = connect()
    try:
        connection.execute("load ducklake")
        connection.execute(attach_statement(data_dir, version))
        connection.execute("use lake")
    except duckdb.Error as error:
        connection.close()
        raise DataError(f"version {version.name} cannot be opened: {error}") from error
    return connection
