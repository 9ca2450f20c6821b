"""The house rules that a machine can check; `python -m tests.rules.house_rules` names the broken ones.

Exceptions are declared here, each with its reason. One that is no longer needed breaks a rule too.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from ingest.vendors.registry import ENDPOINTS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ingest", "simulator", "models_ml", "optimize", "trademl", "dbt_project")
LAYERS = (
    "staging",
    "raw",
    "reference",
    "curated",
    "features",
    "labels",
    "quality",
    "matrices",
)

READS_UP = {
    ("universe", "equities_ohlcv_adj"): "liquidity and age are judged on adjusted bars",
}
NO_CONTRACT = {
    "feat_complexity": "dbt has no contracts for Python models; its tests check the columns",
}
WEEKDAYS = {
    "dbt_project/models/flow_data/features/feat_equities_xs.sql": "feat_dow_sin and feat_dow_cos",
    "optimize/sleeve/validation.py": "a run is audited without the lake, hence without its calendars",
}

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 500
"""Two files that always change together are one: at 400 there were files that existed to be short."""

SQL_TYPES = {
    pa.string(): "varchar",
    pa.float64(): "double",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}

WEEKDAY = re.compile(
    r"\b(dayofweek|isodow|weekday|isoweekday|dayname|bdate_range|(is_)?busday\w*)\b"
    r"|\b(extract|date_part)\(\s*'?dow\b",
    re.IGNORECASE,
)
# Put together from pieces, so that this file does not break the rule that it checks.
FORBIDDEN_WORDS = tuple(
    "".join(pieces)
    for pieces in (
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/op", "t/"),
        ("/tm", "p/"),
        ("/Us", "ers/"),
        ("py", "pi.org"),
        ("python", "hosted.org"),
        ("find", "-links"),
        ("extra-", "index"),
    )
)

# What the project was once planned with, by number; nobody who has only the project can look it up.
NUMBERED_CITATIONS = (
    re.compile(r"\bS[0-4](?:'s\b|,? (?:section )?§?\d|: \d)"),
    re.compile(r"\bsemantics(?:\.md)?,? [A-D]\d", re.IGNORECASE),
    re.compile(r"\bdecisions?(?:\.md)? \d", re.IGNORECASE),
    re.compile(r"\(\s*[A-D]\d{1,2}\s*\)|\"\"\"(?:[A-D]\d{1,2}: |Rows? \d)"),
)
DOCUMENT = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
LINK = re.compile(r"\]\((?!\w+:)([^)\s]*\.md(?:#[\w-]+)?|#[\w-]+)\)")
DECISION = re.compile(r"\bADRs? (\d+)\b")

Manifest = Mapping[str, Any]


def parse_manifest(project: Path = ROOT) -> dict[str, Any]:
    """The project's dbt manifest; what did not change since the last call is not parsed again."""
    folder = project / "target" / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dbt.cli.main", "parse", "--quiet"]
    command += ["--target-path", str(folder), "--log-path", str(folder)]
    with FileLock(folder / "lock"):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"dbt parse failed: {done.stdout[-500:]}{done.stderr[-500:]}")
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def flow_data_is_closed(manifest: Manifest) -> Iterator[str]:
    """`dbt build --select flow_data` takes every model, seed and snapshot."""
    for node in manifest["nodes"].values():
        if node["resource_type"] in ("model", "seed", "snapshot") and node["fqn"][1] != "flow_data":
            yield f"{node['original_file_path']}: outside the folder flow_data"


def only_staging_reads_sources(manifest: Manifest) -> Iterator[str]:
    """Landed files enter the lake through staging and nowhere else."""
    for node in _models(manifest):
        sources = [name for name in node["depends_on"]["nodes"] if name.startswith("source.")]
        reads = re.search(r"\b(landed|source|read_parquet)\(", node["raw_code"])
        if (sources or reads) and _layer(node) != "staging":
            yield f"{node['original_file_path']}: reads landed files, as only staging does"


