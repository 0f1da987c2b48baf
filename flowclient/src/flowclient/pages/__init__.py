"""Pages for people who decide: ask once, draw, write one file a language.

Needs the extra ``reports``.
"""

from flowclient.pages.asking import EVENT_TYPES
from flowclient.pages.collecting import collect_crisis, crisis_questions
from flowclient.pages.collecting_mobility import collect_mobility, mobility_questions
from flowclient.pages.collecting_quality import collect_quality, silence_question
from flowclient.pages.crisis import render
from flowclient.pages.data import CrisisData
from flowclient.pages.mobility import MobilityData
from flowclient.pages.mobility_page import render_mobility
from flowclient.pages.page import Page, PageTooLargeError
from flowclient.pages.quality import QualityData
from flowclient.pages.quality_page import render_quality

__all__ = [
    "EVENT_TYPES",
    "CrisisData",
    "MobilityData",
    "Page",
    "PageTooLargeError",
    "QualityData",
    "collect_crisis",
    "collect_mobility",
    "collect_quality",
    "crisis_questions",
    "mobility_questions",
    "render",
    "render_mobility",
    "render_quality",
    "silence_question",
]
