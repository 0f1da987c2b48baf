"""Reports whose body is a notebook: what it gets, and its failures."""

from __future__ import annotations

import html
import json
import os
import shutil
import socket
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
import yaml
from flowclient_stub import Answer, StubServer

from flowclient.reports import Definition, read_definition
from flowclient.reports.arguments import Argument
from flowclient.reports.asking import MOST_QUERIES, ReportError, connection
from flowclient.reports.contents import GIVEN
from flowclient.reports.definition import DefinitionError, Limits
from flowclient.reports.due import Loads, run_key
from flowclient.reports.making import make_apart
from flowclient.reports.notebooks import problems
from flowclient.reports.shelf import Shelf
from flowclient.reports.verifying import verify

PERIOD = "2016-02-23"
DAYS = [date(2016, 1, 27) + timedelta(days=n) for n in range(28)]
LOADS = Loads({name: {day: f"{name} {day} a" for day in DAYS} for name in ("calls", "sms")}, 7)
SUPPORT = Path(__file__).parent / "support"
#: Draws the small world of the tests; it asks nobody.
DRAWING = """
import sys
sys.path.append(helpers)
from crisis_world import crisis
from flowclient.pages import render

data = crisis()
for language in languages:
    render(data, language, note=notes.get(language, "")).save(f"page.{language}.html")
"""
DECLARED = "threshold = 1"


