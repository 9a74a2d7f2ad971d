"""Conversations: read from the forms that people have, and written in the shapes that they train on.

`shape_named("openai").check(row)` says what is wrong with a row; `starfish_storage.imports.check_file` with a file.
"""

from starfish_storage.conversations.faults import Fault
from starfish_storage.conversations.messages import Conversation
from starfish_storage.conversations.pairs import PreferencePair, pair_of
from starfish_storage.conversations.reading import read_conversation
from starfish_storage.conversations.shape import ConversationShape, PairShape, RowShape
from starfish_storage.conversations.shapes import conversation_shapes, recognise, shape_named

__all__ = [
    "Conversation",
    "ConversationShape",
    "Fault",
    "PairShape",
    "PreferencePair",
    "RowShape",
    "conversation_shapes",
    "pair_of",
    "read_conversation",
    "recognise",
    "shape_named",
]
