"""Every example runs as it stands, is short, and says what it should."""

from __future__ import annotations

import runpy
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus
from anyio.from_thread import start_blocking_portal

from cmpkit.crypto.x509 import to_pem
from cmpkit.plugins import Plugins
from cmpkit.testing import InProcessCA

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "info_type": ["Load(certificates=1, note='asked by dev-42')", "Load(certificates=3, note='asked by dev-42')"],
    "issuer": ["it came: "],
    "odd_messages": [
        "unknown-general-info     ir        pkiconf                          enrolled",
        "wrong-pop                ir        rejection badPOP                 PeerRefusal",
        "truncated                ir        error: badDataFormat             TrustError",
    ],
    "replay": ["01-ir.der", "02-ip.der", "03-certConf.der", "04-pkiconf.der"],
    "signature_algorithm": ["2.999.7.2"],
}
MAX_LINES = 80


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_example_runs_and_is_short(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = EXAMPLES / f"{name}.py"
    assert len(program.read_text().splitlines()) <= MAX_LINES
    monkeypatch.setattr(sys, "argv", [str(program)])
    runpy.run_path(str(program), run_name="__main__")
    said = capsys.readouterr().out
    assert not [line for line in SAYS[name] if line not in said]


async def _serve(ca: InProcessCA, *, task_status: TaskStatus[tuple[str, anyio.Event]]) -> None:
    url, shutdown = "http://127.0.0.1:0/.well-known/cmp", anyio.Event()
    transport = ca.plugins.server_transport(url)
    async with anyio.create_task_group() as tasks:
        serve = partial(transport.serve, url, ca.handle, max_message_size=1 << 20, shutdown=shutdown)
        task_status.started((await tasks.start(serve), shutdown))


def test_odd_messages_go_to_the_server_that_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cmp_plugins: Plugins
) -> None:
    program, trust = str(EXAMPLES / "odd_messages.py"), tmp_path / "trust.pem"
    with start_blocking_portal() as portal:
        ca = portal.call(partial(InProcessCA.make, tmp_path, plugins=cmp_plugins))
        secret = portal.call(ca.add_secret)
        trust.write_bytes(to_pem(*ca.trust))
        served, (url, shutdown) = portal.start_task(partial(_serve, ca))
        monkeypatch.setenv("CMP_SECRET", secret.value.decode())
        monkeypatch.setattr(sys, "argv", [program, url, "dev-42", "CN=dev-42", str(trust)])
        runpy.run_path(program, run_name="__main__")
        portal.call(shutdown.set)
        served.result()
    said = capsys.readouterr().out
    assert not [line for line in SAYS["odd_messages"] if line not in said]
