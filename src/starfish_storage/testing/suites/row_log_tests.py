"""The contract of a row log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from starfish_storage.interface import RowLogHandler

HEADER, LINE = b'{"row_log":1,"columns":{}}\n', b'["delete_record","r1"]\n'


class RowLogHandlerTests:
    """The contract of a row log. A subclass gives two fixtures.

    ``place`` is a row log of an empty place; ``content`` returns what it holds, without asking it.
    """

    @pytest.fixture
    def row_log(self, place: RowLogHandler) -> Iterator[RowLogHandler]:
        """Yield the row log, made new."""
        place.create([HEADER])
        yield place
        place.close()

    def test_a_new_place_has_none(self, place: RowLogHandler) -> None:
        """And opening makes none."""
        assert not place.holds_rows()
        assert not place.open(HEADER)
        assert not place.holds_rows()
        place.close()

    def test_it_tells_whether_it_holds_rows(self, row_log: RowLogHandler) -> None:
        """Lines below the header; also once it is closed: where there is any, there was a database."""
        assert not row_log.holds_rows()
        row_log.append(LINE)
        assert row_log.holds_rows()
        for _ in range(2):
            row_log.close()
        assert row_log.holds_rows()

    def test_what_was_appended_stays(self, row_log: RowLogHandler, content: Callable[[], bytes]) -> None:
        """In order, over closing and opening; the header is not repeated."""
        row_log.append(LINE)
        row_log.close()
        assert row_log.open(HEADER)
        row_log.append(LINE * 2)
        row_log.sync()
        assert content() == HEADER + LINE * 3

    def test_what_was_appended_last_is_taken_back(self, row_log: RowLogHandler, content: Callable[[], bytes]) -> None:
        """What was appended before stays."""
        row_log.append(LINE)
        row_log.append(LINE * 5)
        row_log.take_back()
        row_log.append(LINE)
        assert content() == HEADER + LINE * 2

    def test_a_log_of_another_release_goes_on_below_a_header_of_ours(
        self, row_log: RowLogHandler, content: Callable[[], bytes]
    ) -> None:
        """Each line means what the header above it says."""
        row_log.close()
        ours = b'{"row_log":1,"columns":{"delete_record":["record_uid"]}}\n'
        assert row_log.open(ours)
        row_log.append(LINE)
        assert content() == HEADER + ours + LINE

    def test_a_new_one_replaces_another(self, row_log: RowLogHandler, content: Callable[[], bytes]) -> None:
        """Whole, or, if it cannot be written, not at all."""

        def failing() -> Iterator[bytes]:
            yield HEADER
            raise RuntimeError

        row_log.append(LINE)
        with pytest.raises(RuntimeError):
            row_log.create(failing())
        assert content() == HEADER + LINE
        row_log.create([HEADER, LINE, LINE])
        row_log.append(LINE)
        assert content() == HEADER + LINE * 3
