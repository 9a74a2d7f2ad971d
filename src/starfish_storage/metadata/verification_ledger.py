"""What the last check of the store found, over the database of the metadata."""

from __future__ import annotations

from starfish_storage.interface.verifications import VerificationLedger
from starfish_storage.metadata import annotation_rows
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.runs.verifications import Verification


class SQLVerificationLedger(LedgerAccess, VerificationLedger):
    """See `VerificationLedger`, whatever the engine."""

    async def save_verification(self, verification: Verification) -> None:
        """See `VerificationLedger.save_verification`."""
        row = annotation_rows.verification_row(verification)

        def save(writer: RowWriter) -> None:
            # Not in the row log: another check finds it again.
            writer.execute("forget_verifications")
            writer.execute("save_verification", row)

        await self._write(save)

    async def last_verification(self) -> Verification | None:
        """See `VerificationLedger.last_verification`."""
        found = await self._first("last_verification", ())
        return None if found is None else self._read(annotation_rows.verification, found)
