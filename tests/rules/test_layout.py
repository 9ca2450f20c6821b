"""Where tests lie: unit tests as the packages do, what tests share under tests/support."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import PROJECT_ROOT


def without_a_package(root: Path) -> list[str]:
    """Folders of unit tests that are not called like a package of the project."""
    unit = root / "tests" / "unit"
    folders = (path.parent.relative_to(unit) for path in sorted(unit.rglob("*.py")))
    return sorted(
        {str(folder) for folder in folders if not (root / folder / "__init__.py").is_file()} - {"."}
    )


def borrowed_from_tests(root: Path) -> list[str]:
    """Imports of a module that holds tests, or of a conftest."""
    return [
        f"{path.relative_to(root)} imports {module}"
        for path in sorted((root / "tests").rglob("*.py"))
        for module in imported(path)
        if module.startswith("tests.")
        and any(part.startswith("test_") or part == "conftest" for part in module.split("."))
    ]


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, and every name that could be one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_folder_of_unit_tests_mirrors_a_package():
    assert without_a_package(PROJECT_ROOT) == []


def test_no_test_imports_another_test():
    assert borrowed_from_tests(PROJECT_ROOT) == []


def made(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_folder_without_a_package_is_named(tmp_path):
    (tmp_path / "box" / "lid").mkdir(parents=True)
    (tmp_path / "box" / "__init__.py").touch()
    made(tmp_path, tests__unit__box__test_a="", tests__unit__box__lid__test_b="")
    assert without_a_package(tmp_path) == ["box/lid"]


@pytest.mark.parametrize(
    "line",
    [
        "from tests.unit.test_b import rows",
        "from tests.unit import test_b",
        "import tests.unit.test_b",
        "def f():\n    from tests.unit.conftest import rows",
    ],
)
def test_an_import_of_a_test_is_named(tmp_path, line):
    root = made(tmp_path, tests__unit__test_a=line, tests__unit__test_c="import tests.support.b")
    (found,) = borrowed_from_tests(root)
    assert found.startswith("tests/unit/test_a.py imports tests.unit.")
