"""Writing what a store holds into the forms that people train on."""

from starfish_storage.export.endings import compression_of, form_named, form_of
from starfish_storage.export.exporting import export
from starfish_storage.export.forms import ExportedRecord, Form, FormWriter
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.messages import ChatMessages
from starfish_storage.export.report import Conflict, ExportProgress, ExportReport, SkippedRecord
from starfish_storage.export.spreadsheet import Csv

__all__ = [
    "ChatMessages",
    "Conflict",
    "Csv",
    "ExportProgress",
    "ExportReport",
    "ExportedRecord",
    "Form",
    "FormWriter",
    "JsonLines",
    "SkippedRecord",
    "compression_of",
    "export",
    "form_named",
    "form_of",
]
