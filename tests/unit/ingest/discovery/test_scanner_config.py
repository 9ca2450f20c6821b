import gzip
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.discovery.scanner_config import (
    SCANNER_DIRECTORY,
    Filter,
    Layer,
    Purpose,
    load_scanner,
    merge,
    scanner_names,
)
from tests.support.paths import SHARED_DATA
from trademl.errors import ConfigError
from trademl.symbology import DOLLARS

PAYLOADS = SHARED_DATA / "payloads" / "tradingview"

TOP = """
market: america
columns: [close, volume]
quote_currencies: [USD]
sort_by: volume
metadata: {intent: LONG, logic: trend}
"""


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text)
    return str(folder / f"{next(iter(files))}.yml")


# --- merging

names = st.sampled_from(["close", "volume", "Perf.W"])
filters = st.builds(
    Filter, left=names, operation=st.sampled_from(["greater", "less"]), right=st.integers(0, 9)
)
optional = st.one_of(st.none(), st.sampled_from(["a", "b"]))
layers = st.builds(
    Layer,
    market=optional,
    columns=st.lists(names, max_size=4).map(tuple),
    filters=st.lists(filters, max_size=5).map(tuple),
    quote_currencies=st.one_of(st.none(), st.lists(optional, max_size=2).map(tuple)),
    sort_by=optional,
    sort_order=st.sampled_from([None, "asc", "desc"]),
    limit=st.one_of(st.none(), st.integers(1, 9)),
    exclude_symbols=st.lists(names, max_size=3).map(tuple),
    metadata=st.builds(Purpose, intent=st.sampled_from([None, "LONG", "SHORT"]), logic=optional),
)


def by_key(layer):
    return {(item.left, item.operation): item.right for item in layer.filters}


@given(layers, layers)
def test_of_two_filters_on_one_column_and_operation_the_upper_one_holds(base, over):
    merged = merge(base, over)
    assert by_key(merged) == {**by_key(base), **by_key(over)}
    assert len(merged.filters) == len(by_key(merged))


@given(layers, layers)
def test_columns_and_exclusions_add_up_and_other_keys_are_the_upper_ones(base, over):
    merged = merge(base, over)
    assert set(merged.columns) == {*base.columns, *over.columns}
    assert len(set(merged.columns)) == len(merged.columns)
    assert set(merged.exclude_symbols) == {*base.exclude_symbols, *over.exclude_symbols}
    for name in ("market", "quote_currencies", "sort_by", "sort_order", "limit"):
        upper = getattr(over, name)
        assert getattr(merged, name) == (getattr(base, name) if upper is None else upper)


@given(layers, layers, layers)
def test_it_does_not_matter_which_layers_are_merged_first(low, middle, high):
    assert merge(merge(low, middle), high) == merge(low, merge(middle, high))


@given(layers)
def test_an_empty_layer_and_the_same_layer_change_nothing(layer):
    once = merge(Layer(), layer)
    assert merge(once, Layer()) == once
    assert merge(once, layer) == once


# --- files


def test_a_chain_is_laid_from_the_lowest_layer_up(tmp_path):
    (tmp_path / "below").mkdir()
    base = "columns: [close]\nlimit: 7\nfilters: [{left: close, operation: greater, right: 5}]\n"
    write(tmp_path / "below", template=TOP + "limit: 500\n", universe="base_preset: template.yml")
    write(tmp_path / "below", hygiene=f"base_preset: universe.yml\n{base}")
    path = write(
        tmp_path,
        scanner="base_preset: below/hygiene.yml\n"
        "filters:\n"
        "  - {left: close, operation: greater, right: 1}\n"
        "  - {left: close, operation: less, right: 9}\n"
        "metadata: {intent: SHORT}\n",
    )
    scanner = load_scanner(path)
    assert scanner.layers == ("template.yml", "universe.yml", "hygiene.yml", "scanner.yml")
    assert (scanner.intent, scanner.logic, scanner.direction) == ("SHORT", "trend", "SHORT")
    assert scanner.question.limit == 7
    assert list(scanner.question.filters) == [
        {"left": "close", "operation": "greater", "right": 1},
        {"left": "close", "operation": "less", "right": 9},
    ]


