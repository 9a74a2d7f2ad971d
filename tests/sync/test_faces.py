"""Both faces have the same names, arguments and descriptions, and what is asynchronous and public has a face."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator

import pytest

import starfish_storage
from starfish_storage import filtering, interface, sync

ROOMS = [
    starfish_storage,
    filtering,
    *(importlib.import_module(f"starfish_storage.{name}") for name in starfish_storage._ROOMS),
]
FACES = {
    sync.Storage: interface.Storage,
    sync.RunLedger: interface.RunLedger,
    sync.AnnotationStore: interface.AnnotationStore,
    sync.StoreTransfer: interface.StoreTransfer,
    sync.RowTransfer: interface.RowTransfer,
}
WITHOUT = {
    "AsyncRecorded": "is of a function that is async itself; `recorded` makes something else of a plain one",
    "ChangeFeed": "what search reads of a metadata handler",
    "Context": "is given to functions that a run calls, whichever face has started it",
    "DataHandler": "a part of a storage, which calls it",
    "Form": "what an export calls",
    "MetadataHandler": "a part of a storage, which calls it",
}
SPECIAL = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
STORES = re.compile(r"\n *(storage|store|source|target): (.*)")


def members(kind: type) -> dict[str, object]:
    return {
        name: inspect.getattr_static(kind, name) for name in dir(kind) if not name.startswith("_") or name in SPECIAL
    }


def described(member: object) -> str:
    return inspect.getdoc(member.fget if isinstance(member, property) else member) or ""


def here(annotation: object) -> object:
    """Return what an asynchronous function's annotation is in the synchronous one."""
    return (
        re.sub(r"^Async(Iterator|Generator)\[", "Generator[", annotation) if isinstance(annotation, str) else annotation
    )


def parameters(function: Callable[..., object]) -> list[tuple[object, ...]]:
    return [
        (one.name, one.kind, one.default, one.annotation) for one in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize(("face", "kind"), FACES.items(), ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_a_face_has_what_its_class_has(face: type, kind: type) -> None:
    asynchronous, synchronous = members(kind), dict(members(face))
    assert described(synchronous.pop("asynchronous"))
    entering = {new: inspect.getattr_static(face, new) for old, new in SPECIAL.items() if old in asynchronous}
    assert {SPECIAL.get(name, name) for name in asynchronous} == synchronous.keys() | entering.keys()
    for name, member in asynchronous.items():
        ours = {**synchronous, **entering}[SPECIAL.get(name, name)]
        assert described(ours) == described(member), name
        if isinstance(member, property):
            assert isinstance(ours, property), name
            member, ours = member.fget, ours.fget  # noqa: PLW2901 (the functions of both)
        assert callable(member)
        assert callable(ours)
        assert not inspect.iscoroutinefunction(ours)
        assert parameters(ours) == parameters(member), name
        assert inspect.signature(ours).return_annotation == here(inspect.signature(member).return_annotation), name


def is_asynchronous(value: object) -> bool:
    function = inspect.unwrap(value) if inspect.isfunction(value) else None
    return function is not None and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))


def functions() -> Iterator[tuple[str, Callable[..., object]]]:
    for room in ROOMS:
        for name in room.__all__ if hasattr(room, "__all__") else ():
            value = getattr(room, name)
            if is_asynchronous(value):
                yield name, value


@pytest.mark.parametrize(("name", "function"), dict(functions()).items())
def test_a_function_has_a_face(name: str, function: Callable[..., object]) -> None:
    ours = getattr(sync, name)
    given, taken = parameters(function), parameters(ours)
    stores = [one[0] for one in given if one[3] == "Storage"]
    if stores == ["storage"]:
        assert ("store", inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty, "Store") in taken
        taken = [one for one in taken if one[0] != "store"]
        given = [one for one in given if one[0] != "storage"]
    assert taken == [(*one[:3], "Store" if one[0] in stores else one[3]) for one in given]
    returned = here(inspect.signature(function).return_annotation)
    assert inspect.signature(ours).return_annotation == returned
    theirs = described(function)
    assert STORES.split(described(ours))[::3] == STORES.split(theirs)[::3]
    for (_, said), (argument, _) in zip(STORES.findall(described(ours)), STORES.findall(theirs), strict=True):
        assert said.endswith("An open one, or a path or URI, which is opened for this call.") == (argument in stores)


def test_what_is_asynchronous_has_a_face_or_a_reason() -> None:
    assert len(dict(functions())) > 25  # it does look
    values = [getattr(room, name) for room in ROOMS for name in getattr(room, "__all__", vars(room))]
    classes = [value for value in values if isinstance(value, type) and value.__module__.startswith("starfish_storage")]
    known = (*FACES.values(), *(one for one in classes if one.__name__ in WITHOUT))
    assert {one.__name__ for one in classes} >= WITHOUT.keys()
    for kind in classes:
        if not issubclass(kind, known):
            assert not [name for name in dir(kind) if is_asynchronous(inspect.getattr_static(kind, name))], kind


def test_the_names_are_found_and_listed() -> None:
    assert {name for name in sync.__all__ if callable(getattr(sync, name))} | {"Store"} == set(sync.__all__)
    assert set(sync.__all__) <= set(dir(sync))
    with pytest.raises(AttributeError, match="no attribute 'genrate'"):
        _ = getattr(sync, "genrate")  # noqa: B009 (written out, the type checker would refuse it)
