"""Secrets in configurations: which keys name one, what is replaced, and that nothing of it reaches the disk."""

import copy
import json
import logging
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from starfish_storage import GenerationJob, LocalStorage, SecretRedactedWarning, open_storage
from starfish_storage.codec import canonical_hash
from starfish_storage.errors import InvalidDataError, InvalidInputError
from starfish_storage.json_limits import MAX_DEPTH
from starfish_storage.redaction import MARKER, names_secret, redact_secrets
from starfish_storage.runs import RunInput
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    a_master_job,
    a_project,
    an_execution_job,
    as_foreign_model,
    at,
)
from starfish_storage.testing.strategies import json_objects, json_text
from starfish_storage.testing.suites.suite import refused

SECRET = "sk-0123456789"

NAMES_OF_SECRETS = """
    api_key apikey apiKey APIKey API_KEY ApiKey x-api-key X-Api-Key x-goog-api-key OPENAI_API_KEY
    openai_api_key openaiApiKey api_key_2 api-keys apikeys openai_key hf_key access_key accessKey
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY secret_access_key account_key subscription-key
    Ocp-Apim-Subscription-Key secret secrets secret_key secretKey secretkey client_secret clientSecret
    CLIENT_SECRET app.secret mysecret private_key privateKey privatekey ssh_key password PASSWORD Password
    passwd dbPassword db_password dbpassword password_1 passwords pg_pwd passphrase passcode authorization
    Authorization AUTHORIZATION Proxy-Authorization authorization_header auth basic_auth auth_token authToken
    AuthToken x-auth-token access_token accessToken accesstoken refresh_token refreshToken id_token
    session_token X-Amz-Security-Token csrfToken token Token TOKEN hf_token HF_TOKEN hfToken GITHUB_TOKEN
    telegram-bot-token access_tokens oauth2_token bearer bearer_token Bearer jwt credential credentials
    Credentials aws_credentials cookie cookies Cookie Set-Cookie session_cookies password_b64 secretValue
    token_value AZURE_STORAGE_CONNECTION_STRING connectionString
"""

NAMES_OF_OTHER_THINGS = """
    max_tokens maxTokens max_new_tokens max_completion_tokens token_count tokenCount tokens num_tokens
    n_tokens input_tokens output_tokens prompt_tokens completion_tokens total_tokens reasoning_tokens
    tokenizer tokenizer_name tokens_per_second cost_per_token price_per_token time_to_first_token eos_token
    eosToken pad_token stop_token bos_token bos_token_id eos_token_id pad_token_id unk_token sep_token
    cls_token mask_token special_tokens additional_special_tokens decoder_start_token_id stop_tokens token_ids
    token_type_ids token_limit logprobs secretary secretariat password_policy password_length
    min_password_length passwordless api_key_name api_key_env_var secret_santa keyboard key keys keyword
    keywords primary_key foreign_key sort_key key_points answer_key turkey monkey public_key author authors
    authority authentic authenticated cookiecutter bearers_of_news compass passage pass passenger credentialed
    pwd authorized model prompt temperature name value id type base_url 123 __ - é
"""


@pytest.mark.parametrize("key", [*NAMES_OF_SECRETS.split(), "x" * 500 + "_password", "a\nb password"])
def test_keys_that_name_a_secret(key: str) -> None:
    assert names_secret(key)
    assert redact_secrets({key: SECRET})[0] == {key: MARKER}


@pytest.mark.parametrize("key", [*NAMES_OF_OTHER_THINGS.split(), "", "password " + "x" * 500, "\ud800", "пароль"])
def test_keys_that_name_none(key: str) -> None:
    value = {key: SECRET}
    clean, places = redact_secrets(value)
    assert clean is value
    assert places == []


HEADERS = [["Accept", "*/*"], ["Authorization", SECRET]]

