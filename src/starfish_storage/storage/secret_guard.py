"""Keeps secrets off the disk: replaces them in configurations and errors before the handlers see them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

from starfish_storage.codec import canonical_hash
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.redaction import MARKER, SecretRedactedWarning, paths_of_keys, redact_error, redact_secrets
from starfish_storage.runs import RunInput
from starfish_storage.telemetry.logs import get_logger

if TYPE_CHECKING:
    from starfish_storage.models import GenerationJob, Record

logger = get_logger(__name__)

_MOST_REMEMBERED = 1000  # places already warned of; if keys are content, there is no end of them
_MOST_NAMED = 5  # in one warning
_LONGEST_PATH = 120


class SecretGuard:
    """Replaces the secrets in one storage's configurations, and warns once of each place.

    Args:
        is_on: False lets every secret pass.
    """

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._warned: set[tuple[str, str]] = set()

    def request_config(self, master_job_id: str, config: Any) -> Any:
        """Return a request configuration without its secrets; one without secrets is returned itself."""
        if not self._is_on or not isinstance(config, dict):
            return config  # encoding refuses anything but a dict
        clean, paths = redact_secrets(config)
        if paths:
            self._warn("request configuration", f"of master job {shorten(master_job_id)}", paths)
        return clean

    def error_message(self, text: str | None) -> str | None:
        """Return the text of an error without secrets. It is no data: nobody is warned, as of what clients quote."""
        return redact_error(text) if self._is_on and isinstance(text, str) else text

    def record(self, record: Record) -> Record:
        """Return a record without secrets in its error message; one without secrets is returned itself."""
        text: str | None = getattr(record, "error_message", None)
        if text is None or (clean := self.error_message(text)) == text:
            return record
        from pydantic import ValidationError

        from starfish_storage.models import Record

        try:
            model = Record.model_validate(record)  # an object with its attributes, of any class
        except ValidationError:
            return record  # making it a row refuses it with the reason
        return model.model_copy(update={"error_message": clean})

    def execution_job(self, job: GenerationJob) -> GenerationJob:
        """Return an execution job without the secrets of its input and its error message.

        One without secrets is returned itself. The hash stays that of the input as given, so that resuming finds it.

        Args:
            job: the job, or an object with its attributes.

        Raises:
            InvalidDataError: the input is not JSON.
        """
        if not self._is_on:
            return job
        from pydantic import ValidationError

        try:
            model = _as_model(job)
        except ValidationError:
            return job  # making it a row refuses it with the reason
        if model.error_message is not None:
            clean_message = redact_error(model.error_message)
            if clean_message != model.error_message:
                model = model.model_copy(update={"error_message": clean_message})
        given: Any = model.run_config
        if not isinstance(given, dict):
            return model
        clean, paths = redact_secrets(given)
        if not paths:
            return model
        identity = model.run_config_hash if "run_config_hash" in model.model_fields_set else None
        if identity is None:
            identity = canonical_hash(cast("object", given))
        self._warn("run configuration", f"of execution job {shorten(model.job_id)}", paths)
        return model.model_copy(update={"run_config": clean, "run_config_hash": identity})

    def refuse_in_input(self, given: RunInput) -> None:
        """Refuse an input of a run that contains a key: it would not be stored, and `resume` needs it.

        Unlike in a configuration, a name alone does not make a secret: inputs are content, and their fields may be
        called ``token`` or ``password``.

        Raises:
            InvalidInputError: it contains a key; says where.
        """
        run_config = cast("object", given.run_config)
        if not self._is_on or given.allows_secrets or not isinstance(run_config, dict):
            return  # encoding refuses anything but a dict
        paths = paths_of_keys(cast("dict[str, Any]", run_config))
        if paths:
            named = ", ".join(repr(_end_of(path.removeprefix("$."))) for path in paths[:_MOST_NAMED])
            raise InvalidInputError(
                f"input {given.position} contains a secret at {named}. The store keeps no secrets, so the run "
                "could not be resumed. Leave it out and let the function get it elsewhere; if it is not a secret, pass "
                "allow_secrets=True (--allow-secrets), or open the storage with redact_secrets=False."
            )

    def _warn(self, kind: str, whose: str, paths: list[str]) -> None:
        new = [path for path in paths if (kind, path) not in self._warned]
        if not new or len(self._warned) >= _MOST_REMEMBERED:
            return
        named = ", ".join(map(_end_of, new[:_MOST_NAMED]))
        more = f" and {len(new) - _MOST_NAMED} more" if len(new) > _MOST_NAMED else ""
        message = (
            f"{kind} {whose}: the secret at {named}{more} is saved as {MARKER!r}. Keep secrets out of configurations, "
            "or open the storage with redact_secrets=False to save them."
        )
        logger.warning("%s", message, extra={"is_warned": True})
        # Before the place is remembered: where warnings are errors, saving fails now and also the next time.
        warnings.warn(message, SecretRedactedWarning, stacklevel=4)
        self._warned.update((kind, path) for path in new)


def _end_of(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"...{path[-_LONGEST_PATH:]}"


def _as_model(job: object) -> GenerationJob:
    from starfish_storage.models import GenerationJob

    return job if isinstance(job, GenerationJob) else GenerationJob.model_validate(job)
