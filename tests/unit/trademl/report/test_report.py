import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.support.runs import without_drawing
from trademl.report import (
    ChoiceRows,
    ClusterRow,
    ContributionRow,
    CoverageRow,
    DefectRow,
    GateRow,
    HeatMap,
    ReportInputs,
    SolverRow,
    StreamRow,
    SurvivorshipRow,
    WeightRow,
    render_report,
)
from trademl.report.plots import heat_map

EVIL = "<script>alert('x')</script>&\"'"


def make_inputs() -> ReportInputs:
    dates = tuple(date(2020, 1, 1) + timedelta(days=back) for back in range(120))
    rng = np.random.default_rng(1)
    figures = {"Total return": 0.1, "Sharpe ratio": 1.25, "Worst drawdown": -0.2}
    return ReportInputs(
        identity={"Run": "R1", "Profile": "us_equities_long", "Decision date": "2020-04-29"},
        lineage={"trace_id": "abc123", "foundation_hash": "f" * 64},
        primary="hrp",
        dates=dates,
        streams=(
            StreamRow("hrp", rng.normal(0.0, 0.01, 120), figures, is_primary=True),
            StreamRow("max_sharpe", rng.normal(0.0, 0.01, 120), figures),
        ),
        weights=(
            WeightRow("AAA", "LONG", 0.6, 0.6, "C01", "Energy", "strict"),
            WeightRow("BBB", "SHORT", 0.4, -0.4, "C02", None, "spectral"),
        ),
        clusters=(ClusterRow("C01", 0.6, 0.6, 1, "AAA"), ClusterRow("C02", 0.4, 0.6, 1, "BBB")),
        gates=(
            GateRow("Fresh data", "session X", "session X", "pass"),
            GateRow("Cluster cap", "25%", "60%", "warn"),
        ),
        solvers=(SolverRow("hrp", "hrp", 12.0, 12.0, 1.9, ("moved onto the caps",)),),
        funnel={"universe": 10, "winners": 2},
        vetoes={"soft momentum": 3},
        regime={"Regime": "Normal"},
        coverage=(CoverageRow("curated/equities_ohlcv_adj", 2019, 100, 98, 1, 1),),
        survivorship=(SurvivorshipRow("SP500", date(2019, 1, 2), 500, 380),),
        disclosures=("In sample.",),
        choice=ChoiceRows(
            symbols=("AAA", "BBB"),
            ranking=(
                ContributionRow("model_score", "6, rank", 1.25, (1.75, 0.75)),
                ContributionRow("survival", "1.4, cdf", -1e-9, (0.0, -0.004)),
                ContributionRow("sum", "", 1.5, (2.0, 1.0)),
            ),
            model=(ContributionRow("feat_mom_60", "", -0.0123, (0.004, -0.0286)),),
            entered=("BBB",),
            displaced=("CCC", "DDD"),
            is_model_ranked=True,
        ),
        model={
            "model_id": "m7",
            "score": {"ic": 0.0312, "sharpe_ann": 0.9, "path_sharpe_ann": [0.5, 1.5]},
            "overfitting": {"dsr": 0.81, "pbo": None, "n_trials": 8},
            "controls": [
                {
                    "name": "shuffled_labels",
                    "ic": 0.002,
                    "passed": True,
                    "floor": None,
                    "offending": 0,
                    "sees": "rows tested in sample",
                    "blind_to": "the future in a feature",
                }
            ],
        },
        defects=(DefectRow("d1", "toxic_spike", "AAA", "2020-02-03", "+600 %", "quarantine"),),
        is_simulated=True,
    )


