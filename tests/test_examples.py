"""Every example runs as it stands, is short, and says what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "info_type": ["Load(certificates=1, note='asked by dev-42')", "Load(certificates=3, note='asked by dev-42')"],
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
def test_example_runs_and_is_short(name: str) -> None:
    program = EXAMPLES / f"{name}.py"
    assert len(program.read_text().splitlines()) <= MAX_LINES
    command = [sys.executable, "-W", "error", str(program)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    assert not [line for line in SAYS[name] if line not in run.stdout]
