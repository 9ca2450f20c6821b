"""Puts the dbt project into the wheel: an installed package builds lakes as a clone does."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT = (
    *("dbt_project.yml", "profiles.yml"),
    *("dbt_project", "macros", "seeds", "snapshots", "tests/data"),
)
"""What dbt reads, as ``dbt_project.yml`` names it; MANIFEST.in takes the same into the sdist."""


class BuildWithProject(build_py):
    """Copies the dbt project to ``trademl/project``; an editable install reads the clone itself."""

    def run(self) -> None:
        """Setuptools' hook."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "trademl", "project")
        # A build folder outlives its build, and dbt would run a model that was deleted since.
        shutil.rmtree(target, ignore_errors=True)
        for name in PROJECT:
            source = Path(name)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(source, target / name, ignore=ignored)
            else:
                shutil.copyfile(source, target / name)


setup(cmdclass={"build_py": BuildWithProject})
