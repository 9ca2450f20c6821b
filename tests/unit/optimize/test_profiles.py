from pathlib import Path

import pytest

from optimize.profiles import demo_profile_names, load_profile, profile_names
from trademl.errors import ConfigError


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


MINIMAL = "name: mine\nasset_class: equity\ndirection: LONG\n"


def test_the_packaged_profiles_load_and_differ_where_they_should() -> None:
    assert {"crypto_long", "us_equities_long", "us_equities_short"} <= set(profile_names())
    for name in [*profile_names(), *demo_profile_names()]:
        assert load_profile(name).name == name
    long, short, crypto = (
        load_profile(name) for name in ("us_equities_long", "us_equities_short", "crypto_long")
    )
    assert (long.direction, short.direction, crypto.direction) == ("LONG", "SHORT", "LONG")
    assert short.features.feat_short_direction
    assert not long.features.feat_short_direction
    assert (long.data.calendar, crypto.data.calendar) == ("XNYS", None)
    assert (long.optimizer.periods_per_year, crypto.optimizer.periods_per_year) == (252, 365)
    assert long.model.required
    assert not crypto.model.required
    assert {profile.risk.cluster_cap for profile in (long, short, crypto)} == {0.25}
    assert long.ranking["momentum"].weight == 1.7469


def test_the_demos_profiles_trade_the_same_and_take_fewer_names() -> None:
    assert demo_profile_names() == [
        "crypto_long_demo",
        "us_equities_long_demo",
        "us_equities_short_demo",
    ]
    for name in demo_profile_names():
        few, standard = load_profile(name), load_profile(name.removesuffix("_demo"))
        assert few.direction == standard.direction
        assert few.data == standard.data
        assert few.selection.hard == standard.selection.hard
        assert few.model == standard.model
        assert few.selection.max_winners <= 6
        assert few.risk.name_cap * few.selection.max_winners > 1.0


def test_a_profile_file_overrides_single_keys_of_the_defaults(tmp_path: Path) -> None:
    text = MINIMAL + "selection:\n  top_n: 5\nrisk: {cluster_cap: 0.3}\n"
    found = load_profile(write(tmp_path / "mine.yml", text))
    assert (found.selection.top_n, found.selection.target) == (5, 15)
    assert (found.risk.cluster_cap, found.risk.name_cap) == (0.3, 0.10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("risk: {cluster_cap: 1.7}", "risk.cluster_cap = 1.7"),
        ("risk: {cluster_kap: 0.2}", "risk.cluster_kap = 0.2: unknown key"),
        ("risk: 7", "risk = 7"),
        ("selection: {top_n: many}", "selection.top_n = 'many'"),
        ("selection: {target: 40}", "target 40 exceeds max_winners 25"),
        ("data: {min_days_floor: 900}", "min_days_floor 900 exceeds lookback_days 500"),
        ("data: {calendar: null}", "asset_class equity needs data.calendar"),
        ("ranking: {sentiment: {method: rank, weight: 1.0}}", "ranking.sentiment is not"),
        ("ranking: {momentum: {method: guess, weight: 1.0}}", "ranking.momentum.method"),
        ("optimizer: {primary: barbell}", "optimizer.primary = 'barbell'"),
        ("optimizer: {profiles: [min_variance]}", "primary 'hrp' is not among"),
        ("model: {required: true}", "model.required needs model.name"),
        ("risk: {name_cap: .nan}", "risk.name_cap"),
        ("risk: {cluster_cap: true}", "risk.cluster_cap = True"),
        ('risk: {cluster_cap: "0.2"}', "risk.cluster_cap = '0.2'"),
        ("selection: {soft: {random_walk_zone: [0.9, 0.1]}}", "random_walk_zone's beginning 0.9"),
        ("selection: {soft: {random_walk_zone: [true, 1.0]}}", "random_walk_zone.0 = True"),
        ("data: {max_abs_return: 1000000}", "data.max_abs_return = 1000000"),
        ("data: {warn_abs_return: 5.5}", "warn_abs_return 5.5 must be below max_abs_return 5"),
        ("data: {toxic_reasons: []}", "data.toxic_reasons = []"),
        ("selection: {hard: {roc_max: -1, roc_min: 5}}", "selection.hard.roc_max = -1"),
        ("selection: {hard: {kurtosis_max: -5}}", "selection.hard.kurtosis_max = -5"),
        ("selection: {hard: {volatility_min: 3.0}}", "volatility_min 3 must be below"),
        ("optimizer: {profiles: [hrp, hrp]}", "names a portfolio twice"),
        ("optimizer: {periods_per_year: 1000000}", "optimizer.periods_per_year = 1000000"),
    ],
)
def test_garbage_is_one_line_that_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "mine.yml", MINIMAL + text + "\n")
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert message.startswith("profile mine.yml: ")


def test_a_ranking_of_zero_weights_ranks_nothing(tmp_path: Path) -> None:
    ranking = load_profile("us_equities_long").ranking
    zeros = "".join(f"  {name}: {{weight: 0.0}}\n" for name in ranking)
    with pytest.raises(ConfigError, match="ranking has no feature with a weight above 0"):
        load_profile(write(tmp_path / "mine.yml", MINIMAL + "ranking:\n" + zeros))


@pytest.mark.parametrize(
    "text", ["- a\n- b\n", "just words", "a: [1, 2", "\x00", "", "a: 1\na: : 2"]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(write(tmp_path / "broken.yml", text))
    assert "broken.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binary_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.yml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match=r"binary\.yml is not readable"):
        load_profile(str(path))


def test_a_short_profile_needs_its_flag(tmp_path: Path) -> None:
    text = MINIMAL.replace("LONG", "SHORT")
    with pytest.raises(ConfigError, match="feat_short_direction"):
        load_profile(write(tmp_path / "short.yml", text))


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="crypto_long, us_equities_long"):
        load_profile("us_equities_lnog")
    with pytest.raises(ConfigError, match=r"'\.\./defaults' is not a profile"):
        load_profile("../defaults")
    with pytest.raises(ConfigError, match="does not exist"):
        load_profile("nowhere/at_all.yml")