def defined(
    folder: Path, *cells: str, declares: str = DECLARED, memory_mb: int = 1024, **changes: Any
) -> Definition:
    """Write a definition beside a notebook of these cells."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(declares, metadata={"tags": ["parameters"]}),
            *map(nbformat.v4.new_code_cell, cells),
        ]
    )
    nbformat.write(notebook, folder / "mine.ipynb")
    # What lies beside a notebook can be read.
    shutil.copy(SUPPORT / "crisis_world.py", folder)
    content = {
        "name": "mine",
        "body": {"notebook": "mine.ipynb", "days": 28},
        "period": "day",
        "parameters": {"threshold": {"type": "integer", "value": 7, "minimum": 1}},
        "languages": ["en", "fr"],
        "recipients": "cell",
        "limits": {"memory_mb": memory_mb},
        **changes,
    }
    (folder / "mine.yml").write_text(yaml.safe_dump(content))
    return read_definition(folder / "mine.yml")


@pytest.fixture
def token_file(tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the settings name a token, and no server that answers."""
    file = tmp_path / "token"
    file.write_text(token)
    monkeypatch.setenv("FLOWAPI_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("FLOWAPI_TOKEN_FILE", str(file))
    return file


def made(definition: Definition, tmp_path: Path) -> Path:
    into, home = tmp_path / "made", tmp_path / "home"
    into.mkdir()
    home.mkdir()
    make_apart(definition, tmp_path / "mine.yml", PERIOD, into, home, LOADS)
    return into


def refused(definition: Definition, tmp_path: Path) -> tuple[str, str]:
    with pytest.raises(ReportError) as error:
        made(definition, tmp_path)
    return error.value.reason, str(error.value)


@pytest.mark.slow
def test_a_notebook_draws_the_pages(
    tmp_path: Path, token_file: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give it parameters, period and notes, and no secret of its starter."""
    monkeypatch.setenv("FLOWDB_POSTGRES_PASSWORD", "a secret of another service")
    seen = """
import json, os
print(json.dumps([threshold, period_start, period_end, os.getcwd()]))
assert "a secret" not in json.dumps(dict(os.environ))
"""
    (tmp_path / "notes" / "mine").mkdir(parents=True)
    (tmp_path / "notes" / "mine" / f"{PERIOD}.fr.txt").write_text("Routes <b>coupées</b> au nord.\n")
    definition = defined(tmp_path, seen, f"helpers = {str(tmp_path)!r}", DRAWING)
    into = made(definition, tmp_path)
    verify(definition, into, token)
    assert {file.name for file in into.iterdir()} == {
        *("page.en.html", "page.fr.html", "data.csv", "manifest.json", "notebook.html")
    }
    french = (into / "page.fr.html").read_text()
    assert "Routes &lt;b&gt;coupées&lt;/b&gt; au nord." in french
    assert "Routes" not in (into / "page.en.html").read_text()
    manifest = json.loads((into / "manifest.json").read_text())
    assert manifest["facts"] == {"query_ids": ["1" * 32, "b" * 32, "e" * 32, "f" * 32]}
    executed = (into / "notebook.html").read_text()
    assert '[7, "2016-02-23", "2016-02-24"' in html.unescape(executed)
    assert "cdnjs" not in executed
    assert token not in executed
    # Nothing of the run is left.
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(one.info["cmdline"])]


@pytest.mark.slow
def test_an_endless_cell_ends_at_the_limit_of_time(tmp_path: Path, token_file: Path) -> None:
    """Kill the kernel and what a cell started in a session of its own."""
    endless = """
import os, pathlib, subprocess
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
(pathlib.Path.home() / "pids").write_text(f"{os.getpid()} {child.pid}")
while True:
    pass
"""
    definition = defined(tmp_path, endless)
    # Fifteen seconds; a definition has whole minutes.
    limits = Limits.model_construct(**{**dict(definition.limits), "minutes": 0.25})
    short = definition.model_copy(update={"limits": limits})
    assert refused(short, tmp_path) == ("limits", "It took more than 0.25 minutes.")
    for pid in map(int, (tmp_path / "home" / "pids").read_text().split()):
        deadline = time.monotonic() + 10
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"process {pid} is still there"


@pytest.mark.slow
def test_a_notebook_finds_no_secret_and_no_other_server(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, token_file: Path
) -> None:
    """Refuse other files and ports, and whatever is of other processes."""
    secret = tmp_path_factory.mktemp("elsewhere") / "FLOWDB_POSTGRES_PASSWORD"
    secret.write_text("a password")
    with socket.create_server(("127.0.0.1", 0)) as database:
        port = database.getsockname()[1]
        tried = f"""
import os, pathlib, socket
found = []
def attempt(name, act):
    try:
        act()
        found.append(name)
    except OSError:
        pass
attempt("file", lambda: pathlib.Path({str(secret)!r}).read_text())
attempt("folder", lambda: list(pathlib.Path({str(secret.parent)!r}).iterdir()))
attempt("disks", lambda: list(pathlib.Path("/dev").iterdir()))
attempt("shared memory", lambda: pathlib.Path("/dev/shm/written").write_text("x"))
attempt("environment", lambda: pathlib.Path("/proc/{os.getpid()}/environ").read_text())
attempt("memory", lambda: open("/proc/{os.getpid()}/mem", "rb"))
attempt("signal", lambda: os.kill({os.getpid()}, 0))
attempt("database", lambda: socket.create_connection(("127.0.0.1", {port}), 5))
attempt("written", lambda: pathlib.Path({str(tmp_path / "mine.yml")!r}).write_text("x"))
attempt("token", lambda: pathlib.Path(os.environ["FLOWAPI_TOKEN_FILE"]).read_text())
assert found == ["token"], found
"""
        assert refused(defined(tmp_path, tried), tmp_path) == (
            "cell",
            "The notebook has not saved page.en.html.",
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "reason", "told"),
    [
        (["kept = bytearray(4 * 10**9)"], "limits", "cell 3: MemoryError"),
        # Without any memory left the kernel may be unable to name the error.
        (["kept = []\nwhile True:\n    kept.append('x' * 10**7)"], "limits", "cell 3: "),
        (["import os\nos.kill(os.getpid(), 9)"], "limits", "The kernel died"),
        (["x = 1", "y = 1 / 0"], "cell", "cell 4: ZeroDivisionError: division by zero"),
        (
            [
                "import os, pathlib\nraise ValueError(pathlib.Path(os.environ['FLOWAPI_TOKEN_FILE']).read_text())"
            ],
            "cell",
            "cell 3: ValueError: [token]",
        ),
        (
            [
                "import warnings, flowclient\nfrom flowclient.reports import connection\n"
                "warnings.simplefilter('ignore')\n"
                "flowclient.get_available_dates(connection=connection())"
            ],
            "connection",
            "FlowclientConnectionError: Unable to connect",
        ),
        (["pass"], "cell", "The notebook has not saved page.en.html."),
        (
            ["for n in languages:\n    open(f'page.{n}.html', 'w').write('<html>mine</html>')"],
            "refused",
            "The page has no table, so that it is not one of the package's.",
        ),
    ],
    ids=["bomb", "slow-bomb", "killed", "failed", "token", "connection", "nothing", "foreign"],
)
def test_a_failure_has_a_reason(
    tmp_path: Path, token_file: Path, cells: list[str], reason: str, told: str
) -> None:
    found = refused(defined(tmp_path, *cells), tmp_path)
    assert found[0] == reason
    assert told in found[1]


@pytest.mark.filterwarnings("ignore:Communications with this server are NOT SECURE")
def test_a_notebook_asks_a_bounded_number_of_queries(
    server: StubServer, token: str, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWAPI_URL", server.url)
    monkeypatch.setenv(MOST_QUERIES, "2")
    server.script("POST", "run", Answer(202, {}, {"Location": "/api/0/poll/abc"}))
    asking = connection()
    for _ in range(2):
        asking.make_api_query({"query_kind": "dummy_query"}).run()
    with pytest.raises(ReportError, match="It asks more than 2 queries") as error:
        asking.make_api_query({"query_kind": "dummy_query"}).run()
    assert error.value.reason == "limits"


def test_the_cell_of_parameters_has_the_names_of_the_definition(tmp_path: Path) -> None:
    definition = defined(tmp_path, declares="threshold = 1\nother = 2")
    assert definition.notebook is not None
    assert problems(definition.notebook, {"threshold": 1}) == [
        "mine.ipynb has a parameter other, which is not defined"
    ]
    assert problems(definition.notebook, {"threshold": 1, "other": 1, "third": 1}) == [
        "mine.ipynb has no parameter third"
    ]
    assert problems(defined(tmp_path, declares="\n".join(f"{n} = 1" for n in GIVEN)).notebook, {}) == []  # type: ignore[arg-type]
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "mine.ipynb")
    assert problems(definition.notebook, {}) == ["mine.ipynb has no cell with the tag 'parameters'."]
    (tmp_path / "mine.ipynb").write_text("print()")
    assert problems(definition.notebook, {}) == ["mine.ipynb is no notebook: NotJSONError."]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"body": {}}, "must have 'page' or 'notebook'"),
        ({"body": {"page": "crisis", "notebook": "mine.ipynb"}}, "must have 'page' or 'notebook'"),
        ({"body": {"page": "crisis", "days": 3}}, "'scopes' and 'days' go with 'notebook' alone"),
        ({"body": {"notebook": "../mine.ipynb"}}, "body.notebook = '../mine.ipynb'"),
        ({"body": {"notebook": "none.ipynb"}}, "there is no such file beside it"),
        ({"parameters": {"languages": {"type": "text", "value": "a"}}}, "'languages' cannot be the name"),
        ({"parameters": {"a b": {"type": "text", "value": "a"}}}, "'a b' cannot be the name"),
        ({"parameters": {"n": 3}}, "parameters.arguments.n = 3"),
    ],
)
def test_a_wrong_definition_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError) as error:
        defined(tmp_path, **changes)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ({"type": "date", "value": "soon"}, "value must be a date"),
        ({"type": "integer", "value": 1.5}, "value must be an integer"),
        ({"type": "integer", "value": True}, "value must be an integer"),
        ({"type": "boolean", "value": 1}, "value must be a boolean"),
        ({"type": "number", "value": 0, "minimum": 0.5}, "value must be at least 0.5"),
        ({"type": "integer", "value": 9, "maximum": 8}, "value must be at most 8"),
        ({"type": "date", "value": date(2016, 1, 2), "minimum": 3}, "minimum must be a date"),
        ({"type": "text", "value": "a", "maximum": 3}, "'maximum' goes with date, integer, number alone"),
        ({"type": "text", "value": "a", "choices": ["b", "c"]}, "value must be one of b, c"),
        ({"type": "areas", "value": ["X.1"]}, "'unit' goes with areas"),
        ({"type": "areas", "value": [], "unit": "admin3"}, "value must be a list of codes of areas"),
        ({"type": "event_types", "value": "calls"}, "value must be a list of event types"),
        ({"type": "colour", "value": "red"}, "Input should be"),
    ],
)
def test_arguments_have_types_and_bounds(argument: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Argument.model_validate(argument)


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ({"type": "date", "value": date(2016, 1, 2), "maximum": date(2016, 1, 2)}, "2016-01-02"),
        ({"type": "integer", "value": 8, "maximum": 8, "minimum": 8}, 8),
        ({"type": "number", "value": 2}, 2),
        ({"type": "boolean", "value": False}, False),
        ({"type": "text", "value": "b", "choices": ["b", "c"]}, "b"),
        ({"type": "areas", "value": ["X.1"], "unit": "admin3"}, ["X.1"]),
    ],
)
def test_arguments_are_given_as_plain_values(argument: dict[str, Any], written: Any) -> None:
    assert Argument.model_validate(argument).written == written


def test_what_decides_makes_another_version(tmp_path: Path) -> None:
    definition = defined(tmp_path, DRAWING)
    keys = [run_key(definition, PERIOD, LOADS)]
    keys.append(run_key(defined(tmp_path, DRAWING + "\n"), PERIOD, LOADS))
    (tmp_path / "notes" / "mine").mkdir(parents=True)
    (tmp_path / "notes" / "mine" / f"{PERIOD}.en.txt").write_text("Roads are cut.")
    keys.append(run_key(definition, PERIOD, LOADS))
    (tmp_path / "notes" / "mine" / f"{PERIOD}.en.txt").write_text("Roads are open.")
    keys.append(run_key(definition, PERIOD, LOADS))
    assert len(set(keys)) == 4
    # Neither of another period, nor of another language than those of the report.
    (tmp_path / "notes" / "mine" / "2016-02-22.en.txt").write_text("Roads are cut.")
    (tmp_path / "notes" / "mine" / f"{PERIOD}.es.txt").write_text("Carreteras cortadas.")
    assert run_key(definition, PERIOD, LOADS) == keys[-1]
    (tmp_path / "notes" / "mine" / f"{PERIOD}.en.txt").write_text("x" * 4001)
    with pytest.raises(ValueError, match="a note has at most 4000 characters"):
        run_key(definition, PERIOD, LOADS)
    assert Shelf(definition, tmp_path / "out").periods() == []
