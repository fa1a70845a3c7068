"""Whether a host can be reached: its name, then a connection. For the examiners of roads over TCP."""

from __future__ import annotations

import ipaddress
import socket
import time

import anyio
from anyio.abc import SocketStream

from cmpkit.parts import Check, Examination, Layer, Verdict

__all__ = ["examine_connection", "examine_name"]

_MOST_SHOWN = 4


async def examine_name(host: str, examination: Examination) -> bool:
    """Whether the name of a host has an address; it is reported."""
    if _is_address(host):
        _report(examination, "name", Layer.NAME, Verdict.GOOD, f"{host} is an address")
        return True
    try:
        with anyio.fail_after(examination.options.timeout):
            found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or error
        _report(
            *(examination, "name", Layer.NAME, Verdict.BAD, f"{host} cannot be resolved: {said}"),
            advice="check the spelling, and the name servers of this machine",
        )
        return False
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    more = "" if len(addresses) <= _MOST_SHOWN else f" and {len(addresses) - _MOST_SHOWN} more"
    _report(examination, "name", Layer.NAME, Verdict.GOOD, f"{host} is {', '.join(addresses[:_MOST_SHOWN])}{more}")
    return True


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def examine_connection(host: str, port: int, examination: Examination) -> bool:
    """Whether something listens at a port of a host; it is reported."""
    place = f"{host} port {port}"
    started = time.perf_counter()
    try:
        with anyio.fail_after(examination.options.timeout):
            stream: SocketStream = await anyio.connect_tcp(host, port)
    except OSError as error:
        detail, advice = _no_connection(error, examination.options.timeout)
        _report(examination, "connection", Layer.CONNECTION, Verdict.BAD, f"{place}: {detail}", advice=advice)
        return False
    took = (time.perf_counter() - started) * 1000
    await stream.aclose()
    _report(examination, "connection", Layer.CONNECTION, Verdict.GOOD, f"{place}, in {took:.0f} ms")
    return True


def _no_connection(error: OSError, timeout: float) -> tuple[str, str]:
    causes = error.__cause__.exceptions if isinstance(error.__cause__, BaseExceptionGroup) else (error.__cause__, error)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "connection refused", "nothing listens there: is the server running, and the port right?"
    if isinstance(error, TimeoutError):
        return f"no connection within {timeout:g} s", "is the host up? a firewall may drop the packets"
    said = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), str(error))
    return said, "check the host, the port and the way there"


def _report(
    examination: Examination, name: str, layer: Layer, verdict: Verdict, detail: str, *, advice: str = ""
) -> None:
    examination.report(Check(name, layer, verdict, detail, advice))
