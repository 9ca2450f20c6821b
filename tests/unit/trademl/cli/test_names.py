"""Names are completed by the shell, and a mistyped one is told with the nearest, at once."""

import subprocess
import sys

import pytest
from click.shell_completion import BashComplete

import trademl.cli
from trademl.errors import unknown_name

HEAVY = {"lightgbm", "cvxpy", "matplotlib", "mlflow", "pandas", "dbt", "ibis", "onnx"}
"""Packages that take a good part of a second, or more, to import."""


@pytest.fixture
def complete(monkeypatch, tmp_path):
    """What the shell is offered for the last word of a line."""
    monkeypatch.setenv("TRADEML_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    shell = BashComplete(trademl.cli.cli, {}, "trademl", "_TRADEML_COMPLETE")

    def complete(*words):
        *before, last = words
        return [item.value for item in shell.get_completions(list(before), last)]

    return complete


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("val",), ["validate"]),
        (("alpha", "--profile", "us_"), ["us_equities_long", "us_equities_short"]),
        (("train", "eq"), ["equities_xs"]),
        (("train", "equities_xs", "--profile", ""), ["equities_xs", "equities_xs_demo"]),
        (("discover", "--scanner", "us_equities_momentum_l"), ["us_equities_momentum_long"]),
        (("stage", "show", "alpha.c"), ["alpha.clustering"]),
        (("setup", "node", "--profile", "lo"), ["local"]),
        (("ingest", "run", "--vendor", "alp"), ["alpaca", "alphavantage"]),
        (("ingest", "run", "--vendor", "alpaca", "--dataset", "equities_bars_1"), [
            "equities_bars_1d", "equities_bars_1m",
        ]),
        (("ingest", "run", "--vendor", "alpca", "--dataset", ""), []),
        (("audit", "gaps", "--tables", "reference/d"), ["reference/delistings"]),
        (("ingest", "run", "--dat"), ["--dataset", "--data"]),
    ],
)  # fmt: skip
def test_names_are_completed(complete, words, offered):
    assert complete(*words) == offered


def test_what_a_data_directory_holds_is_completed(complete, tmp_path):
    for name in ("v000007", "v000012"):
        pointer = tmp_path / "data" / "lakehouse" / "published" / f"{name}.json"
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text('{"catalog": "c", "as_of": "2024-01-02T13:00:00Z", "snapshot_id": 7}')
    for name in (
        "models/equities_xs/a1",
        "models/equities_xs/.a2.tmp",
        "runs/today",
        "runs/.x.tmp",
    ):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "other" / "runs" / "elsewhere").mkdir(parents=True)
    assert complete("shell", "--version", "v00001") == ["v000012"]
    assert complete("train", "equities_xs", "--version", "") == ["v000007", "v000012"]
    assert complete("alpha", "--model-id", "") == ["a1"]
    assert complete("validate", "--run-id", "") == ["today"]
    assert complete("validate", "--data", str(tmp_path / "other"), "--run-id", "") == ["elsewhere"]


def test_a_broken_data_directory_completes_nothing(complete, tmp_path):
    pointer = tmp_path / "data" / "lakehouse" / "published" / "v000001.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("torn")
    assert complete("shell", "--version", "") == []


MISTYPED = {
    "alpha --run-id x --profile us_equites_long": "did you mean 'us_equities_long'?",
    "train equites_xs": "did you mean 'equities_xs'?",
    "train equities_xs --profile equities_xs_dmo": "did you mean 'equities_xs_demo'?",
    "discover --run-id x --scanner us_equity_momentum_long": "'us_equities_momentum_long'?",
    "ingest run --vendor alpca --dataset assets": "did you mean 'alpaca'?",
    "ingest run --vendor alpaca --dataset equity_bars_1d": "did you mean 'equities_bars_1d'?",
    "stage show alpha.inferense": "did you mean 'alpha.inference'?",
    "audit gaps --tables curated/equities_ohlcv": "did you mean 'curated/equities_ohlcv_adj'?",
    "validate --run-id tody": "did you mean 'today'?",
    "buidl": "Did you mean 'build'?",
    "ingest rnu": "Did you mean 'run'?",
    "alpha --run-idd x": "Did you mean '--run-id'?",
}

PROBE = """
import sys
from trademl.cli import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("line", MISTYPED)
def test_a_mistyped_name_is_told_with_the_nearest_before_anything_heavy_loads(line, tmp_path):
    (tmp_path / "data" / "runs" / "today").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *line.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert MISTYPED[line] in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert HEAVY.isdisjoint(done.stdout.split())
    assert not (tmp_path / "data" / "logs").exists()


def test_a_name_like_none_is_told_with_all_there_are():
    said = unknown_name("tea", "a profile", ["b", "a"], ", or a file")
    assert said == "'tea' is not a profile; there are: a, b, or a file"
    assert unknown_name("tea", "a run", []).endswith("there are: none")


def test_a_long_list_is_cut():
    said = unknown_name("v050", "a version", [f"v{n:06d}" for n in range(100)])
    assert said.endswith("There are: v000000, v000001, v000002, ..., v000097, v000098, v000099")
