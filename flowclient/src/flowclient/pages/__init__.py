"""Pages for people who decide: ask once, draw, write one file a language.

Needs the extra ``reports``.
"""

from flowclient.pages.collecting import EVENT_TYPES, collect_crisis, crisis_questions
from flowclient.pages.collecting_quality import collect_quality
from flowclient.pages.crisis import render
from flowclient.pages.data import CrisisData
from flowclient.pages.page import Page, PageTooLargeError
from flowclient.pages.quality import QualityData
from flowclient.pages.quality_page import render_quality

__all__ = [
    "EVENT_TYPES",
    "CrisisData",
    "Page",
    "PageTooLargeError",
    "QualityData",
    "collect_crisis",
    "collect_quality",
    "crisis_questions",
    "render",
    "render_quality",
]
