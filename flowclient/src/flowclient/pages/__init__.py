"""Pages for people who decide: ask once, draw, write one file a language.

Needs the extra ``reports``.
"""

from flowclient.pages.collecting import collect_crisis
from flowclient.pages.crisis import render
from flowclient.pages.data import CrisisData
from flowclient.pages.page import Page, PageTooLargeError

__all__ = ["CrisisData", "Page", "PageTooLargeError", "collect_crisis", "render"]
