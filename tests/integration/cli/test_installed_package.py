"""A wheel in an environment of its own, away from any clone, does the main job in an empty folder."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PROJECT = "trademl/project/"

pytestmark = pytest.mark.accept


def tracked(*under: str) -> list[str]:
    """The files that git knows, relative to the root."""
    command = ["git", "ls-files", "-z", "--", *under]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the tracked files: built elsewhere, so the clone gets no build folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "clone" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(folder / "clone")]
    subprocess.run(command, check=True)
    shutil.rmtree(folder / "clone")
    return next(folder.glob("*.whl"))


def needed(requirements: list[str]) -> set[str]:
    """The distributions that requirements ask for, and what those ask for in turn."""
    todo = [(Requirement(text), "") for text in requirements]
    found: set[tuple[str, str]] = set()
    while todo:
        wanted, extra = todo.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        for asked in {"", *wanted.extras}:
            if (name, asked) not in found:
                found.add((name, asked))
                more = metadata.distribution(name).requires or []
                todo += [(Requirement(text), asked) for text in more]
    return {name for name, _ in found}


def link(name: str, site: Path, python: Path) -> None:
    """Puts an installed distribution's files into another environment, compiled ones aside."""
    distribution = metadata.distribution(name)
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if file.suffix == ".pyc" or not source.is_file():
            continue
        target = site / file
        if target.exists():  # dbt's distributions share the files of their common packages
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.parent.name == "bin" and source.read_bytes().startswith(b"#!"):
            # As pip does: a program runs with the interpreter of its own environment.
            _, _, program = source.read_text().partition("\n")
            target.write_text(f"#!{python}\n{program}")
            target.chmod(0o755)
            continue
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment that holds the wheel and what its own metadata ask for, nothing else.

    Versions are the lock's: they are taken from the environment that runs the tests.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--disable-pip-version-check", str(wheel)], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    [installed] = metadata.distributions(name="trademl", path=[str(site)])
    for name in sorted(needed(installed.requires or [])):
        if not any(metadata.distributions(name=name, path=[str(site)])):
            link(name, site, python)
    return folder


@pytest.fixture
def trademl(environment, tmp_path):
    """Runs the installed command in an empty folder, without anything of this environment."""
    folder = tmp_path / "empty"
    folder.mkdir()
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}

    def run(*arguments):
        return subprocess.run(
            [str(environment / "bin" / "trademl"), *arguments],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    run.folder = folder
    return run


def contents(environment: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file of an environment, but for what Python itself compiles."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in environment.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_the_dbt_project_as_the_clone_does(wheel):
    folders = ("dbt_project", "macros", "seeds", "snapshots", "tests/data")
    listed = set(tracked("dbt_project.yml", "profiles.yml", *folders))
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith(PROJECT)}
        assert {name.removeprefix(PROJECT) for name in names} == listed
        for name in names:
            assert archive.read(name) == (ROOT / name.removeprefix(PROJECT)).read_bytes(), name


def test_an_installed_package_does_the_main_job_in_an_empty_folder(environment, trademl):
    version = trademl("--version")
    assert version.stdout == f"trademl, version {metadata.version('trademl')}\n", version.stderr
    before = contents(environment)

    done = trademl("demo")

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "published v" in done.stdout
    _, _, last = done.stdout.partition("open the reports:\n")
    reports = [trademl.folder / line.strip() for line in last.splitlines()]
    assert len(reports) == 3
    assert all("<html" in report.read_text()[:500].lower() for report in reports)
    assert [path.name for path in trademl.folder.iterdir()] == ["data"]
    assert contents(environment) == before
    shown = trademl(
        "shell", "-c", "select count(*) > 0 as has_bars from curated.equities_ohlcv_adj"
    )
    assert "true" in shown.stdout, shown.stderr
