"""The tables of a registration authority, and every mistake in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cmpkit.config import load_configuration
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins
from cmpkit.relay.routes import LOCAL, Route

Write = Callable[..., Path]
UPSTREAM = """
[[upstream]]
name = "ca"
url = "http://127.0.0.1:1/cmp"
trusted = ["trust.pem"]
"""
ROUTE = """
[[route]]
to = "ca"
"""


def without_issuer(path: Path) -> Path:
    """The same configuration with nothing that issues or publishes."""
    text = path.read_text()
    for table in ("issuer", "ocsp", "publication"):
        text, found = re.subn(rf"(?ms)^\[{table}\]\n.*?^(?=\[)", "", text)
        assert found == 1
    path.write_text(text)
    return path


def mistakes(path: Path, plugins: Plugins) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path, plugins)
    return str(caught.value)


def test_upstreams_and_routes_are_read(write: Write, plugins: Plugins) -> None:
    configuration = load_configuration(
        write(
            more=UPSTREAM
            + """
forward = "batch"
batch_count = 5
timeout = "3s"
late = "keep"
[[route]]
path = "factory"
profile = "device"
body = ["ir", "p10cr"]
issuer = "CN=Factory CA"
to = "ca"
verify = false
[[route]]
to = "local"
"""
        ),
        plugins,
    )
    (upstream,) = configuration.upstreams
    assert (upstream.forward, upstream.batch_count, upstream.timeout) == ("batch", 5, timedelta(seconds=3))
    assert (upstream.batch_time, upstream.deadline, upstream.late) == (timedelta(seconds=2), timedelta(days=7), "keep")
    bodies = frozenset({BodyType.IR, BodyType.P10CR})
    assert configuration.routes == (
        Route("ca", "factory", "device", bodies, parse_name("CN=Factory CA"), verify=False),
        Route(LOCAL),
    )


async def test_without_an_issuer_everything_goes_to_the_only_upstream(write: Write, plugins: Plugins) -> None:
    path = without_issuer(write(more=UPSTREAM))
    configuration = load_configuration(path, plugins)
    assert configuration.issuer is None
    assert configuration.routes == (Route("ca"),)


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ('name = "local"', "[[upstream]] local name: local is this server itself"),
        ('url = "gopher://ca"', "[[upstream]] ca url: no client transport for gopher"),
        ("trusted = []", "[[upstream]] ca trusted: is missing"),
        ('expected_sender = "CA"', "[[upstream]] ca expected_sender: "),
        ('forward = "backward"', "[[upstream]] forward: Input should be 'unchanged'"),
        ('certificate = "ra.pem"', "[[upstream]] ca certificate: goes with key"),
        ('key_password = "env:P"', "[[upstream]] ca key_password: there is no key"),
        ('reference = "ra"', "[[upstream]] ca secret: goes with reference"),
        (
            'reference = "ra"\nsecret = "env:S"\ncertificate = "ra.pem"\nkey = "file:ra.key"',
            "[[upstream]] ca secret: there is a certificate, too",
        ),
        ('reference = "ra"\nsecret = "env:S"\nforward = "nest"', "[[upstream]] ca forward: nest needs a signature"),
        ("batch_count = 5", '[[upstream]] ca batch_count: is for forward = "batch" only'),
        ('tolerances = ["everything"]', "[[upstream]] ca tolerances: there is no everything"),
        ('peer = "nobody"', "[[upstream]] ca peer: there is no nobody"),
        ('timout = "5s"', "[[upstream]] ca url: timout: means nothing to the road http"),
    ],
)
def test_a_mistake_of_an_upstream_is_named(write: Write, plugins: Plugins, keys: str, mistake: str) -> None:
    named = dict(line.split(" = ", 1) for line in UPSTREAM.splitlines() if " = " in line)
    named |= dict(line.split(" = ", 1) for line in keys.splitlines())
    table = "\n".join(f"{key} = {value}" for key, value in named.items())
    assert mistake in mistakes(write(more=f"[[upstream]]\n{table}\n{ROUTE}"), plugins)


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ('[[route]]\nto = "cb"\n', "[[route]] 1 to: there is no upstream cb; there are: ca, local"),
        (f'[[route]]\nto = "local"\n{ROUTE}', "[[route]] 1 fits every message, those after it are never taken"),
        ('[[route]]\nto = "local"\nverify = false\n', "[[route]] 1 verify: only what an upstream gets as it came"),
        (f'forward = "reprotect"\n{ROUTE}verify = false\n', "[[route]] 1 verify: only what an upstream gets as it"),
        ('[[route]]\nto = "ca"\nissuer = "CA"\n', "[[route]] issuer: "),
        ('[[route]]\nto = "ca"\nbody = ["certConf"]\n', "[[route]] body.0: Input should be 'ir'"),
        ("", "[[upstream]] ca: no [[route]] leads there"),
        (f"{UPSTREAM}{ROUTE}", "[[upstream]] name: ca is there twice"),
    ],
)
def test_a_mistake_of_a_route_is_named(write: Write, plugins: Plugins, more: str, mistake: str) -> None:
    assert mistake in mistakes(write(more=UPSTREAM + more), plugins)


def test_what_an_issuer_does_is_a_mistake_without_one(write: Write, plugins: Plugins) -> None:
    path = without_issuer(write(more=f'{UPSTREAM}{ROUTE}body = ["ir"]\n[[route]]\nto = "local"\n[publication]\n'))
    said = mistakes(path, plugins)
    assert "[publication]: needs an [issuer]" in said
    assert "[[route]] 2 to: local needs an [issuer]" in said


def test_an_issuer_is_missing_where_nothing_leads_elsewhere(write: Write, plugins: Plugins) -> None:
    assert "[issuer]: is missing" in mistakes(without_issuer(write()), plugins)
