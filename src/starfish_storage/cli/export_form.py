"""Which form an export is written as: by its name, by the options that only it has, or by the ending of the file."""

from __future__ import annotations

from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.export import Form, form_named, form_of, registered_forms
from starfish_storage.export.endings import form_ending_as
from starfish_storage.form_option import FormOption

STANDARD_OUTPUT = "-"
_AS_IF_NAMED = "-.jsonl"  # what goes to the standard output is JSON Lines, if nothing else is said
_SEED = "--seed"


def _options() -> dict[str, dict[str, FormOption]]:
    """Return each option of a form as it is typed, with the forms that have it."""
    found: dict[str, dict[str, FormOption]] = {}
    for kind in registered_forms():
        for option in kind.options:
            found.setdefault(option.on_command_line, {})[kind.name] = option
    return found


_OPTIONS = _options()


def form_asked_for(given: dict[str, Any]) -> Form:
    """Return what to write.

    Args:
        given: the values of all options, by their names.

    Raises:
        InvalidInputError: options do not fit together, or the ending of the file says nothing.
    """
    name = given["form"]
    destination = _AS_IF_NAMED if given["destination"] == STANDARD_OUTPUT else given["destination"]
    options: dict[str, Any] = {}
    if given["metadata"]:
        options["metadata_key"] = given["metadata_key"] or "metadata"
    for flag, forms in _OPTIONS.items():
        value = given[flag.removeprefix("--").replace("-", "_")]
        if value is None or value is False:  # False: a flag that was not given
            continue
        if flag == _SEED and _is_of_sample(given, name, destination):
            continue
        name = name or _form_with(flag, destination)
        if name not in forms:
            known = " or ".join(forms)
            raise InvalidInputError(f"{flag} is for --form {known}, and not for {name}: leave one of them out.")
        options[forms[name].name] = forms[name].value(value)
    return form_of(destination, **options) if name is None else form_named(name, destination, **options)


def _is_of_sample(given: dict[str, Any], name: str | None, destination: str) -> bool:
    """Return whether a seed means the sample alone, since the form has none."""
    kind = form_ending_as(destination)
    named = name or (None if kind is None else kind.name)
    return given["sample"] is not None and named not in _OPTIONS[_SEED]


def _form_with(flag: str, destination: str) -> str:
    """Return the form that an option means, when none is named.

    Raises:
        InvalidInputError: the ending of the file means another form.
    """
    forms = _OPTIONS[flag]
    by_ending = form_ending_as(destination)
    if by_ending is not None and by_ending.name in forms:
        return by_ending.name
    if by_ending is None:  # a directory, most likely
        return next(
            (kind.name for kind in registered_forms() if kind.is_directory and kind.name in forms), next(iter(forms))
        )
    for kind in registered_forms():
        if kind.name in forms and issubclass(kind, by_ending):  # conversations are JSON Lines, and end like them
            return kind.name
    raise InvalidInputError(
        f"{flag} is for --form {' or '.join(forms)}, and the ending of {destination!a} means {by_ending.name}: leave "
        "the option out, or choose another name."
    )
