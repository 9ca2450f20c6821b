"""The house rules hold, and each of them notices when it is broken."""

import copy
import subprocess

import pytest

from tests.rules import house_rules as rules


@pytest.fixture(scope="module")
def parsed():
    return rules.parse_manifest()


@pytest.fixture
def manifest(parsed):
    """A manifest that a test may break."""
    return copy.deepcopy(parsed)


@pytest.fixture
def checkout(tmp_path):
    """An empty project under git."""
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    return tmp_path


def model(manifest, name):
    return manifest["nodes"][f"model.trademl.{name}"]


@pytest.mark.parametrize("rule", rules.GRAPH_RULES, ids=lambda rule: rule.__name__)
def test_the_graph_keeps_the_rule(rule, parsed):
    assert list(rule(parsed)) == []


@pytest.mark.parametrize("rule", rules.FILE_RULES, ids=lambda rule: rule.__name__)
def test_the_files_keep_the_rule(rule):
    assert list(rule(rules.ROOT)) == []


def test_every_layer_has_models(parsed):
    layers = {n["fqn"][2] for n in parsed["nodes"].values() if n["resource_type"] == "model"}
    assert layers == set(rules.LAYERS)


def test_a_model_outside_flow_data_is_noticed(manifest):
    model(manifest, "universe")["fqn"][1] = "elsewhere"
    assert list(rules.flow_data_is_closed(manifest)) == [
        "dbt_project/models/flow_data/reference/universe.sql: outside the folder flow_data"
    ]


def test_a_seed_outside_flow_data_is_noticed(manifest):
    manifest["nodes"]["seed.trademl.qc_thresholds"]["fqn"][1] = "qc_thresholds"
    assert len(list(rules.flow_data_is_closed(manifest))) == 1


def test_a_source_read_outside_staging_is_noticed(manifest):
    model(manifest, "coverage")["depends_on"]["nodes"].append("source.trademl.alpaca.assets")
    model(manifest, "universe")["raw_code"] = "select * from {{ landed('alpaca', 'assets') }}"
    found = list(rules.only_staging_reads_sources(manifest))
    files = sorted(line.split(":")[0].split("/")[-1] for line in found)
    assert files == ["coverage.sql", "universe.sql"]


def test_reading_a_higher_layer_is_noticed(manifest):
    model(manifest, "calendars")["depends_on"]["nodes"].append("model.trademl.coverage")
    assert list(rules.layers_read_downwards(manifest)) == [
        "dbt_project/models/flow_data/reference/calendars.sql: reference reads quality.coverage"
    ]


def test_an_exception_that_is_no_longer_needed_is_noticed(manifest):
    model(manifest, "universe")["depends_on"]["nodes"].clear()
    model(manifest, "feat_complexity")["config"]["contract"]["enforced"] = True
    assert list(rules.layers_read_downwards(manifest)) == [
        "READS_UP: universe does not read equities_ohlcv_adj any more"
    ]
    assert list(rules.contracts_are_enforced(manifest)) == [
        "NO_CONTRACT: feat_complexity needs no exception"
    ]


def test_missing_descriptions_are_noticed(manifest):
    model(manifest, "universe")["description"] = " "
    model(manifest, "universe")["columns"]["symbol"]["description"] = ""
    model(manifest, "coverage")["columns"] = {}
    found = [line.split(": ")[1] for line in rules.models_are_documented(manifest)]
    assert sorted(found) == [
        "column symbol has no description",
        "no columns described",
        "no description",
    ]


def macro(manifest, name):
    return manifest["macros"][f"macro.trademl.{name}"]


def test_undocumented_macros_and_arguments_are_noticed(manifest):
    macro(manifest, "as_of")["description"] = " "
    macro(manifest, "envelope")["description"] = "The columns of every row."
    macro(manifest, "threshold")["arguments"][0]["description"] = ""
    macro(manifest, "test_unique_grain")["arguments"].pop()
    macro(manifest, "rebuild_from")["arguments"][1]["name"] = "lookback"
    manifest["macros"]["macro.dbt.run_query"]["description"] = ""
    found = [line.split(": ", 1)[1] for line in rules.macros_are_documented(manifest)]
    assert sorted(found) == [
        "macro as_of has no description",
        "macro envelope has no example",
        "macro rebuild_from has no argument lookback",
        "macro rebuild_from: argument lookback_days has no description",
        "macro test_unique_grain: argument columns has no description",
        "macro threshold: argument name has no description",
    ]


@pytest.mark.parametrize(
    ("first_lines", "complaint"),
    [
        ("with bars as (", "its first line does not say what one row is"),
        ("-- One row per bar", "its first line does not say what one row is"),
        ("-- One row per bar.\n-- It is judged.", "describes itself beyond its grain"),
    ],
)
def test_sql_that_does_not_begin_with_its_grain_is_noticed(manifest, first_lines, complaint):
    model(manifest, "universe")["raw_code"] = f"{first_lines}\nselect 1"
    where = "dbt_project/models/flow_data/reference/universe.sql"
    assert list(rules.sql_begins_with_its_grain(manifest)) == [f"{where}: {complaint}"]


def test_a_model_outside_its_group_or_private_by_name_alone_is_noticed(manifest):
    model(manifest, "universe")["group"] = "curated"
    model(manifest, "int_stress_survival")["access"] = "protected"
    model(manifest, "coverage")["access"] = "private"
    found = {line.split("/")[-1] for line in rules.layers_are_groups(manifest)}
    assert found == {
        "universe.sql: in the group curated, not in reference",
        "int_stress_survival.sql: protected, which its name does not say",
        "coverage.sql: private, which its name does not say",
    }


