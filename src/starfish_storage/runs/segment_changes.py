"""What changed from one segment of a run to another, in lines for people."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, cast

from starfish_storage.codec import readable_text

ChangeKind = Literal["code", "config", "options", "versions", "git"]
CHANGE_KINDS: tuple[ChangeKind, ...] = ("code", "config", "options", "versions", "git")
"""What two segments are compared by. The host, the user and the command line mean nothing for what a run makes."""

_LONGEST_VALUE = 60  # characters of a value in a line; a prompt is longer
_LONGEST_PART = 40  # of a longer text
_BEFORE = 10  # of that, in front of what differs
_MOST_LINES = 100  # of one kind
_ABSENT = object()


def describe_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], kinds: Collection[ChangeKind] = CHANGE_KINDS
) -> list[str]:
    """Return what differs between the identities of two segments, one line each; none if nothing does.

    Lines are such as ``config.temperature: 0.2 -> 0.7``, ``function body of answers.answer changed`` or
    ``openai 3.1.0 -> 3.2.0``. A change of comments or layout has a line too: see `is_code_changed`.

    Args:
        old: what a run was made of.
        new: what it is made of now.
        kinds: what is compared.

    >>> describe_changes({"config": {"model": "m", "t": 0.2}}, {"config": {"model": "m", "t": 0.7}})
    ['config.t: 0.2 -> 0.7']
    """
    found: list[str] = []
    for kind in CHANGE_KINDS:
        if kind in kinds:
            lines = list(_DESCRIBED[kind](old, new))
            more = len(lines) - _MOST_LINES
            found += lines if more <= 0 else [*lines[:_MOST_LINES], f"{more:,} more changes of {kind}"]
    return found


def is_code_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether a run's function does something else than before, as far as its code tells.

    Comments and layout change nothing. Another version of Python compiles the same text to other code; then the texts
    decide.
    """
    before, after = _member(old, "function"), _member(new, "function")
    if _is_same_python(old, new):
        return before.get("code") != after.get("code")
    return before.get("source") != after.get("source") or before.get("files") != after.get("files")


def _code(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = _member(old, "function"), _member(new, "function")
    name = str(after.get("name"))
    if before.get("name") != after.get("name"):
        yield f"function: {_dotted(before.get('name'))} -> {_dotted(name)}"
        return
    if not is_code_changed(old, new):
        if before.get("source") != after.get("source"):
            yield f"only comments or layout of {_dotted(name)} changed"
        elif before.get("files") != after.get("files"):
            files = ", ".join(path for path, _ in _differing(before, after, "files"))
            yield f"only comments, layout or code that {_dotted(name)} does not use changed in {files}"
        return
    lines = list(_changed_parts(before, after, name)) if _is_same_python(old, new) else []
    yield from lines
    if not lines:
        files = ", ".join(path for path, _ in _differing(before, after, "files"))
        yield f"code of {_dotted(name)} changed" + (f" in {files}" if files else "")


def _changed_parts(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> Iterator[str]:
    for kind, what in (("functions", "helper"), ("classes", "class"), ("constants", "constant")):
        for part, how in _differing(before, after, kind):
            yield f"function body of {_dotted(part)} {how}" if part == name else f"{what} {_dotted(part)} {how}"


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """Yield the names whose digests differ, and how."""
    old, new = _member(before, kind), _member(after, kind)
    for name in dict.fromkeys([*new, *old]):
        if old.get(name) != new.get(name):
            yield name, "changed" if name in old and name in new else "added" if name in new else "removed"


def _config(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    return _values(_member(old, "config"), _member(new, "config"), "config")


def _options(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    return _values(_member(old, "options"), _member(new, "options"), "options")


def _versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = _member(old, "versions"), _member(new, "versions")
    for name in dict.fromkeys([*after, *before]):
        shown = "Python" if name == "python" else name
        if name not in before:
            yield f"{shown} {after[name]} added"
        elif name not in after:
            yield f"{shown} {before[name]} no longer imported"
        elif before[name] != after[name]:
            yield f"{shown} {before[name]} -> {after[name]}"


def _git(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = _member(old, "git"), _member(new, "git")
    if before.get("commit") != after.get("commit"):
        yield f"commit {_commit(before)} -> {_commit(after)}"
    if before.get("clean") != after.get("clean") and before and after:
        yield f"work tree: {_tree(before)} -> {_tree(after)}"


def _commit(git: Mapping[str, Any]) -> str:
    return str(git["commit"])[:10] if "commit" in git else "none"


def _tree(git: Mapping[str, Any]) -> str:
    return {True: "clean", False: "changed"}.get(cast("bool", git.get("clean")), "unknown")


_DESCRIBED = {"code": _code, "config": _config, "options": _options, "versions": _versions, "git": _git}


def _values(old: object, new: object, path: str) -> Iterator[str]:
    """Yield where two JSON values differ, and how."""
    pending: list[tuple[Any, Any, str]] = [(old, new, path)]
    while pending:
        before, after, place = pending.pop()
        if isinstance(before, dict) and isinstance(after, dict):
            was, now = cast("dict[str, object]", before), cast("dict[str, object]", after)
            names = dict.fromkeys([*was, *now])
            members = [(was.get(one, _ABSENT), now.get(one, _ABSENT), f"{place}.{one}") for one in names]
            pending.extend(reversed(members))
        elif isinstance(before, list) and isinstance(after, list):
            first, second = cast("list[object]", before), cast("list[object]", after)
            count = max(len(first), len(second))
            items = [(_item(first, index), _item(second, index), f"{place}[{index}]") for index in range(count)]
            pending.extend(reversed(items))
        elif before is _ABSENT:
            yield f"{place} added{_shown(': {}', cast('object', after))}"
        elif after is _ABSENT:
            yield f"{place} removed"
        elif type(cast("object", before)) is not type(cast("object", after)) or before != after:
            yield f"{place}{_shown(': {} -> {}', cast('object', before), cast('object', after)) or ' changed'}"


def _item(items: list[object], index: int) -> object:
    return items[index] if index < len(items) else _ABSENT


def _shown(form: str, *values: object) -> str:
    """Return values in a line: long texts cut to what differs, and nothing if another value is too long for it.

    >>> _shown("{} -> {}", "Answer in one word. " + 60 * "a", "Answer in one sentence. " + 60 * "a")
    '"...er in one word. aaaaaaaaaaaaaaaaaaaaaaaa..." -> "...er in one sentence. aaaaaaaaaaaaaaaaaaaa..."'
    """
    texts = [readable_text(value) for value in values]
    if all(len(text) <= _LONGEST_VALUE for text in texts):
        return form.format(*texts)
    if not all(isinstance(value, str) for value in values):
        return ""
    whole = [str(value) for value in values]
    differing = (place for place, found in enumerate(zip(*whole, strict=False)) if len(set(found)) > 1)
    same = next(differing, min(map(len, whole))) if len(whole) > 1 else 0
    start = max(0, same - _BEFORE)
    return form.format(*(readable_text(_part(text, start)) for text in whole))


def _part(text: str, start: int) -> str:
    end = start + _LONGEST_PART
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"


def _member(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object in a JSON object; an empty one if there is none, as in what another version has written."""
    found = value.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _is_same_python(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    first, second = (str(_member(one, "versions").get("python")).split(".")[:2] for one in (old, new))
    return first == second


def _dotted(name: object) -> str:
    return str(name).replace(":", ".")
