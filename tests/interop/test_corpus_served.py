"""What a fuzzer found interesting, sent to a running server: each file is answered, and the server goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import httpx
import pytest
from served import make_server_directory, served

from cmpkit.asn1 import decode_message
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus

_TYPE = {"Content-Type": "application/pkixcmp"}
_CLIENTS = 4


@pytest.mark.timeout(240)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_file_is_refused_and_nothing_is_issued(
    corpus: list[tuple[str, bytes]], backend: str, tmp_path: Path
) -> None:
    answers: Counter[int] = Counter()
    with served(make_server_directory(tmp_path / "ca"), "--backend", backend, "--log-level", "error") as server:

        async def send(files: list[tuple[str, bytes]]) -> None:
            async with httpx.AsyncClient(headers=_TYPE, timeout=30) as client:
                for name, der in files:
                    response = await client.post(server.url, content=der)
                    answers[response.status_code] += 1
                    assert response.status_code in (200, 400), name
                    if response.headers["Content-Type"] == "application/pkixcmp":
                        refuses(name, response.content)

        async def send_all() -> None:
            async with anyio.create_task_group() as group:
                for number in range(_CLIENTS):
                    group.start_soon(send, corpus[number::_CLIENTS])

        anyio.run(send_all)
        assert "Traceback" not in server.text()
    assert answers.total() == len(corpus)


def refuses(name: str, der: bytes) -> None:
    """Whether an answer is a refusal that says why."""
    body = decode_message(der).body
    assert body.type is BodyType.ERROR, name
    status = body.content.pki_status_info
    assert status.status is PKIStatus.REJECTION, name
    assert status.failures is not None, name
    assert status.failures != PKIFailureInfo(0), name
    assert not status.failures & PKIFailureInfo.SYSTEM_FAILURE, name