def layers_read_downwards(manifest: Manifest) -> Iterator[str]:
    """A layer reads itself and the layers below it."""
    unused = set(READS_UP)
    for node in _models(manifest):
        for name in node["depends_on"]["nodes"]:
            parent = manifest["nodes"].get(name)
            if parent is None or parent["resource_type"] != "model":
                continue
            if LAYERS.index(_layer(parent)) <= LAYERS.index(_layer(node)):
                continue
            edge = (node["name"], parent["name"])
            unused.discard(edge)
            if edge not in READS_UP:
                where = node["original_file_path"]
                yield f"{where}: {_layer(node)} reads {_layer(parent)}.{parent['name']}"
    for child, parent_name in sorted(unused):
        yield f"READS_UP: {child} does not read {parent_name} any more"


def models_are_documented(manifest: Manifest) -> Iterator[str]:
    """Every model and seed, and each of their columns, has a description."""
    for node in manifest["nodes"].values():
        if node["resource_type"] not in ("model", "seed", "snapshot"):
            continue
        where = node["original_file_path"]
        if not node["description"].strip():
            yield f"{where}: no description"
        if not node["columns"]:
            yield f"{where}: no columns described"
        for column in node["columns"].values():
            if not column["description"].strip():
                yield f"{where}: column {column['name']} has no description"


def macros_are_documented(manifest: Manifest) -> Iterator[str]:
    """Every macro says what it is for, with an example, and what each of its arguments is."""
    for macro in manifest["macros"].values():
        if macro["package_name"] != manifest["metadata"]["project_name"]:
            continue
        where = f"{macro['original_file_path']}: macro {macro['name']}"
        if not macro["description"].strip():
            yield f"{where} has no description"
        elif "Example: " not in macro["description"]:
            yield f"{where} has no example"
        said = {one["name"]: one["description"] for one in macro["arguments"]}
        names = _arguments(macro)
        for name in names:
            if not (said.get(name) or "").strip():
                yield f"{where}: argument {name} has no description"
        for name in sorted(said.keys() - set(names)):
            yield f"{where} has no argument {name}"


def sql_begins_with_its_grain(manifest: Manifest) -> Iterator[str]:
    """A model's SQL opens with one line that says what a row is; its yml says the rest."""
    for node in _models(manifest):
        if node["language"] != "sql":
            continue
        header = node["raw_code"].splitlines()
        if not re.match(r"-- One row\b.*\.$", header[0]):
            yield f"{node['original_file_path']}: its first line does not say what one row is"
        elif len(header) > 1 and re.match(r"--(?! depends_on)", header[1]):
            yield f"{node['original_file_path']}: describes itself beyond its grain"


def layers_are_groups(manifest: Manifest) -> Iterator[str]:
    """A layer is a group, and what is private to it is called int_<what>."""
    for node in _models(manifest):
        where = node["original_file_path"]
        if node["group"] != _layer(node):
            yield f"{where}: in the group {node['group']}, not in {_layer(node)}"
        if (node["access"] == "private") != node["name"].startswith("int_"):
            yield f"{where}: {node['access']}, which its name does not say"


def models_have_their_yml(manifest: Manifest) -> Iterator[str]:
    """One yml per model, of the same name, beside it."""
    for node in _models(manifest):
        expected = str(Path(node["original_file_path"]).with_suffix(".yml"))
        found = (node["patch_path"] or "no yml").split("://")[-1]
        if found != expected:
            yield f"{node['original_file_path']}: described in {found}, not in {expected}"


