"""Storage URIs: which directory one names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage import LocalStorage, open_storage
from starfish_storage.errors import InvalidInputError, InvalidUriError
from starfish_storage.testing.suites.suite import refused
from starfish_storage.uri import file_uri_of_path, path_of_file_uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///data/store", "/data/store"),
        ("file:///data/store/", "/data/store"),
        ("file:///data//x/../store/.", "/data/store"),
        ("file:////data/store", "/data/store"),
        ("file:///data/my%20store", "/data/my store"),
        ("file:///data/my store", "/data/my store"),
        ("file:///data/%C3%BC", "/data/ü"),
        ("file:///data/ü", "/data/ü"),
        ("file:///data/a?b#c", "/data/a?b#c"),
        ("file:///data/100%", "/data/100%"),
        ("file:///data/a%2Fb", "/data/a/b"),
    ],
)
def test_paths(uri: str, path: str) -> None:
    assert path_of_file_uri(uri) == path
    assert LocalStorage(uri).storage_uri == file_uri_of_path(path)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "file://"),
        ("/data/store", "file://"),
        ("data/store", "file://"),
        ("http://example.org/x", "file://"),
        ("s3://bucket/x", "file://"),
        ("sqlite:///x", "file://"),
        ("file:", "file://"),
        ("file:/data/store", "file://"),
        ("FILE:///data/store", "file://"),
        ("file://", "three slashes"),
        ("file:///", "root of the file system"),
        ("file:////", "root of the file system"),
        ("file:///x/..", "root of the file system"),
        ("file://localhost/data", "localhost"),
        ("file://host/data", "host"),
        ("file://relative", "relative"),
        ("file://./relative", "'.'"),
        ("file://~/store", "~"),
        ("file://C:/store", "C:"),
        ("file:///data/%00", "NUL"),
        ("file:///data/\0", "NUL"),
        ("file:///data/%ff", "UTF-8"),
        ("file:///data/\ud800", "surrogate"),
        (None, "file:///data/store"),
        (7, "file:///data/store"),
        (b"file:///data", "file:///data/store"),
        (Path("/data"), "file:///data/store"),
    ],
    ids=ascii,
)
def test_uris_that_name_no_directory_are_refused(uri: object, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.makedirs", lambda *_: pytest.fail("a refused URI must not touch the disk"))
    for opener in (path_of_file_uri, LocalStorage, open_storage):
        with refused(InvalidUriError, uri):
            opener(uri)  # type: ignore[operator]
        with pytest.raises(InvalidUriError, match=reason) as caught:
            opener(uri)  # type: ignore[operator]
        assert caught.value.uri is uri


@pytest.mark.parametrize("uri", ["file://host/data", "s3:///x", "ftp://bucket/x", "/data", "file://", 7])
def test_the_override_is_checked_too(uri: object) -> None:
    for opener in (LocalStorage, open_storage):
        with refused(InvalidUriError, uri):
            opener("file:///data/store", uri)  # type: ignore[operator]


@pytest.mark.parametrize("durability", ["", "POWER", "none", None, True])
def test_unknown_durabilities_are_refused(durability: object) -> None:
    for opener in (LocalStorage, open_storage):
        with refused(InvalidInputError, "durability"):
            opener("file:///data/store", durability=durability)  # type: ignore[operator]


@given(st.lists(st.text(min_size=1, max_size=8).filter(lambda part: part not in (".", "..")), min_size=1, max_size=4))
def test_a_path_and_its_uri_name_each_other(parts: list[str]) -> None:
    path = "/" + "/".join(part.replace("/", "_").replace("\0", "_") for part in parts)
    assert path_of_file_uri(file_uri_of_path(path)) == path


def test_uris_of_pathlib_are_understood(tmp_path: Path) -> None:
    directory = tmp_path / "with blank, ü and %"
    assert path_of_file_uri(directory.as_uri()) == str(directory)


def test_an_override_names_the_place_of_the_data(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path.as_uri(), (tmp_path / "elsewhere").as_uri())
    assert storage.base_path == str(tmp_path)
    assert storage.data_base_path == str(tmp_path / "elsewhere")
    assert storage.generate_request_config_path("m") == str(tmp_path / "elsewhere/configs/m.request.json")
    assert list(tmp_path.iterdir()) == []
