"""LocalStorage against a plain dict model, in random histories: in files, in packs, and in both.

Each machine draws histories of its own. What they have in common, the rows, is so asked for as often as with one.
"""

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from conformance.packed_stores import MixedStore, PackedStore
from starfish_storage.maintenance import collect, verify
from starfish_storage.maintenance.packing import pack, unpack
from starfish_storage.testing.machine.state_machine import StorageMachine
from starfish_storage.testing.store import DirectoryStore


class ProcessMachine(StorageMachine):
    def make_store(self, directory: Path) -> DirectoryStore:
        return DirectoryStore(directory, durability="process")


class PowerSafeMachine(StorageMachine):
    def make_store(self, directory: Path) -> DirectoryStore:
        return DirectoryStore(directory, data_elsewhere=True)


class PackedMachine(StorageMachine):
    def make_store(self, directory: Path) -> PackedStore:
        return PackedStore(directory, layout="packed")


class MixedMachine(StorageMachine):
    """What was saved as a file is overwritten in a pack or put into one, and the other way round."""

    store: MixedStore

    def make_store(self, directory: Path) -> MixedStore:
        return MixedStore(directory)

    @rule(packed=st.booleans())
    def change_layout(self, packed: bool) -> None:
        self.run(self.storage.close())
        self.store.change_layout(packed=packed)
        self.run(self.storage.setup())

    @rule(packed=st.booleans())
    def move_data(self, packed: bool) -> None:
        report = self.run((pack if packed else unpack)(self.storage))
        assert report.left == []

    @rule()
    def collect_dead_ranges(self) -> None:
        collect(*self.store.places)

    def check_everything(self) -> None:
        super().check_everything()
        report = verify(*self.store.places)
        assert report.is_sound, str(report)


class ProcessMachineForLonger(ProcessMachine):
    pass


class PackedMachineForLonger(PackedMachine):
    pass


class MixedMachineForLonger(MixedMachine):
    pass


TestProcessMachine = ProcessMachine.TestCase
TestProcessMachine.settings = settings(max_examples=8, stateful_step_count=50)

TestPowerSafeMachine = PowerSafeMachine.TestCase
TestPowerSafeMachine.settings = settings(max_examples=6, stateful_step_count=30)

TestPackedMachine = PackedMachine.TestCase
TestPackedMachine.settings = settings(max_examples=10, stateful_step_count=50)

TestMixedMachine = MixedMachine.TestCase
TestMixedMachine.settings = settings(max_examples=10, stateful_step_count=50)

TestProcessMachineForLonger = pytest.mark.slow(ProcessMachineForLonger.TestCase)
TestProcessMachineForLonger.settings = settings(max_examples=500, stateful_step_count=60)

TestPackedMachineForLonger = pytest.mark.slow(PackedMachineForLonger.TestCase)
TestPackedMachineForLonger.settings = settings(max_examples=500, stateful_step_count=60)

TestMixedMachineForLonger = pytest.mark.slow(MixedMachineForLonger.TestCase)
TestMixedMachineForLonger.settings = settings(max_examples=500, stateful_step_count=60)
