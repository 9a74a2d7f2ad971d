"""Which form an export is written as: by its name, by the options that only it has, or by the ending of the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.export import Form, form_named, form_of, registered_forms
from starfish_storage.export.endings import form_ending_as
from starfish_storage.form_option import FormOption
from starfish_storage.wording import alternatives

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
    values = {flag: given[flag.removeprefix("--").replace("-", "_")] for flag in _OPTIONS}
    asked = {flag: value for flag, value in values.items() if not (value is None or value is False)}  # a flag is False
    if given["sample"] is not None and not {"--split", "--split-by"} & asked.keys():
        asked.pop(_SEED, None)  # it draws the sample alone
    name = name or (_form_with(list(asked), destination) if asked else None)
    for flag, value in asked.items():
        forms = _OPTIONS[flag]
        if name not in forms:
            known = alternatives(list(forms))
            raise InvalidInputError(f"{flag} is for --form {known}, and not for {name}: leave one of them out.")
        options[forms[name].name] = forms[name].value(value)
    return form_of(destination, **options) if name is None else form_named(name, destination, **options)


def _form_with(flags: Sequence[str], destination: str) -> str:
    """Return the form that options mean, when none is named: that of the ending of the file, or one written as it is.

    Raises:
        InvalidInputError: no form has all of these options, or none that the ending of the file may mean.
    """
    having = [kind for kind in registered_forms() if all(kind.name in _OPTIONS[flag] for flag in flags)]
    by_ending = form_ending_as(destination)
    if by_ending is None:  # a directory, most likely
        fitting = sorted(having, key=lambda kind: not kind.is_directory)
    elif by_ending in having:
        return by_ending.name
    else:  # conversations are written as other forms, and end like them
        fitting = [kind for kind in having if by_ending.name in kind.containers or issubclass(kind, by_ending)]
    if fitting:
        return fitting[0].name
    named = " and ".join(flags)
    if not having or by_ending is None:
        raise InvalidInputError(f"{named} do not fit together: leave one of them out.")
    fitting = alternatives([kind.name for kind in having])
    raise InvalidInputError(
        f"{named} {'is' if len(flags) == 1 else 'are'} for --form {fitting}, and the "
        f"ending of {destination!a} means {by_ending.name}: leave the option out, or choose another name."
    )
