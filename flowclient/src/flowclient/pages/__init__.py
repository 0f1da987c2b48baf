"""Pages for people who decide: ask once, draw, write one file a language.

Needs the extra ``reports``.
"""

from flowclient.pages.collecting import EVENT_TYPES, collect_crisis, crisis_questions
from flowclient.pages.crisis import render
from flowclient.pages.data import CrisisData
from flowclient.pages.page import Page, PageTooLargeError

__all__ = [
    "EVENT_TYPES",
    "CrisisData",
    "Page",
    "PageTooLargeError",
    "collect_crisis",
    "crisis_questions",
    "render",
]