class Checker(HTMLParser):
    """Collects tags and whatever could load something from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data", "poster") and value:
                self.references.append(value)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    return checker


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = render_report(make_inputs())
    found = parse(page)
    assert not {"script", "link", "iframe", "img", "object", "embed", "audio"} & set(found.tags)
    assert all(reference.startswith(("#", "data:")) for reference in found.references)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", page)
    assert found.tags.count("svg") == 5


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert render_report(make_inputs()) == render_report(make_inputs())


def test_the_page_says_what_it_was_given() -> None:
    page = " ".join(" ".join(parse(render_report(make_inputs())).text).split())
    for said in (
        "us_equities_long",
        "The market is simulated.",
        "+60.00%",
        "−40.00%",
        "1 of 2",
        "0.0312",
        "0.50 to 1.50",
        "shuffled labels",
        "ic 0.002",
        "rows tested in sample",
        "the future in a feature",
        "+600 %",
        "quarantine",
        "380 of 500",
        "abc123",
        "In sample.",
        "soft momentum 3",
        "Without the model's score 1 of the 2 names would not be here: BBB . "
        "Chosen instead would be: CCC, DDD .",
        "model score 6, rank +1.25 +1.75 +0.75",
        "survival 1.4, cdf +0.00 +0.00 +0.00",
        "mom 60 −0.0123 +0.0040 −0.0286",
    ):
        assert said in page, said


def test_all_text_is_escaped() -> None:
    inputs = make_inputs()
    evil = replace(
        inputs,
        identity={"Run": EVIL, "Profile": EVIL},
        weights=(WeightRow(EVIL, "LONG", 1.0, 1.0, EVIL, EVIL, EVIL),),
        clusters=(ClusterRow(EVIL, 1.0, 1.0, 1, EVIL),),
        gates=(GateRow(EVIL, EVIL, EVIL, "pass"),),
        solvers=(SolverRow(EVIL, EVIL, 1.0, 1.0, 1.0, (EVIL,)),),
        defects=(DefectRow(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL),),
        coverage=(CoverageRow(EVIL, 2019, 1, 1, 0, 0),),
        disclosures=(EVIL,),
        lineage={EVIL: EVIL},
        choice=ChoiceRows(
            (EVIL,),
            (ContributionRow(EVIL, EVIL, 0.0, (0.0,)),),
            (ContributionRow(EVIL, EVIL, 0.0, (0.0,)),),
            (EVIL,),
            (EVIL,),
            is_model_ranked=True,
        ),
        model={"model_id": EVIL, "controls": [{"name": EVIL, "note": EVIL}], "disclosures": [EVIL]},
    )
    page = render_report(evil)
    assert "<script" not in page
    assert "script" not in parse(page).tags
    assert EVIL in parse(page).text


def test_sections_without_data_are_absent() -> None:
    inputs = make_inputs()
    bare = replace(
        inputs, coverage=(), survivorship=(), model=None, defects=None, is_simulated=False
    )
    page = render_report(bare)
    assert "simulated" not in page
    assert "Planted defects" not in page
    assert "ranks without a trained model" in page
    assert parse(page).tags.count("svg") == 4


def test_the_page_says_where_a_model_changed_nothing_or_was_not_asked() -> None:
    inputs = make_inputs()
    assert inputs.choice is not None
    agreed = replace(inputs.choice, entered=(), displaced=())
    unasked = replace(agreed, model=(), is_model_ranked=False)
    with without_drawing():
        same, none, absent = (
            render_report(replace(inputs, choice=choice)) for choice in (agreed, unasked, None)
        )
    assert "Without the model's score the same names would be chosen." in same
    assert "No model's score was ranked" in none
    assert "TreeSHAP" in same
    assert "TreeSHAP" not in none
    assert "Why these names" not in absent


def test_an_uncaught_defect_is_said_to_be_one() -> None:
    lost = replace(make_inputs(), defects=(DefectRow("d", "gap", "A", "2020-01-01", "gone", ""),))
    assert "not caught" in render_report(lost)


def test_dollar_signs_are_text_and_not_mathematics() -> None:
    inputs = replace(
        make_inputs(), weights=(WeightRow("$\\frac{", "LONG", 1.0, 1.0, "C", None, "x"),)
    )
    assert "$\\frac{" in render_report(inputs)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40)])
def test_heat_maps_of_any_shape_draw(shape: tuple[int, int]) -> None:
    rows, columns = (tuple(f"n{k}" for k in range(size)) for size in shape)
    values = np.full(shape, np.nan)
    assert heat_map(HeatMap("map", rows, columns, values, 0.0, 1.0)).startswith("<svg")
