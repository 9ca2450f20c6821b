"""The nightly dbt build as a call, with a lock, a clock and one line per failure."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from trademl.clock import iso
from trademl.errors import DataError, GateFailed
from trademl.lake import versions as lake

# Of what dbt said, so much is repeated: room for two long paths.
MESSAGE_CHARS = 1000
LOOK_SECONDS = 0.5
END_SECONDS = 10


def build_lake(
    data_dir: Path,
    clock: datetime,
    *,
    full_refresh: bool = False,
    is_stopping: Callable[[], bool] = lambda: False,
) -> lake.Version:
    """Runs dbt on the whole of flow_data and returns the newest published version.

    Args:
        data_dir: The data directory.
        clock: The knowledge time of the build.
        full_refresh: Drop and rebuild every incremental table.
        is_stopping: Whether to end the build; asked twice a second.

    Raises:
        ConfigError: The lake has been built as of a later time, or its path cannot be used.
        GateFailed: A model or a test failed; nothing was published.
        DataError: The data directory cannot be written, dbt could not start, or it was ended.
    """
    data_dir = data_dir.resolve()
    lake.check_data_dir(data_dir)
    if not full_refresh:
        lake.check_clock(data_dir, clock)
    log_dir = data_dir / "logs"
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        with _build_lock(data_dir, is_stopping) as lock:
            done = _run_dbt(data_dir, log_dir, clock, full_refresh, lock, is_stopping)
    except OSError as error:
        raise DataError(f"{data_dir} cannot be written: {error.strerror}") from error
    if done.returncode:
        raise _failure(done, log_dir)
    return lake.find_version(data_dir)


@contextmanager
def _build_lock(data_dir: Path, is_stopping: Callable[[], bool]) -> Iterator[int]:
    """Waits for a build that is running, and gives the lock's file descriptor.

    dbt inherits it: when this process is killed, the lock stays until dbt has ended too.
    """
    with (data_dir / "build.lock").open("w") as file:
        while not _is_locked(file.fileno()):
            _check_stop(is_stopping)
            time.sleep(LOOK_SECONDS)
        yield file.fileno()


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_stop(is_stopping: Callable[[], bool]) -> None:
    if is_stopping():
        raise DataError("the build was stopped; nothing was published, the next one goes on")


def _run_dbt(
    data_dir: Path,
    log_dir: Path,
    clock: datetime,
    full_refresh: bool,
    lock: int,
    is_stopping: Callable[[], bool],
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dbt.cli.main", "build", "--select", "flow_data"]
    command += ["--target-path", str(log_dir / "dbt"), "--log-path", str(log_dir)]
    command += ["--full-refresh"] if full_refresh else []
    (log_dir / "dbt" / "run_results.json").unlink(missing_ok=True)
    with subprocess.Popen(
        command,
        cwd=lake.PROJECT_ROOT,
        env={**os.environ, "TRADEML_DATA": str(data_dir), "TRADEML_CLOCK": iso(clock)},
        pass_fds=(lock,),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as dbt:
        try:
            return _until_done(dbt, is_stopping)
        except BaseException:
            _end(dbt)
            raise


def _until_done(
    dbt: subprocess.Popen[str], is_stopping: Callable[[], bool]
) -> subprocess.CompletedProcess[str]:
    while True:
        try:
            output, errors = dbt.communicate(timeout=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            _check_stop(is_stopping)
        else:
            return subprocess.CompletedProcess(dbt.args, dbt.returncode, output, errors)


def _end(dbt: subprocess.Popen[str]) -> None:
    """Ends dbt; it is killed where it does not."""
    dbt.terminate()
    try:
        dbt.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        dbt.kill()


def _failure(done: subprocess.CompletedProcess[str], log_dir: Path) -> DataError:
    """Names the first node that failed and what it said."""
    log = log_dir / "dbt.log"
    for result in _results(log_dir / "dbt" / "run_results.json"):
        if result["status"] in ("error", "fail"):
            name = result["unique_id"].split(".")[2]
            message = " ".join((result["message"] or "").split())[:MESSAGE_CHARS]
            return GateFailed(f"{name}: {message}; nothing was published (see {log})")
    lines = [line.strip() for line in (done.stdout or done.stderr).splitlines() if line.strip()]
    # A full disk shows in the middle of a long traceback.
    message = next((line for line in lines if "No space left" in line), lines[-1] if lines else "")
    return DataError(
        f"dbt could not build: {message[:MESSAGE_CHARS]}; nothing was published (see {log})"
    )


def _results(path: Path) -> list[dict[str, Any]]:
    """What dbt says of every node; nothing where it could not write that down."""
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text())["results"]
    except (OSError, ValueError):
        return []
    return results
