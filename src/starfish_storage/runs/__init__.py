"""What a store keeps of a run beyond its jobs and records: inputs, attempts, usage, paid steps and workers. No I/O."""

from starfish_storage.runs.actions import Action, Actor, this_actor
from starfish_storage.runs.annotations import (
    Annotation,
    AnnotationCounts,
    AnnotationKind,
    Verdict,
    holding,
    is_accepted,
    verdict_of,
)
from starfish_storage.runs.budgets import Budget, is_spent
from starfish_storage.runs.calls import MOST_NOTES, CallCounts, CallNote, StepSource
from starfish_storage.runs.drains import WorkingWorker
from starfish_storage.runs.exchanges import RecordedCall
from starfish_storage.runs.inputs import (
    ClaimedInput,
    ErrorGroup,
    InputAccount,
    InputOfContent,
    RecordOrigin,
    RunInput,
    RunState,
    StoredInput,
    Worker,
    input_job_id,
)
from starfish_storage.runs.limits import OWN_LIMIT, CallLimit, Grant, Share, SlotAsk, limit_name
from starfish_storage.runs.outcomes import (
    Finished,
    Outcome,
    Output,
    RecordVersion,
    Replace,
    output_record_uid,
    status_of_input,
)
from starfish_storage.runs.paid import (
    MOST_USED,
    WAITS_FOR_STORE,
    Attempt,
    Conversion,
    StatusAttempt,
    StatusStep,
    Step,
    StepTotal,
    Usage,
)
from starfish_storage.runs.progress import UNFINISHED, RunProgress
from starfish_storage.runs.segment_history import Stretch
from starfish_storage.runs.segments import Segment
from starfish_storage.runs.timeline import AttemptsAtTime, Timeline, TimelineBucket, TimelineOf
from starfish_storage.runs.verifications import Verification

__all__ = [
    "MOST_NOTES",
    "MOST_USED",
    "OWN_LIMIT",
    "UNFINISHED",
    "WAITS_FOR_STORE",
    "Action",
    "Actor",
    "Annotation",
    "AnnotationCounts",
    "AnnotationKind",
    "Attempt",
    "AttemptsAtTime",
    "Budget",
    "CallCounts",
    "CallLimit",
    "CallNote",
    "ClaimedInput",
    "Conversion",
    "ErrorGroup",
    "Finished",
    "Grant",
    "InputAccount",
    "InputOfContent",
    "Outcome",
    "Output",
    "RecordOrigin",
    "RecordVersion",
    "RecordedCall",
    "Replace",
    "RunInput",
    "RunProgress",
    "RunState",
    "Segment",
    "Share",
    "SlotAsk",
    "StatusAttempt",
    "StatusStep",
    "Step",
    "StepSource",
    "StepTotal",
    "StoredInput",
    "Stretch",
    "Timeline",
    "TimelineBucket",
    "TimelineOf",
    "Usage",
    "Verdict",
    "Verification",
    "Worker",
    "WorkingWorker",
    "holding",
    "input_job_id",
    "is_accepted",
    "is_spent",
    "limit_name",
    "output_record_uid",
    "status_of_input",
    "this_actor",
    "verdict_of",
]
