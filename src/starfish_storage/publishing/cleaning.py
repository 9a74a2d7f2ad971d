"""What others are not to see: secrets, and what tells about the machine: paths, hosts, and users.

Data is what people publish, so as little of it is changed as can be: keys of known providers, values that look like a
key under a name that says so, and paths of this machine itself. All else, such as errors and configurations, was
written for those who ran it: there, every absolute path, host and address of a person goes.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, cast

from starfish_storage.redaction import redact_keys, redact_secrets, redact_words, without_keys

_HOST, _USER = "[host]", "[user]"
_SHORTEST_NAME = 3
_EVERYBODY = frozenset({"root", "user", "admin", "ubuntu", "runner", "nobody", "app", "localhost"})

_USER_OF_URL = re.compile(r"(?<=://)[^\s/?#\"'@]{1,1000}@")
_HOST_OF_URL = re.compile(r"(?<=://)(?!\[host\])[^\s/?#\"'<>,)]+")
_HOST_AFTER_WORD = re.compile(
    r"(?P<word>\bhost(?:name)?['\"]?[ =:]+['\"]?)(?!\[host\])[\w-]+(?:\.[\w-]+)*(?::\d+)?", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.])|\[[0-9a-fA-F:]{3,39}\](?::\d+)?")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_FILE_OF_TRACEBACK = re.compile(r'(?<=File ")[^"\n]*[/\\](?=[^"\n/\\]+")')
_HOME = re.compile(r"(?<![\w/.:~\]<-])/(?:home|Users)/[\w@-]+(?:\.[\w@-]+)*")
_PATH = re.compile(
    r"(?<![\w/.:~\]<-])~?(?:/[\w.@%+~=-]+)+/(?=[\w.@%+~=-]|\b)|(?<!\w)[A-Za-z]:\\(?:[^\\\s\"'<>|:*?]+\\)*"
)
_LONE_DIRECTORY = re.compile(r"(?<![\w/.:~\]<-])/(?:home|root|Users|data|mnt|tmp|var|srv|opt|scratch)\b(?!/)")


class Cleaner:
    """Copies values without what others are not to see.

    Args:
        places: directories of this machine, such as that of the store.

    Attributes:
        replaced: in how many values something was left out.
    """

    def __init__(self, places: Iterable[str] = ()) -> None:
        here = {os.path.expanduser("~"), os.getcwd(), tempfile.gettempdir(), *places}
        found = sorted({one.rstrip("/") for one in here if one.count("/") > 1 or one == "/root"}, key=len, reverse=True)
        self._places = re.compile("|".join(rf"{re.escape(one)}(?:/+|(?![\w.-]))" for one in found) or r"(?!)")
        names = {socket.gethostname(): _HOST, _user(): _USER}
        self._names = {
            re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])"): instead
            for name, instead in names.items()
            if len(name) >= _SHORTEST_NAME and name.lower() not in _EVERYBODY
        }
        self.replaced = 0

    def data(self, value: Any) -> Any:
        """Return the data or the input of a record."""
        named = redact_keys(value)[0] if isinstance(value, dict | list) else value
        return self._counted(value, _each_text(named, self._data_text))

    def told(self, value: Any) -> Any:
        """Return a JSON value that was not made to be published, such as a configuration."""
        named = redact_secrets(value)[0] if isinstance(value, dict | list) else value
        return self._counted(value, _each_text(named, self._told_text, redact_words))

    def text(self, text: str | None) -> str | None:
        """Return a text that was not made to be published, such as an error; None stays."""
        return None if text is None else self._counted(text, self._told_text(text))

    def _data_text(self, text: str) -> str:
        return self._places.sub("", without_keys(text))

    def _told_text(self, text: str) -> str:
        text = self._places.sub("", _FILE_OF_TRACEBACK.sub("", text.replace("file:///", "/")))
        text = _HOST_OF_URL.sub(_HOST, _USER_OF_URL.sub("", text))  # first: a port looks like the value of a name
        text = "\n".join(map(_without_secrets, text.split("\n")))
        text = _MAIL.sub(_USER, _ADDRESS.sub(_HOST, text))
        text = _HOST_AFTER_WORD.sub(rf"\g<word>{_HOST}", text)
        for name, instead in self._names.items():
            text = name.sub(instead, text)
        return _LONE_DIRECTORY.sub("[path]", _PATH.sub("", _HOME.sub("~", text)))

    def _counted(self, before: Any, after: Any) -> Any:
        self.replaced += before is not after and before != after
        return after


def _without_secrets(line: str) -> str:
    """Return a line without secrets: as a header or a setting has them, and as its words have them."""
    return redact_words([line])[0]


def _each_text(
    value: Any, change: Callable[[str], str], change_words: Callable[[list[str]], list[str]] | None = None
) -> Any:
    """Return a JSON value with its texts and names changed, lists of texts first. It is as deep as a store takes."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, one in cast("dict[str, Any]", value).items():
            clean = change(name)
            while clean in found:  # two names that differ in what is left out
                clean += "'"
            found[clean] = _each_text(one, change, change_words)
        return found
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if change_words is not None and all(isinstance(one, str) for one in items):  # such as a command line
            items = change_words(items)
        return [_each_text(one, change, change_words) for one in items]
    return value


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # nobody, as in some containers
        return ""
