import numpy as np
import pytest

from trademl.errors import DataError
from trademl.quant.trend import wilder_adx


def bars(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.standard_normal(n) * 0.01))
    return close * (1 + rng.random(n) * 0.01), close * (1 - rng.random(n) * 0.01), close


def adx_by_definition(high, low, close, period):
    """Wilder's worksheet, bar by bar."""
    ranges, ups, downs, strengths, result = [], [], [], [], [np.nan] * len(close)
    tr = up = down = adx = None
    for t in range(1, len(close)):
        ranges.append(max(high[t], close[t - 1]) - min(low[t], close[t - 1]))
        rise, fall = high[t] - high[t - 1], low[t - 1] - low[t]
        ups.append(rise if rise > fall and rise > 0 else 0.0)
        downs.append(fall if fall > rise and fall > 0 else 0.0)
        if t < period:
            continue
        if t == period:
            tr, up, down = sum(ranges), sum(ups), sum(downs)
        else:
            tr += ranges[-1] - tr / period
            up += ups[-1] - up / period
            down += downs[-1] - down / period
        plus, minus = (up / tr, down / tr) if tr > 0 else (0.0, 0.0)
        strengths.append(100 * abs(plus - minus) / (plus + minus) if plus + minus > 0 else 0.0)
        if len(strengths) == period:
            adx = sum(strengths) / period
        elif len(strengths) > period:
            adx = ((period - 1) * adx + strengths[-1]) / period
        result[t] = np.nan if adx is None else adx
    return np.array(result)


@pytest.mark.parametrize("period", [2, 5, 14])
def test_adx_equals_the_worksheet(period):
    high, low, close = bars(200)
    expected = adx_by_definition(high, low, close, period)
    actual = wilder_adx(high, low, close, period)
    np.testing.assert_allclose(actual, expected, rtol=1e-11)
    assert np.isnan(actual[: 2 * period - 1]).all()
    assert not np.isnan(actual[2 * period - 1 :]).any()


def test_a_straight_line_is_all_trend_and_a_flat_one_none():
    up = np.arange(60.0) + 100
    assert wilder_adx(up + 1, up - 1, up)[-1] == pytest.approx(100.0)
    flat = np.full(60, 100.0)
    assert wilder_adx(flat, flat, flat)[-1] == 0.0


def test_a_row_depends_on_the_rows_before_it_only():
    high, low, close = bars(300, 1)
    full = wilder_adx(high, low, close)
    for cut in (1, 27, 28, 29, 150, 299):
        assert wilder_adx(high[:cut], low[:cut], close[:cut]).tobytes() == full[:cut].tobytes()
    matrix = [np.column_stack([x[::-1], x]) for x in (high, low, close)]
    assert np.ascontiguousarray(wilder_adx(*matrix)[:, 1]).tobytes() == full.tobytes()


def test_a_missing_bar_starts_the_recursion_anew():
    high, low, close = bars(120)
    low[60] = np.nan
    actual = wilder_adx(high, low, close)
    assert np.isnan(actual[60:88]).all()
    np.testing.assert_array_equal(actual[61:], wilder_adx(high[61:], low[61:], close[61:]))


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="period"):
        wilder_adx([1.0], [1.0], [1.0], 1)
    with pytest.raises(DataError, match="share a shape"):
        wilder_adx([1.0, 2.0], [1.0], [1.0])
    assert wilder_adx(np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2))).shape == (0, 2)
