"""Whatever a function returns: each output is stored, and whole where it has a JSON form."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import HealthCheck, given, settings

from generation.return_values import convertible_values, count_of_outputs, return_values
from starfish_storage import InvalidDataError
from starfish_storage.codec import decode, encode
from starfish_storage.generation.conversion import Notes, convert
from starfish_storage.generation.outcomes import OutputChecks

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(value=convertible_values())
def test_what_has_a_json_form_is_converted_whole(value: Any) -> None:
    notes = Notes()
    converted = convert(value, notes, depth=2)
    assert notes.problem is None
    assert decode(encode({"value": converted}, "it")) == {"value": converted}
    again = Notes()
    assert convert(converted, again, depth=2) == converted
    assert again.counts == {}


@SLOW
@given(returned=return_values())
async def test_every_output_is_kept_and_can_be_stored(returned: Any) -> None:
    several = count_of_outputs(cast("object", returned))
    for checks in (OutputChecks(), OutputChecks(accept=lambda data: True)):
        try:
            checked = await checks.check(returned)
        except InvalidDataError:
            assert returned is None or all(one is None for one in returned)  # nothing at all
            continue
        outputs = checks.stored_as_json(checked.outputs).outputs
        assert several is None or len(outputs) == several
        for number, output in enumerate(outputs):
            if output.data is None:
                assert str(output.error_message).endswith(f"[{number}]: None is no output")
                assert several is None or cast("list[Any]", returned)[number] is None
            assert output.status == "completed" or str(output.error_message).startswith("return: at $")
            if output.data is not None:
                encode(output.data, "an output")
                assert "sk-0123456789abcdef" not in str(output)
