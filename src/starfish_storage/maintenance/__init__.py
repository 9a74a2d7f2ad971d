"""Checking and mending a store: what `starfish-storage verify` and its siblings do, as functions."""

from starfish_storage.maintenance.backup import BackupReport, backup
from starfish_storage.maintenance.collect import collect
from starfish_storage.maintenance.migrate import MigrateReport, migrate
from starfish_storage.maintenance.repair import plan_repair, repair
from starfish_storage.maintenance.repair_plan import RepairPlan, RepairStep
from starfish_storage.maintenance.report import CollectReport, Finding, VerifyReport
from starfish_storage.maintenance.restore import RestoreReport, restore
from starfish_storage.maintenance.upgrade import upgrade
from starfish_storage.maintenance.upgrade_report import Repaired, UpgradeReport
from starfish_storage.maintenance.verify import verify

Step = RepairStep  # as it was called before; `starfish_storage.runs.Step` is another thing

__all__ = [
    "BackupReport",
    "CollectReport",
    "Finding",
    "MigrateReport",
    "RepairPlan",
    "RepairStep",
    "Repaired",
    "RestoreReport",
    "Step",
    "UpgradeReport",
    "VerifyReport",
    "backup",
    "collect",
    "migrate",
    "plan_repair",
    "repair",
    "restore",
    "upgrade",
    "verify",
]
