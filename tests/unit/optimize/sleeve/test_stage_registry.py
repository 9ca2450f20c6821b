import pytest

from optimize.sleeve.stage_registry import DEPRECATED, LAYERS, PIPELINES, STAGES, resolve
from trademl.errors import ConfigError

SPECIFIED = {
    "selection.ingestion": "foundation.ingest",
    "selection.features": "foundation.features",
    "selection.inference": "alpha.inference",
    "selection.clustering": "alpha.clustering",
    "selection.policy": "alpha.policy",
    "selection.synthesis": "alpha.synthesis",
    "allocation.optimize": "risk.optimize",
    "meta.returns": "meta.aggregation",
}


@pytest.mark.parametrize(("old", "new"), SPECIFIED.items())
def test_new_ids_resolve_and_old_ones_are_deprecated_aliases(old: str, new: str) -> None:
    assert resolve(new).stage.id == new
    assert not resolve(new).is_deprecated
    assert resolve(old).stage.id == new
    assert resolve(old).is_deprecated
    assert DEPRECATED[old] == new


def test_an_unknown_id_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("alpha.guess")
    assert all(stage.id in str(caught.value) for stage in STAGES)


def test_every_id_of_every_pipeline_resolves() -> None:
    for ids in PIPELINES.values():
        assert [resolve(name).stage.id for name in ids] == list(ids)


def test_every_layer_has_a_stage_with_a_contract() -> None:
    assert {stage.layer for stage in STAGES} == set(LAYERS)
    assert all(stage.contract for stage in STAGES)
    assert len({stage.id for stage in STAGES}) == len(STAGES)
