"""Which ids may be used, and which of them a file system would confuse."""

import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage import keys
from starfish_storage.errors import InvalidIdError, InvalidReferenceError
from starfish_storage.identifiers import MAX_ID_BYTES, check_id, fold
from starfish_storage.testing.hostile import HOSTILE_IDS, hostile_references
from starfish_storage.testing.strategies import ids
from starfish_storage.testing.suites.suite import refused

ROOT = "/stores/a"

USABLE = [
    "a", "7", "r1", "job-1", "a_b", "a.b", "v1.2.3", str(uuid.UUID(int=0)), "Abc", "ABC", "x" * MAX_ID_BYTES,
    "é" * (MAX_ID_BYTES // 2), "🐙", "naïve", "a b", "a'b", "a#b", "a%2fb", "a;b", "a~", "~a", "-a", "_", "(1)",
    "日本語", "company", "con1", "com", "com10", "lpt", "nullable", "auxiliary.txt",
]  # fmt: skip


@pytest.mark.parametrize("usable", USABLE, ids=ascii)
def test_usable_ids(usable: str) -> None:
    assert check_id("record_uid", usable) is usable
    assert keys.record_key(usable).endswith(f"/{usable}.json")
    assert keys.request_config_key(usable) == f"configs/{usable}.request.json"


@pytest.mark.parametrize("hostile", HOSTILE_IDS, ids=ascii)
def test_hostile_ids(hostile: object) -> None:
    for check in (lambda: check_id("record_uid", hostile), lambda: keys.record_key(hostile)):  # type: ignore[arg-type]
        with pytest.raises(InvalidIdError) as caught:
            check()
        assert caught.value.value is hostile
        assert caught.value.kind == "record_uid"
        assert "cannot be used: " in str(caught.value)
        assert "Use letters" in str(caught.value)
    with refused(InvalidIdError, hostile):
        keys.request_config_key(hostile)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        ("", "empty"),
        ("x" * 300, "300 bytes long, the limit is 200"),
        ("é" * 101, "202 bytes long"),
        ("a/b", "'/'"),
        ("nul\0", r"'\x00'"),
        (".a", "dot"),
        ("a ", "blank"),
        ("nul", "Windows"),
        ("e\u0301", "NFC"),
        ("\ud800", "surrogate"),
        ("a\x85", "control"),
        (7, "string"),
    ],
)
def test_the_reason_is_named(hostile: object, reason: str) -> None:
    with pytest.raises(InvalidIdError) as caught:
        check_id("record_uid", hostile)
    assert reason in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_an_id_or_is_refused(text: str) -> None:
    try:
        check_id("record_uid", text)
    except InvalidIdError:
        return
    key = keys.record_key(text)
    assert keys.check_record_key(key) == key
    assert keys.key_of_path(f"{ROOT}/{key}", (ROOT,)) == key == keys.key_of_path(key, (ROOT,))
    assert key.count("/") == 2
    config = keys.request_config_key(text)
    assert keys.check_request_config_key(config) == config
    assert len(key.rpartition("/")[2].encode()) <= 255


@given(ids())
def test_ids_that_fold_alike_are_in_one_directory(one: str) -> None:
    for other in (one.upper(), one.lower(), one.swapcase()):
        other = unicodedata.normalize("NFC", other)  # noqa: PLW2901 (as check_id asks for)
        if fold(other) == fold(one) and len(other.encode()) <= MAX_ID_BYTES:
            try:
                there = keys.record_key(other).rpartition("/")[0]
            except InvalidIdError:
                continue
            assert there == keys.record_key(one).rpartition("/")[0]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("abc", "ABC", True),
        ("é", "É", True),
        ("ß", "SS", True),
        ("\u03c3", "\u03c2", True),  # the two small sigmas
        ("abc", "abd", False),
        ("a-b", "a_b", False),
        ("é", "e", False),
    ],
)
def test_fold(one: str, other: str, alike: bool) -> None:
    assert (fold(one) == fold(other)) is alike
    assert fold(fold(one)) == fold(one)


def test_shards_are_even() -> None:
    shards = [keys.record_key(f"record-{number}").split("/")[1] for number in range(10_000)]
    assert len(set(shards)) == 256
    assert max(shards.count(shard) for shard in set(shards)) < 80


@pytest.mark.parametrize("reference", hostile_references(), ids=lambda value: ascii(value)[:40])
def test_hostile_references(reference: object) -> None:
    for check in (keys.check_record_key, keys.check_request_config_key):
        with refused(InvalidReferenceError, reference):
            check(keys.key_of_path(reference, (ROOT,)))
        if isinstance(reference, str) and not reference.startswith("/"):
            with refused(InvalidReferenceError):
                check(keys.key_of_path(f"{ROOT}/{reference}", (ROOT,)))


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("data/3f/r1.json", "data/3f/r1.json"),
        (f"{ROOT}/data/3f/r1.json", "data/3f/r1.json"),
        ("/where/it/lay/before/data/3f/r1.json", "data/3f/r1.json"),
        ("/where/it/lay/before/data/ab/cd/r1.json", "data/ab/cd/r1.json"),
        ("/before/data/data/3f/r1.json", "data/3f/r1.json"),
        ("/before/configs/m1.request.json", "configs/m1.request.json"),
        (f"{ROOT}/data/XX/XX/ab.json", "data/XX/XX/ab.json"),
        ("/with\nnewline/data/3f/r1.json", "data/3f/r1.json"),
        (f"{ROOT}-2/data/3f/r1.json", "data/3f/r1.json"),
    ],
)
def test_references_that_mean_a_key(reference: str, key: str) -> None:
    assert keys.key_of_path(reference, (ROOT,)) == key


def test_a_store_below_a_directory_named_data() -> None:
    root = "/data/ab/store"
    for before in ("/data/ab/store", "/other/data/cd/configs"):
        assert keys.key_of_path(f"{before}/data/3f/r1.json", (root,)) == "data/3f/r1.json"
        assert keys.key_of_path(f"{before}/configs/m.request.json", (root,)) == "configs/m.request.json"


@pytest.mark.parametrize("key", ["data/3f/r1.json", "data/ab/cd/r1.json", "configs/m1.request.json"])
def test_a_store_that_was_moved_to_a_directory_above_or_below(key: str) -> None:
    for before in ("/a/b/store", "/a/b", "/a/b/data", "/a/b/configs/x", "/a/bc"):
        for now in ("/a", "/a/b", "/a/b/store/deeper"):
            assert keys.key_of_path(f"{before}/{key}", (now,)) == key, (before, now)


def test_a_store_known_under_two_roots() -> None:
    roots = ("/link/store", "/real/store")
    assert keys.key_of_path("/real/store/data/3f/r1.json", roots) == "data/3f/r1.json"
    assert keys.key_of_path("/link/store/data/3f/r1.json", roots) == "data/3f/r1.json"
    with refused(InvalidReferenceError):
        keys.key_of_path("/real/store/../x", roots)
