"""Add the sample kind of the page on extending to a copy of the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "developers" / "extending.md"
KIND = "place_count_distribution"

#: What each of the files is for, in the words of the test that misses it.
PARTS = {
    f"{KIND}.py": "flowmachine/src/flowmachine/queries/<theme>/",
    f"test_{KIND}.py": "a test of rows worked out by hand",
    f"definitions_{KIND}.py": "a definition in plain Python",
    f"drawing_{KIND}.py": "a drawing of specifications",
}

#: The tests that hold every kind; of the slow ones, those of the new kind.
TESTS = [
    f"flowmachine/tests/kinds/aggregates/test_{KIND}.py",
    f"flowmachine/tests/kinds/test_oracle.py::test_rows_are_as_defined[{KIND}]",
    "flowmachine/tests/kinds/test_oracle.py::test_every_kind_has_a_definition",
    f"flowmachine/tests/kinds/test_summaries.py::test_a_summary_says_what_the_numbers_are[{KIND}]",
    "flowmachine/tests/kinds/test_schema.py",
    "flowmachine/tests/test_identity.py",
    "flowclient/tests/test_query_functions.py",
    "flowapi/tests/test_scopes.py",
    "benchmarks/tests/test_kinds.py",
    "docs/tests/test_kinds_are_done.py",
    "docs/tests/test_reference_pages.py",
    "integration_tests/test_client_functions.py",
]


def files_on_the_page() -> dict[str, str]:
    """Return the text of each file that the page names right before a block."""
    block = re.compile(
        r"^[^\n`]*, `(flowmachine/[\w/]+\.py)`[^`]*\n\n(?:<!-- not run: [^\n]+ -->\n)?```python\n(.*?)^```",
        re.MULTILINE | re.DOTALL,
    )
    return dict(block.findall(PAGE.read_text()))


class Copy:
    """A copy of the checkout, and Python with the copy's packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sources = [str(path) for path in sorted(folder.glob("flow*/src"))]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))},
            "PYTHONPATH": os.pathsep.join(sources),
            # The cluster holds nothing of a checkout, so that the copy need not make one.
            "FLOWKIT_TEST_CLUSTER": os.environ.get("FLOWKIT_TEST_CLUSTER", str(ROOT / ".flowkit" / "test")),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def succeed(self, *arguments: str) -> None:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    for name, text in files_on_the_page().items():
        (folder / name).write_text(text)
    return Copy(folder)


def test_the_page_has_four_files() -> None:
    assert [Path(name).name for name in files_on_the_page()] == list(PARTS)


@pytest.mark.timeout(900)
def test_a_kind_of_four_files_passes_every_test(copy: Copy) -> None:
    files = list(files_on_the_page())
    copy.succeed("-m", "ruff", "check", *files)
    copy.succeed("-m", "ruff", "format", "--check", *files)
    copy.succeed("flowclient/tools/generate.py")
    copy.succeed("docs/tools/generate.py")
    for page in ("analysts/client.md", "analysts/query-kinds.md", "benchmarks/kinds.md"):
        assert KIND in (copy.folder / "docs" / page).read_text()
    copy.succeed("-m", "pytest", "-q", "-n", "0", *TESTS)


@pytest.mark.parametrize("name", PARTS)
def test_a_kind_without_one_of_the_files_is_told_which(copy: Copy, name: str) -> None:
    [path] = [copy.folder / file for file in files_on_the_page() if Path(file).name == name]
    text = path.read_text()
    path.unlink()
    try:
        done = copy.run(
            "-m",
            "pytest",
            "-q",
            "-n",
            "0",
            "docs/tests/test_kinds_are_done.py",
            "docs/tests/test_reference_pages.py",
            "-k",
            "is_done or is_a_kind",
        )
    finally:
        path.write_text(text)
    assert done.returncode == 1, done.stdout + done.stderr
    assert KIND in done.stdout
    assert PARTS[name] in done.stdout
