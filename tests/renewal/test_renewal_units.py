"""The units for systemd."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from cmpkit.errors import ConfigurationError
from cmpkit.renewal.units import systemd_units

PROGRAM = Path(shutil.which("true") or "/bin/true")


def parsed(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_a_timer_starts_the_service_each_hour_and_not_all_machines_at_once() -> None:
    units = systemd_units(PROGRAM, Path("/var/lib/cmpkit"), daemon=False)
    assert set(units) == {"cmpkit-renew.service", "cmpkit-renew.timer"}
    service, timer = (parsed(text) for text in units.values())
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["ExecStart"] == f"{PROGRAM} renew --state /var/lib/cmpkit"
    assert "Install" not in service
    assert timer["Timer"]["OnCalendar"] == "hourly"
    assert timer["Timer"]["RandomizedDelaySec"] == "30m"


def test_a_daemon_needs_no_timer() -> None:
    units = systemd_units(PROGRAM, Path("/var/lib/cmpkit"), daemon=True, user="cmpkit", writable=[Path("/etc/nginx")])
    (service,) = map(parsed, units.values())
    assert service["Service"]["ExecStart"].endswith(" --daemon")
    assert service["Service"]["User"] == "cmpkit"
    assert service["Service"]["CapabilityBoundingSet"] == ""
    assert service["Service"]["ReadWritePaths"] == "/var/lib/cmpkit /etc/nginx"
    assert service["Install"]["WantedBy"] == "multi-user.target"


def test_paths_with_odd_characters_are_quoted() -> None:
    (service, _) = map(parsed, systemd_units(PROGRAM, Path('/a b/"c"/100%/$x'), daemon=False).values())
    assert service["Service"]["ReadWritePaths"] == '"/a b/\\"c\\"/100%%/$x"'
    assert service["Service"]["ExecStart"].endswith('"/a b/\\"c\\"/100%%/$$x"')


def test_what_cannot_stand_in_a_unit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot stand"):
        systemd_units(PROGRAM, Path("/a\nUser=root"), daemon=False)
    with pytest.raises(ConfigurationError, match="is no name of a user"):
        systemd_units(PROGRAM, Path("/a"), daemon=False, user="x\nExecStart=/bin/false")


@pytest.mark.parametrize("daemon", [False, True])
def test_systemd_finds_no_fault(tmp_path: Path, daemon: bool) -> None:
    """Where there is systemd; elsewhere they parse, as above."""
    units = systemd_units(PROGRAM, tmp_path, daemon=daemon, user="root")
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    verify = shutil.which("systemd-analyze")
    if verify is not None:
        done = subprocess.run(
            [verify, "verify", *(tmp_path / name for name in units)], check=False, capture_output=True, text=True
        )
        assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, [])
