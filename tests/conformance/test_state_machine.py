"""LocalStorage against a plain dict model, in random histories."""

from pathlib import Path

import pytest
from hypothesis import settings

from starfish_storage.testing.machine.state_machine import StorageMachine
from starfish_storage.testing.store import DirectoryStore


class ProcessMachine(StorageMachine):
    def make_store(self, directory: Path) -> DirectoryStore:
        return DirectoryStore(directory, durability="process")


class PowerSafeMachine(StorageMachine):
    def make_store(self, directory: Path) -> DirectoryStore:
        return DirectoryStore(directory, data_elsewhere=True)


class ProcessMachineForLonger(ProcessMachine):
    pass


TestProcessMachine = ProcessMachine.TestCase
TestProcessMachine.settings = settings(max_examples=60, stateful_step_count=50)

TestPowerSafeMachine = PowerSafeMachine.TestCase
TestPowerSafeMachine.settings = settings(max_examples=15, stateful_step_count=30)

TestProcessMachineForLonger = pytest.mark.slow(ProcessMachineForLonger.TestCase)
TestProcessMachineForLonger.settings = settings(max_examples=1500, stateful_step_count=60)