def test_a_file_of_ones_own_may_build_on_a_packaged_layer(tmp_path):
    path = write(
        tmp_path,
        mine="base_preset: strategy/us_momentum.yml\n"
        "filters: [{left: close, operation: egreater, right: 1}]\n"
        "metadata: {intent: LONG}\n",
    )
    scanner = load_scanner(path)
    assert scanner.layers[0] == "template/screener.yml"
    (floor,) = [f for f in scanner.question.filters if f["left"] == "close"]
    assert floor["right"] == 1


def test_a_circle_is_refused_with_its_chain(tmp_path):
    path = write(tmp_path, a="base_preset: b.yml", b="base_preset: c.yml", c="base_preset: a.yml")
    with pytest.raises(ConfigError, match=r"circle: a.yml -> b.yml -> c.yml -> a.yml"):
        load_scanner(path)
    alone = write(tmp_path, self="base_preset: self.yml")
    with pytest.raises(ConfigError, match=r"circle: self.yml -> self.yml"):
        load_scanner(alone)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("filtres: []", "s.yml: Object contains unknown field `filtres`"),
        ("metadata: {intention: LONG}", "unknown field `intention`"),
        ("filters: [{left: close, op: greater, right: 1}]", "unknown field `op`"),
        ("filters: [{left: close, operation: above, right: 1}]", "'above'"),
        ("metadata: {intent: BUY}", "'BUY'"),
        ("limit: many", "Expected `int"),
        ("limit: 0", "limit is 0"),
        ("- a", "Expected `object`"),
        ("a: [", "not readable YAML"),
        ("base_preset: nowhere.yml", "s.yml: base_preset 'nowhere.yml' does not exist"),
        ("filters: [{left: close, operation: greater, right: 1e6}]", "the text '1e6'"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, says):
    write(tmp_path, top=TOP)
    content = text if "base_preset" in text or text[0] in "-a" else f"base_preset: top.yml\n{text}"
    with pytest.raises(ConfigError) as caught:
        load_scanner(write(tmp_path, s=content))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_of_symbols_add_up_and_lie_beside_the_layer_that_names_them(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "few.txt").write_text("NYSE:AAA  # a remark\n\n# more\nNASDAQ:BRK.B\n")
    (tmp_path / "own.txt").write_text("NYSE:CCC\nNYSE:AAA\n")
    write(tmp_path / "below", base=TOP + "include_symbol_files: [few.txt]\n")
    above = "base_preset: below/base.yml\ninclude_symbol_files: [own.txt]\n"
    asked = load_scanner(write(tmp_path, top=above)).question
    assert asked.tickers == ("NYSE:AAA", "NASDAQ:BRK.B", "NYSE:CCC")
    assert asked.body["symbols"]["tickers"] == list(asked.tickers)
    assert load_scanner(write(tmp_path, plain=TOP)).question.tickers == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "few.txt cannot be read"),
        ("# nothing\n", "few.txt: it names no symbol"),
        ("AAA\n", "few.txt: 'AAA' is not an EXCHANGE:SYMBOL"),
        ("NYSE:AAA, NYSE:BBB\n", "is not an EXCHANGE:SYMBOL"),
    ],
)
def test_a_file_without_symbols_is_refused_and_never_means_all(tmp_path, content, says):
    if content is not None:
        (tmp_path / "few.txt").write_text(content)
    with pytest.raises(ConfigError, match=says):
        load_scanner(write(tmp_path, top=TOP + "include_symbol_files: [few.txt]\n"))


def test_an_unknown_key_in_a_lower_layer_names_that_layer(tmp_path):
    write(tmp_path, low="colums: [close]")
    with pytest.raises(ConfigError, match=r"scanner low.yml: .*`colums`"):
        load_scanner(write(tmp_path, high="base_preset: low.yml"))


