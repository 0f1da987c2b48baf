"""Publish a report as its maker does, for tests of its readers."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import yaml
from crisis_world import crisis

from flowclient.pages import render
from flowclient.reports import read_definition
from flowclient.reports.due import Loads, parts_of_run
from flowclient.reports.making import write
from flowclient.reports.shelf import Shelf

DEFINITION = {
    "name": "displacement",
    "body": {"page": "crisis"},
    "period": "day",
    "parameters": {"event": date(2016, 2, 10), "title": {"en": "Flood, North-West", "fr": "Inondation"}},
    "languages": ["en", "fr"],
    "recipients": "crisis-cell",
}
PERIOD = "2016-02-23"


def publish(folder: Path, out: Path) -> Shelf:
    """Publish a version of a real page as the maker does; a second one is held."""
    path = folder / "displacement.yml"
    path.write_text(yaml.safe_dump(DEFINITION))
    definition = read_definition(path)
    shelf = Shelf(definition, out)
    shelf.folder.mkdir(parents=True)
    for cells, publishing in ((1, "at-once"), (2, "by-hand")):
        made = folder / "made"
        made.mkdir()
        data = crisis()
        pages = {language: render(data, language) for language in definition.languages}
        write(made, pages, parts_of_run(definition, PERIOD, Loads({}, cells)), data.facts())
        Shelf(definition.model_copy(update={"publish": publishing}), out).place(PERIOD, made)
    shelf.failed("2016-02-24", "connection", None)
    return shelf
