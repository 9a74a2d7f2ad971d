"""Storage URIs: which directory one names."""

from functools import partial
from os import PathLike
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage import LocalStorage, Project, open_storage
from starfish_storage.cli.place import Place
from starfish_storage.errors import InvalidInputError, InvalidUriError
from starfish_storage.testing.suites.suite import refused
from starfish_storage.uri import as_uri, file_uri_of_path, path_of_file_uri


class PathOfBytes(PathLike[bytes]):
    """A path that is not text."""

    def __repr__(self) -> str:
        return "PathOfBytes()"  # the name of a test must be the same in every process

    def __fspath__(self) -> bytes:
        return b"/data/store"


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


NO_FILE_URIS = [
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
    ("", "file://"),
    (None, "file:///data/store"),
    (7, "file:///data/store"),
    (b"file:///data", "file:///data/store"),
]
PATHS_OF_NO_STORE = [
    (" \n", "empty"),
    ("/", "root of the file system"),
    ("//", "root of the file system"),
    ("store/" + "../" * 99, "root of the file system"),
    (Path("/"), "root of the file system"),
    ("a\0b", "NUL"),
    (Path("/a\0b"), "NUL"),
    ("\ud800", "surrogate"),
    ("~nobody-of-this-name/store", "home directory"),
    (Path("~nobody-of-this-name/store"), "home directory"),
    (Path("file:///data/store"), "a Path merges them"),
    (Path("s3://bucket/x"), "a Path merges them"),
    ("file:store", "two slashes"),
    ("C:/store", "'./' before it"),
    (PathOfBytes(), "file:///data/store"),
    (["store"], "file:///data/store"),
]


@pytest.mark.parametrize(("uri", "reason"), [*NO_FILE_URIS, ("/data/store", "file://"), ("data", "file://")], ids=ascii)
def test_only_a_file_uri_has_the_path_of_one(uri: object, reason: str) -> None:
    with refused(InvalidUriError, uri):
        path_of_file_uri(uri)
    with pytest.raises(InvalidUriError, match=reason) as caught:
        path_of_file_uri(uri)
    assert caught.value.uri is uri


@pytest.mark.parametrize(("uri", "reason"), [*NO_FILE_URIS, *PATHS_OF_NO_STORE], ids=ascii)
def test_what_names_no_directory_is_refused(uri: object, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.makedirs", lambda *_: pytest.fail("a refused URI must not touch the disk"))
    for opener in (LocalStorage, open_storage):
        with refused(InvalidUriError, uri):
            opener(uri)  # type: ignore[operator]
        with pytest.raises(InvalidUriError, match=reason) as caught:
            opener(uri)  # type: ignore[operator]
        assert caught.value.uri is uri


@pytest.mark.parametrize(
    "uri", ["file://host/data", "s3:///x", "ftp://bucket/x", "file:x", "file://", Path("s3://b"), 7]
)
def test_the_override_is_checked_too(uri: object) -> None:
    for opener in (LocalStorage, open_storage):
        with refused(InvalidUriError, uri):
            opener("file:///data/store", uri)  # type: ignore[operator]


def test_paths_are_taken_as_the_command_line_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    named = {
        "store": "here/store",
        "./store/": "here/store",
        "../my store": "my store",
        "~/store": "home/store",
        "~": "home",
        "./~": "here/~",
        "100%25?b#c": "here/100%25?b#c",
        str(tmp_path / "ü"): "ü",
    }
    for name, path in named.items():
        for form in (name, Path(name)) if name != "./~" else (name,):  # of a Path, the "./" is gone
            for storage in (open_storage(form), LocalStorage(form)):
                assert storage.storage_uri == (tmp_path / path).as_uri()
        assert Place(as_uri(name)).path == str(tmp_path / path)
    for form in ("data", Path("data")):
        for opener in (open_storage, LocalStorage):
            storage = opener("store", form)
            assert isinstance(storage, LocalStorage)
            assert storage.data_base_path == str(tmp_path / "here/data")
    assert list((tmp_path / "here").iterdir()) == []


async def test_a_store_at_a_path_is_the_one_at_its_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_storage("store") as storage:
        await storage.save_project(Project(project_id="p", name="n"))
    async with open_storage((tmp_path / "store").as_uri()) as storage:
        assert await storage.get_project("p") is not None


def test_a_relative_path_needs_a_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with refused(InvalidUriError, "store"):
        open_storage("store")
    assert open_storage(tmp_path / "store").storage_uri == (tmp_path / "store").as_uri()


@pytest.mark.parametrize(
    "mistyped",
    [
        Path("postgresql://me:secret@host/db"),
        "postgresql:/me:secret@host/db",
        "postgresql:me:secret@host",
        " postgresql://me:secret@host/db",
        "\npostgresql://me:secret@host/db",
        "store ",
        " s3://me:secret@bucket/prefix",
        "jdbc:postgresql://me:secret@host/db",
        "postgres+x_y://me:secret@host/db",
    ],
)
def test_what_was_to_be_a_uri_becomes_no_directory_and_shows_no_password(
    mistyped: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for opener in (open_storage, LocalStorage, partial(open_storage, "store")):
        with pytest.raises(InvalidUriError) as caught:
            opener(mistyped)
        assert "secret" not in str(caught.value)


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
