import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trademl.cli.demo import profiles_of
from trademl.cli.demo_summary import (
    Sleeve,
    held_both_ways,
    require_selection,
    summary_lines,
    write_summary,
)
from trademl.errors import GateFailed


def sleeve(profile: str, weights: dict[str, float], **changes: object) -> Sleeve:
    fields = {
        "asset_class": "equity",
        "eligible": 24,
        "winners": 6,
        "entered": ("FUKA",),
        "displaced": ("CACU",),
        "report": Path("data/runs/R/reports/report.html"),
    } | changes
    return Sleeve(profile=profile, run_id="R", weights=tuple(weights.items()), **fields)


LONG = sleeve("us_equities_long", {"DIJU": 0.5, "RULU": 0.10})
SHORT = sleeve("us_equities_short", {"HEKE": -0.5, "RULU": -0.0934})


def test_a_name_that_is_long_here_and_short_there_is_told_with_weights_and_net() -> None:
    (row,) = held_both_ways([LONG, SHORT])
    assert row.symbol == "RULU"
    assert row.longs == (("us_equities_long", 0.10),)
    assert row.shorts == (("us_equities_short", -0.0934),)
    assert row.net == pytest.approx(0.0066)
    assert row.line() == (
        "RULU: +10.00% in us_equities_long, -9.34% in us_equities_short, net +0.66%"
    )
    assert f"  {row.line()}" in summary_lines([LONG, SHORT])


def test_one_ticker_of_two_asset_classes_is_two_names() -> None:
    coin = sleeve("crypto_long", {"HEKE": 0.3}, asset_class="crypto", entered=None, displaced=None)
    assert held_both_ways([SHORT, coin]) == ()
    lines = summary_lines([SHORT, coin])
    assert lines[-1] == "no name is held in both directions"
    assert lines[1] == "crypto_long chose 6 of 24 eligible names, without a model"


def test_one_direction_in_several_sleeves_and_weights_of_zero_are_no_news() -> None:
    other = sleeve("us_equities_low_risk", {"DIJU": 0.2, "HEKE": 0.0})
    assert held_both_ways([LONG, other]) == ()
    assert held_both_ways([SHORT, other]) == ()


def test_the_summary_says_what_the_model_changed() -> None:
    assert summary_lines([LONG])[0] == (
        "us_equities_long chose 6 of 24 eligible names; because of the model FUKA instead of CACU"
    )
    same = sleeve("a", {"DIJU": 1.0}, entered=(), displaced=())
    assert summary_lines([same])[0].endswith("; without the model the same")


def test_the_data_behind_the_summary_lies_beside_the_runs(tmp_path: Path) -> None:
    report = tmp_path / "runs" / "R" / "reports" / "report.html"
    sleeves = [
        sleeve("us_equities_long", {"RULU": 0.10}, report=report),
        sleeve("us_equities_short", {"RULU": -0.0934}, report=report),
    ]
    content = json.loads(write_summary(tmp_path, "v000007", sleeves).read_text())
    assert content["version"] == "v000007"
    assert content["held_both_ways"] == [
        {
            "asset_class": "equity",
            "symbol": "RULU",
            "longs": {"us_equities_long": 0.10},
            "shorts": {"us_equities_short": -0.0934},
            "net": pytest.approx(0.0066),
        }
    ]
    first = content["sleeves"][0]
    assert (first["eligible"], first["winners"], first["weights"]) == (24, 6, {"RULU": 0.10})
    assert first["report"] == "runs/R/reports/report.html"


def test_a_sleeve_that_takes_nearly_all_does_not_pass_for_a_choice() -> None:
    require_selection([LONG, SHORT])
    with pytest.raises(GateFailed, match="us_equities_long chose 20 of 21 eligible names"):
        require_selection([sleeve("us_equities_long", {}, eligible=21, winners=20)])
    with pytest.raises(GateFailed, match="chose 6 of 23"):
        require_selection([sleeve("us_equities_short", {}, eligible=23)])


def test_small_markets_get_the_profiles_of_few_winners(tmp_path: Path) -> None:
    def write(table: str, names: int) -> None:
        symbols = [f"S{number}" for number in range(names)] * 2
        pq.write_table(pa.table({"symbol": symbols}), tmp_path / f"{table}_daily.parquet")

    write("equities", 199)
    assert profiles_of(tmp_path) == ["us_equities_long_demo", "us_equities_short_demo"]
    write("equities", 200)
    write("crypto", 24)
    assert profiles_of(tmp_path) == ["us_equities_long", "us_equities_short", "crypto_long_demo"]