@pytest.mark.parametrize("key", ["market", "columns", "quote_currencies", "sort_by"])
def test_a_key_that_no_layer_sets_is_named(tmp_path, key):
    text = "\n".join(line for line in TOP.splitlines() if not line.startswith(key))
    with pytest.raises(ConfigError, match=f"no layer of s.yml sets {key}"):
        load_scanner(write(tmp_path, s=text))


def test_an_intent_is_never_assumed(tmp_path):
    with pytest.raises(ConfigError, match=r"sets metadata.intent"):
        load_scanner(write(tmp_path, s=TOP.replace("intent: LONG, ", "")))
    scanner = load_scanner(write(tmp_path, s=TOP.replace("LONG", "DISCOVERY")))
    assert (scanner.intent, scanner.direction) == ("DISCOVERY", None)


@pytest.mark.parametrize("name", ["nope", "nope.yml", "template/screener"])
def test_a_scanner_that_is_not_there_is_named(name):
    with pytest.raises(ConfigError, match=name):
        load_scanner(name)


# --- the packaged ones


@pytest.mark.parametrize("name", scanner_names())
def test_a_packaged_scanner_is_complete_and_says_its_direction_in_its_name(name):
    scanner = load_scanner(name)
    assert scanner.direction == name.rsplit("_", 1)[1].upper()
    folders = [layer.split("/")[0] for layer in scanner.layers]
    assert folders[0] == "template"
    assert list(dict.fromkeys(folders)) == [
        "template",
        "universe",
        "hygiene",
        "strategy",
        "scanner",
    ]
    assert {"type", "currency", "close", "Value.Traded"} <= set(scanner.question.fields)


def test_every_packaged_layer_is_used():
    used = {layer for name in scanner_names() for layer in load_scanner(name).layers}
    found = SCANNER_DIRECTORY.rglob("*.yml")
    assert used == {path.relative_to(SCANNER_DIRECTORY).as_posix() for path in found}


def test_sides_of_a_strategy_ask_opposite_questions():
    long, short = (load_scanner(f"binance_spot_rating_ma_{side}") for side in ("long", "short"))
    differing = [
        (a, b) for a, b in zip(long.question.filters, short.question.filters, strict=True) if a != b
    ]
    assert differing == [
        (
            {"left": "Recommend.MA", "operation": "greater", "right": 0},
            {"left": "Recommend.MA", "operation": "less", "right": 0},
        )
    ]


@pytest.mark.market_data
@pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="the market data folder is not beside the checkout"
)
def test_the_columns_of_stock_scanners_are_ones_that_the_vendor_has():
    metainfo = gzip.decompress((PAYLOADS / "metainfo_stocks.json.gz").read_bytes())
    known = {field["n"] for field in json.loads(metainfo)}
    for entry in json.loads((PAYLOADS / "main_screeners_queries.json").read_bytes()):
        known.update(entry["query"]["columns"])
    asked = load_scanner("us_equities_momentum_long").question
    wanted = {*asked.fields, asked.sort_by, *(condition["left"] for condition in asked.filters)}
    assert {name for name in wanted if name not in known} == set()


def test_filters_are_sent_as_plain_json():
    asked = load_scanner("us_equities_momentum_long").question.body["filter"]
    assert msgspec.json.decode(msgspec.json.encode(asked)) == asked


def test_the_scanners_of_pairs_and_selection_agree_on_what_is_worth_a_dollar():
    """A pair that one of them took for a dollar's and the other did not would be there twice."""
    text = (SCANNER_DIRECTORY / "universe/binance_spot.yml").read_text()
    layer = msgspec.yaml.decode(text.encode(), type=dict)
    assert layer["quote_currencies"] == list(DOLLARS)
    asked = [one["right"] for one in layer["filters"] if one["left"] == "currency"]
    assert asked == [list(DOLLARS)]
