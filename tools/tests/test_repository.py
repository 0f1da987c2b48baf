"""Check what can drift: versions, changelog, import rings, file lengths, hooks."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import grimp
import pytest
import release
import yaml
from checks import PACKAGES
from layout import CHECKOUT, StackError

pytestmark = pytest.mark.slow

VERSION = release.workspace_version()
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
).stdout.splitlines()

MOST_LINES = 500

#: Declared, though no module imports them.
NEEDED_UNSEEN = {
    "duckdb-extension-spatial": "files that DuckDB loads as its extension",
    "fastapi": "a version that Prefect works with",
    "flowclient": "commands of its own process make reports",
    "ipykernel": "the kernel of notebooks, started by name",
    "psycopg2-binary": "SQLAlchemy's driver, named in addresses",
    "pyspark-client": "the client of Spark Connect, for the executor of clusters",
    "sqlalchemy": "a version that Prefect works with",
}


def tracked(pattern: str) -> list[str]:
    return [name for name in TRACKED if Path(name).match(pattern) and (CHECKOUT / name).exists()]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_part_has_the_version_of_the_workspace(package: str) -> None:
    assert version(package) == VERSION, "make bootstrap installs it again"
    assert importlib.import_module(package).__version__ == VERSION


def test_the_version_is_written_in_one_place() -> None:
    written = [name for name in tracked("*.py") if f'"{VERSION}"' in (CHECKOUT / name).read_text()]
    assert written == []
    projects = {name: tomllib.loads((CHECKOUT / name).read_text()) for name in tracked("*/pyproject.toml")}
    assert [
        name for name in projects if name.split("/")[0] in PACKAGES and "version" in projects[name]["project"]
    ] == []


def test_examples_name_the_version() -> None:
    named = re.compile(
        r"(?:FLOWKIT_VERSION=|flowkit-\w+:|flowclient-|^version: |tag of the images, such as )(\d+\.\d+\.\d+)",
        re.MULTILINE,
    )
    found = {
        name: set(named.findall((CHECKOUT / name).read_text()))
        for name in (*tracked("docs/**/*.md"), "CITATION.cff", "docker-compose.yml", "README.md")
    }
    assert {name for name, versions in found.items() if versions} >= {
        "CITATION.cff",
        "docker-compose.yml",
        "docs/operators/production.md",
        "docs/analysts/getting-started.md",
    }
    assert {name: versions for name, versions in found.items() if versions - {VERSION}} == {}


def test_the_changelog_begins_with_the_version() -> None:
    changes = release.CHANGES.read_text()
    sections = re.findall(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$", changes, re.MULTILINE)
    assert len(sections) == len(re.findall(r"^## ", changes, re.MULTILINE))
    (unreleased, _), *released = sections
    assert unreleased == "Unreleased"
    assert released[0][0] == VERSION
    assert [day for _, day in released] == sorted((day for _, day in released), reverse=True)
    assert f'date-released: "{released[0][1]}"' in (CHECKOUT / "CITATION.cff").read_text()
    groups = set(re.findall(r"^### (.*)$", changes, re.MULTILINE))
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize(
    "command",
    [("-m", "flowdb"), ("-m", "flowapi"), ("-m", "flowauth"), ("-m", "flowetl"), ("-m", "flowmachine")],
    ids=lambda command: command[-1],
)
def test_a_command_says_its_version_and_needs_no_setting_for_it(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *command, "--version"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{VERSION}\n", "")


@pytest.mark.parametrize(
    ("tags", "changed", "changes", "told"),
    [
        (["v1.2.3"], ["README.md"], "## [1.2.3] - 2026-01-01\n", "README.md"),
        (["v1.2.2"], [], "## [1.2.3] - 2026-01-01\n", "git tag v1.2.3"),
        (["v1.2.3"], [], "## [Unreleased]\n", r"no section `## \[1.2.3\]"),
        (["v1.2.3"], [], "## [1.2.3]\n", "no section"),
        (["v1.2.3"], [], "## [1x2.3] - 2026-01-01\n", "no section"),
    ],
)
def test_a_checkout_that_is_not_fit_for_a_release_is_refused(
    tags: list[str], changed: list[str], changes: str, told: str
) -> None:
    with pytest.raises(StackError, match=told):
        release.refuse_unfit("1.2.3", tags, changed, changes)


def test_a_fit_checkout_is_released() -> None:
    release.refuse_unfit("1.2.3", ["v1.2.3", "other"], [], "# Changelog\n\n## [1.2.3] - 2026-01-01\n")


def rings(imported: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that reach each other by imports."""

    def reachable(begin: str) -> set[str]:
        seen: set[str] = set()
        left = [begin]
        while left:
            new = imported[left.pop()] - seen
            seen |= new
            left += new
        return seen

    reach = {module: reachable(module) for module in imported}
    found = {
        frozenset({other for other in reach[module] if module in reach[other]})
        for module in imported
        if module in reach[module]
    }
    return [set(ring) for ring in found]


