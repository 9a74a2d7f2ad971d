"""Text in the cells of spreadsheets, which take some of it for formulas."""

from __future__ import annotations

import re

# What a spreadsheet takes for the beginning of a formula, also behind blanks, and in the wide letters of East Asia
# (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = re.compile(r"[\s\0]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-](?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HARMLESS = "'"


def harmless(text: str) -> str:
    """Return a text with a ``'`` before it if a spreadsheet would run it as a formula; a number is none.

    >>> [harmless(text) for text in ("=1+1", " @SUM(A1)", "-5e3", "+1", "-1+1")]
    ["'=1+1", "' @SUM(A1)", '-5e3', '+1', "'-1+1"]
    """
    is_formula = _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
    return _HARMLESS + text if is_formula else text
