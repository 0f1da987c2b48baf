"""Say everything in the reader's language: English, French or Spanish.

Catalogues are the ``.po`` files below ``translations``; they are compiled when the app starts, so that an
installed package needs nothing but the files of its source. Scripts at ``/api/`` always read English.
"""

from __future__ import annotations

import io
import re
from functools import cached_property, lru_cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, g, has_request_context, request
from flask_babel import Babel, Domain, get_locale, gettext, refresh

ENGLISH = "en"
#: Language to its own name, as the account page offers it.
LANGUAGES = {ENGLISH: "English", "fr": "Français", "es": "Español"}
TRANSLATIONS = Path(__file__).parent / "translations"


def mark(text: str) -> str:
    """Mark a constant text for the catalogues; it is translated where it is shown."""
    return text


#: Reasons of revocations are stored in English and shown in the reader's language.
_REASONS = (
    mark("by yourself"),
    mark("by %(who)s: all of yours"),
    mark("by %(who)s: %(why)s"),
    mark("by %(who)s"),
    mark("you no longer hold one of its roles"),
    mark("the user is deleted"),
    mark("the server is deleted"),
    mark("the server no longer offers a scope of its roles"),
    mark("the server's limits are shorter now"),
    mark("a scope of its roles is switched off"),
    mark("role %(role)s gives less now, or is not yours any more"),
    mark("role %(role)s is deleted"),
)


#: Words of lists that pages show translated.
_WORDS = (
    *(mark("user"), mark("role"), mark("server"), mark("scope")),
    *(mark("run"), mark("explain"), mark("fetch"), mark("cancel"), mark("poll")),
    *(mark("running"), mark("ended"), mark("all")),
    *(mark("active"), mark("next"), mark("retired")),
)


class _Catalogues(Domain):
    """Hold the compiled catalogues of all languages."""

    def get_translations(self) -> NullTranslations:
        return catalogue(current())


class _Babel(Babel):
    @cached_property
    def domain_instance(self) -> Domain:
        return _Catalogues()


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> NullTranslations:
    """Return the compiled catalogue of a language; texts in the code are English."""
    if language == ENGLISH:
        return NullTranslations()
    compiled = io.BytesIO()
    with (TRANSLATIONS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)


def install(app: Flask) -> None:
    """Let the app's pages speak the reader's language."""
    _Babel(app, locale_selector=_chosen)
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.globals["language"] = current
    app.jinja_env.globals["languages"] = LANGUAGES
    app.jinja_env.globals["words_of_scripts"] = words_of_scripts
    for language in LANGUAGES:
        catalogue(language)


def speak(language: str | None) -> None:
    """Use a language from now on in this request; None follows the browser."""
    g.language = language
    refresh()


def current() -> str:
    """Return the language of this request; English outside of requests."""
    if not has_request_context():
        return ENGLISH
    locale = get_locale()
    return ENGLISH if locale is None else locale.language


def _chosen() -> str:
    if not has_request_context() or request.path.startswith("/api/"):
        return ENGLISH
    wanted = g.get("language") or request.accept_languages.best_match(LANGUAGES, ENGLISH)
    return wanted if wanted in LANGUAGES else ENGLISH


def reason(stored: str) -> str:
    """Return the reason of a revocation in the reader's language."""
    for template in _REASONS:
        pattern = re.sub(r"%\\\((\w+)\\\)s|%\((\w+)\)s", r"(?P<\1\2>.+)", re.escape(template))
        if found := re.fullmatch(pattern, stored):
            return gettext(template, **found.groupdict())
    return stored


def words_of_scripts() -> dict[str, str]:
    """Return the texts of ``app.js``."""
    return {
        "count": gettext("{some} of {all}"),
        "found": gettext("{some} of {all} found"),
        "copied": gettext("Copied"),
        "selected": gettext("Selected: copy it with your keyboard."),
        "generate": gettext("Generate"),
        "ended": gettext("Your session has ended."),
        "ending": gettext("You will be signed out in {minutes} minutes."),
        "ending_soon": gettext("You will be signed out in less than a minute."),
        "again": gettext("Sign in again"),
        "stay": gettext("Stay signed in"),
        "error": gettext("Error: "),
        "check": gettext("Nothing is done yet. Please check:"),
        "missing": gettext("This is missing."),
        "short": gettext("It must have {min} characters or more."),
        "between": gettext("It must be a whole number from {min} to {max}."),
        "within": gettext("It must be a date and time from {min} to {max}."),
        "least": gettext("It must be {min} or later."),
        "restored": gettext(
            "The form is as you left it, and nothing is saved yet. Type passwords and choose files again."
        ),
    }
