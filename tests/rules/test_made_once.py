"""What is kept on disk between test runs is never older than what it is made of."""

from importlib.metadata import distributions
from types import SimpleNamespace

import pytest

from tests.support import cache

SOURCES = [
    "trademl/lake/versions.py",
    "ingest/sync.py",
    "simulator/market/simulate.py",
    "macros/engine/landing.sql",
    "seeds/flow_data/thresholds.csv",
    "dbt_project/models/flow_data/bars.sql",
    "tests/data/generic/grain.sql",
    "tests/support/lakes.py",
    "dbt_project.yml",
    "profiles.yml",
    "requirements.lock",
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, whose state is read anew by each call."""
    root = tmp_path / "project"
    for name in (*SOURCES, "models_ml/profile.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("before")
    monkeypatch.setattr(cache, "PROJECT_ROOT", root)
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(cache, "_state", cache._state.__wrapped__)
    return root


@pytest.fixture
def make():
    def make(folder):
        make.calls += 1
        (folder / "file").write_text(str(make.calls))

    make.calls = 0
    return make


def test_what_is_made_is_kept(project, make):
    first, again = cache.made_once("thing", make), cache.made_once("thing", make)
    assert (first, make.calls) == (again, 1)
    assert (first / "file").read_text() == "1"


@pytest.mark.parametrize("name", SOURCES)
def test_a_change_of_what_a_lake_is_made_of_makes_it_anew(project, make, name):
    first = cache.made_once("thing", make)
    (project / name).write_text("after")
    assert cache.made_once("thing", make) != first
    assert make.calls == 2


def test_a_new_source_makes_it_anew(project, make):
    cache.made_once("thing", make)
    (project / "macros" / "more.sql").touch()
    cache.made_once("thing", make)
    assert make.calls == 2


def test_other_sources_and_arguments_count_where_they_are_named(project, make):
    first = cache.made_once("thing", make, "seed 1", more_sources=("models_ml",))
    assert cache.made_once("thing", make, "seed 2", more_sources=("models_ml",)) != first
    (project / "models_ml" / "profile.py").write_text("after")
    assert cache.made_once("thing", make, "seed 1", more_sources=("models_ml",)) != first
    assert make.calls == 3


def test_another_pinned_package_makes_it_anew(project, make, monkeypatch):
    first = cache.made_once("thing", make)
    tomorrow = [SimpleNamespace(name=one.name, version="tomorrow") for one in distributions()]
    monkeypatch.setattr(cache, "distributions", lambda: tomorrow)
    assert cache.made_once("thing", make) != first


def test_what_could_not_be_made_is_not_there(project, make):
    def fail(folder):
        (folder / "half").touch()
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        cache.made_once("thing", fail)
    # The same module, so the same name: nothing of the failed one is taken for it.
    folder = cache.made_once("thing", make)
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_only_the_newest_states_are_kept(project, make):
    for number in range(cache.KEPT + 2):
        (project / "profiles.yml").write_text(str(number))
        newest = cache.made_once("thing", make)
    kept = list(newest.parent.glob("thing-*"))
    assert len(kept) == cache.KEPT
    assert newest in kept
