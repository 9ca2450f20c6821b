import numpy as np
import pytest

from models_ml.data.sample_weights import time_decay
from models_ml.profile import load_profile
from models_ml.validation.out_of_fold import row_weights
from tests.support.panels import make_panel

END = np.datetime64("2020-06-30")


def weight_at(days: float, floor: float = 1e-6) -> float:
    dates = np.array([END - np.timedelta64(round(days), "D")])
    return float(time_decay(dates, END, 18.0, floor)[0])


def test_weight_halves_every_18_months() -> None:
    assert weight_at(0) == 1.0
    assert weight_at(18 * 30.4375) == pytest.approx(0.5, abs=1e-3)
    assert weight_at(36 * 30.4375) == pytest.approx(0.25, abs=1e-3)


def test_the_floor_holds_and_recent_rows_are_untouched_by_it() -> None:
    assert weight_at(40 * 365, floor=0.01) == pytest.approx(0.01)
    assert weight_at(30, floor=0.01) == pytest.approx(0.5 ** (30 / 30.4375 / 18))


def test_age_is_counted_from_the_last_row_trained_on() -> None:
    panel, profile = make_panel(), load_profile("equities_xs_demo")
    early = np.flatnonzero(panel.session < 50)
    weights = row_weights(panel, profile, early)
    assert weights[panel.session[early] == 49].tolist() == [1.0] * 20
    assert weights[0] < 1.0
