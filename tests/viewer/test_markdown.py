"""Markdown that models wrote, as pages show it."""

from __future__ import annotations

import pytest

from starfish_storage.viewer.blocks import text_block
from starfish_storage.viewer.json_tree import Room
from starfish_storage.viewer.safe_markdown import rendered


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("[a](javascript:b)", "<p>[a](javascript:b)</p>\n"),
        ("[a](JaVaScRiPt&colon;b)", "<p>[a](JaVaScRiPt:b)</p>\n"),
        ("[a](data:text/html,b)", "<p>[a](data:text/html,b)</p>\n"),
        ("[a](/run)", "<p>[a](/run)</p>\n"),
        ("<javascript:b>", "<p>&lt;javascript:b&gt;</p>\n"),
        ('```x" onclick="y\n<i>\n```', '<pre><code class="language-x&quot;">&lt;i&gt;\n</code></pre>\n'),
    ],
)
def test_markdown_can_do_nothing(text: str, html: str):
    assert rendered(text) == html


def test_markdown_reads_well():
    html = str(
        rendered("# T\n\n|a|b|\n|:-:|-|\n|1|2|\n\n[w](https://example.org) ~~no~~ ![i](https://example.org/i.png)")
    )
    assert "<h1>T</h1>" in html
    assert "<td>1</td>" in html
    assert "style=" not in html
    assert '<a href="https://example.org" rel="noopener noreferrer nofollow" target="_blank">w</a>' in html
    assert "<img" not in html
    assert rendered("x" * 60_000) is None


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ('What is 1 < 2 & "so"?\n', True),
        ("One.\n\nTwo.", True),
        ("<b>as text</b>", True),
        ("It is **1**.", False),
        ("- item", False),
        ("one\ntwo", False),
        ("one\n\n\n\ntwo", False),
        ("a  b", False),
        ("&amp;", False),
        ("a\\*b", False),
        ("[a](https://example.org)", False),
    ],
)
def test_a_text_that_reads_as_it_is_stored_is_shown_once(text: str, is_same: bool):
    assert text_block(text, Room()).looks_as_stored == is_same
