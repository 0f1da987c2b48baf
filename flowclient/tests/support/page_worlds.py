"""Every kind of page of a small world, for tests of what all pages have to obey."""

from __future__ import annotations

from collections.abc import Callable

from crisis_world import crisis
from mobility_world import mobility
from quality_world import quality

from flowclient.pages import Page, render, render_mobility, render_quality

#: How each page is drawn, by its name in a definition's ``body``.
PAGES: dict[str, Callable[[str, str], Page]] = {
    "crisis": lambda language, note: render(crisis(), language, note=note),
    "mobility-monthly": lambda language, note: render_mobility(mobility(), language, note=note),
    "data-quality": lambda language, note: render_quality(quality(), language, note=note),
}
