"""The documents name everything that a user can type or set, and nothing that is not there."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from trademl import settings
from trademl.cli import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MULTIPLE = {
    "max_inflight": "NODE_MAX_INFLIGHT_<VENDOR>",
    "freeze_seconds": "VENDOR_FREEZE_SECONDS_<VENDOR>",
}
"""Tables by vendor have a variable per vendor."""
SUMMED_UP = {"macro_series"}
"""Settings whose default the page sums up, because it is long."""


def commands(group=cli, path=("trademl",)):
    """Every command that does something, by the words one types."""
    context = click.Context(group, info_name=path[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def sections(text, level="## "):
    """The text below each heading of a level, by heading."""
    found = {}
    for block in re.split(rf"^{level}", text, flags=re.MULTILINE)[1:]:
        heading, _, body = block.partition("\n")
        found[heading.strip()] = body
    return found


def undocumented_commands(text):
    """One line for each command or option that a page lacks, or has too much."""
    page, known = sections(text), dict(commands())
    for name in known.keys() - page.keys():
        yield f"{name}: no section"
    for name in page.keys() - known.keys():
        if name.startswith("trademl"):
            yield f"{name}: no such command"
    for name in known.keys() & page.keys():
        options = {
            option
            for parameter in known[name].params
            if isinstance(parameter, click.Option)
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        written = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", table_of(page[name])))
        for option in options ^ written:
            wrong = "not documented" if option in options else "not an option"
            yield f"{name}: {option} is {wrong}"


def table_of(section):
    """The first cells of a section's table."""
    return "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))


def undocumented_settings(text):
    """One line for each setting that a page lacks, or tells wrong."""
    rows = {
        cells[1].strip(" `"): cells
        for line in text.splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) == 6
    }
    fields = settings.Settings.model_fields
    for name in fields.keys() ^ rows.keys():
        yield f"{name}: {'no row' if name in fields else 'no such setting'}"
    base = settings._read(settings.CONFIG_DIR / "base.yml")
    for name in fields.keys() & rows.keys():
        variables = settings.variables(name) or [MULTIPLE[name]]
        if rows[name][2].replace("`", "").strip() != ", ".join(variables):
            yield f"{name}: set by {', '.join(variables)}"
        default = base.get(name, settings.DEFAULT_ENV if name == "env" else "none")
        if name not in SUMMED_UP and rows[name][3].replace("`", "").strip() != shown(default):
            yield f"{name}: the default is {shown(default)}"


def shown(value):
    """A default as the page writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {entry}" for key, entry in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def unlisted_decisions(text, files):
    """One line for each decision that an index lacks, or that is not there, or has another title."""
    rows = {
        cells[1].split("](")[1].rstrip(") "): cells[1].split("]")[0].strip(" [")
        for line in text.splitlines()
        if line.startswith("| [") and (cells := line.split("|"))
    }
    for name in rows.keys() ^ set(files):
        yield f"{name}: {'not listed' if name in files else 'no such decision'}"
    for name in rows.keys() & set(files):
        if not name.startswith(rows[name].zfill(4)):
            yield f"{name}: listed as {rows[name]}"


def undocumented_targets(page, makefile):
    """One line for each make target that a page lacks, or has too much."""
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    written = set(re.findall(r"^\| `make ([\w-]+)`", page, flags=re.MULTILINE))
    for name in set(phony[1].split()) ^ written:
        yield f"make {name}: {'no such target' if name in written else 'not documented'}"


@pytest.fixture(scope="module")
def page():
    return (DOCS / "commands.md").read_text()


def test_every_command_and_option_is_documented(page):
    assert list(undocumented_commands(page)) == []


def test_every_make_target_is_documented(page):
    assert list(undocumented_targets(page, (ROOT / "Makefile").read_text())) == []


def test_every_setting_is_documented_with_its_variables_and_default():
    assert list(undocumented_settings((DOCS / "settings.md").read_text())) == []


def test_every_decision_is_listed():
    files = {path.name for path in (DOCS / "adr").glob("0*.md")}
    assert list(unlisted_decisions((DOCS / "adr" / "README.md").read_text(), files)) == []


def test_every_document_can_be_found_from_the_readme():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    documents = {Path(name) for name in listed.split("\0") if name}
    seen, waiting = set(), [Path("README.md")]
    while waiting:
        document = waiting.pop()
        if document in seen or document not in documents:
            continue
        seen.add(document)
        links = re.findall(r"\]\(([^)#]+\.md)", (ROOT / document).read_text())
        targets = ((ROOT / document.parent / link).resolve() for link in links)
        waiting += [path.relative_to(ROOT) for path in targets if path.is_relative_to(ROOT)]
    unread = {str(path) for path in documents - seen}
    assert {name for name in unread if not name.startswith("dbt_project/")} == set()


# --- each comparison notices what is wrong


def test_a_command_that_is_not_documented_is_noticed(page):
    without = page.replace("## trademl versions", "## trademl no-such")
    assert sorted(undocumented_commands(without)) == [
        "trademl no-such: no such command",
        "trademl versions: no section",
    ]


def test_an_option_that_is_not_documented_is_noticed(page):
    changed = page.replace("| `--full-refresh` |", "| `--all-new` |")
    assert sorted(undocumented_commands(changed)) == [
        "trademl build: --all-new is not an option",
        "trademl build: --full-refresh is not documented",
    ]


def test_a_target_that_is_not_documented_is_noticed():
    found = undocumented_targets("| `make test` | all |\n", ".PHONY: lint\n")
    assert sorted(found) == ["make lint: not documented", "make test: no such target"]


def test_a_setting_that_is_told_wrong_is_noticed():
    text = (DOCS / "settings.md").read_text()
    text = text.replace("| `fred_key` |", "| `fred` |").replace("| `3660` |", "| `30` |")
    text = text.replace("| `EDGE_NODE_ID` |", "| `NODE_ID` |")
    assert sorted(undocumented_settings(text)) == [
        "fred: no such setting",
        "fred_key: no row",
        "max_days_per_task: the default is 3660",
        "node_id: set by EDGE_NODE_ID",
    ]


def test_a_decision_that_is_not_listed_is_noticed():
    text = "| [1](0001-a.md) | A |\n| [3](0002-b.md) | B |\n"
    found = unlisted_decisions(text, {"0002-b.md", "0003-c.md"})
    assert sorted(found) == [
        "0001-a.md: no such decision",
        "0002-b.md: listed as 3",
        "0003-c.md: not listed",
    ]
