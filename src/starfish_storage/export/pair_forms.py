"""The forms of preference pairs: see `ConversationPairs` for their fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

from starfish_storage.conversations.openai_shapes import OpenAIPreference
from starfish_storage.conversations.shape import PairShape, RowShape
from starfish_storage.conversations.trl_shapes import Preferences
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.export.compression import COMPRESSION
from starfish_storage.export.conversations import SOURCE_OPTIONS, Conversations
from starfish_storage.export.forms import registered
from starfish_storage.export.pairing import REVIEWS, PairFields, PairOutputs, Pairs
from starfish_storage.export.provenance import Chosen
from starfish_storage.export.records import Paired
from starfish_storage.export.reshaping import Reshaper
from starfish_storage.export.splitting import BY_INPUT, SPLIT_OPTIONS, SplitOptions
from starfish_storage.form_option import FormOption

PAIR_OPTIONS = (
    FormOption("prefer", "Pair outputs of one input: more of this is better; a field, @verdict or @rating.", "FIELD"),
    FormOption("pairs", "best (with the worst) or all pairs of an input [default: best].", "best|all"),
    FormOption("pair_by", "Pair what is equal in this field, in place of the outputs of one input.", "FIELD"),
    FormOption("chosen_from", "The field with the better answer, where records hold two.", "FIELD"),
    FormOption("rejected_from", "The field with the worse answer.", "FIELD"),
)


@dataclass(frozen=True, kw_only=True)
class ConversationPairs(Conversations):
    """Rows that each hold two answers to one prompt, of which one is better.

    Either the outputs of one input, of whatever run, are paired by how good they are; inputs come in the order of their
    first outputs, and the report says how many gave no pair, and why. Or each record holds two answers.

    Args:
        prefer: what says how good an output is: the path of a number of the data, of which more is better (true is
            more than false); ``"@verdict"``, so that accepted ones are better than rejected ones; ``"@rating"``.
        pairs: of each input ``"best"``, the best with the worst output, of equal ones the first; or ``"all"``, each
            with each worse one.
        pair_by: pair outputs that share the value of this path, in place of their input: of records that were imported,
            each of which is an input of its own.
        chosen_from: in place of `prefer`, the path of the better answer: text, or messages.
        rejected_from: that of the worse one. What was asked follows from `messages` and `messages_from`; without them,
            both answers are conversations that begin with it.

    Raises:
        InvalidInputError: as `Conversations`; or nothing says which output is better.
    """

    prefer: str | None = None
    pairs: Pairs = "best"
    pair_by: str | None = None
    chosen_from: str | None = None
    rejected_from: str | None = None

    options: ClassVar[tuple[FormOption, ...]] = (*SOURCE_OPTIONS, *PAIR_OPTIONS, *SPLIT_OPTIONS, COMPRESSION)

    @property
    def splitting(self) -> SplitOptions | None:
        """See `Form.splitting`: what is paired is in one split, unless another group is asked for."""
        found = super().splitting
        if found is None or found.splits is None or self.pair_by is None or found.group_by != BY_INPUT:
            return found
        field = f"@{self.pair_by}" if self.pair_by.startswith("@") else self.pair_by
        return replace(found, group_by=field)

    def chosen(self) -> Chosen:
        """See `Form.chosen`."""
        if self.prefer is None:
            return Chosen()
        paired = Paired(prefer=self.prefer, pairs=self.pairs)
        return Chosen(paired=paired if self.pair_by is None else {**paired, "pair_by": self.pair_by})

    def writing(self) -> Reshaper:
        """See `Conversations.writing`."""
        shape = cast("PairShape", self.shape)
        if self.pairs not in ("best", "all"):
            raise InvalidInputError(f"pairs {shorten(self.pairs)} is unknown: use best or all.")
        if self.chosen_from and self.rejected_from and self.prefer is None:
            prompt = self.source() if self.messages or self.messages_from else None
            return PairFields(self.name, prompt, shape, self.chosen_from, self.rejected_from)
        if not self.prefer or self.chosen_from or self.rejected_from:
            raise InvalidInputError(
                "nothing says which answer is better: give prefer= (--prefer), a field such as score, @verdict or "
                "@rating; or both chosen_from= and rejected_from=, where each record holds two."
            )
        if self.prefer.startswith("@") and self.prefer not in REVIEWS:
            raise InvalidInputError(f"{shorten(self.prefer)} says nothing of an output: use {' or '.join(REVIEWS)}.")
        return PairOutputs(self.name, self.source(), shape, self.prefer, self.pairs, self.pair_by)


@registered
@dataclass(frozen=True, kw_only=True)
class TRLPreferences(ConversationPairs):
    """A ``prompt`` with what is ``chosen`` and ``rejected``, all lists of messages, as TRL and others train on them."""

    name: ClassVar[str] = Preferences.name
    shape: ClassVar[RowShape] = Preferences()


@registered
@dataclass(frozen=True, kw_only=True)
class OpenAIPreferences(ConversationPairs):
    """What OpenAI's direct preference optimization takes."""

    name: ClassVar[str] = OpenAIPreference.name
    shape: ClassVar[RowShape] = OpenAIPreference()
