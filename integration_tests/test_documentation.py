"""Run the code blocks of README and documentation in order against the stack.

The Python blocks of a page are the cells of a notebook, run in a kernel as an analyst would. A block of shell
commands is passed whole to bash with the stack's settings. A block that cannot be run says why in a comment
before it: ``<!-- not run: ... -->``.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from layout import CHECKOUT, DEFAULT_PORTS, SOURCES
from nbclient import NotebookClient
from reference_pages.routes import OPEN

if TYPE_CHECKING:
    from conftest import Stack

BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
API = f"http://localhost:{DEFAULT_PORTS['FLOWAPI_PORT']}"
AUTH = f"http://localhost:{DEFAULT_PORTS['FLOWAUTH_PORT']}"


def blocks(page: Path, language: str) -> list[str]:
    """Return a page's runnable blocks, without make targets for whole stacks."""
    return [
        code
        for mark, found, code in BLOCK.findall(page.read_text())
        if found == language and not mark and not code.startswith("make ")
    ]


PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
#: The engine's own tests run these pages, because the pages use the engine without its processes.
ENGINES = {"direct-use.md", "extending.md", "library.md"}
PYTHON = [page for page in PAGES if blocks(page, "python") and page.name not in ENGINES]
SHELL = [page for page in PAGES if blocks(page, "bash")]


def named(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


@pytest.fixture
def environment(stack: Stack, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Provide what the pages presume: settings, address and token, in an empty folder."""
    monkeypatch.setenv("FLOWAPI_URL", stack.api)
    monkeypatch.setenv("FLOWAPI_TOKEN", token)
    monkeypatch.chdir(tmp_path)
    sources = shutil.copytree(SOURCES, tmp_path / "sources")
    given = stack.layout.environment() | {
        "FLOWAPI_URL": stack.api,
        "FLOWAPI_TOKEN": token,
        "FLOWAUTH_URL": stack.auth,
        "FLOWETL_SOURCES": str(sources),
        "FLOWETL_REJECTS": str(stack.landing.parent / "rejects"),
    }
    given["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return given


@pytest.mark.parametrize("page", PYTHON, ids=named)
def test_python_blocks_run(page: Path, stack: Stack, token: str, environment: dict[str, str]) -> None:
    """Check that each block shows something or prepares a later block.

    No table that is shown may be empty.
    """
    cells = [f"TOKEN = {token!r}", *(code.replace(API, stack.api) for code in blocks(page, "python"))]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    NotebookClient(notebook, kernel_name="python3", timeout=300).execute()
    shown = [
        output.get("data", {}).get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    tables = [html for html in shown if 'class="dataframe"' in html]
    assert tables
    assert not [html for html in tables if "<td>" not in html]


def run(code: str, name: str, namespace: dict[str, Any]) -> Any:
    """Run a block as a notebook would and show the last expression's value."""
    tree = ast.parse(code, name)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with warnings.catch_warnings():
        # The pages say that the client warns of plain HTTP.
        warnings.filterwarnings("ignore", message=".*NOT SECURE.*")
        exec(compile(tree, name, "exec"), namespace)  # noqa: S102 (our own pages)
        if last is None:
            return None
        return eval(compile(ast.Expression(last.value), name, "eval"), namespace)  # noqa: S307 (our own pages)


@pytest.mark.parametrize("page", SHELL, ids=named)
def test_shell_blocks_run(page: Path, stack: Stack, environment: dict[str, str]) -> None:
    for code in blocks(page, "bash"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code.replace(API, stack.api).replace(AUTH, stack.auth)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_what_the_readme_shows_is_a_table_of_places_and_counts(
    stack: Stack, token: str, environment: dict[str, str]
) -> None:
    [code] = blocks(CHECKOUT / "README.md", "python")
    table = run(code.replace(API, stack.api), "README", {"TOKEN": token})
    assert list(table.columns) == ["pcod", "value"]
    assert table["value"].min() > 15


@pytest.mark.parametrize("path", OPEN)
def test_open_routes_answer_without_a_token(stack: Stack, path: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(stack.api + path, timeout=60) as reply:
        assert reply.status == OPEN[path][0]
