"""Say things in a language: sentences, plurals, numbers and days."""

from __future__ import annotations

import datetime
import json
from functools import cache
from importlib.resources import files
from typing import Any

#: Languages of pages, and the locale whose numbers and dates each uses.
LOCALES = {"en": "en_GB", "fr": "fr", "es": "es"}


@cache
def messages(language: str) -> dict[str, str | dict[str, str]]:
    """Return a language's sentences by name; one that counts has plural forms."""
    if language not in LOCALES:
        raise ValueError(f"language = '{language}': must be one of {', '.join(LOCALES)}.")
    text = (files("flowclient.pages") / "languages" / f"{language}.json").read_text(encoding="utf-8")
    found: dict[str, str | dict[str, str]] = json.loads(text)
    return found


class Words:
    """Say things in one language."""

    def __init__(self, language: str) -> None:
        from babel import Locale

        self.language = language
        self._messages = messages(language)
        self._locale = Locale.parse(LOCALES[language])

    def __call__(self, name: str, count: int | None = None, /, **values: Any) -> str:
        """Return a sentence; ``count`` chooses its form and stands in it as ``{n}``."""
        message = self._messages[name]
        if isinstance(message, dict):
            assert count is not None, f"{name} counts something"
            form = self._locale.plural_form(count)
            message = message.get(form, message["other"])
        return message.format(**values, **({} if count is None else {"n": self.number(count)}))

    def knows(self, name: str) -> bool:
        """Return whether there is a sentence of this name."""
        return name in self._messages

    def event_type(self, name: str) -> str:
        """Return what an event type is called; an unknown type keeps its name."""
        return self(f"type_{name}") if self.knows(f"type_{name}") else name

    def number(self, value: float) -> str:
        from babel.numbers import format_decimal

        return format_decimal(value, locale=self._locale)

    def percent(self, percent: float, *, signed: bool = False) -> str:
        """Return a percentage, rounded to whole percents."""
        from babel.numbers import format_percent

        text = format_percent(abs(round(percent)) / 100, locale=self._locale)
        if not signed or round(percent) == 0:
            return text
        return f"{'+' if percent > 0 else '−'}{text}"

    def share(self, share: float) -> str:
        """Return a share as a percentage with two digits; a small one is not zero."""
        from babel.numbers import format_percent

        if 0 < share < 0.0001:
            return self("less_than", share=self.share(0.0001))
        return format_percent(
            share, format="#,##0.##%" if self.language == "en" else "#,##0.##\u00a0%", locale=self._locale
        )

    def weekday(self, number: int) -> str:
        """Return the short name of a weekday; 0 is Monday."""
        return str(self._locale.days["stand-alone"]["abbreviated"][number])

    def day(self, day: datetime.date, skeleton: str = "yMMMd") -> str:
        from babel.dates import format_skeleton

        return format_skeleton(skeleton, day, locale=self._locale)

    def period(self, first: datetime.date, last: datetime.date, skeleton: str = "yMMMd") -> str:
        from babel.dates import format_interval

        if first == last:
            return self.day(first, skeleton)
        return format_interval(first, last, skeleton, locale=self._locale)

    def time(self, moment: datetime.datetime) -> str:
        from babel.dates import format_datetime

        return format_datetime(moment, "yyyy-MM-dd HH:mm", tzinfo=moment.tzinfo, locale=self._locale)
