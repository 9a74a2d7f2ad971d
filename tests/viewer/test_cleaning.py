"""What is left out of a bundle: secrets, and what tells about the machine; and what is not."""

from __future__ import annotations

import getpass
import socket
import time

import pytest

from starfish_storage.publishing.cleaning import Cleaner


@pytest.fixture
def cleaner(monkeypatch: pytest.MonkeyPatch) -> Cleaner:
    monkeypatch.setenv("HOME", "/home/planted")
    monkeypatch.setattr(socket, "gethostname", lambda: "node-17")
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    return Cleaner(["/data/my store"])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('File "/home/ann lee/work/answers.py", line 3, in answer', 'File "answers.py", line 3, in answer'),
        ("no such file: '/etc/ssl/key.pem'", "no such file: 'key.pem'"),
        ("/data/my store/data/17/x.json is lost", "data/17/x.json is lost"),
        ("file:///home/ann/store", "~/store"),
        ("it is at /home/ann.", "it is at ~."),
        ("it is full: /mnt", "it is full: [path]"),
        ("~/notes/x.txt and C:\\Users\\Ann\\x.txt", "x.txt and x.txt"),
        ("http://ann:pw@gpu-7.internal:8000/v1/chat?api_key=abc&n=1", "http://[host]/v1/chat?api_key=[redacted]&n=1"),
        ("postgresql://u:p@h/db", "postgresql://[host]/db"),
        ("HTTPSConnectionPool(host='gpu-7', port=443)", "HTTPSConnectionPool(host='[host]', port=443)"),
        ("cannot connect to host gpu-8.internal:80 ssl:default", "cannot connect to host [host] ssl:default"),
        ("from 10.1.2.3:99 and [::1]:80", "from [host] and [host]"),
        ("alice on node-17 wrote to ann.lee@example.com", "[user] on [host] wrote to [user]"),
        ("run ask.py --api-key hunter2 now", "run ask.py --api-key [redacted] now"),
        ("Authorization: Bearer abcdefgh", "Authorization: [redacted]"),
        ("one sk-abcdefghijkl\n\ttwo", "one [redacted]\n\ttwo"),
        ("ratio 3/4, a/b/c, 12:30, src/answers.py:12, 1.2.3, </p>", None),
    ],
)
def test_errors_and_configurations(cleaner: Cleaner, text: str, clean: str | None):
    assert cleaner.text(text) == (text if clean is None else clean)
    assert cleaner.told({"a": [text]}) == {"a": [text if clean is None else clean]}
    assert bool(cleaner.replaced) == (clean is not None)
    assert [cleaner.told(one) for one in (None, 5, True)] == [None, 5, True]


@pytest.mark.parametrize(
    ("data", "clean"),
    [
        ({"api_key": "sk-1", "token": "tokenise", "n": 1}, {"api_key": "[redacted]", "token": "tokenise", "n": 1}),
        ({"text": ["key sk-abcdefghijkl"]}, {"text": ["key [redacted]"]}),
        ({"/home/planted/x": 1, "x": 2, "/home/planted/y": {"x": 3}}, {"x": 1, "x'": 2, "y": {"x": 3}}),
        ({"file": "/home/planted/docs/x.pdf", "in": "/data/my store"}, {"file": "docs/x.pdf", "in": ""}),
        ({"code": "password = 'x'; open('/etc/passwd'); http://10.0.0.1/ as alice"}, None),  # what is published
    ],
)
def test_data_is_changed_as_little_as_can_be(cleaner: Cleaner, data: dict[str, object], clean: dict[str, object]):
    before = repr(data)
    assert cleaner.data(data) == (data if clean is None else clean)
    assert repr(data) == before
    assert cleaner.replaced == (clean is not None)


def test_long_texts_take_no_longer_than_many_short_ones(cleaner: Cleaner):
    for piece in ("/a", "a@", "a.", "--key ", 'File "', "://", "host=", "1.1.", "a:\\\\"):
        begin = time.process_time()
        cleaner.text(piece * 10_000)
        assert time.process_time() - begin < 1, piece  # a tenth of that; were it squared, minutes
