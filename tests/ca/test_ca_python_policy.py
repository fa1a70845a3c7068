"""The policy by a function, from a file beside the configuration and from code."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cmpkit.ca.functions import load_function
from cmpkit.ca.policy import DefaultPolicy, PolicySettings
from cmpkit.ca.python_policy import PythonPolicy
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Asked, CertificateRecord, Decider, Grant, OpenContext, RevocationRequest, Ruling
from cmpkit.plugins import Plugins
from cmpkit.testing import check_policy

DEV_42 = Grant(parse_name("CN=dev-42"))
Deciding = Callable[[Decider], PythonPolicy]


@pytest.fixture
def deciding(profile: Callable[..., Any]) -> Deciding:
    """A policy by its function."""
    profiles = {"device": profile(), "server": profile("server")}
    return lambda function: PythonPolicy(DefaultPolicy(PolicySettings(), profiles), function)


@pytest.fixture
async def record(ca: Any, ask: Any) -> CertificateRecord:
    issued: CertificateRecord = await ca.issue(ask.request("CN=dev-42"))
    return issued


async def refusal(policy: PythonPolicy, request: Any, auth: Any, now: Any) -> CMPError:
    with pytest.raises(CMPError) as caught:
        await policy.authorize_request(request, auth, now=now)
    return caught.value


async def test_it_is_asked_when_a_message_comes_and_about_what_it_asks_for(deciding: Deciding, ask: Any) -> None:
    questions: list[Asked] = []

    async def decide(asked: Asked) -> Ruling:
        questions.append(asked)
        return Ruling.ACCEPT

    policy, request, auth = deciding(decide), ask.request(), ask.by_secret()
    await policy.authorize(BodyType.IR, auth, now=ask.now)
    decided = await policy.authorize_request(request, auth, now=ask.now)
    assert questions == [Asked(BodyType.IR, auth, ask.now), Asked(BodyType.IR, auth, ask.now, request)]
    assert [question.is_opening for question in questions] == [True, False]
    assert decided == request


async def test_a_function_that_is_not_async_may_block_in_a_thread_of_its_own(deciding: Deciding, ask: Any) -> None:
    threads = []

    def decide(asked: Asked) -> Ruling:
        threads.append(threading.current_thread())
        return Ruling.ACCEPT

    await deciding(decide).authorize_request(ask.request(), ask.by_secret(), now=ask.now)
    assert threads != [threading.main_thread()]


class Inventory:
    """Something with a state of its own that can be called."""

    async def __call__(self, asked: Asked) -> Ruling:
        assert threading.current_thread() is threading.main_thread()
        return Ruling.ACCEPT


async def test_an_object_may_decide(deciding: Deciding, ask: Any) -> None:
    policy = deciding(Inventory())
    assert (await policy.authorize_request(ask.request(), ask.by_secret(), now=ask.now)).profile == "device"


async def test_a_function_with_some_of_its_arguments_given_may_decide(deciding: Deciding, ask: Any) -> None:
    async def decide(ruling: Ruling, asked: Asked) -> Ruling:
        return ruling

    policy = deciding(partial(decide, Ruling.ACCEPT))
    assert (await policy.authorize_request(ask.request(), ask.by_secret(), now=ask.now)).profile == "device"


async def test_it_changes_and_holds_requests(deciding: Deciding, ask: Any) -> None:
    def decide(asked: Asked) -> Any:
        assert asked.request is not None
        if asked.request.profile == "server":
            return Ruling.HOLD
        return replace(asked.request, subject=parse_name("CN=dev-42,O=Example"), profile="server", approval=True)

    policy = deciding(decide)
    changed = await policy.authorize_request(ask.request(profile=None), ask.by_secret(grant=DEV_42), now=ask.now)
    assert (changed.subject, changed.profile, changed.approval) == (parse_name("CN=dev-42,O=Example"), "server", True)
    held = await policy.authorize_request(ask.request(profile="server"), ask.by_secret(), now=ask.now)
    assert held.approval
    assert held.subject == parse_name("CN=dev-42")


async def test_it_leaves_to_the_default_policy_what_it_likes(
    deciding: Deciding, ask: Any, ca: Any, record: CertificateRecord
) -> None:
    policy = deciding(lambda asked: Ruling.DEFAULT)
    await policy.authorize(BodyType.IR, ask.by_secret(), now=ask.now)
    decided = await policy.authorize_request(ask.request(None), ask.by_secret(grant=DEV_42), now=ask.now)
    assert decided.subject == DEV_42.subject
    revocation = RevocationRequest(ca.certificate.name, record.serial_number, CRLReason.KEY_COMPROMISE)
    await policy.authorize_revocation(revocation, record, ask.by_certificate(record), now=ask.now)
    template = await policy.request_template(None, ask.by_secret(grant=DEV_42), now=ask.now)
    assert template.subject == DEV_42.subject
    with pytest.raises(CMPError):
        await policy.authorize(BodyType.IR, ask.by_certificate(None), now=ask.now)


async def test_revocations_are_asked_about_with_the_certificate(
    deciding: Deciding, ask: Any, ca: Any, record: CertificateRecord
) -> None:
    revocation = RevocationRequest(ca.certificate.name, record.serial_number, CRLReason.KEY_COMPROMISE)

    def decide(asked: Asked) -> Ruling | None:
        assert (asked.revocation, asked.certificate) == (revocation, record)
        return Ruling.ACCEPT if "ra" in asked.auth.roles else None

    policy = deciding(decide)
    await policy.authorize_revocation(revocation, record, ask.by_certificate(None, "ra"), now=ask.now)
    with pytest.raises(CMPError, match="does not let"):
        await policy.authorize_revocation(revocation, record, ask.by_certificate(None), now=ask.now)


async def test_it_refuses_by_raising_by_giving_an_error_and_by_saying_nothing(deciding: Deciding, ask: Any) -> None:
    error = CMPError("unknown device", PKIFailureInfo.BAD_CERT_TEMPLATE)

    def raising(asked: Asked) -> Ruling:
        raise error

    for function in (raising, lambda asked: error):
        assert await refusal(deciding(function), ask.request(), ask.by_secret(), ask.now) is error
    silent = await refusal(deciding(lambda asked: None), ask.request(), ask.by_secret(), ask.now)
    assert silent.fail_info is PKIFailureInfo.NOT_AUTHORIZED


@pytest.mark.parametrize(
    "decide",
    [
        lambda asked: 1 / 0,
        lambda asked: True,
        lambda asked: replace(asked.request, public_key_info=b"another"),
        lambda asked: replace(asked.request, cert_req_id=7),
    ],
)
async def test_a_function_that_fails_or_does_what_it_may_not_is_a_failure_of_the_system(
    deciding: Deciding, ask: Any, decide: Decider
) -> None:
    error = await refusal(deciding(decide), ask.request(), ask.by_secret(), ask.now)
    assert error.fail_info is PKIFailureInfo.SYSTEM_FAILURE


async def test_what_credentials_are_good_for_stays_so(deciding: Deciding, ask: Any, record: CertificateRecord) -> None:
    policy = deciding(lambda asked: Ruling.ACCEPT)
    for grant in (replace(DEV_42, uses=0), replace(DEV_42, expires=ask.now), replace(DEV_42, profile="server"), None):
        await refusal(policy, ask.request(), ask.by_secret(grant=grant), ask.now)
    await refusal(policy, ask.request("CN=admin"), ask.by_secret(grant=DEV_42), ask.now)
    unknown = deciding(lambda asked: asked.request and asked.request.under("nobody"))
    assert "no profile" in (await refusal(unknown, ask.request(), ask.by_secret(), ask.now)).detail


@pytest.mark.rule("R-123")
async def test_r_123_an_update_keeps_its_names_whatever_a_function_says(
    deciding: Deciding, ask: Any, record: CertificateRecord
) -> None:
    update, own = ask.request(None, body_type=BodyType.KUR), ask.by_certificate(record)
    assert (
        await deciding(lambda _: Ruling.ACCEPT).authorize_request(update, own, now=ask.now)
    ).subject == DEV_42.subject
    renaming = deciding(lambda asked: asked.request and replace(asked.request, subject=parse_name("CN=admin")))
    assert "names of an update" in (await refusal(renaming, update, own, ask.now)).detail
    more = ask.names(x509.DNSName("admin.example"))
    adding = deciding(lambda asked: asked.request and replace(asked.request, extensions=(more,)))
    assert "names of an update" in (await refusal(adding, update, own, ask.now)).detail


async def test_it_keeps_the_contract_of_policies(deciding: Deciding, ask: Any, record: CertificateRecord) -> None:
    def decide(asked: Asked) -> Ruling | None:
        return Ruling.ACCEPT if asked.auth.grant is not None or asked.auth.record is not None else None

    granted = replace(ask.by_secret(), grant=DEV_42, subject=DEV_42.subject)
    await check_policy(deciding(decide), ask.request(), granted, now=ask.now, certificate=record)


# from the configuration file


@pytest.fixture
def open_policy(tmp_path: Path, store: Any, plugins: Plugins, profile: Callable[..., Any]) -> Callable[..., Any]:
    """The policy of a table, beside which there is a module."""

    async def run(text: str, **table: Any) -> Any:
        (tmp_path / "inventory.py").write_text(text)
        context = OpenContext(tmp_path, store, plugins, {"device": profile()})
        return await plugins.require("policy", "python").open({"function": "inventory:decide", **table}, context)

    return run


async def test_a_module_beside_the_configuration_file_decides(open_policy: Callable[..., Any], ask: Any) -> None:
    policy = await open_policy(
        "from cmpkit.parts import Ruling\nasync def decide(asked): return Ruling.ACCEPT\n", paths=["factory"]
    )
    assert (await policy.authorize_request(ask.request(), ask.by_secret(), now=ask.now)).profile == "device"
    assert policy.paths == {"factory"}


@pytest.mark.parametrize(
    ("text", "table", "mistake"),
    [
        ("x = 1", {}, "has no function decide"),
        ("decide = 1", {}, "has no function decide"),
        ("1 / 0", {}, "cannot be loaded: ZeroDivisionError"),
        ("import nothing_of_that_name", {}, "there is no module nothing_of_that_name"),
        ("", {"function": "decide"}, 'not written "module:name"'),
        ("", {"function": "../inventory:decide"}, 'not written "module:name"'),
        ("", {"function": "nothing_of_that_name:decide"}, "there is no module"),
        ("", {"default_profile": "nobody"}, "default_profile"),
        ("", {"nothing": 1}, "nothing: there is no such key"),
    ],
)
async def test_a_function_that_cannot_be_had_is_a_mistake_of_the_configuration(
    open_policy: Callable[..., Any], text: str, table: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await open_policy(text, **table)
    assert mistake in caught.value.detail
    assert caught.value.detail.startswith("[policy]")


async def test_an_installed_module_decides_too(tmp_path: Path) -> None:
    assert await load_function("json:dumps", tmp_path) is __import__("json").dumps
