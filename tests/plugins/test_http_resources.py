"""Resources beside CMP, asked as an ASGI server asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from cmpkit_http.app import CMPApplication
from cmpkit_http.roads import HTTPServer

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Answer, Document, Peer, Resource, ResourceServer

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEPT = Document(b"a list", "application/pkix-crl", NOW, NOW - HOUR, NOW + HOUR)
MODIFIED, EXPIRES = "Mon, 23 Nov 2026 11:00:00 GMT", "Mon, 23 Nov 2026 13:00:00 GMT"
QUESTION = "application/ocsp-request"


class Shelf:
    """Gives the same document for some paths, and repeats questions."""

    max_size = 8

    def __init__(self, document: Document | None = KEPT, *, posts: str = "", paths: tuple[str, ...] = ("",)) -> None:
        self.document, self.posts, self.paths = document, posts, paths

    async def get(self, path: str) -> Document | None:
        return self.document if path in self.paths else None

    async def post(self, body: bytes) -> Document:
        return Document(b"about " + body, "application/ocsp-response", NOW, NOW, NOW + HOUR)


class Broken(Shelf):
    def __init__(self, error: Exception) -> None:
        super().__init__(posts=QUESTION)
        self._error = error

    async def get(self, path: str) -> Document | None:
        raise self._error


async def echo(message: bytes, peer: Peer) -> Answer:
    return Answer(b"answer to " + message)


def client(resources: Mapping[str, Resource], *, cmp: bool = True) -> httpx.AsyncClient:
    application: Any = CMPApplication(echo if cmp else None, resources=resources)
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://pki.example")


async def test_a_document_may_be_kept_until_it_expires() -> None:
    async with client({"/crl/ca.crl": Shelf()}) as http:
        answer = await http.get("/crl/ca.crl")
    assert (answer.status_code, answer.content) == (200, b"a list")
    tag, _ = answer.headers.pop("etag"), answer.headers.pop("connection")
    assert json.loads(tag)
    assert dict(answer.headers) == {
        "content-length": "6",
        "content-type": "application/pkix-crl",
        "cache-control": "max-age=3600, public, no-transform, must-revalidate",
        "last-modified": MODIFIED,
        "expires": EXPIRES,
    }


async def test_only_the_header_is_sent_to_who_asks_for_it() -> None:
    async with client({"/crl/ca.crl": Shelf()}) as http:
        whole, head = await http.get("/crl/ca.crl"), await http.head("/crl/ca.crl")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers


@pytest.mark.parametrize(
    ("header", "unchanged"),
    [
        (("if-none-match", "ETAG"), True),
        (("if-none-match", '"another", W/ETAG'), True),
        (("if-none-match", "*"), True),
        (("if-none-match", '"another"'), False),
        (("if-modified-since", MODIFIED), True),
        (("if-modified-since", "Mon, 23 Nov 2026 10:59:59 GMT"), False),
        (("if-modified-since", "some day"), False),
        (("if-modified-since", "Mon, 23 Nov 2026 11:00:00"), False),
    ],
)
async def test_who_has_a_document_is_not_sent_it_again(header: tuple[str, str], unchanged: bool) -> None:
    async with client({"/crl/ca.crl": Shelf()}) as http:
        first = await http.get("/crl/ca.crl")
        name, value = header
        again = await http.get("/crl/ca.crl", headers={name: value.replace("ETAG", first.headers["etag"])})
    assert (again.status_code, again.content) == ((304, b"") if unchanged else (200, b"a list"))
    assert again.headers["cache-control"] == first.headers["cache-control"]


async def test_a_document_that_must_not_be_kept_is_sent_each_time() -> None:
    document = Document(b"now", "text/plain", NOW)
    async with client({"/now": Shelf(document)}) as http:
        answer = await http.get("/now", headers={"if-none-match": "*"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in answer.headers


async def test_a_question_is_answered_and_its_answer_not_kept() -> None:
    async with client({"/ocsp/": Shelf(posts=QUESTION)}) as http:
        for path in ("/ocsp", "/ocsp/"):
            answer = await http.post(path, content=b"you", headers={"content-type": f"{QUESTION}; x=y"})
            assert (answer.status_code, answer.content) == (200, b"about you")
            assert answer.headers["content-type"] == "application/ocsp-response"
            assert answer.headers["cache-control"] == "no-store"


async def test_what_is_below_a_path_that_ends_in_a_slash_is_left_to_the_resource() -> None:
    resources = {"/": Shelf(Document(b"root", "text/plain", NOW), paths=("x",)), "/ocsp/": Shelf(paths=("a/b%2F",))}
    async with client(resources) as http:
        assert (await http.get("/ocsp/a/b%2F")).content == b"a list"
        assert (await http.get("/x")).content == b"root"
        assert (await http.get("/ocsp/other")).status_code == 404
        assert (await http.get("/ocspx")).status_code == 404


async def test_cmp_goes_before_what_is_below_a_path() -> None:
    async with client({"/": Shelf(posts=QUESTION)}) as http:
        answer = await http.post("/.well-known/cmp", content=b"x", headers={"content-type": "application/pkixcmp"})
    assert answer.content == b"answer to x"


async def test_where_no_cmp_is_served_nothing_is_at_its_path() -> None:
    async with client({"/crl/ca.crl": Shelf()}, cmp=False) as http:
        answer = await http.post("/.well-known/cmp", content=b"x", headers={"content-type": "application/pkixcmp"})
        assert (answer.status_code, answer.text) == (404, "nothing is served at this path\n")
        assert (await http.get("/crl/ca.crl")).status_code == 200


@pytest.mark.parametrize(
    ("method", "posts", "allowed"),
    [("POST", "", "GET, HEAD"), ("PUT", "", "GET, HEAD"), ("DELETE", QUESTION, "GET, HEAD, POST")],
)
async def test_another_method_is_told_which_there_are(method: str, posts: str, allowed: str) -> None:
    async with client({"/x": Shelf(posts=posts)}) as http:
        answer = await http.request(method, "/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_a_question_of_another_type_is_refused() -> None:
    async with client({"/x": Shelf(posts=QUESTION)}) as http:
        answer = await http.post("/x", content=b"you", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.text) == (415, f"the Content-Type must be {QUESTION}\n")


async def test_a_question_is_as_long_as_its_resource_allows() -> None:
    async with client({"/x": Shelf(posts=QUESTION), "/y": Shelf()}) as http:
        for path, size, status in (("/x", 8, 200), ("/x", 9, 413), ("/y", 9, 413)):
            answer = await http.post(path, content=bytes(size), headers={"content-type": QUESTION})
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CMPError("no database", PKIFailureInfo.SYSTEM_UNAVAIL), 503),
        (CMPError("no signature", PKIFailureInfo.SYSTEM_FAILURE), 500),
        (RuntimeError("a fault of the program"), 500),
    ],
)
async def test_what_fails_is_told_without_the_reason(error: Exception, status: int) -> None:
    async with client({"/x": Broken(error)}) as http:
        answer = await http.get("/x")
    assert answer.status_code == status
    assert str(error) not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_the_server_carries_messages_and_documents_at_one_address() -> None:
    server, shutdown = HTTPServer(), anyio.Event()
    assert isinstance(server, ResourceServer)
    async with anyio.create_task_group() as tasks:
        url = await tasks.start(
            partial(
                server.serve_resources,
                "http://127.0.0.1:0",
                echo,
                {"/crl/ca.crl": Shelf(), "/ocsp/": Shelf(posts=QUESTION)},
                max_message_size=1000,
                shutdown=shutdown,
            )
        )
        base = url.removesuffix("/.well-known/cmp")
        async with httpx.AsyncClient(timeout=10) as http:
            assert (await http.get(f"{base}/crl/ca.crl")).content == b"a list"
            head = await http.head(f"{base}/crl/ca.crl")
            assert (head.headers["content-length"], head.content) == ("6", b"")
            kept = await http.get(f"{base}/crl/ca.crl", headers={"if-none-match": head.headers["etag"]})
            assert kept.status_code == 304
            told = await http.post(f"{base}/ocsp", content=b"you", headers={"content-type": QUESTION})
            assert told.content == b"about you"
            answer = await http.post(url, content=b"x", headers={"content-type": "application/pkixcmp"})
            assert answer.content == b"answer to x"
        shutdown.set()
