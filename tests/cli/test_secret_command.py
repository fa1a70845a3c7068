from __future__ import annotations

import base64
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from operating import Operator

from cmpkit.cli.secret import SECRET_OCTETS
from cmpkit.config import load_configuration, open_store
from cmpkit.crypto.names import format_name
from cmpkit.parts import SecretRecord
from cmpkit.plugins import load_plugins


def stored(operator: Operator, reference: str) -> SecretRecord:
    async def find() -> SecretRecord | None:
        plugins = load_plugins()
        async with open_store(load_configuration(operator.config, plugins), plugins) as store:
            return await store.find_secret(reference.encode())

    record = anyio.run(find)
    assert record is not None
    return record


def listed(operator: Operator) -> dict[str, Any]:
    return {row["reference"]: row for row in operator.run("secret", "list", "--json").json}


def test_a_secret_that_is_made_is_strong_and_alone_on_standard_output(operator: Operator) -> None:
    outcome = operator.run("secret", "add", "dev-42")
    assert re.fullmatch(r"[\w-]{32}\n", outcome.out)
    assert stored(operator, "dev-42").secret.value == outcome.out.strip().encode()
    assert SECRET_OCTETS * 8 >= 128
    assert outcome.out.strip() != operator.run("secret", "add", "dev-43").out.strip()


def test_a_secret_grants_one_certificate_of_its_own_name_for_a_month(operator: Operator) -> None:
    before = datetime.now(UTC)
    outcome = operator.run("secret", "add", "dev-42")
    grant = stored(operator, "dev-42").grant
    assert grant.subject is not None
    assert format_name(grant.subject) == "CN=dev-42"
    assert (grant.profile, grant.uses) == ("device", 1)
    assert grant.expires is not None
    assert timedelta(days=30) - timedelta(seconds=1) <= grant.expires - before <= timedelta(days=30, minutes=1)
    assert "dev-42 may get 1 certificate of profile device for the subject CN=dev-42, until" in outcome.err


@pytest.mark.parametrize("kind", ["file", "env", "fd"])
def test_a_secret_is_taken_from_where_it_is_and_not_printed(operator: Operator, tmp_path: Path, kind: str) -> None:
    value = "a secret of more than sixteen octets"
    path = tmp_path / "secret"
    path.write_text(f"{value}\n")
    with path.open() as file:
        source = {"file": f"file:{path}", "env": "env:SOME_SECRET", "fd": f"fd:{file.fileno()}"}[kind]
        outcome = operator.run("secret", "add", "dev-42", "--secret", source, env={"SOME_SECRET": value})
    assert stored(operator, "dev-42").secret.value == value.encode()
    assert outcome.out == ""
    assert value not in outcome.err


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(operator: Operator) -> None:
    outcome = operator.run("secret", "add", "dev-42", "--secret", "hunter2", status=2)
    assert "file:PATH, env:NAME or fd:N" in outcome.err
    assert "hunter2" not in outcome.err
    assert listed(operator) == {}


def test_a_short_secret_is_taken_with_a_warning(operator: Operator) -> None:
    outcome = operator.run("secret", "add", "dev-42", "--secret", "env:SHORT", env={"SHORT": "hunter2"})
    assert "has 7 octets only" in outcome.err
    assert "hunter2" not in outcome.err


@pytest.mark.rule("R-176")
def test_a_secret_that_is_weaker_than_the_keys_of_its_profile_is_taken_with_a_warning(operator: Operator) -> None:
    text = operator.config.read_text()
    operator.config.write_text(text.replace('# key_types = ["p256", "rsa3072"]', 'key_types = ["p256", "p521"]'))
    given = "a secret of 23 octets !!"[:23]
    outcome = operator.run("secret", "add", "dev-42", "--secret", "env:GIVEN", env={"GIVEN": given})
    assert "the secret has 23 octets, 32 would be as strong as the strongest keys of profile device" in outcome.err
    made = operator.run("secret", "add", "dev-43")
    assert "octets" not in made.err
    assert len(base64.urlsafe_b64decode(made.out.strip() + "=")) == 32


