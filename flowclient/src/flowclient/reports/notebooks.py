"""Run the notebook of a report, and write executed notebooks as pages."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from flowclient.reports.asking import ReportError
from flowclient.reports.contents import GIVEN

#: Addresses of scripts that an exported notebook would fetch.
_OUTSIDE_SCRIPTS = (
    "jquery_url",
    "mathjax_url",
    "mermaid_js_url",
    "mermaid_layout_elk_js_url",
    "require_js_url",
    "widget_renderer_url",
)
#: What papermill calls an error of which the kernel told nothing.
_UNTOLD = "CellExecutionError"
#: Reasons of errors by their names, which are all that a kernel tells of them.
_REASONS = {
    "AuthenticationError": "right",
    "PermissionDeniedError": "right",
    "QueryValidationError": "refused",
    "QueryFailedError": "refused",
    "QueryCancelledError": "refused",
    "QueryNotFoundError": "refused",
    "PageTooLargeError": "size",
    "MemoryError": "limits",
}


class PrivateKernel(AsyncKernelManager):
    """Reach the kernel by sockets in a private folder, not by ports."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # A short path: names of sockets have at most 107 characters. The maker's own folder of scratch files has it.
        self._folder = tempfile.TemporaryDirectory(prefix="kernel-")
        self.transport, self.ip = "ipc", f"{self._folder.name}/k"


def declared(notebook: Path) -> set[str]:
    """Return the names that a notebook's cell of parameters assigns.

    Raises
    ------
    ValueError
        If it is no notebook, or has no cell with the tag ``parameters``.
    """
    import papermill

    content = _read(notebook)
    if not any("parameters" in cell.metadata.get("tags", []) for cell in content.cells):
        raise ValueError(f"{notebook.name} has no cell with the tag 'parameters'.")
    with tempfile.NamedTemporaryFile("w", suffix=".ipynb", encoding="utf-8") as copy:
        nbformat.write(content, copy)
        copy.flush()
        return set(papermill.inspect_notebook(copy.name))


def _read(notebook: Path) -> Any:
    """Return a notebook for this environment's kernel, whichever its author used."""
    try:
        content = nbformat.read(notebook, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError, nbformat.reader.NotJSONError) as error:
        raise ValueError(f"{notebook.name} is no notebook: {type(error).__name__}.") from None
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return content


def problems(notebook: Path, parameters: Mapping[str, Any]) -> list[str]:
    """Return how a notebook's cell of parameters differs from the definition."""
    try:
        found = declared(notebook)
    except ValueError as error:
        return [str(error)]
    lacks, more = parameters.keys() - found, found - parameters.keys() - set(GIVEN)
    told = [f"{notebook.name} has no parameter {name}" for name in sorted(lacks)]
    return told + [f"{notebook.name} has a parameter {name}, which is not defined" for name in sorted(more)]


def execute(notebook: Path, parameters: Mapping[str, Any], folder: Path) -> str:
    """Run a notebook in a folder, and return it as a page for analysts.

    The kernel has the environment and the limits of memory of this process.

    Raises
    ------
    ReportError
        If a cell fails or the kernel dies.
    """
    import papermill

    if told := problems(notebook, {name: one for name, one in parameters.items() if name not in GIVEN}):
        raise ReportError("cell", "; ".join(told) + ".")
    copy = folder / "notebook.ipynb"
    nbformat.write(_read(notebook), copy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = papermill.execute_notebook(
                str(copy),
                None,
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(folder),
                kernel_manager_class=PrivateKernel,
            )
    except papermill.PapermillExecutionError as error:
        raise _failure(error.cell_index, error.ename, error.evalue) from None
    except DeadKernelError:
        raise ReportError("limits", "The kernel died, as it does at the limit of memory.") from None
    return as_html(done)


def _failure(cell: int, name: str, told: str) -> ReportError:
    if name == "ReportError":
        # The bound of queries is the one that a notebook meets.
        return ReportError("limits" if "queries" in told else "right", told)
    reason = _REASONS.get(name, "cell")
    if name == "FlowclientConnectionError":
        reason = "connection" if told.startswith("Unable to connect") else "refused"
    if name == _UNTOLD:
        return ReportError("limits", f"cell {cell + 1}: It could not say why, as at the limit of memory.")
    first = told.strip().splitlines()[0] if told.strip() else ""
    return ReportError(reason, f"cell {cell + 1}: {name}: {first}")


def as_html(notebook: Any) -> str:
    """Return an executed notebook as one file that asks for nothing from outside."""
    # Remove addresses of scripts, because the page must not call out from behind a firewall.
    empty: dict[str, Any] = dict.fromkeys(_OUTSIDE_SCRIPTS, "")
    # Keep only the last state of a progress bar that redraws itself, as an open notebook shows it.
    exporter = HTMLExporter(preprocessors=[CoalesceStreamsPreprocessor(enabled=True)], **empty)
    page, _resources = exporter.from_notebook_node(notebook)
    return str(page)


def ids_in(html: str) -> list[str]:
    """Return the ids of queries that a page names."""
    return sorted(set(re.findall(r"<code>([0-9a-f]{32})</code>", html)))
