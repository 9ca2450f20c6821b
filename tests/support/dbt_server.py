"""dbt runs in forked processes: a run costs neither dbt's imports nor the parsing of the project.

The server is a process of its own without threads, because a fork copies only one. It is run as
``python -m tests.support.dbt_server FOLDER``, where FOLDER keeps the parsed project for the next
server, reads one request a line, JSON, from stdin and answers with the run's exit code. ``run_dbt``
starts it and asks it. What dbt does is what a process of its own does: the same command line on
the same manifest, with an environment of its own.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.support.paths import PROJECT_ROOT

PARSED = PROJECT_ROOT / "target" / "tests" / "dbt"
"""Where the parsed project is kept."""
WARM = (
    "dbt.task.build",
    "dbt.task.test",
    "trademl.lake.dbt_plugin",
    "trademl.quant",
    "pandas",
    "pyarrow",
)
"""What a run imports, so that a fork has it already."""
_one_at_a_time = threading.Lock()


def run_dbt(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs ``dbt *arguments`` in the project's folder, in a fork of this process's server."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        request = {"arguments": list(arguments), "env": dict(environment), "folder": folder}
        with _one_at_a_time:
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            answer = server.stdout.readline()
        assert answer, "the dbt server has ended"
        said, errors = (Path(folder, name).read_text() for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(list(arguments), int(answer), said, errors)


@functools.cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.dbt_server", str(PARSED)],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    assert server.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        server.stdin.close()
    server.wait()


def parse_once(data_dir: Path) -> None:
    """A dbt process of its own need not parse the project for this data directory either."""
    _server()
    target = data_dir / "logs" / "dbt"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(PARSED / "partial_parse.msgpack", target)


def serve(folder: Path) -> None:
    """Answers requests until stdin ends."""
    manifest = parsed(folder)
    for module in WARM:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    # Whatever dbt says of its own accord is not taken for an answer.
    os.dup2(2, 1)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become_dbt(manifest, json.loads(line))
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def parsed(folder: Path) -> Any:
    """The project's manifest; what did not change since the last server is not parsed again."""
    from dbt.cli.main import dbtRunner

    folder.mkdir(parents=True, exist_ok=True)
    # What one data directory or one clock leaves in the manifest would be of use to no other.
    for name in ("TRADEML_DATA", "TRADEML_CLOCK"):
        os.environ.pop(name, None)
    with FileLock(folder / "lock"):
        command = ["parse", "--quiet", "--target-path", str(folder), "--log-path", str(folder)]
        done = dbtRunner().invoke(command)
    if not done.success:
        raise SystemExit(f"dbt parse failed: {done.exception}")
    return done.result


def _become_dbt(manifest: Any, request: dict[str, Any]) -> None:
    """Runs dbt as ``python -m dbt.cli.main`` does, and ends the process."""
    code = 1
    try:
        for number, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(Path(request["folder"], name), os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(file, number)
        os.environ.clear()
        os.environ.update(request["env"])
        from dbt.cli.main import cli

        # With variables or a project of its own it parses anew: what there is may hang on them.
        is_other = any(arg.startswith(("--vars", "--project-dir")) for arg in request["arguments"])
        given = {} if is_other else {"manifest": manifest}
        # The parser's threads, where the server has used them, did not come along into the fork.
        os.environ["DBT_STATIC_PARSER"] = "false"
        cli.main(request["arguments"], obj={**given, "callbacks": []})
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
