"""An upstream that messages and answers reach apart: a device polls, processes end, and nothing is sent twice."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio
from anyio.abc import TaskGroup
from relaying import SOON, Authority, issued_to, new_secret

from cmpkit.asn1 import ErrorMsgContent, PKIBody, PKIMessage, PKIStatusInfo
from cmpkit.enums import BodyType, PKIStatus
from cmpkit.parts import RelayState, SharedSecret, TransportOptions
from cmpkit.relay.wrapping import OwnProtection
from cmpkit.transports import MemoryPost

URL = "memory-post:ca"


def by_post(ra: Authority) -> MemoryPost:
    post = MemoryPost()
    ra.road = post.open(URL, TransportOptions())
    ra.terms = {"timeout": SOON}
    return post


async def serve(ra: Authority, post: MemoryPost, tasks: TaskGroup) -> anyio.Event:
    """The CA on the far side."""
    shutdown = anyio.Event()
    await tasks.start(partial(post.serve, URL, ra.ca.handle, max_message_size=1 << 20, shutdown=shutdown))
    return shutdown


async def waiting(ra: Authority, secret: SharedSecret) -> tuple[PKIMessage, PKIMessage]:
    """A request that went upstream, and the answer that says "waiting"."""
    message = await ra.request(secret)
    answer = await ra.ask(message)
    assert answer.body.content.response[0].status.status is PKIStatus.WAITING
    return message, answer


async def test_a_device_gets_its_certificate_from_a_ca_that_starts_after_the_authority_was_restarted(
    ra: Authority,
) -> None:
    post = by_post(ra)
    async with ra.running():
        secret = await new_secret(ra)
        message, answer = await waiting(ra, secret)
        with anyio.fail_after(20):
            while not (await ra.store.relayed_messages(upstream="ca"))[0].is_sent:  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
    place = post._place(URL)
    async with ra.running():
        answer = await ra.ask(await ra.poll(secret, answer))
        assert answer.body.type is BodyType.POLL_REP
    ra.road = post.open(URL, TransportOptions())
    async with ra.running(), anyio.create_task_group() as tasks:
        assert place.messages == [message.raw]
        shutdown = await serve(ra, post, tasks)
        await ra.wait_for(RelayState.ANSWERED)
        answer = await ra.ask(await ra.poll(secret, answer))
        assert answer.body.type is BodyType.IP
        assert await issued_to(ra, secret) == 1
        with anyio.fail_after(20):
            while place.answers:  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
        await ra.wait_for(count=0)
        shutdown.set()


async def test_what_others_put_there_is_passed_over_and_stays(ra: Authority) -> None:
    post = by_post(ra)
    async with ra.running(), anyio.create_task_group() as tasks:
        secret = await new_secret(ra)
        _, answer = await waiting(ra, secret)
        own = OwnProtection(ra.ca.plugins, SharedSecret(secret.reference, "not the secret"))
        status = PKIStatusInfo.of(PKIStatus.REJECTION, ["forged"])
        body = PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status))
        header = replace(answer.header, protection_alg=own.algorithm(b"salt"))
        forged = await own.protect(PKIMessage(header, body))
        place = post._place(URL)
        place.answers += [b"nothing of the kind", forged.raw]
        place.notice()
        shutdown = await serve(ra, post, tasks)
        await ra.wait_for(RelayState.ANSWERED)
        assert (await ra.ask(await ra.poll(secret, answer))).body.type is BodyType.IP
        with anyio.fail_after(20):
            while len(place.answers) > 2:  # noqa: ASYNC110 - of another task
                await anyio.sleep(0.01)
        assert place.answers == [b"nothing of the kind", forged.raw]
        shutdown.set()


async def test_a_certificate_that_comes_by_post_after_the_device_has_gone_is_revoked_by_post(ra: Authority) -> None:
    post = by_post(ra)
    async with ra.running(), anyio.create_task_group() as tasks:
        secret = await new_secret(ra)
        _, answer = await waiting(ra, secret)
        assert (await ra.ask(await ra.error(secret, answer))).body.type is BodyType.PKICONF
        shutdown = await serve(ra, post, tasks)
        await ra.wait_for_audit("late certificate revoked")
        await ra.wait_for(count=0)
        shutdown.set()
