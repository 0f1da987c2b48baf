"""Check the documentation: pages reachable, blocks tested, settings listed."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from stack import HELP

from flowdb.configuration import OVERRIDES
from flowdb.deployment_settings import CacheSettings
from flowetl.events import CDR_TYPES, column_names
from flowetl.pseudonyms import parse_key
from flowetl.source import read_source

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
SETTINGS = DOCS / "operators" / "settings.md"

CACHE_SETTINGS = [str(field.validation_alias) for field in CacheSettings.model_fields.values()]

#: A mark before it, the language, the text.
BLOCK = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAME = re.compile(
    r"\b(FLOW(?:KIT|DB|MACHINE|API|AUTH|ETL)_[A-Z0-9_]+|PREFECT_[A-Z0-9_]+|P(?:RIVATE|UBLIC)_JWT_SIGNING_KEY"
    r"|SECRET_KEY|DB_URI|TWO_FACTOR_VALID_WINDOW|" + "|".join([*OVERRIDES, *CACHE_SETTINGS]) + r")\b"
)


every_page = pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("*.md")), *PAGES], ids=lambda page: str(page.relative_to(ROOT))
)


def navigation() -> set[str]:
    def pages(entry: Any) -> set[str]:
        if isinstance(entry, str):
            return {entry}
        values = entry.values() if isinstance(entry, dict) else entry
        return set().union(*(pages(value) for value in values))

    return pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])


def test_the_navigation_names_every_page_and_no_other() -> None:
    assert navigation() == {str(path.relative_to(DOCS)) for path in PAGES}


@pytest.mark.parametrize(
    "page",
    [path for path in PAGES if not re.match(r"\d", path.name)],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_a_page_says_for_whom_it_is_and_how_long_it_takes(page: Path) -> None:
    assert re.search(r"^Audience: .*Reading time: \d+ minutes?", page.read_text(), re.MULTILINE)


@every_page
def test_blocks_are_of_a_language_that_is_tested(page: Path) -> None:
    """Check that blocks are of a tested language.

    The integration tests run Python and shell blocks, unless a comment before them says why not.
    """
    for mark, language, code in BLOCK.findall(page.read_text()):
        assert language in ("python", "bash", "console", "json", "yaml", "")
        assert not mark or language in ("python", "bash")
        if language == "python":
            # As a notebook compiles a cell.
            compile(code, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif language == "json":
            json.loads(code)


@every_page
def test_no_block_is_hidden_from_the_tests_by_its_indentation(page: Path) -> None:
    indented = re.findall(r"^[ \t]+```(\w+)", page.read_text(), re.MULTILINE)
    # The specifications on the page of kinds fold away; a test of theirs reads them.
    assert set(indented) <= ({"json"} if page.name == "query-kinds.md" else set())


def test_the_source_in_the_guide_is_one(tmp_path: Path) -> None:
    [text] = [
        code
        for _, language, code in BLOCK.findall((DOCS / "operators" / "loading.md").read_text())
        if language == "yaml" and "cdr_type:" in code
    ]
    (tmp_path / "calls.yml").write_text(text)
    assert read_source(tmp_path / "calls.yml").cdr_type == "calls"


def test_the_guide_names_every_column_that_can_be_mapped() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ((?:`\w+`,? ?)+) \|$", (DOCS / "operators" / "loading.md").read_text(), re.MULTILINE
    )
    assert {kind: tuple(re.findall(r"\w+", names)) for kind, names in rows if kind in CDR_TYPES} == {
        kind: column_names(kind) for kind in CDR_TYPES
    }


def test_the_client_is_handed_out_under_the_name_that_it_is_built_with() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    page = (DOCS / "analysts" / "getting-started.md").read_text()
    assert f"flowclient-{version}-py3-none-any.whl[" in page


def test_the_secrets_that_the_guide_makes_can_be_used(tmp_path: Path) -> None:
    [code] = [
        code
        for _, _, code in BLOCK.findall((DOCS / "operators" / "production.md").read_text())
        if "umask" in code
    ]
    subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=tmp_path, check=True)
    made = {path.name: path for path in (tmp_path / "secrets").iterdir()}
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o600}
    Fernet(made["FLOWAUTH_FERNET_KEY"].read_text().strip())
    assert len(parse_key(made["FLOWETL_PSEUDONYM_KEY"].read_text())) == 32
    # The auth app makes the signing keys.
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(compose["secrets"]) - set(made) == {
        "PRIVATE_JWT_SIGNING_KEY",
        "PUBLIC_JWT_SIGNING_KEY",
    }


@every_page
def test_blocks_of_make_name_its_targets(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for _, language, code in BLOCK.findall(page.read_text()):
        lines = [line.removeprefix("$ ") for line in code.splitlines()]
        if language == "console" or (language == "bash" and lines[0].startswith("make ")):
            for line in lines:
                assert line.split()[0] == "make"
                assert line.split()[1] in targets


@every_page
def test_make_targets_named_in_the_text_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([\w-]+)", page.read_text())) <= targets


def test_the_help_of_make_names_every_target_and_no_other() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^  make ([\w-]+)", HELP, re.MULTILINE)) == targets - {"help"}


def settings_in_code() -> set[str]:
    files = [
        path for pattern in ("flow*/src/**/*.py", "tools/*.py", "demo/*.py") for path in ROOT.glob(pattern)
    ]
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                found.add(node.value)
    compose = re.findall(r"\$\{(\w+)|^ +(\w+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    return found | {name for pair in compose for name in pair if NAME.fullmatch(name)}


def test_every_setting_in_the_code_is_in_the_table_and_the_reverse() -> None:
    code = settings_in_code()
    table = set(NAME.findall("\n".join(re.findall(r"`([^`]+)`", SETTINGS.read_text()))))
    assert code - table == set()
    # SSL_CERTIFICATE_FILE and the notebook's own settings are read by the notebook only.
    notebook = set(NAME.findall((ROOT / "demo" / "notebook.ipynb").read_text()))
    assert table - code - notebook == set()


def test_the_committed_notebook_has_no_outputs() -> None:
    cells = json.loads((ROOT / "demo" / "notebook.ipynb").read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_outside(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    built = sorted(tmp_path.rglob("*.html"))
    assert len(built) > len(PAGES)
    for page in built:
        loaded = re.findall(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"([^\"]+)\"", page.read_text())
        assert [address for address in loaded if address.startswith(("http:", "https:", "//"))] == []
