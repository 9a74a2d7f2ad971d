"""The contract of who did what."""

from __future__ import annotations

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import Storage
from starfish_storage.runs import this_actor
from starfish_storage.testing.suites.suite import StorageSuite, refused


class ActionTests(StorageSuite):
    """Actions of people and programs."""

    async def test_actions_are_listed_newest_first(self, storage: Storage) -> None:
        """With who did them, in pages, and those on one thing alone."""
        ledger = storage.ledger
        before = len(await ledger.list_actions())
        for number in range(3):
            await ledger.note_action("cancel", "run", f"größer-{number % 2}", f"reason {number}")
        made = await ledger.note_action("pack", "store", detail="x" * 2000)
        with refused(InvalidInputError):
            await ledger.list_actions(limit=-1)
        newest, *_ = found = await ledger.list_actions()
        assert len(found) == before + 4
        assert (newest.action_id, newest.target, newest.detail) == (made, None, "x" * 1000)
        assert newest.who == this_actor()
        assert [one.detail for one in found[1:4]] == ["reason 2", "reason 1", "reason 0"]
        assert await ledger.list_actions(before=newest, limit=2) == found[1:3]
        assert [one.detail for one in await ledger.list_actions(target="größer-0")] == ["reason 2", "reason 0"]
