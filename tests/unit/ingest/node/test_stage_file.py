from datetime import date

import pytest

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.node.stage_file import (
    StageRule,
    read_rules,
    read_stage,
    stage_of,
    stage_path,
    tasks_for,
    write_stage,
)
from trademl.errors import ConfigError

TODAY = date(2026, 3, 2)
RULE = StageRule(symbols=3, years={"equities_bars_1d": 5, "equities_bars_1m": 1})


def test_the_stages_are_those_of_the_specification():
    assert [(rule.symbols, rule.years) for rule in read_rules()] == [
        (100, {"equities_bars_1d": 5, "equities_bars_1m": 1}),
        (500, {"equities_bars_1d": 15, "equities_bars_1m": 5}),
    ]


def test_every_dataset_of_a_stage_is_served():
    registry = Registry.of(read_capabilities())
    assert all(registry.max_days(dataset) > 0 for rule in read_rules() for dataset in rule.years)


def test_a_stage_is_read_back_as_it_was_written(tmp_path):
    assert read_stage(tmp_path) is None
    stage = stage_of(0, RULE, ["ON", "BRK.B", "TRUE"], TODAY)
    write_stage(tmp_path, stage)
    assert read_stage(tmp_path) == stage
    assert stage.starts == {
        "equities_bars_1d": date(2021, 3, 2),
        "equities_bars_1m": date(2025, 3, 2),
    }


def test_a_leap_day_has_a_day_years_before_it():
    assert stage_of(0, RULE, ["A"], date(2028, 2, 29)).starts == {
        "equities_bars_1d": date(2023, 2, 28),
        "equities_bars_1m": date(2027, 2, 28),
    }


def test_a_symbol_counts_once():
    assert stage_of(0, RULE, ["A", "B", "A", "C", "B"], TODAY).symbols == ("A", "B", "C")


@pytest.mark.parametrize("symbols", [[], ["A", "B", "C", "D"]])
def test_too_few_and_too_many_symbols_are_refused(symbols):
    with pytest.raises(ConfigError, match=f"takes 1 to 3 symbols, {len(symbols)} were given"):
        stage_of(0, RULE, symbols, TODAY)


def test_a_stages_work_is_every_symbol_of_every_dataset():
    made = list(tasks_for(stage_of(0, RULE, ["A", "B"], TODAY)))
    assert [(work.dataset, work.symbol, work.start.year) for work in made] == [
        ("equities_bars_1d", "A", 2021),
        ("equities_bars_1d", "B", 2021),
        ("equities_bars_1m", "A", 2025),
        ("equities_bars_1m", "B", 2025),
    ]
    assert {(work.kind, work.end) for work in made} == {("BOOTSTRAP", TODAY)}


@pytest.mark.parametrize("text", ["stage: many", "[]", "stage: {", "stage: 0\nsymbols: [ON]\n"])
def test_a_broken_file_is_one_line(tmp_path, text):
    stage_path(tmp_path).parent.mkdir()
    stage_path(tmp_path).write_text(text)
    with pytest.raises(ConfigError, match="is not a file of stages") as caught:
        read_stage(tmp_path)
    assert "\n" not in str(caught.value)
