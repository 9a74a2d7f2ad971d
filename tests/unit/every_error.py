"""An error of each class, as the library raises it; docs/reference/errors.md shows their messages."""

import errno

from starfish_storage import errors
from starfish_storage.errors import StorageError

EXAMPLES: list[StorageError] = [
    errors.StorageError("'db.example/runs': the user may not do this; grant the right. Nothing was written."),
    errors.InvalidInputError("retry: attempts must be an integer of 1 or more, not 0; 1 means no retry."),
    errors.InvalidIdError("record_uid", "../x", "it is a path"),
    errors.IdCollisionError("record_uid", "ABC", "'abc' is in use, and many file systems cannot tell the two apart"),
    errors.InvalidReferenceError("/etc/passwd", "it points outside the store"),
    errors.InvalidDataError("data of record 'r1'", "$.scores[1]", "nan is not JSON"),
    errors.ConversationError("messages[3].tool_calls[0]", "the call names no function"),
    errors.InvalidStatusError("record status", "complete", ("pending", "running", "completed")),
    errors.InvalidUriError("http://example.com/store", "there is no storage for its scheme"),
    errors.NotFoundError("master job", "run-1", "start it with log_master_job_start first"),
    errors.DataLostError("/store/data/82/r1.json"),
    errors.DataTooLargeError("/store/data/82/r1.json", 104_857_600, 8_388_608),
    errors.DataNotFoundError("data", "data/82/r1.json", "save it with save_record_data first"),
    errors.ParentNotFoundError("project", "p1", "save it before its master jobs"),
    errors.AlreadyExistsError("master job", "run-1", "give a new id, or update the existing one's status instead"),
    errors.NotEmptyError("p1", "it has 2 master jobs; delete them first, or say cascade=True to delete them too"),
    errors.RunChangedError("run-1", "inputs", ["input 2 is not the same: 'question' differs"]),
    errors.RunFinishedError("run-1", "completed"),
    errors.RunIncompleteError("run-1", 500),
    errors.RecordChangedError("r1", "somebody has changed it since it was read"),
    errors.StepRejectedError("ab12", "judge", 3, "no score"),
    errors.AttemptOverError("ab12", 1),
    errors.RequestNotStoredError(
        "374a0e46549681ed8026171d30c1040250eb07626cbb1f93f8d87e5f985ba508",
        "POST api.openai.com/v1/chat/completions",
        "ab12",
        ["max_tokens 256 -> 512", "messages[0].content changed"],
    ),
    errors.StorageStateError(
        "the synchronous face was called inside a coroutine of its own event loop, and would wait for itself. Await "
        "the asynchronous method instead: of a store, 'await store.asynchronous.get_project(...)'; or let the function "
        "be a plain one, which runs in a thread."
    ),
    errors.NotSetUpError("call setup() first, or use the storage in 'async with' ('with' for that of sync)."),
    errors.StorageClosedError("the storage was closed; call setup() to open it again."),
    errors.ForkedProcessError(
        "this storage was opened before the process forked; start processes with 'spawn', or fork first."
    ),
    errors.StoreOpenError("/store", "it cannot be written to", errno.EACCES),
    errors.StoreVersionError("/store", "a newer release wrote it (format 4, this release knows 3); upgrade"),
    errors.ForeignStoreError("/store", "it is another program's SQLite database; name another directory"),
    errors.StoreReadOnlyError("/store", "it was opened with read_only=True; open it without, to write"),
    errors.StoreDamagedError("/store/data/82/r1.json", "it is not JSON"),
    errors.MissingExtraError("Parquet files", "pyarrow", "parquet"),
    errors.UnsupportedSystemError("win32"),
    errors.UnsupportedVersionError("starfish-core", "0.2.0", ["0.1.3"]),
    errors.UntrustedCodeError("/store", "others can write to '/store' (chmod go-w)"),
    errors.NotExportableError("r1", "messages", "it has no field 'question'"),
    errors.StorageIOError("/store/metadata.db", errno.EIO, "Input/output error"),
    errors.StorageFullError("/store/metadata.db", errno.ENOSPC, "No space left on device"),
    errors.ResultsSpooledError(
        "run-1",
        "the disk is full.",
        "37 results wait in '/home/me/spool.jsonl', and resume stores them",
        37,
        ["/home/me/spool.jsonl"],
    ),
    errors.StorageBusyError(
        "'/store/writer.lock' has been locked by another process for 60 s; nothing was written. "
        "Find out which process holds it, then call again."
    ),
    errors.StorageUnavailableError("s3://bucket/x", 60.2, "it answers 503"),
]
