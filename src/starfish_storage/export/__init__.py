"""Writing what a store holds into the forms that people train on."""

from starfish_storage.export.conversation_forms import (
    AlpacaInstructions,
    ChatMessages,
    OpenAIConversations,
    ShareGPTConversations,
    TRLCompletions,
    TRLConversations,
)
from starfish_storage.export.conversation_source import ConversationSource
from starfish_storage.export.conversations import Conversations
from starfish_storage.export.endings import compression_of, form_named, form_of
from starfish_storage.export.exporting import export
from starfish_storage.export.forms import Form, FormWriter, registered, registered_forms
from starfish_storage.export.frames import to_arrow, to_pandas, to_polars
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.options import ExportOptions, FrameOptions, RecordOptions
from starfish_storage.export.pair_forms import ConversationPairs, OpenAIPreferences, TRLPreferences
from starfish_storage.export.provenance import Chosen, Provenance, RunProvenance
from starfish_storage.export.records import ExportedRecord, Paired, RecordSource, Refusal
from starfish_storage.export.report import (
    DuplicateRecord,
    DuplicateReport,
    ExportProgress,
    ExportReport,
    PairReport,
    SkippedRecord,
    SplitReport,
)
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.export.schema import Conflict
from starfish_storage.export.splitting import Division, SplitOptions, parse_splits
from starfish_storage.export.spreadsheet import Csv
from starfish_storage.export.streaming import ByteStream
from starfish_storage.export.tables import ArrowIpc, HuggingFace, Parquet
from starfish_storage.export.unfinished import UnfinishedRun
from starfish_storage.form_option import FormOption

__all__ = [
    "AlpacaInstructions",
    "ArrowIpc",
    "ByteStream",
    "ChatMessages",
    "Chosen",
    "Conflict",
    "ConversationPairs",
    "ConversationSource",
    "Conversations",
    "Csv",
    "Division",
    "DuplicateRecord",
    "DuplicateReport",
    "ExportOptions",
    "ExportProgress",
    "ExportReport",
    "ExportedRecord",
    "Form",
    "FormOption",
    "FormWriter",
    "FrameOptions",
    "HuggingFace",
    "JsonLines",
    "OpenAIConversations",
    "OpenAIPreferences",
    "PairReport",
    "Paired",
    "Parquet",
    "Provenance",
    "RecordOptions",
    "RecordSource",
    "Refusal",
    "Reshaper",
    "RunProvenance",
    "ShareGPTConversations",
    "SkippedRecord",
    "SplitOptions",
    "SplitReport",
    "TRLCompletions",
    "TRLConversations",
    "TRLPreferences",
    "UnfinishedRun",
    "compression_of",
    "export",
    "form_named",
    "form_of",
    "parse_splits",
    "registered",
    "registered_forms",
    "to_arrow",
    "to_pandas",
    "to_polars",
]