def test_rings_are_found() -> None:
    assert rings({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_do_not_import_each_other_in_a_ring(package: str) -> None:
    """Check for import rings.

    Imports inside functions and for type checking count, because a reader follows them too.
    """
    graph = grimp.build_graph(package, cache_dir=None)
    found = rings({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    assert found == []


#: Endings of files that people write. Data, pictures and locks may be as long as they need.
WRITTEN = {".css", ".html", ".j2", ".js", ".md", ".py", ".sh", ".sql", ".toml", ".yaml", ".yml"}


def test_no_written_file_is_longer_than_a_reader_can_hold() -> None:
    """Check the length of every written file.

    A generated file says so in its first line, and a vendored file comes from elsewhere.
    """
    lines = {}
    for name in TRACKED:
        path = CHECKOUT / name
        if path.suffix in WRITTEN and "vendor" not in path.parts and path.exists():
            first, _, rest = path.read_text().partition("\n")
            if "Written by " not in first:
                lines[name] = rest.count("\n") + 1
    assert len(lines) > 500
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def imported_by(package: str) -> set[str]:
    """Return top-level modules that a package imports, except in its test fixtures."""
    names = set()
    for path in (CHECKOUT / package / "src").rglob("*.py"):
        if path.name == "testing.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {package, "__future__"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_what_it_imports_and_nothing_else(package: str) -> None:
    project = tomllib.loads((CHECKOUT / package / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    declared = {re.split(r"[\[<>=~! ]", text, maxsplit=1)[0].lower() for group in groups for text in group}
    providers = packages_distributions()
    used = {
        module: {name.lower().replace("_", "-") for name in providers.get(module, [module])}
        for module in imported_by(package)
    }
    assert {module for module, names in used.items() if not names & declared} == set()
    assert declared - set().union(*used.values()) - set(NEEDED_UNSEEN) == set()


def test_the_hooks_are_the_checks_of_make() -> None:
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    [repository] = config["repos"]
    assert repository["repo"] == "local", "hooks of others would be downloaded"
    for hook in repository["hooks"]:
        program = hook["entry"].split()[0]
        assert (CHECKOUT / program).exists(), program


def test_the_workflows_run_what_a_laptop_runs() -> None:
    steps = {}
    for path in (CHECKOUT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text())["jobs"].values()
        steps[path.stem] = [step.get("run", "") for job in jobs for step in job["steps"]]
    assert ".ci/run" in steps["ci"]
    assert "make release" in steps["release"]


def test_the_files_of_the_boundaries_exist() -> None:
    text = (CHECKOUT / "SECURITY.md").read_text()
    named = re.findall(r"`([\w/.-]+\.(?:py|yml))`", text)
    assert len(named) > 15
    assert [name for name in named if not (CHECKOUT / name).exists()] == []