def grain_is_tested(manifest: Manifest) -> Iterator[str]:
    """Every model from raw upward has a unique_grain test.

    A table of a vendor's rows as they came has one that each file was read once.
    """
    tested: dict[str, set[str]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test":
            name = (node["test_metadata"] or {}).get("name", "")
            tested.setdefault(node["attached_node"], set()).add(name)
    for node in _models(manifest):
        enough = {"raw": {"unique_grain", "each_file_read_once"}}.get(
            _layer(node), {"unique_grain"}
        )
        if _layer(node) != "staging" and not enough & tested.get(node["unique_id"], set()):
            yield f"{node['original_file_path']}: no {' or '.join(sorted(enough))} test"


def contracts_are_enforced(manifest: Manifest) -> Iterator[str]:
    """Every model from raw upward has an enforced contract."""
    unused = set(NO_CONTRACT)
    for node in _models(manifest):
        if _layer(node) == "staging" or node["config"]["contract"]["enforced"]:
            continue
        unused.discard(node["name"])
        if node["name"] not in NO_CONTRACT:
            yield f"{node['original_file_path']}: contract not enforced"
    for name in sorted(unused):
        yield f"NO_CONTRACT: {name} needs no exception"


def sources_match_landing(manifest: Manifest) -> Iterator[str]:
    """A source declares exactly the columns that ingest lands, in their order."""
    declared = {f"{s['source_name']}/{s['name']}": s for s in manifest["sources"].values()}
    for path in sorted(declared.keys() ^ ENDPOINTS.keys()):
        yield f"{path}: {'no endpoint' if path in declared else 'no source'} of that name"
    for path in sorted(declared.keys() & ENDPOINTS.keys()):
        columns = [(c["name"], c["data_type"]) for c in declared[path]["columns"].values()]
        landed = [(field.name, SQL_TYPES[field.type]) for field in ENDPOINTS[path].schema]
        for column in sorted(set(columns) ^ set(landed)):
            side = "declared, not landed" if column in columns else "landed, not declared"
            yield f"{declared[path]['original_file_path']}: {path} {' '.join(column)} is {side}"
        if columns != landed and set(columns) == set(landed):
            yield f"{declared[path]['original_file_path']}: {path} declares another order"


def sessions_come_from_the_calendar(root: Path) -> Iterator[str]:
    """No weekday arithmetic: reference.calendars knows which days trade."""
    unused = set(WEEKDAYS)
    for path in tracked_files(root):
        if path.suffix not in (".sql", ".py") or path.parts[0] not in (*PACKAGES, "macros"):
            continue
        for number, line in enumerate((root / path).read_text().splitlines(), start=1):
            if not WEEKDAY.search(line):
                continue
            unused.discard(str(path))
            if str(path) not in WEEKDAYS:
                yield f"{path}:{number}: weekday logic; ask reference.calendars"
    for name in sorted(unused):
        yield f"WEEKDAYS: {name} needs no exception"


def python_is_short(root: Path) -> Iterator[str]:
    """Files and functions of the packages keep their limits; tests list cases and may be long."""
    for path in tracked_files(root):
        if path.suffix != ".py" or path.parts[0] not in PACKAGES:
            continue
        text = (root / path).read_text()
        if len(text.splitlines()) >= MAX_FILE_LINES:
            yield f"{path}: {len(text.splitlines())} lines, limit {MAX_FILE_LINES}"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines >= MAX_FUNCTION_LINES:
                    where = f"{path}:{node.lineno}"
                    yield f"{where}: {node.name} has {lines} lines, limit {MAX_FUNCTION_LINES}"


def files_name_no_machine(root: Path) -> Iterator[str]:
    """No path of a machine and no package host in any file of the project."""
    for path, text in tracked_texts(root):
        if not any(word in text for word in FORBIDDEN_WORDS):
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            for word in FORBIDDEN_WORDS:
                if word in line:
                    yield f"{path}:{number}: names {word}"


def citations_have_a_target(root: Path) -> Iterator[str]:
    """Nothing is cited by a number of a document that is not here; named documents exist."""
    anchors = {path: anchors_of(text) for path, text in tracked_texts(root) if path.suffix == ".md"}
    decisions = {int(path.name[:4]) for path in anchors if path.match("docs/adr/[0-9]*.md")}
    for path, text in tracked_texts(root):
        for number, line in enumerate(text.splitlines(), start=1):
            where = f"{path}:{number}"
            for pattern in NUMBERED_CITATIONS:
                if found := pattern.search(line):
                    yield f"{where}: cites {found[0].strip()}; give the reason, or a document"
            for target in _targets(path, line):
                document, _, anchor = target.partition("#")
                if Path(document) not in anchors:
                    yield f"{where}: {document} is not there"
                elif anchor and anchor not in anchors[Path(document)]:
                    yield f"{where}: {document} has no heading #{anchor}"
            for cited in map(int, DECISION.findall(line)):
                if cited not in decisions:
                    yield f"{where}: ADR {cited} is not there"


def _targets(path: Path, line: str) -> Iterator[str]:
    """The documents that a line points to, from the root; in a document also by relative links."""
    if path.suffix != ".md":
        yield from DOCUMENT.findall(line)
        return
    for link in LINK.findall(line):
        name, _, anchor = link.partition("#")
        document = os.path.normpath(path.parent / name) if name else str(path)
        yield f"{document}#{anchor}" if anchor else document


def anchors_of(markdown: str) -> set[str]:
    """What a link may name behind its #: headings as GitHub spells them, and explicit ids."""
    found = set(re.findall(r"<a id=\"([\w-]+)\">", markdown))
    times: Counter[str] = Counter()
    for heading in re.findall(r"^#+ +(.*?) *$", markdown, flags=re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{slug}-{times[slug]}" if times[slug] else slug)
        times[slug] += 1
    return found


def tracked_texts(root: Path) -> Iterator[tuple[Path, str]]:
    """The tracked files that are text, with their content."""
    for path in tracked_files(root):
        try:
            yield path, (root / path).read_text()
        except UnicodeDecodeError:
            continue


def tracked_files(root: Path) -> list[Path]:
    """The files that git tracks or would track, relative to the root, without deleted ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(
        Path(name) for name in set(listed.split("\0")) if name and (root / name).is_file()
    )


GRAPH_RULES = (
    flow_data_is_closed,
    only_staging_reads_sources,
    layers_read_downwards,
    models_are_documented,
    macros_are_documented,
    sql_begins_with_its_grain,
    layers_are_groups,
    models_have_their_yml,
    grain_is_tested,
    contracts_are_enforced,
    sources_match_landing,
)
FILE_RULES = (
    sessions_come_from_the_calendar,
    python_is_short,
    files_name_no_machine,
    citations_have_a_target,
)


def broken_rules(manifest: Manifest, root: Path = ROOT) -> list[str]:
    """One line per broken rule."""
    lines = [line for rule in GRAPH_RULES for line in rule(manifest)]
    return lines + [line for rule in FILE_RULES for line in rule(root)]


def _models(manifest: Manifest) -> Iterator[Mapping[str, Any]]:
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            yield node


def _arguments(macro: Mapping[str, Any]) -> list[str]:
    """The names in a macro's signature; a test is listed as ``test_<name>``."""
    name = macro["name"].removeprefix("test_")
    pattern = rf"{{%-?\s*(?:macro|test)\s+(?:test_)?{re.escape(name)}\s*\((.*?)\)\s*-?%}}"
    found = re.search(pattern, macro["macro_sql"], re.DOTALL)
    if found is None:
        return []
    # Jinja's defaults are Python's literals here, so that Python can read the signature.
    signature = ast.parse(f"def macro({found.group(1)}): pass").body[0]
    assert isinstance(signature, ast.FunctionDef)
    return [argument.arg for argument in signature.args.args]


def _layer(node: Mapping[str, Any]) -> str:
    return str(node["fqn"][2])


def main() -> int:
    """Prints what is broken; 1 when anything is."""
    lines = broken_rules(parse_manifest())
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
