"""Keys in texts of errors: what stands before them may end with a letter or a digit that belongs to an escape."""

from __future__ import annotations

import pytest

from starfish_storage.redaction import redact_error

KEY = "sk-proj-00AbCdEfGh1234567890IjKlMnOpQr"


@pytest.mark.parametrize(
    "text",
    [
        f"refused\\n{KEY}\\n",
        f'{{\\"key\\": \\u0022{KEY}\\u0022}}',
        f"\x1b[31m{KEY}\x1b[0m",
        f"https://host/x?say%3D{KEY}",
        f"b'\\x00{KEY}'",
        "\\nAKIAIOSFODNN7EXAMPLE",
        "\\teyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    ],
)
def test_a_key_after_an_escape_is_taken_out(text: str) -> None:
    redacted = redact_error(text)
    assert "[redacted]" in redacted
    assert not any(part in redacted for part in (KEY[8:], "IOSFODNN7", "dozjgNry"))


def test_a_password_with_an_at_sign_goes_whole() -> None:
    assert redact_error("postgresql://me:hunt@er2@db/runs: refused") == "postgresql://me:[redacted]@db/runs: refused"
