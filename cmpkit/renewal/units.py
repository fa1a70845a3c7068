"""systemd units that run ``cmpkit renew``: a service and its timer, or a service that stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cmpkit.errors import ConfigurationError

__all__ = ["systemd_units"]

_SERVICE = """\
[Unit]
Description=Renew certificates in {folder} by CMP
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target
{limit}
[Service]
{running}
{user}
UMask=0077
# What a deploy hook does is bounded by these lines too: allow it more with: systemctl edit {name}.service
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
{install}"""

_TIMER = """\
[Unit]
Description=Renew certificates in {folder} by CMP, when they are due

[Timer]
OnCalendar=hourly
RandomizedDelaySec=30m
FixedRandomDelay=yes
Persistent=yes

[Install]
WantedBy=timers.target
"""

_STAYS = "Type=exec\nExecReload=/bin/kill -HUP $MAINPID\nRestart=on-failure\nRestartSec=10"
_INSTALL = "\n[Install]\nWantedBy=multi-user.target\n"


def systemd_units(
    program: Path, folder: Path, *, daemon: bool, user: str | None = None, writable: Sequence[Path] = ()
) -> Mapping[str, str]:
    """The units by the names of their files.

    :param program: the executable ``cmpkit``.
    :param folder: of the certificates.
    :param daemon: a service that stays, in place of one with a timer: for certificates that live hours, not months.
    :param user: whom the service runs as; ``None`` is root.
    :param writable: where deploy hooks may write, beside the folder.
    :raises ConfigurationError: if a path or the user cannot stand in a unit.
    """
    name = "cmpkit-renew"
    command = f"{_quoted(program)} renew --state {_quoted(folder)}".replace("$", "$$")
    running = f"{_STAYS}\nExecStart={command} --daemon" if daemon else f"Type=oneshot\nExecStart={command}"
    service = _SERVICE.format(
        name=name,
        folder=_quoted(folder),
        limit="StartLimitIntervalSec=0\n" if daemon else "",
        running=running,
        user=f"User={_plain(user)}" if user is not None else "# As root, without its powers; or name a user: User=",
        capabilities="" if user is not None else "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL",
        writable=" ".join(map(_quoted, (folder, *writable))),
        install=_INSTALL if daemon else "",
    )
    units = {f"{name}.service": service}
    return units if daemon else {**units, f"{name}.timer": _TIMER.format(folder=_quoted(folder))}


def _quoted(path: Path) -> str:
    """A path as one word of a unit, where ``%`` has a meaning."""
    text = str(path.absolute()).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if not text.isprintable():
        raise ConfigurationError(f"{text!a} cannot stand in a systemd unit")
    return f'"{text}"' if " " in text or '"' in text or "'" in text else text


def _plain(user: str) -> str:
    if not user.replace("-", "").replace("_", "").isalnum():
        raise ConfigurationError(f"--user: {user!r} is no name of a user")
    return user