def test_a_grant_may_be_wider(operator: Operator) -> None:
    operator.run("secret", "add", "a", "--subject", "/O=Example/CN=other", "--uses", "3", "--expires", "2h")
    operator.run("secret", "add", "b", "--any-subject", "--uses", "unlimited", "--expires", "never")
    a, b = stored(operator, "a").grant, stored(operator, "b").grant
    assert a.subject is not None
    assert (format_name(a.subject), a.uses) == ("CN=other,O=Example", 3)
    assert (b.subject, b.uses, b.expires) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2999-01-31", datetime(2999, 1, 31, tzinfo=UTC)),
        ("2999-01-31T12:00", datetime(2999, 1, 31, 12, tzinfo=UTC)),
        ("2999-01-31T12:00:00+02:00", datetime(2999, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_an_expiry_may_be_a_date(operator: Operator, text: str, moment: datetime) -> None:
    operator.run("secret", "add", "a", "--expires", text)
    assert stored(operator, "a").grant.expires == moment


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--uses", "0"], "--uses: '0' is neither a number from 1 nor unlimited"),
        (["--uses", "many"], "--uses: 'many'"),
        (["--expires", "soon"], "--expires: 'soon' is neither a length of time"),
        (["--expires", "2001-01-01"], "--expires: 2001-01-01T00:00:00+00:00 has passed"),
        (["--profile", "robot"], "there is no profile 'robot'"),
        (["--subject", "CN=x", "--any-subject"], "--subject and --any-subject contradict each other"),
        (["--subject", "/"], "to grant any subject: --any-subject"),
        (["--secret", "env:NOT_THERE_AT_ALL"], "NOT_THERE_AT_ALL is not set"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_added(operator: Operator, options: list[str], said: str) -> None:
    assert said in operator.run("secret", "add", "dev-42", *options, status=2).err
    assert listed(operator) == {}


def test_a_reference_that_cannot_be_a_name_needs_a_subject(operator: Operator) -> None:
    reference = "x" * 65
    assert "say --subject or --any-subject" in operator.run("secret", "add", reference, status=2).err
    operator.run("secret", "add", reference, "--any-subject")
    assert "the reference is empty" in operator.run("secret", "add", "", status=2).err


def test_a_reference_is_taken_once(operator: Operator) -> None:
    operator.run("secret", "add", "dev-42")
    assert "there is a secret" in operator.run("secret", "add", "dev-42", status=2).err


def test_add_tells_machines_everything(operator: Operator) -> None:
    made = operator.run("secret", "add", "dev-42", "--expires", "never", "--json").json
    assert made.pop("secret").encode() == stored(operator, "dev-42").secret.value
    assert made == listed(operator)["dev-42"]
    assert made == {
        "reference": "dev-42",
        "subject": "CN=dev-42",
        "profile": "device",
        "uses": 1,
        "expires": None,
        "state": "good",
    }


def test_the_list_has_no_secrets(operator: Operator) -> None:
    made = operator.run("secret", "add", "dev-42").out.strip()
    operator.run("secret", "add", "any", "--any-subject", "--uses", "unlimited", "--expires", "never")
    table = operator.run("secret", "list").out
    assert made not in table
    assert made not in operator.run("secret", "list", "--json").out
    title, any_row, row = table.splitlines()
    assert title.split() == ["REFERENCE", "SUBJECT", "PROFILE", "USES", "EXPIRES", "STATE"]
    assert any_row.split() == ["any", "any", "device", "unlimited", "never", "good"]
    assert row.split()[:4] == ["dev-42", "CN=dev-42", "device", "1"]


def test_a_revoked_secret_is_listed_as_such(operator: Operator) -> None:
    operator.run("secret", "add", "dev-42")
    assert operator.run("secret", "revoke", "dev-42").out == "revoked dev-42\n"
    assert listed(operator)["dev-42"]["state"] == "revoked"
    assert operator.run("secret", "revoke", "dev-42", "--json").json == {"reference": "dev-42", "state": "revoked"}


def test_revoking_what_is_not_there_is_an_error(operator: Operator) -> None:
    assert "there is no secret 'dev-42'" in operator.run("secret", "revoke", "dev-42", status=2).err


@pytest.mark.parametrize(
    ("policy", "profiles", "profile"),
    [
        ("", ["device", "robot"], "device"),
        ('default_profile = "robot"', ["device", "robot"], "robot"),
    ],
)
def test_the_profile_is_that_of_the_policy(operator: Operator, policy: str, profiles: list[str], profile: str) -> None:
    text = operator.config.read_text()
    line = next(line for line in text.splitlines() if line.startswith("default_profile"))
    operator.config.write_text(text.replace(line, policy) + "\n[profiles.robot]\n")
    operator.run("secret", "add", "dev-42")
    assert listed(operator)["dev-42"]["profile"] == profile
    for name in profiles:
        operator.run("secret", "add", name, "--profile", name)
        assert listed(operator)[name]["profile"] == name


def test_another_policy_has_a_default_only_if_there_is_one_profile(operator: Operator, other_policy: Any) -> None:
    operator.plugins = other_policy
    text = operator.config.read_text()
    start, end = text.index("[policy]"), text.index("# Where shared secrets")
    operator.config.write_text(f'{text[:start]}[policy]\nkind = "other"\n{text[end:]}')
    operator.run("secret", "add", "one")
    assert listed(operator)["one"]["profile"] == "device"
    with operator.config.open("a") as file:
        file.write("\n[profiles.robot]\n")
    assert "name one of: device, robot" in operator.run("secret", "add", "two", status=2).err


@pytest.fixture
def other_policy() -> Any:
    from cmpkit.hookspecs import hookimpl

    class Factory:
        kind = "other"

    class Brings:
        @hookimpl
        def cmpkit_policies(self) -> list[Factory]:
            return [Factory()]

    return load_plugins([("other", Brings())])


def test_an_expired_and_a_used_up_secret_are_listed_as_such(operator: Operator) -> None:
    from cmpkit.crypto.names import parse_name
    from cmpkit.parts import Grant, SharedSecret, UnitOfWork

    async def prepare() -> None:
        plugins = load_plugins()
        async with open_store(load_configuration(operator.config, plugins), plugins) as store:
            past = datetime.now(UTC) - timedelta(days=1)
            subject = parse_name("CN=x")
            await store.add_secret(SecretRecord(SharedSecret("old", os.urandom(16)), Grant(subject, expires=past)))
            await store.add_secret(SecretRecord(SharedSecret("used", os.urandom(16)), Grant(subject)))
            await store.commit(UnitOfWork(spent=(b"used",)))

    anyio.run(prepare)
    assert {name: row["state"] for name, row in listed(operator).items()} == {"old": "expired", "used": "used up"}


def test_what_requests_must_have_besides_is_taken_from_where_it_is(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("once only\n")
    (tmp_path / "name").write_text("Mutter Müller\n")
    besides = ("--reg-token", f"file:{tmp_path / 'token'}", "--authenticator", f"file:{tmp_path / 'name'}")
    outcome = operator.run("secret", "add", "dev-42", *besides)
    grant = stored(operator, "dev-42").grant
    assert (grant.reg_token, grant.authenticator) == ("once only", "Mutter Müller")
    assert "once only" not in outcome.out + outcome.err


@pytest.mark.parametrize("octets", [b"\xff\xfe", b"\n"], ids=["no text", "empty"])
def test_what_requests_must_have_besides_is_text(operator: Operator, tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "token").write_bytes(octets)
    refused = operator.run("secret", "add", "dev-42", "--reg-token", f"file:{tmp_path / 'token'}", status=2)
    assert "token" in refused.err
