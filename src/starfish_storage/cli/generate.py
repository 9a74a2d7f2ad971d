"""``starfish-storage generate``: call a function with each input of a file."""

from __future__ import annotations

import os
import uuid
from typing import Any

import click

from starfish_storage.cli.options import example, with_store_to_make
from starfish_storage.cli.place import Place
from starfish_storage.cli.run_lookup import LAST
from starfish_storage.cli.running import carry_out, how_options, read_config, with_how
from starfish_storage.errors import InvalidInputError


@click.command(
    "generate",
    epilog=example("generate answers:answer questions.jsonl --max-concurrency 50 --max-cost 5"),
)
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("inputs", metavar="INPUTS", type=click.Path(exists=True))
@click.option("--project", metavar="ID", help="The project of the run [default: the name of the inputs file].")
@click.option("--name", metavar="TEXT", help="A name of the run, for people.")
@click.option("--id", "master_job_id", metavar="ID", help="The id of the run; a run that exists is joined or resumed.")
@click.option(
    "--config", metavar="FILE.json", type=click.Path(exists=True, dir_okay=False), help="Stored with the run."
)
@with_how
@with_store_to_make
def generate_command(
    place: Place,
    function: str,
    inputs: str,
    project: str | None,
    name: str | None,
    master_job_id: str | None,
    config: str | None,
    **given: Any,
) -> int:
    """Call a function with each input of a file, and store every result.

    The function is MODULE:FUNCTION or FILE.py:FUNCTION. INPUTS is a file with JSON Lines, a JSON array, CSV or Parquet,
    plain or compressed, or a directory of text files. If the run is interrupted or killed, `starfish-storage resume`
    continues it; finished inputs are not paid for again.
    """
    from starfish_storage.generation import generate, load_function, read_inputs

    if master_job_id == LAST:
        raise InvalidInputError(f"--id {LAST} cannot be used: every command takes {LAST!r} for the newest run.")
    read = read_inputs(inputs, given["on_bad_input"] or "stop")
    if next(iter(read), None) is None:
        raise InvalidInputError(f"{inputs!r} holds no inputs. Nothing was started.")
    arguments: dict[str, Any] = how_options(given) | {
        "project": project or os.path.basename(os.path.abspath(inputs)).partition(".")[0] or "generated",
        "name": name,
        "config": None if config is None else read_config(config),
        "source": os.path.abspath(inputs),
    }
    run_id = master_job_id or uuid.uuid4().hex
    called = load_function(function)
    return carry_out(
        place,
        run_id,
        given,
        lambda storage: generate(storage, called, read, master_job_id=run_id, **arguments),
        is_new=True,
    )