def test_a_yml_elsewhere_is_noticed(manifest):
    model(manifest, "universe")["patch_path"] = "trademl://dbt_project/models/schema.yml"
    model(manifest, "coverage")["patch_path"] = None
    assert len(list(rules.models_have_their_yml(manifest))) == 2


def test_an_untested_grain_is_noticed(manifest):
    for node in manifest["nodes"].values():
        if node.get("attached_node") == "model.trademl.universe":
            node["attached_node"] = None
    assert list(rules.grain_is_tested(manifest)) == [
        "dbt_project/models/flow_data/reference/universe.sql: no unique_grain test"
    ]


def test_a_loose_contract_is_noticed(manifest):
    model(manifest, "universe")["config"]["contract"]["enforced"] = False
    assert list(rules.contracts_are_enforced(manifest)) == [
        "dbt_project/models/flow_data/reference/universe.sql: contract not enforced"
    ]


def test_a_source_that_differs_from_what_is_landed_is_noticed(manifest):
    sources = manifest["sources"]
    sources["source.trademl.alpaca.bars_1d"]["columns"]["o"]["data_type"] = "bigint"
    del sources["source.trademl.alpaca.assets"]["columns"]["status"]
    del sources["source.trademl.file.sectors"]
    spells = sources["source.trademl.file.index_membership"]
    spells["columns"] = dict(sorted(spells["columns"].items()))
    found = "\n".join(rules.sources_match_landing(manifest))
    assert "alpaca/bars_1d o bigint is declared, not landed" in found
    assert "alpaca/bars_1d o double is landed, not declared" in found
    assert "alpaca/assets status varchar is landed, not declared" in found
    assert "file/sectors: no source of that name" in found
    assert "file/index_membership declares another order" in found
    assert len(found.splitlines()) == 5


@pytest.mark.parametrize(
    "line",
    ["where isodow(day) < 6", "day.weekday() < 5", "extract(dow from day)", "np.is_busday(day)"],
)
def test_weekday_logic_is_noticed(checkout, monkeypatch, line):
    monkeypatch.setattr(rules, "WEEKDAYS", {})
    (checkout / "macros").mkdir()
    (checkout / "macros" / "sessions.sql").write_text(f"select 1\n{line}\n")
    assert list(rules.sessions_come_from_the_calendar(checkout)) == [
        "macros/sessions.sql:2: weekday logic; ask reference.calendars"
    ]


def test_long_files_and_functions_are_noticed(checkout):
    (checkout / "trademl").mkdir()
    body = "    pass\n" * 59
    (checkout / "trademl" / "long.py").write_text(f"def long():\n{body}" + "# more\n" * 440)
    (checkout / "trademl" / "short.py").write_text("def short():\n" + "    pass\n" * 58)
    assert list(rules.python_is_short(checkout)) == [
        "trademl/long.py: 500 lines, limit 500",
        "trademl/long.py:1: long has 60 lines, limit 60",
    ]


@pytest.mark.parametrize("word", rules.FORBIDDEN_WORDS)
def test_machine_names_are_noticed(checkout, word):
    (checkout / "notes.md").write_text(f"fine\nsee {word}x\n")
    (checkout / "picture.png").write_bytes(b"\xff\xfe\x00")
    assert f"notes.md:2: names {word}" in list(rules.files_name_no_machine(checkout))


# Put together from pieces, so that this file keeps the rule.
@pytest.mark.parametrize(
    "cited",
    [
        "S" + "4 2.8",
        "S" + "3 section 6",
        "S" + "2's bound",
        "semantics " + "A12",
        "Decision " + "18: a trial",
        "decisions.md " + "4",
        "beyond a year (" + "A5)",
        '"""Row' + 's 2, 3 and 27."""',
    ],
)
def test_a_citation_by_number_is_noticed(checkout, cited):
    (checkout / "module.py").write_text(f"# fine\n# as {cited} says\n")
    found = list(rules.citations_have_a_target(checkout))
    assert [line.split(";")[0].split(": cites")[0] for line in found] == ["module.py:2"]


def test_a_document_that_is_not_there_is_noticed(checkout):
    docs = "do" + "cs"
    (checkout / docs / "adr").mkdir(parents=True)
    (checkout / docs / "adr" / "0001-a.md").write_text("# 1. First\n")
    (checkout / docs / "plane.md").write_text('# Plane\n## Leases & lanes\n<a id="here"></a>\n')
    page = "[a](plane.md#leases--lanes) [b](plane.md#gone) [c](../none.md) [d](#page) [e](#x)\n"
    (checkout / docs / "page.md").write_text(f"# Page\n{page}[web](https://host/none.md#x)\n")
    cited = ["plane.md#here", "plane.md", "plane.md#there", "none.md"]
    lines = [*(f"# {docs}/{target}" for target in cited), "# ADR 1 and ADR " + "7"]
    (checkout / "module.py").write_text("\n".join(lines) + "\n")
    assert list(rules.citations_have_a_target(checkout)) == [
        f"{docs}/page.md:2: {docs}/plane.md has no heading #gone",
        f"{docs}/page.md:2: none.md is not there",
        f"{docs}/page.md:2: {docs}/page.md has no heading #x",
        f"module.py:3: {docs}/plane.md has no heading #there",
        f"module.py:4: {docs}/none.md is not there",
        "module.py:5: ADR 7 is not there",
    ]


def test_the_command_names_what_is_broken_and_fails(monkeypatch, capsys, manifest):
    monkeypatch.setattr(rules, "parse_manifest", lambda: manifest)
    assert (rules.main(), capsys.readouterr().out) == (0, "")
    model(manifest, "universe")["description"] = ""
    assert rules.main() == 1
    assert capsys.readouterr().out == (
        "dbt_project/models/flow_data/reference/universe.sql: no description\n"
    )
