"""Renders the report page from its inputs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from trademl.report import plots
from trademl.report.inputs import ReportInputs, SurvivorshipRow

TEMPLATE = "template.html.j2"
TOP_WEIGHTS = 15


def render_report(inputs: ReportInputs) -> str:
    """One HTML page that needs nothing but itself; the same inputs give the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).resolve().parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent,
        signed=_signed,
        number=_number,
        plus=_plus,
        count=_count,
        compact=_compact,
    )
    return environment.get_template(TEMPLATE).render(
        inputs=inputs,
        figures=_figures(inputs),
        top=inputs.weights[:TOP_WEIGHTS],
        gate_totals=_gate_totals(inputs),
        metric_names=_metric_names(inputs),
        survivorship=_survivorship(inputs.survivorship),
        model=None if inputs.model is None else _model_facts(inputs.model),
    )


def _figures(inputs: ReportInputs) -> dict[str, Markup]:
    """SVG by place on the page; only places with data are there."""
    primary = next(stream for stream in inputs.streams if stream.is_primary)
    drawn = {
        "cumulative": plots.cumulative(inputs.dates, inputs.streams),
        "drawdown": plots.drawdown(inputs.dates, primary),
        "weights": plots.weights(inputs.weights),
        "clusters": plots.clusters(inputs.clusters),
    }
    if inputs.coverage:
        drawn["coverage"] = plots.coverage(inputs.coverage)
    # The SVG is ours: labels became outlines, so no text of the data is in it as markup.
    return {name: Markup(svg) for name, svg in drawn.items()}


def _gate_totals(inputs: ReportInputs) -> dict[str, int]:
    totals = {"pass": 0, "warn": 0, "fail": 0}
    for gate in inputs.gates:
        totals[gate.status] += 1
    return totals


def _metric_names(inputs: ReportInputs) -> list[str]:
    return list(inputs.streams[0].metrics) if inputs.streams else []


def _survivorship(rows: Iterable[SurvivorshipRow]) -> list[dict[str, Any]]:
    """Per index: members and covered members at the first and the last date, and the worst."""
    groups: dict[str, list[SurvivorshipRow]] = {}
    for row in sorted(rows, key=lambda item: (item.index_name, item.session_date)):
        groups.setdefault(row.index_name, []).append(row)
    return [
        {
            "index_name": name,
            "first": group[0],
            "last": group[-1],
            "worst": min(group, key=lambda row: row.covered / max(row.members, 1)),
        }
        for name, group in groups.items()
    ]


def _model_facts(report: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of a training report that a reader of weights must see, read with care."""
    score = _mapping(report.get("score"))
    luck = _mapping(report.get("overfitting"))
    panel = _mapping(report.get("panel"))
    paths = score.get("path_sharpe_ann") or []
    lines = [
        ("Model", report.get("model_id")),
        ("Trained on version", report.get("version")),
        ("Rows, names", _pair(panel.get("rows"), panel.get("securities"))),
        ("Rank IC, out of fold", _decimal(score.get("ic"), 4)),
        ("t of the IC", _decimal(score.get("ic_t"), 1)),
        ("Median path Sharpe, net of costs", _decimal(score.get("sharpe_ann"), 2)),
        ("Path Sharpe, lowest to highest", _range(paths)),
        ("Deflated Sharpe ratio", _decimal(luck.get("dsr"), 3)),
        ("Probability of overfitting (PBO)", _decimal(luck.get("pbo"), 3)),
        ("Configurations tried", luck.get("n_trials")),
    ]
    return {
        "facts": [(label, value) for label, value in lines if value not in (None, "")],
        "controls": [_control(item) for item in report.get("controls") or []],
        "disclosures": [str(item) for item in report.get("disclosures") or []],
    }


def _control(item: Any) -> dict[str, Any]:
    """A negative control: name, figures, what it sees and is blind to, verdict."""
    fields = dict(_mapping(item))
    name, passed = fields.pop("name", "control"), fields.pop("passed", None)
    scope = {key: fields.pop(key, None) or "–" for key in ("sees", "blind_to")}
    if not fields.get("offending"):
        fields.pop("offending", None)
    facts = ", ".join(
        f"{key.replace('_', ' ')} {_plain_value(value)}"
        for key, value in sorted(fields.items())
        if value not in (None, "", [])
    )
    return {"name": name, "facts": facts, "passed": passed, **scope}


def _plain_value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _decimal(value: Any, digits: int) -> str | None:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else None


def _pair(left: Any, right: Any) -> str | None:
    return None if left is None or right is None else f"{left:,} · {right:,}"


def _range(values: list[float]) -> str | None:
    return f"{min(values):.2f} to {max(values):.2f}" if values else None


def _percent(value: float | None, digits: int = 1) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.{digits}%}".replace("-", "\u2212")


def _signed(value: float | None, digits: int = 2) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:+.{digits}%}".replace("-", "\u2212")


def _number(value: float | None, digits: int = 2) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:,.{digits}f}".replace("-", "\u2212")


def _plus(value: float, digits: int) -> str:
    """A number with its sign, also where it is positive."""
    return f"{value:+z,.{digits}f}".replace("-", "\u2212")


def _compact(value: float | None) -> str:
    """A condition number: large, of interest by its magnitude."""
    if value is None or value != value:
        return "–"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def _count(value: int) -> str:
    return f"{value:,}"