CASES: dict[str, tuple[Any, Any, list[str]]] = {
    "nested": (
        {"a": [{"b": {"api_key": SECRET, "model": "m"}}]},
        {"a": [{"b": {"api_key": MARKER, "model": "m"}}]},
        ["$.a[0].b.api_key"],
    ),
    "numbers": ({"password": 1234, "token": 0.5}, {"password": MARKER, "token": MARKER}, ["$.password", "$.token"]),
    "what stays": (
        {"password": None, "token": True, "secret": "", "auth": False, "api_key": MARKER},
        {"password": None, "token": True, "secret": "", "auth": False, "api_key": MARKER},
        [],
    ),
    "containers": (
        {"credentials": {"user": "u", "id": 7, "ok": True, "in": ["a", {"b": None, "c": "x"}]}},
        {"credentials": {"user": MARKER, "id": MARKER, "ok": True, "in": [MARKER, {"b": None, "c": MARKER}]}},
        ["$.credentials.id", "$.credentials.in[0]", "$.credentials.in[1].c", "$.credentials.user"],
    ),
    "empty containers": ({"cookies": {}, "secrets": []}, {"cookies": {}, "secrets": []}, []),
    "tuple of credentials": ({"auth": ("user", "pass")}, {"auth": [MARKER, MARKER]}, ["$.auth[0]", "$.auth[1]"]),
    "a name and its value": (
        {"env": [{"name": "HF_TOKEN", "value": SECRET}, {"name": "HOME", "value": "/"}]},
        {"env": [{"name": "HF_TOKEN", "value": MARKER}, {"name": "HOME", "value": "/"}]},
        ["$.env[0].value"],
    ),
    "a key and its value": (
        {"h": {"key": "Authorization", "value": [SECRET]}, "other": {"Name": "Cookie", "Value": SECRET}},
        {"h": {"key": "Authorization", "value": [MARKER]}, "other": {"Name": "Cookie", "Value": MARKER}},
        ["$.h.value[0]", "$.other.Value"],
    ),
    "pairs": ({"h": HEADERS}, {"h": [["Accept", "*/*"], ["Authorization", MARKER]]}, ["$.h[1][1]"]),
    "a pair alone": (
        {"extra_header": ("x-api-key", SECRET), "required": ["password", "token"]},
        {"extra_header": ["x-api-key", MARKER], "required": ["password", "token"]},
        ["$.extra_header[1]"],
    ),
    "a schema": (
        {"properties": {"password": {"type": "string", "minLength": 8, "description": "of the user"}}},
        {"properties": {"password": {"type": "string", "minLength": 8, "description": "of the user"}}},
        [],
    ),
    "a schema of several types": (
        {"token": {"type": ["string", "null"]}, "secret": {"$ref": "#/a"}, "auth": {"anyOf": [{"type": "null"}]}},
        {"token": {"type": ["string", "null"]}, "secret": {"$ref": "#/a"}, "auth": {"anyOf": [{"type": "null"}]}},
        [],
    ),
    "a schema with a value": (
        {"password": {"type": "string", "default": SECRET, "anyOf": [{"type": "string", "const": SECRET}]}},
        {"password": {"type": "string", "default": MARKER, "anyOf": [{"type": "string", "const": MARKER}]}},
        ["$.password.anyOf[0].const", "$.password.default"],
    ),
    "no schema": (
        {"credentials": {"type": "string", "user": SECRET}, "auth": {"type": "bearer"}, "secret": {"type": []}},
        {"credentials": {"type": MARKER, "user": MARKER}, "auth": {"type": MARKER}, "secret": {"type": []}},
        ["$.auth.type", "$.credentials.type", "$.credentials.user"],
    ),
    "keys that are no text": (
        {1: {"token": SECRET}, None: 1, False: 2, 0.5: {"k": 1}, 10**5000: {"token": SECRET}},
        {1: {"token": MARKER}, None: 1, False: 2, 0.5: {"k": 1}, 10**5000: {"token": MARKER}},
        ["$.<int>.token", "$[1].token"],
    ),
    "keys that are content": (
        {"Dear Sir,\n" + "x" * 100: {"token": SECRET}},
        {"Dear Sir,\n" + "x" * 100: {"token": MARKER}},
        ["$.Dear Sir,\\n" + "x" * 29 + "....token"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_replaced(name: str) -> None:
    value, expected, places = CASES[name]
    before = copy.deepcopy(value)
    assert redact_secrets(value) == (expected, places)
    assert value == before
    assert redact_secrets(expected)[1] == [], "what was replaced once is a secret no more"


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from texts_in(one)
    elif isinstance(value, dict):
        for name, one in cast("dict[str, Any]", value).items():
            yield name
            yield from texts_in(one)


@given(json_objects(), st.sampled_from(NAMES_OF_SECRETS.split()), json_text().filter(lambda text: text != ""))
def test_anything_beside_a_secret_stays(value: dict[str, Any], key: str, secret: str) -> None:
    assume(not any(map(names_secret, texts_in(value))))  # hypothesis takes words out of the code that it tests
    assert redact_secrets(value)[0] is value
    clean, places = redact_secrets({"beside": value, key: secret, "in": [value, {key: secret}]})
    assert clean == {"beside": value, key: MARKER, "in": [value, {key: MARKER}]}
    assert clean["beside"] is value
    assert len(places) == 2


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"password": SECRET}
    for _ in range(depth - 1):
        value = {"in": value}
    return value


def test_the_depth_does_not_depend_on_the_callers_stack() -> None:
    results: list[Any] = []

    def from_deep_down(frames: int) -> None:
        if frames:
            from_deep_down(frames - 1)
        else:
            results.append(redact_secrets(nested(MAX_DEPTH)))

    thread = threading.Thread(target=from_deep_down, args=(900,))
    thread.start()
    thread.join()
    ((clean, places),) = results
    assert SECRET not in json.dumps(clean)
    assert places == ["$" + ".in" * (MAX_DEPTH - 1) + ".password"]


def test_a_value_that_holds_itself_comes_to_an_end() -> None:
    value: dict[str, Any] = {"token": SECRET}
    value["a"] = value["b"] = [value, value]
    assert redact_secrets(value) == (value, [])


# --- through a storage ----------------------------------------------------------------------------------------------


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    async with LocalStorage((tmp_path / "store").as_uri(), durability="process") as storage:
        await storage.save_project(a_project())
        await storage.log_master_job_start(a_master_job(storage))
        yield storage


async def start_each(storage: LocalStorage, jobs: list[GenerationJob]) -> None:
    for job in jobs:
        await storage.log_execution_job_start(job)


def bytes_on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


CONFIG = {"model": "m", "headers": {"Authorization": SECRET}, "max_tokens": 9, "token": SECRET}
CLEAN = {"model": "m", "headers": {"Authorization": MARKER}, "max_tokens": 9, "token": MARKER}


async def test_a_request_configuration_is_saved_without(
    storage: LocalStorage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = copy.deepcopy(CONFIG)
    path = storage.generate_request_config_path(MASTER_JOB)
    with pytest.warns(SecretRedactedWarning) as caught:
        reference = await storage.save_request_config(path, given)
    assert given == CONFIG
    assert await storage.get_request_config(reference) == CLEAN
    assert SECRET.encode() not in bytes_on_disk(tmp_path)
    (warning,) = caught
    logged = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.name for record in logged] == ["starfish_storage.storage.secret_guard"]
    for message in (str(warning.message), logged[0].getMessage()):
        assert message.startswith("request configuration of master job 'master-1': ")
        assert "$.headers.Authorization, $.token " in message
        assert "redact_secrets=False" in message
        assert SECRET not in message


@pytest.mark.parametrize("form", ["model", "foreign", "as text", "reassigned"])
async def test_a_run_configuration_is_saved_without_and_found_again(
    storage: LocalStorage, tmp_path: Path, form: str
) -> None:
    job: Any = an_execution_job(run_config=CONFIG)
    if form == "foreign":
        job = as_foreign_model(job)
    elif form == "as text":
        job = SimpleNamespace(**{**job.model_dump(), "run_config": json.dumps(CONFIG), "run_config_hash": None})
    elif form == "reassigned":
        job.run_config = {"a": 1}
        job.run_config = CONFIG
    before = copy.deepcopy(vars(job))
    with pytest.warns(SecretRedactedWarning, match=r"run configuration of execution job 'job-1'.*\$\.token"):
        await storage.log_execution_job_start(job)
    assert vars(job) == before
    found = await storage.get_execution_job(JOB)
    assert found is not None
    assert found.run_config == CLEAN
    assert found.run_config_hash == canonical_hash(CONFIG)
    await storage.log_execution_job_end(JOB, "completed", {}, at(1), at(2))
    assert await storage.completed_config_hashes(MASTER_JOB) == {canonical_hash(CONFIG)}
    assert SECRET.encode() not in bytes_on_disk(tmp_path)


@pytest.mark.parametrize("given_hash", ["mine", "", None])
async def test_a_hash_that_was_given_stays(storage: LocalStorage, given_hash: str | None) -> None:
    with pytest.warns(SecretRedactedWarning):
        await storage.log_execution_job_start(an_execution_job(run_config=CONFIG, run_config_hash=given_hash))
    found = await storage.get_execution_job(JOB)
    assert found is not None
    assert found.run_config_hash == (canonical_hash(CONFIG) if given_hash is None else given_hash)


async def test_it_warns_once_of_each_place(storage: LocalStorage, caplog: pytest.LogCaptureFixture) -> None:
    jobs = [an_execution_job(f"j{number}", run_config={"token": f"t{number}"}) for number in range(300)]
    with pytest.warns(SecretRedactedWarning) as caught:
        await start_each(storage, [*jobs, an_execution_job("last", run_config={"token": "t", "password": "p"})])
    assert [str(warning.message).partition(" is saved")[0] for warning in caught] == [
        "run configuration of execution job 'j0': the secret at $.token",
        "run configuration of execution job 'last': the secret at $.password",
    ]
    assert len(caplog.records) == 2
    # Each storage object has its own memory, and so has each kind of configuration.
    with pytest.warns(SecretRedactedWarning):
        await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"token": "t"})
    async with LocalStorage(storage.storage_uri) as other:
        with pytest.warns(SecretRedactedWarning):
            await other.log_execution_job_start(an_execution_job("again", run_config={"token": "t"}))


