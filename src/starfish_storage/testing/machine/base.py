"""What the rules of the state machine stand on: a storage, its model, and how what they say is compared."""

from __future__ import annotations

import asyncio
import tempfile
from abc import abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from pydantic import BaseModel

from starfish_storage.models import GenerationMasterJob, Record
from starfish_storage.statuses import COUNTED_STATUSES, EXECUTION_JOB_STATUSES, MASTER_JOB_STATUSES, RECORD_STATUSES
from starfish_storage.testing.machine.dict_model import DictModel
from starfish_storage.testing.samples import at
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.strategies import json_objects, plain_text
from starfish_storage.testing.suites.suite import assert_same, outcome

Result = TypeVar("Result")

# A few ids each, so that histories come back to them; some are not their own lower case, which stores note down.
PROJECT_IDS = ("p1", "P-two")
MASTER_JOB_IDS = ("m1", "Master-2", "m3")
JOB_IDS = ("j1", "J-2", "j3", "j4")
RECORD_UIDS = ("r1", "r2", "R-3", "r.4", "ü-5")

project_ids = st.sampled_from(PROJECT_IDS)
master_job_ids = st.sampled_from(MASTER_JOB_IDS)
job_ids = st.sampled_from(JOB_IDS)
record_uids = st.sampled_from(RECORD_UIDS)
data_objects = json_objects(max_leaves=2) | st.sampled_from(
    [{"huge": 2**70}, {"zero": -0.0}, {"half a smile": "\ud83d"}, {"nul": "\0"}]
)
choices = st.integers(0, 63)
master_statuses = st.sampled_from(MASTER_JOB_STATUSES)
job_statuses = st.sampled_from(EXECUTION_JOB_STATUSES)
record_statuses = st.sampled_from(RECORD_STATUSES)
names = st.sampled_from(["a", "B"]) | plain_text(2)
hashes = st.sampled_from(["h1", "h2"])
limits = st.none() | st.integers(0, 4)


def _told_elsewhere(seconds: int, how: int) -> datetime:
    moment = at(seconds)
    if how == 0:
        return moment.replace(tzinfo=None)
    return moment.astimezone(timezone(timedelta(hours=how)))


# Few moments, so that many things have the same; told naively, in UTC and in another zone.
moments = st.builds(_told_elsewhere, st.integers(0, 3), st.sampled_from([0, 2, -7]))
counts = st.dictionaries(st.sampled_from([*COUNTED_STATUSES, "retried"]), st.integers(0, 9), max_size=3)


def filters(known: Sequence[str]) -> st.SearchStrategy[list[str] | None]:
    """Status filters: none, empty, or of several statuses."""
    return st.none() | st.lists(st.sampled_from(known), max_size=3)


def page_of(items: list[Result], limit: int | None, offset: int | None) -> list[Result]:
    """Return a page of a list."""
    return items[offset or 0 :][:limit]


class ComparingMachine(RuleBasedStateMachine):
    """Has a storage and a `DictModel`, and compares what they say. The rules are in its subclasses."""

    @abstractmethod
    def make_store(self, directory: Path) -> StoreUnderTest:
        """Return an empty store, which may use the directory."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory(prefix="state-machine-")
        self._runner = asyncio.Runner()
        self.model = DictModel()
        self.store = self.make_store(Path(self._directory.name))
        self.storage = self.store.open()
        self.run(self.storage.setup())
        self.keys: dict[str, str] = {}  # of the data of each uid, once it is known
        self.earlier_places: list[str] = []  # what stood before keys where the store lay before

    def teardown(self) -> None:
        """End on a clean check of everything, after opening the store once more."""
        try:
            self.run(self.storage.close())
            self.run(self.storage.setup())
            self.check_everything()
        finally:
            self.run(self.storage.close())
            self._runner.close()
            self._directory.cleanup()

    def one_of(self, existing: Iterable[str], pool: Sequence[str], choice: int) -> str:
        """Return an existing id; sometimes, and always when none exists, return any id of the pool."""
        there = sorted(existing)
        return there[choice % len(there)] if there and choice > 5 else pool[choice % len(pool)]

    def run(self, call: Coroutine[Any, Any, Result]) -> Result:
        """Run a call in this machine's own event loop."""
        return self._runner.run(call)

    def attempt(self, call: Any) -> Any:
        """Return what a call returns, or the class of the error it raises."""
        return self.run(outcome(call))

    # --- between the storage's references and the model's ids -------------------------------------------------------

    def reference(self, record_uid: str) -> str:
        """Return the reference to the data of a uid, as it is now; one to nothing if there was never any."""
        return self.store.reference(self.keys.get(record_uid, f"data/00/{record_uid}.json"))

    def learn(self, record_uid: str, reference: str) -> str:
        """Note the key of a uid's data, which never changes, and return the uid."""
        key = self.store.key(reference)
        assert self.keys.setdefault(record_uid, key) == key
        assert sum(known == key for known in self.keys.values()) == 1
        return record_uid

    def as_modelled(self, item: Any) -> Any:
        """Return what the storage returned as the model has it: with ids for references."""
        if isinstance(item, list):
            return [self.as_modelled(each) for each in cast("list[Any]", item)]
        if isinstance(item, Record) and item.output_ref is not None:
            owners = {self.reference(uid): uid for uid in self.keys}
            return item.model_copy(update={"output_ref": owners[item.output_ref]})
        if isinstance(item, GenerationMasterJob):
            owners = {self.storage.generate_request_config_path(its_id): its_id for its_id in MASTER_JOB_IDS}
            return item.model_copy(update={"request_config_ref": owners[item.request_config_ref]})
        return item

    def agree(self, found: Any, expected: Any) -> None:
        """Assert that the storage said what the model says."""
        found = self.as_modelled(found)
        assert found == expected
        if isinstance(expected, BaseModel):
            assert_same(found.model_dump(), expected.model_dump())

    @abstractmethod
    def check_everything(self) -> None:
        """Compare all there is; the rules' class says how."""
