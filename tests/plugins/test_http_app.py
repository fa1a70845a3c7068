"""The ASGI application, called as an ASGI server calls it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import anyio
import pytest
from cmpkit_http.app import CMPApplication

from cmpkit.parts import Answer, Disposition, Peer


class Exchange:
    """One request to the application, and what it sent."""

    def __init__(
        self,
        *,
        path: str = "/.well-known/cmp",
        method: str = "POST",
        headers: Iterable[tuple[bytes, bytes]] = ((b"content-type", b"application/pkixcmp"),),
        body: Iterable[bytes] = (b"request",),
        then: str = "end",
        **scope: Any,
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "headers": list(headers),
            "client": ("192.0.2.7", 4711),
            **scope,
        }
        self.incoming: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": True} for part in body
        ]
        if then == "end":
            self.incoming[-1]["more_body"] = False
        elif then == "disconnect":
            self.incoming.append({"type": "http.disconnect"})
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if not self.incoming:
            await anyio.sleep_forever()
        return self.incoming.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, application: CMPApplication) -> Exchange:
        await application(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class Recorder:
    def __init__(self, answer: Answer | None = None) -> None:
        self.calls: list[tuple[bytes, Peer]] = []
        self.answer = answer

    async def __call__(self, message: bytes, peer: Peer) -> Answer:
        self.calls.append((message, peer))
        return self.answer or Answer(b"answer to " + message)


async def test_a_message_is_handed_over_and_its_answer_sent() -> None:
    handler = Recorder()
    exchange = await Exchange(body=(b"one ", b"and ", b"two")).run(CMPApplication(handler))
    assert handler.calls == [(b"one and two", Peer("http", "192.0.2.7"))]
    assert (exchange.status, exchange.body) == (200, b"answer to one and two")
    assert exchange.headers == {
        b"content-type": b"application/pkixcmp",
        b"content-length": b"21",
        b"cache-control": b"no-store",
    }


async def test_label_and_operation_of_the_path_reach_the_handler() -> None:
    handler = Recorder()
    await Exchange(path="/cmp/p/ca%201/keyupdate").run(CMPApplication(handler))
    assert handler.calls[0][1] == Peer("http", "192.0.2.7", label="ca 1", operation="keyupdate")


async def test_the_configured_path_is_served_beside_the_well_known() -> None:
    application = CMPApplication(Recorder(), path="/pkix")
    for path in ("/pkix", "/pkix/nested", "/cmp", "/.well-known/cmp"):
        assert (await Exchange(path=path).run(application)).status == 200


async def test_the_mount_point_of_the_application_is_no_part_of_the_path() -> None:
    exchange = await Exchange(path="/mounted/cmp", root_path="/mounted").run(CMPApplication(Recorder()))
    assert exchange.status == 200


async def test_a_server_that_gives_only_the_decoded_path_is_enough() -> None:
    handler = Recorder()
    exchange = Exchange(path="/cmp/p/ca 1", raw_path=None)
    assert (await exchange.run(CMPApplication(handler))).status == 200
    assert handler.calls[0][1].label == "ca 1"


async def test_the_query_is_no_part_of_the_path() -> None:
    assert (await Exchange(path="/cmp?x=1").run(CMPApplication(Recorder()))).status == 200


async def test_a_client_without_address_is_served() -> None:
    handler = Recorder()
    await Exchange(client=None).run(CMPApplication(handler))
    assert handler.calls[0][1].address == ""


@pytest.mark.parametrize(
    "content_type",
    ["application/pkixcmp; charset=UTF-8", "Application/PKIXCMP", "application/pkixcmp-poll", "application/x-pkixcmp"],
)
async def test_parameters_and_older_media_types_are_tolerated(content_type: str) -> None:
    exchange = Exchange(headers=[(b"content-type", content_type.encode())])
    assert (await exchange.run(CMPApplication(Recorder()))).status == 200


@pytest.mark.parametrize("headers", [[], [(b"content-type", b"text/plain")], [(b"content-type", b"\xff")]])
async def test_a_wrong_or_missing_media_type_is_415_with_the_reason(headers: list[tuple[bytes, bytes]]) -> None:
    handler = Recorder()
    exchange = await Exchange(headers=headers).run(CMPApplication(handler))
    assert exchange.status == 415
    assert exchange.headers[b"content-type"].startswith(b"text/plain")
    assert b"application/pkixcmp" in exchange.body
    assert not handler.calls


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_405_and_told_which_is_allowed(method: str) -> None:
    handler = Recorder()
    exchange = await Exchange(method=method).run(CMPApplication(handler))
    assert (exchange.status, exchange.headers[b"allow"]) == (405, b"POST")
    assert not handler.calls


@pytest.mark.parametrize("path", ["/", "/cmp/enroll", "/cmp/p/..", "/cmp/p/a%2Fb"])
async def test_unknown_paths_and_operations_are_404(path: str) -> None:
    handler = Recorder()
    exchange = await Exchange(path=path).run(CMPApplication(handler))
    assert (exchange.status, handler.calls) == (404, [])


CMP_TYPE = (b"content-type", b"application/pkixcmp")


async def test_a_declared_length_over_the_limit_is_413_before_anything_is_read() -> None:
    handler = Recorder()
    exchange = Exchange(headers=[CMP_TYPE, (b"content-length", b"1001")], body=(b"x" * 1001,))
    send = exchange.send

    async def send_and_look(message: Any) -> None:
        await send(message)
        unread.append(len(exchange.incoming))

    unread: list[int] = []
    await CMPApplication(handler, max_message_size=1000)(exchange.scope, exchange.receive, send_and_look)
    assert (exchange.status, exchange.headers[b"connection"]) == (413, b"close")
    assert b"1000 octets" in exchange.body
    assert unread[0] == 1
    assert not handler.calls


async def test_a_length_at_the_limit_is_taken() -> None:
    exchange = Exchange(headers=[CMP_TYPE, (b"content-length", b"1000")], body=(b"x" * 1000,))
    assert (await exchange.run(CMPApplication(Recorder(), max_message_size=1000))).status == 200


async def test_a_body_without_length_is_read_no_further_than_the_limit() -> None:
    handler = Recorder()
    exchange = Exchange(body=[b"x" * 100] * 50)
    await exchange.run(CMPApplication(handler, max_message_size=1000))
    assert (exchange.status, exchange.headers[b"connection"]) == (413, b"close")
    assert not handler.calls


async def test_a_refused_client_that_goes_on_sending_is_heard_out_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cmpkit_http.app.LINGER_OCTETS", 1000)
    exchange = Exchange(headers=[CMP_TYPE, (b"content-length", b"99999")], body=[b"x" * 100] * 50)
    await exchange.run(CMPApplication(Recorder(), max_message_size=1))
    assert 0 < len(exchange.incoming) <= 40
    assert exchange.sent[-1].get("more_body", False) is False


async def test_a_refused_client_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmpkit_http.app.LINGER_SECONDS", 0.01)
    exchange = Exchange(headers=[CMP_TYPE, (b"content-length", b"99999")], then="silence")
    with anyio.fail_after(5):
        await exchange.run(CMPApplication(Recorder(), max_message_size=1))
    assert exchange.status == 413


@pytest.mark.parametrize("length", [b"-1", b"ten", b""])
async def test_a_length_that_is_no_number_is_400(length: bytes) -> None:
    exchange = await Exchange(headers=[CMP_TYPE, (b"content-length", length)]).run(CMPApplication(Recorder()))
    assert exchange.status == 400


async def test_a_client_that_leaves_early_is_not_processed_and_not_answered() -> None:
    handler = Recorder()
    exchange = await Exchange(then="disconnect").run(CMPApplication(handler))
    assert (exchange.sent, handler.calls) == ([], [])


async def test_a_slow_body_is_408() -> None:
    handler = Recorder()
    exchange = await Exchange(then="silence").run(CMPApplication(handler, read_timeout=0.01))
    assert (exchange.status, exchange.headers[b"connection"], handler.calls) == (408, b"close", [])
    assert b"0.01 seconds" in exchange.body


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (Answer(b"cmp"), 200, b"cmp"),
        (Answer(None, Disposition.NOTHING_MORE), 200, b""),
        (Answer(None, Disposition.STORED), 201, b""),
        (Answer(None, Disposition.REFUSED), 403, b""),
        (Answer(None, Disposition.MALFORMED), 400, b"malformed\n"),
        (Answer(b"cmp", Disposition.MALFORMED), 400, b"cmp"),
        (Answer(None, Disposition.TOO_LARGE), 413, b"too large\n"),
        (Answer(b"cmp", Disposition.TOO_LARGE), 413, b"cmp"),
        (Answer(None, Disposition.UNAVAILABLE), 503, b"unavailable\n"),
        (Answer(b"cmp", Disposition.UNAVAILABLE), 503, b"cmp"),
    ],
)
async def test_a_disposition_becomes_a_status(answer: Answer, status: int, body: bytes) -> None:
    exchange = await Exchange().run(CMPApplication(Recorder(answer)))
    assert (exchange.status, exchange.body) == (status, body)
    assert exchange.headers[b"content-length"] == str(len(body)).encode()
    assert exchange.headers[b"cache-control"] == b"no-store"
    assert (exchange.headers.get(b"content-type") == b"application/pkixcmp") is (answer.der is not None)
    assert (b"retry-after" in exchange.headers) is (answer.disposition is Disposition.UNAVAILABLE)


@pytest.mark.parametrize("disposition", [*Disposition])
async def test_every_disposition_has_a_status(disposition: Disposition) -> None:
    exchange = await Exchange().run(CMPApplication(Recorder(Answer(None, disposition))))
    assert exchange.status in (200, 201, 400, 403, 413, 503)


async def test_a_crash_of_the_handler_is_logged_and_told_without_details(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(message: bytes, peer: Peer) -> Answer:
        raise ValueError("inner detail")

    with caplog.at_level(logging.ERROR, "cmpkit.http"):
        exchange = await Exchange().run(CMPApplication(handler))
    assert exchange.status == 500
    assert b"inner" not in exchange.body
    assert "inner detail" in caplog.text
    assert "192.0.2.7" in caplog.text
    assert "request" not in caplog.records[0].getMessage()


@pytest.mark.parametrize("path", ["/cmp", "/elsewhere"])
async def test_a_client_that_asks_for_it_is_told_that_the_connection_is_kept(path: str) -> None:
    asking = [CMP_TYPE, (b"connection", b"Keep-Alive")]
    exchange = await Exchange(path=path, headers=asking).run(CMPApplication(Recorder()))
    assert exchange.headers[b"connection"] == b"keep-alive"
    silent = await Exchange(path=path).run(CMPApplication(Recorder()))
    assert b"connection" not in silent.headers


async def test_lifespan_is_completed() -> None:
    exchange = Exchange(type="lifespan")
    exchange.incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    await exchange.run(CMPApplication(Recorder()))
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_a_websocket_is_refused() -> None:
    exchange = await Exchange(type="websocket").run(CMPApplication(Recorder()))
    assert exchange.sent == [{"type": "websocket.close"}]
