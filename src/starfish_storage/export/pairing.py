"""Preference pairs: of the outputs of one input, by how good they are; or of two fields of each record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from starfish_storage.codec import decode, json_line, value_digest
from starfish_storage.conversations.messages import Conversation, Message
from starfish_storage.conversations.pairs import PreferencePair, pair_of
from starfish_storage.conversations.reading import read_conversation
from starfish_storage.conversations.shape import PairShape
from starfish_storage.errors import ConversationError, NotExportableError
from starfish_storage.export.conversation_source import ConversationSource
from starfish_storage.export.records import ExportedRecord, RecordSource, Refusal
from starfish_storage.export.report import ExportReport, PairReport
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.filtering import MISSING, value_of
from starfish_storage.metadata.outputs_table import OutputsTable, ScoredOutput

Pairs = Literal["best", "all"]
REVIEWS = ("@verdict", "@rating")
"""What people say of a record, by which an output can be preferred."""

_NO_FIELD = "the record has no such field, or it is null; name another field"
_VERDICTS = {"accepted": 1.0, "rejected": 0.0}


class _Held(NamedTuple):
    """An output while the others are awaited."""

    uid: str
    conversation: Conversation
    metadata: dict[str, Any] | None
    split: str | None


class PairOutputs(Reshaper):
    """Makes rows of pairs of outputs that came of one input.

    All outputs are kept on disk until the last is there. Inputs come in the order of their first outputs.

    Args:
        form: its name, for messages.
        source: where a record has its conversation.
        shape: what a row is.
        prefer: the path of a number of the data, of which more is better; or one of `REVIEWS`.
        pairs: of each input ``"best"``, the best against the worst output; or ``"all"``, each against each worse one.
        pair_by: the path of the field whose value outputs share, in place of their input.
    """

    def __init__(
        self,
        form: str,
        source: ConversationSource,
        shape: PairShape,
        prefer: str,
        pairs: Pairs,
        pair_by: str | None,
    ) -> None:
        self._form = form
        self._source = source
        self._shape = shape
        self._prefer = prefer
        self._pairs: Pairs = pairs
        self._report = PairReport()
        self._directory = ""
        self._outputs: OutputsTable | None = None
        self._pair_by = pair_by
        self.needs_source = pair_by is None
        self.needs_reviews = prefer in REVIEWS

    def begin(self, directory: str) -> None:
        """See `Reshaper.begin`."""
        self._directory = directory

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.reshape`."""
        if self._outputs is None:
            self._outputs = OutputsTable(self._directory)
        for record in records:
            data = cast("dict[str, Any]", decode(record.payload))
            try:
                _refuse_annotations(record, self._form)
                conversation = self._source.of(data)
                digest = _digest_of(record) if self._pair_by is None else _digest_of_field(data, self._pair_by)
            except (ConversationError, NotExportableError) as error:
                yield _refusal(record.uid, self._form, error)
                continue
            held = _Held(record.uid, conversation, record.metadata, record.split)
            self._outputs.add(digest, self._score(record, data), _packed(held))

    def finish(self) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.finish`."""
        outputs = self._outputs
        if outputs is None:
            return
        for group in outputs.by_input():
            self._report.inputs += 1
            scored = [output for output in group if output.score is not None]
            self._report.without_score += len(group) - len(scored)
            if len(scored) < 2:  # noqa: PLR2004 (a pair)
                self._report.single += 1
                continue
            found = rows = 0
            for better, worse in _scored_pairs(scored, self._pairs):
                found += 1
                row = self._row(_unpacked(outputs.held(better)), _unpacked(outputs.held(worse)))
                if row is not None:
                    rows += 1
                    yield row
            self._report.ties += found == 0
            self._report.alike += found > 0 and rows == 0

    def note(self, report: ExportReport) -> None:
        """See `Reshaper.note`."""
        report.pairs = self._report

    def close(self) -> None:
        """See `Reshaper.close`."""
        if self._outputs is not None:
            self._outputs.close()

    def _score(self, record: ExportedRecord, data: Mapping[str, Any]) -> float | None:
        """Return how good a record is; None if nothing says so."""
        if self._prefer in REVIEWS:
            value: object = (record.reviews or {}).get(self._prefer)
            if self._prefer == "@verdict":
                return _VERDICTS.get(cast("str", value))
        else:
            value = value_of(data, self._prefer)
        if value is MISSING or not isinstance(value, int | float):  # true is better than false
            return None
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf

    def _row(self, better: _Held, worse: _Held) -> ExportedRecord | Refusal | None:
        """Return the row of a pair, or why there can be none; None if both say the same."""
        if better.conversation.messages == worse.conversation.messages:
            return None
        try:
            payload = _written(self._shape, pair_of(better.conversation, worse.conversation))
        except ConversationError as error:
            reason = f"the pair with record {worse.uid!r}: {error.path}: {error.reason}"
            return Refusal(better.uid, NotExportableError(better.uid, self._form, reason))
        self._report.pairs += 1
        return ExportedRecord(better.uid, payload, better.metadata, split=better.split)


class PairFields(Reshaper):
    """Makes rows of records that hold two answers each, of which one is better.

    Args:
        form: its name, for messages.
        prompt: where a record has what was asked; None if both answers are conversations that begin with that.
        shape: what a row is.
        chosen: the path of the better answer: text, or messages.
        rejected: that of the other one.
    """

    def __init__(
        self, form: str, prompt: ConversationSource | None, shape: PairShape, chosen: str, rejected: str
    ) -> None:
        self._form = form
        self._prompt = prompt
        self._shape = shape
        self._chosen = chosen
        self._rejected = rejected

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.reshape`."""
        for record in records:
            data = cast("dict[str, Any]", decode(record.payload))
            try:
                _refuse_annotations(record, self._form)
                payload = _written(self._shape, self._pair(data))
            except (ConversationError, NotExportableError) as error:
                yield _refusal(record.uid, self._form, error)
                continue
            yield record._replace(payload=payload)

    def _pair(self, data: Mapping[str, Any]) -> PreferencePair:
        chosen, rejected = (self._answer(data, path) for path in (self._chosen, self._rejected))
        if self._prompt is None:
            return pair_of(Conversation(chosen), Conversation(rejected))
        asked = self._prompt.of(data)
        return PreferencePair(asked.messages, chosen, rejected, asked.tools)

    def _answer(self, data: Mapping[str, Any], path: str) -> list[Message]:
        value = value_of(data, path)
        if isinstance(value, str):
            return [{"role": "assistant", "content": value}]
        if value is MISSING or value is None:
            raise ConversationError(path, _NO_FIELD)
        return read_conversation(value, path).messages


def _written(shape: PairShape, pair: PreferencePair) -> bytes:
    """Return the row of a pair, which has passed the check of its shape.

    Raises:
        ConversationError: it has not.
    """
    row = shape.written(pair)
    faults = shape.check(row)
    if faults:
        raise ConversationError(*faults[0])
    return json_line(row)


def _refuse_annotations(record: ExportedRecord, form: str) -> None:
    """Refuse annotations, which are of one record and not of a pair.

    Raises:
        NotExportableError: the record has some.
    """
    if record.annotations_key is not None:
        reason = "a pair has no place for annotations, which are of one record: export without them"
        raise NotExportableError(record.uid, form, reason)


def _refusal(uid: str, form: str, error: ConversationError | NotExportableError) -> Refusal:
    if isinstance(error, NotExportableError):
        return Refusal(uid, error)
    return Refusal(uid, NotExportableError(uid, form, f"{error.path}: {error.reason}"))


def _digest_of(record: ExportedRecord) -> bytes:
    """Return what tells the input of a record from others; a record without an input is the only one of its own."""
    source = record.source or RecordSource(None, "", None, None)
    told_apart = f"record\n{record.uid}" if source.input_digest is None else f"input\n{source.input_digest}"
    return hashlib.sha256(told_apart.encode("utf-8", "surrogatepass")).digest()[:16]


def _digest_of_field(data: Mapping[str, Any], path: str) -> bytes:
    """Return what tells the value of a field from others.

    Raises:
        ConversationError: there is none.
    """
    value = value_of(data, path)
    if value is MISSING or value is None:
        raise ConversationError(path, _NO_FIELD)
    return value_digest(value)


def _packed(held: _Held) -> bytes:
    told = held.conversation
    return json_line([held.uid, told.messages, told.tools, held.metadata, held.split])


def _unpacked(line: bytes) -> _Held:
    uid, messages, tools, metadata, split = decode(line)
    return _Held(uid, Conversation(messages, tools), metadata, split)


def _scored_pairs(scored: Sequence[ScoredOutput], pairs: Pairs) -> Iterator[tuple[int, int]]:
    """Yield a better output with a worse one; of equal ones, the first is the best, and the worst."""
    if pairs == "best":
        better, worse = max(scored, key=_score_of), min(scored, key=_score_of)
        if _score_of(better) > _score_of(worse):
            yield better.number, worse.number
        return
    for better in scored:
        for worse in scored:
            if _score_of(better) > _score_of(worse):
                yield better.number, worse.number


def _score_of(output: ScoredOutput) -> float:
    return -math.inf if output.score is None else output.score
