"""What `make site` adds to mkdocs: pages from outside of docs/, so that each link of a page leads somewhere.

The pages are written for people who read them where they lie, so their links name files of the project. README.md is
the site's home; any other file that a page links to becomes a page below ``project/``, source code as a listing.
"""

# pyright: reportMissingImports=false
# mkdocs comes with the dependency group `site` only.

from __future__ import annotations

import importlib
import os
import posixpath
import re
import zlib
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).parents[1]
HOME = "README.md"
PUBLIC = [
    "starfish_storage",
    *(
        f"starfish_storage.{room}"
        for room in ("copying", "export", "generation", "imports", "interface", "maintenance")
    ),
]
_FENCE = re.compile(r"^(```+)([^\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_LOADED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=\"?(https?:[^\" >]+)")
_LANGUAGES = {".py": "python", ".sql": "sql", ".sh": "bash"}


def on_files(files: Files, config: Any) -> Files:
    """Add every file outside of docs/ that a page links to, and those that these link to."""
    pending = [f"docs/{file.src_uri}" for file in files.documentation_pages()] + [HOME]
    pending += [f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING")]
    seen: set[str] = set()
    while pending:
        path = pending.pop()
        if path in seen or not (PROJECT / path).is_file():
            continue  # a link to nothing stays as it is, and mkdocs reports it
        seen.add(path)
        if path.endswith(".md"):
            text = (PROJECT / path).read_text("utf-8")
            pending += [target for target, _ in (resolve(path, link[1]) for link in links(text)) if target]
        if not path.startswith("docs/"):
            files.append(File.generated(config, page_of(path), content=listing(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links lead to pages of the site, and the fences of examples show the name of their file."""
    here = source_of(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target, anchor = resolve(here, link[2])
        if target is None or not (PROJECT / target).is_file():
            return link[0]
        relative = posixpath.relpath(page_of(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"{link[1]}{relative}{anchor}{link[3]}"

    parts: list[str] = []
    end = 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(moved, markdown[end : fence.start()]), shown(fence)]
        end = fence.end()
    return "".join([*parts, _LINK.sub(moved, markdown[end:])])


def links(text: str) -> list[tuple[str, str, str]]:
    """Return the links of a page, those in its code left out."""
    return _LINK.findall(_FENCE.sub("", text))


def resolve(path: str, link: str) -> tuple[str | None, str]:
    """Return the file of the project that a link of a page names, or None, and the anchor in it."""
    target, mark, anchor = link.partition("#")
    if not target or "://" in target or target.startswith(("mailto:", "/")):
        return None, ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target)), mark + anchor


def page_of(path: str) -> str:
    """Return where a file of the project stands in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path == HOME:
        return "index.md"
    return f"project/{path}" if path.endswith(".md") else f"project/{path}.md"


def source_of(src_uri: str) -> str:
    """Return the file of the project that a page of the site is made of."""
    if src_uri == "index.md":
        return HOME
    inside = src_uri.removeprefix("project/")
    if inside == src_uri:
        return f"docs/{src_uri}"
    return inside if (PROJECT / inside).exists() else inside.removesuffix(".md")


def listing(path: str) -> str:
    """Return a file as a page."""
    text = (PROJECT / path).read_text("utf-8")
    if path.endswith(".md"):
        return text
    language = _LANGUAGES.get(os.path.splitext(path)[1], "text")
    return f"# {path}\n\n````{language}\n{text}````\n"


def shown(fence: re.Match[str]) -> str:
    """Return a fenced block as the site shows it: the tests' own words of its first line are not for readers."""
    language, _, rest = fence[2].partition(" ")
    if language == "text" and fence[3].count("\n") == 1:
        return f"{fence[1]}{{.text .message}}\n{fence[3]}{fence[1]}"  # style.css lets it wrap
    name = rest.removeprefix("file=")
    title = f' title="{name}"' if name != rest else ""
    return f"{fence[1]}{language}{title}\n{fence[3]}{fence[1]}"


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that would load something from elsewhere; links that people follow are theirs to follow."""
    loaded = _LOADED.search(output)
    if loaded:
        raise PluginError(f"{page.file.src_uri} loads {loaded[1]} from elsewhere")
    return output


def on_post_build(config: Any, **_: Any) -> None:
    """Refuse a site whose reference lacks a public name."""
    inventory = (Path(config["site_dir"]) / "objects.inv").read_bytes()
    entries = zlib.decompress(inventory.split(b"\n", 4)[4]).decode().splitlines()
    documented = {
        name.rpartition(".")[2] for name, domain in (entry.split(" ")[:2] for entry in entries) if domain[:3] == "py:"
    }
    for module in PUBLIC:
        missing = sorted(set(importlib.import_module(module).__all__) - documented)
        if missing:
            raise PluginError(f"the reference lacks {', '.join(missing)} of {module}")
