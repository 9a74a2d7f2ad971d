"""Checking and mending a store: what `python -m starfish_storage.maintenance` does, as functions."""

from starfish_storage.maintenance.collect import CollectReport, collect
from starfish_storage.maintenance.repair import RepairPlan, Step, plan_repair, repair
from starfish_storage.maintenance.report import Finding, VerifyReport
from starfish_storage.maintenance.verify import verify

__all__ = [
    "CollectReport",
    "Finding",
    "RepairPlan",
    "Step",
    "VerifyReport",
    "collect",
    "plan_repair",
    "repair",
    "verify",
]
