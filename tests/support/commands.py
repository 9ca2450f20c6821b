"""The command line in processes of its own, so that it can be starved, deceived and killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lakes import dbt_environment
from tests.support.paths import PROJECT_ROOT
from trademl.clock import parse_clock

PLANTED_KEY = "planted-0b5e55ed-5ec4e7"
"""The secret that every command is given and that no file and no message may show."""


def environment(data_dir: Path, clock: str) -> dict[str, str]:
    """What the commands run with: a planted key among it."""
    keys = {"APCA_API_KEY_ID": "tester", "APCA_API_SECRET_KEY": PLANTED_KEY}
    return dbt_environment(data_dir, parse_clock(clock)) | keys


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "trademl.cli", *arguments]


def run(data_dir: Path, clock: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs ``trademl ...`` to its end; what it wrote must not show the planted key."""
    done = subprocess.run(
        command(*arguments),
        cwd=PROJECT_ROOT,
        env=environment(data_dir, clock),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert_no_key(data_dir, done)
    return done


def assert_no_key(data_dir: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert PLANTED_KEY not in done.stdout + done.stderr
    if data_dir.is_dir():
        shown = [
            path
            for path in data_dir.rglob("*")
            if path.is_file() and PLANTED_KEY.encode() in path.read_bytes()
        ]
        assert shown == []


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    """The command ended with this code and one line on stderr that says what happened."""
    assert done.returncode == code, done
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for said in says:
        assert said in lines[0], lines[0]


def run_killed(
    argv: list[str],
    env: dict[str, str],
    seconds: float,
    *,
    whole_group: bool,
    reached: Callable[[], bool] = lambda: False,
) -> bool:
    """Starts a command that says ``ready`` or nothing, kills it; tells whether it was alive.

    Args:
        argv: The command.
        env: Its environment.
        seconds: When to kill it, counted from its start.
        reached: When to kill it earlier: as soon as this holds, asked all the time.
        whole_group: Kill its children with it, as a power cut does, or leave them behind.
    """
    child = subprocess.Popen(
        argv,
        cwd=PROJECT_ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + seconds
    while child.poll() is None:
        if time.monotonic() >= deadline or reached():
            (os.killpg if whole_group else os.kill)(child.pid, signal.SIGKILL)
            child.wait()
            return True
        time.sleep(0.01)
    return False


def moments(count: int, seconds: float, *, first: float = 0.0, seed: int = 5) -> list[float]:
    """Random moments of a command's life, one in each of ``count`` equal parts of it."""
    draw = random.Random(seed)
    step = (seconds - first) / count
    return [first + (part + draw.random()) * step for part in range(count)]


def seconds_of(argv: list[str], env: dict[str, str]) -> float:
    """How long the command takes when nothing disturbs it."""
    begun = time.monotonic()
    done = subprocess.run(
        argv, cwd=PROJECT_ROOT, env=env, check=False, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


def in_namespace(script, *arguments):
    """Runs a shell script in a mount namespace of its own, or skips where that is not allowed."""
    shell = ["unshare", "--mount", "sh", "-ec"]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here: a small file system of its own cannot be made")
    probe = "mount -t tmpfs tmpfs /mnt"
    if subprocess.run([*shell, probe], capture_output=True, check=False).returncode:
        pytest.skip("mounting in a private namespace is not allowed here")
    return subprocess.run(
        [*shell, script, "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT_ROOT,
    )