async def test_where_keys_are_content_warnings_come_to_an_end(storage: LocalStorage) -> None:
    jobs = [an_execution_job(run_config={f"k{number}": {"token": "t"}}) for number in range(1100)]
    with pytest.warns(SecretRedactedWarning) as caught:
        await start_each(storage, jobs)
    assert len(caught) == 1000


async def test_a_warning_of_many_places_is_short(storage: LocalStorage) -> None:
    deep: Any = {"token": "t"}
    for _ in range(240):
        deep = {"some-long-name": deep}
    with pytest.warns(SecretRedactedWarning, match="and 95 more") as caught:
        await storage.save_request_config(
            storage.generate_request_config_path(MASTER_JOB), {"secrets": ["s"] * 99, "a": deep}
        )
    assert len(str(caught[0].message)) < 600


async def test_where_warnings_are_errors_nothing_is_saved(storage: LocalStorage) -> None:
    path = storage.generate_request_config_path(MASTER_JOB)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(SecretRedactedWarning):
                await storage.save_request_config(path, CONFIG)
            with pytest.raises(SecretRedactedWarning):
                await storage.log_execution_job_start(an_execution_job(run_config=CONFIG))
    assert not Path(path).exists()
    assert await storage.get_execution_job(JOB) is None


@pytest.mark.parametrize("opened", [LocalStorage, open_storage])
async def test_it_can_be_switched_off(tmp_path: Path, opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with opened((tmp_path / "other").as_uri(), redact_secrets=False) as storage:
        await storage.save_project(a_project())
        await storage.log_master_job_start(a_master_job(storage))
        path = storage.generate_request_config_path(MASTER_JOB)
        assert await storage.get_request_config(await storage.save_request_config(path, CONFIG)) == CONFIG
        await storage.log_execution_job_start(an_execution_job(run_config=CONFIG))
        found = await storage.get_execution_job(JOB)
        assert found is not None
        assert found.run_config == CONFIG
    assert caplog.records == []


async def test_what_is_no_configuration_is_refused_as_before(storage: LocalStorage) -> None:
    path = storage.generate_request_config_path(MASTER_JOB)
    for value in ([{"token": SECRET}], SECRET, None):
        with refused(InvalidDataError, "a JSON object (dict) is needed"):
            await storage.save_request_config(path, value)  # type: ignore[arg-type]
    for depth in (MAX_DEPTH + 1, MAX_DEPTH + 60, 10_000):
        with refused(InvalidDataError, "more than 250 levels"):
            await storage.log_execution_job_start(
                an_execution_job().model_copy(update={"run_config": {"a": float("nan"), "deep": nested(depth)}})
            )
    with refused(InvalidDataError, "$.token"), pytest.warns(SecretRedactedWarning):
        await storage.save_request_config(path, {"password": SECRET, "token": {1, 2}})
    with refused(InvalidInputError, "a GenerationJob is needed"):
        await storage.log_execution_job_start(SimpleNamespace(run_config=CONFIG))  # type: ignore[arg-type]
    with refused(InvalidInputError, "a GenerationJob is needed"):
        await storage.log_execution_job_start(None)  # type: ignore[arg-type]
    assert not Path(path).exists()


@pytest.mark.parametrize("depth", range(MAX_DEPTH - 2, MAX_DEPTH + 15))
async def test_what_is_stored_at_the_limit_of_depth_is_without(
    storage: LocalStorage, tmp_path: Path, depth: int
) -> None:
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        try:
            await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), nested(depth))
        except InvalidDataError:
            assert depth > MAX_DEPTH
    assert SECRET.encode() not in bytes_on_disk(tmp_path)


async def test_inputs_of_a_run_that_hold_secrets_are_stored_where_that_is_wanted(tmp_path: Path) -> None:
    given = {"question": 1, "api_key": SECRET}
    async with open_storage(tmp_path.as_uri(), redact_secrets=False) as storage:
        await storage.save_project(a_project())
        await storage.log_master_job_start(a_master_job(storage))
        await storage.ledger.start_run(MASTER_JOB)
        assert await storage.ledger.register_inputs(MASTER_JOB, [RunInput(0, given)]) == 1
        (job,) = await storage.list_execution_jobs(MASTER_JOB)
        assert job.run_config == given
    async with open_storage(tmp_path.as_uri()) as storage:
        with refused(InvalidInputError, "api_key"):
            await storage.ledger.unregistered_inputs(MASTER_JOB, [RunInput(0, given)])
