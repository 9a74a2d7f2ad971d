"""Checking and mending a store: what `starfish-storage verify` and its siblings do, as functions."""

from starfish_storage.maintenance.backup import BackupReport, backup
from starfish_storage.maintenance.collect import collect
from starfish_storage.maintenance.repair import RepairPlan, Step, plan_repair, repair
from starfish_storage.maintenance.report import CollectReport, Finding, VerifyReport
from starfish_storage.maintenance.restore import RestoreReport, restore
from starfish_storage.maintenance.verify import verify

__all__ = [
    "BackupReport",
    "CollectReport",
    "Finding",
    "RepairPlan",
    "RestoreReport",
    "Step",
    "VerifyReport",
    "backup",
    "collect",
    "plan_repair",
    "repair",
    "restore",
    "verify",
]
