"""Derive the arguments of a kind's client function from its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import marshmallow as ma

from flowmachine.spec.fields import Form


@dataclass(frozen=True)
class Argument:
    """Describe a field for the client and the documentation.

    Attributes
    ----------
    name, keyword : str
        The field's name in a spec, and the keyword of the Python function.
    field : marshmallow.fields.Field
        The field.
    doc : str
        What the field means, beyond what its type says.
    form : Form or None
        How Python users give it; None where the function does not take it.
    required : bool
        Whether users of the function must give it; if they need not, ``default`` is what it sends.
    write : str
        The function of ``flowclient.values`` that turns the argument into the field's value, if any.
    example, example_argument : object
        A value in a spec, and the argument that is written as that value. None where that is a matter of other kinds.
    """

    name: str
    keyword: str
    field: ma.fields.Field
    doc: str
    form: Form | None
    required: bool
    default: Any
    write: str
    example: Any
    example_argument: Any

    @property
    def may_be_absent(self) -> bool:
        """Return whether a spec may omit the field without null being allowed."""
        return not self.required and not self.field.allow_none and self.default is None

    @property
    def added(self) -> bool:
        """Return whether older servers do not know the field; then no default is sent."""
        return bool(self.field.metadata.get("added"))

    @property
    def annotation(self) -> str:
        """Return the type of the argument as written in the client."""
        assert self.form is not None
        may_be_none = not self.required and self.default is None and not self.form.covers_none
        return f"{self.form.annotation} | None" if may_be_none else self.form.annotation

    @property
    def text(self) -> str:
        """Return the words or kinds that the type accepts, and the meaning."""
        return " ".join(filter(None, (_accepted(self.field), self.doc)))


def declared(
    name: str,
    *,
    field: ma.fields.Field,
    doc: str,
    keyword: str = "",
    client_default: Any = None,
    write: str = "",
    example: Any = None,
) -> Argument:
    """Build a field's argument from the declaration by ``required`` or ``optional``.

    ``keyword`` and ``write`` are given where they differ from the name's and the type's. ``client_default``
    is for fields that a spec requires and users of the client may omit.
    """
    form: Form | None = getattr(field, "form", None)
    words = getattr(field, "words", None)
    if example is None:
        example = words[0] if words else form and form.example
        given = form and form.argument
    else:
        given = None
    default = client_default if field.required else field.load_default
    return Argument(
        name=name,
        keyword=keyword or name,
        field=field,
        doc=doc,
        form=form,
        required=field.required and client_default is None,
        default=None if default is ma.missing else default,
        write=write or (form.write if form else ""),
        example=example,
        example_argument=example if given is None else given,
    )


def _how_many(field: Any) -> str:
    least = "one" if field.at_least == 1 else field.at_least
    return f"at least {least}" + (f", at most {field.at_most}" if field.at_most else "")


def _accepted(field: ma.fields.Field) -> str:
    if words := getattr(field, "words", ()):
        return f"{_listed(words)}."
    if kinds := getattr(field, "kinds", ()):
        return f"Specification of {_listed(kinds)}."
    if kinds := getattr(getattr(field, "inner", None), "kinds", ()):
        return f"Specifications of {_listed(kinds)}, {_how_many(field)}."
    return ""


def _listed(names: tuple[str, ...]) -> str:
    quoted = [f"``{name}``" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
