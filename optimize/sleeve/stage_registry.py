"""The stages of the pipelines: their ids, layers and contracts, and the names they used to have."""

from dataclasses import dataclass

from trademl.errors import ConfigError, unknown_name

LAYERS = {
    "L0": "Foundation",
    "L1": "Ingestion Gate",
    "L2": "Alpha Inference",
    "L3": "Strategy Synthesis",
    "L4": "Risk Allocation",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline and what it promises to the next.

    Attributes:
        id: The name in ledgers, ``category.step``.
        layer: ``L0`` to ``L4`` (docs/specification/README.md#layers-of-the-pipeline).
        contract: What its output satisfies.
    """

    id: str
    layer: str
    contract: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """A stage that was asked for, and whether an old name was used for it."""

    stage: Stage
    is_deprecated: bool


STAGES = (
    Stage("foundation.gate", "L0", "both matrices exist, fresh, complete columns, no toxic return"),
    Stage("foundation.ingest", "L1", "returns_matrix: point in time, no padding, joint sessions"),
    Stage(
        "foundation.features", "L1", "features of the decision date, looked up and never computed"
    ),
    Stage("alpha.inference", "L2", "InferenceOutputs: alpha_score and every *_prob in [0, 1]"),
    Stage("alpha.clustering", "L2", "every candidate in exactly one of at most 25 clusters"),
    Stage("alpha.policy", "L2", "15 to 25 winners or the scarcity flag; no hard veto among them"),
    Stage("alpha.synthesis", "L3", "SyntheticMatrix: dense, in [-1, 5] long and [-1, 1] short"),
    Stage("alpha.sign_test", "L3", "every atom equals its signed raw stream, tolerance 0"),
    Stage("risk.preopt", "L4", "clusters, antifragility, regime and caps on file"),
    Stage(
        "risk.optimize", "L4", "weights on the simplex within 1e-6, caps kept or declared relaxed"
    ),
    Stage("risk.flatten", "L4", "signed weights by physical symbol"),
    Stage("risk.report", "L4", "report, weight files and INDEX.md"),
    Stage("risk.audit", "L4", "every artifact present, parsable, consistent and as recorded"),
    Stage(
        "risk.validation", "L4", "the weights beside equal weights on the training window, optional"
    ),
    Stage("risk.analysis", "L4", "cluster and factor maps, optional"),
    Stage("meta.aggregation", "L4", "sleeves joined on common sessions"),
)

DEPRECATED = {
    "selection.ingestion": "foundation.ingest",
    "selection.features": "foundation.features",
    "selection.inference": "alpha.inference",
    "selection.clustering": "alpha.clustering",
    "selection.policy": "alpha.policy",
    "selection.synthesis": "alpha.synthesis",
    "allocation.optimize": "risk.optimize",
    "meta.returns": "meta.aggregation",
}

PIPELINES = {
    "alpha.full": (
        "foundation.gate",
        "foundation.ingest",
        "foundation.features",
        "alpha.inference",
        "alpha.clustering",
        "alpha.policy",
        "alpha.synthesis",
        "alpha.sign_test",
        "risk.preopt",
        "risk.optimize",
        "risk.flatten",
        "risk.report",
        "risk.audit",
        "risk.validation",
        "risk.analysis",
    ),
}

_BY_ID = {stage.id: stage for stage in STAGES}


def resolve(stage_id: str) -> Resolved:
    """The stage of that id, under its present or its old name.

    Raises:
        ConfigError: No stage has that id; the message lists the valid ones.
    """
    present = DEPRECATED.get(stage_id, stage_id)
    if present not in _BY_ID:
        raise ConfigError(unknown_name(stage_id, "a stage", _BY_ID))
    return Resolved(_BY_ID[present], is_deprecated=stage_id in DEPRECATED)
