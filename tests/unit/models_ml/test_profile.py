from pathlib import Path
from typing import Any

import pytest
import yaml

from models_ml.profile import PROFILES, disclosures, load_profile, parse_profile
from trademl.errors import ConfigError


def shipped(name: str) -> dict[str, Any]:
    content = yaml.safe_load((PROFILES / f"{name}.yml").read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yml")))
def test_shipped_profiles_load_and_try_eight_configurations(name: str) -> None:
    profile = load_profile(name)
    assert len(profile.trials.grid) >= 8
    assert profile.validation.min_group_sessions == 126
    assert profile.validation.embargo_sessions == 10


def test_full_profile_keeps_the_standard_budget_and_the_seed_gates() -> None:
    profile = load_profile("equities_xs")
    assert profile.gates is None
    assert (profile.controls.max_abs_ic, profile.controls.on_failure) == (0.02, "refuse")
    assert (profile.universe.min_names, profile.universe.min_depth) == (0.8, 0.5)
    bounds = profile.controls.plausible
    assert (bounds.max_ic, bounds.min_kept) == (0.2, 0.3)
    said = " | ".join(disclosures(profile))
    assert "a rank IC up to 0.2 is plausible" in said
    assert "Grinold and Kahn" in said
    assert "trees" not in said
    assert "leaves" not in said
    assert "one session in 5" in said
    assert "train without rows that weigh below 0.01 (older than 10.0 years)" in said


def test_demo_profile_says_where_it_does_less() -> None:
    said = " | ".join(disclosures(load_profile("equities_xs_demo")))
    assert "trials have 40 trees, fewer than the standard 200" in said
    assert "gates differ from the seed: the simulated market has six years" in said


def broken(**changes: Any) -> dict[str, Any]:
    return shipped("equities_xs_demo") | changes


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (broken(trees="many"), "trees"),
        (broken(treees=3), "treees"),
        ({k: v for k, v in broken().items() if k != "label"}, "label"),
        (broken(label={"horizon": 7, "target": "rank"}), "label.horizon"),
        (broken(weights={"half_life_months": -1}), "weights.half_life_months"),
        (broken(trials=broken()["trials"] | {"grid": broken()["trials"]["grid"][:7]}), "grid"),
        (broken(trials=broken()["trials"] | {"session_stride": 3}), "session_stride 3 must"),
        (broken(lightgbm={"num_threads": 8}), "num_threads"),
        (broken(lightgbm={"use_quantized_grad": True}), "use_quantized_grad"),
        (broken(controls=broken()["controls"] | {"max_abs_ic": float("nan")}), "max_abs_ic"),
        (
            broken(controls=broken()["controls"] | {"plausible": {"max_ic": 2.0}}),
            "plausible.max_ic",
        ),
        (broken(universe={"min_names": 0}), "universe.min_names"),
        (broken(features=[]), "features"),
        (["a", "list"], "a mapping of keys is needed, got list"),
        (None, "a mapping of keys is needed, got NoneType"),
    ],
)
def test_a_wrong_key_is_named_in_one_line(content: Any, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile(content, "mine.yml")
    message = str(caught.value)
    assert message.startswith("training profile mine.yml: ")
    assert key in message
    assert "\n" not in message


def test_the_same_configuration_twice_is_not_two_trials() -> None:
    trials = broken()["trials"]
    twice = [*trials["grid"][:7], trials["grid"][0] | {"name": "another_name"}]
    with pytest.raises(ConfigError, match="fewer were really tried"):
        parse_profile(broken(trials=trials | {"grid": twice}), "mine.yml")


@pytest.mark.parametrize("text", ["a: [1", "\x00", "key: value: value"])
def test_what_is_no_yaml_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yml is not YAML") as caught:
        load_profile(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_profile_lists_those_there_are() -> None:
    with pytest.raises(
        ConfigError, match="'nope' is not a training profile; there are: equities_xs, "
    ):
        load_profile("nope")
