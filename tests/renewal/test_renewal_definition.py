"""The file that says what is renewed: for people to read and to change."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.errors import ConfigurationError
from cmpkit.renewal.definition import Definition, dump_definition, load_definition
from cmpkit.renewal.schedule import Span

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
paths = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=8).map(
    lambda name: Path("/etc", f"x{name}")
)
times = st.floats(0.001, 1e6)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    optional: dict[str, Any] = {
        **dict.fromkeys(("subject", "sans", "newkey_type", "deploy_hook", "profile", "recipient", "proxy"), texts),
        **dict.fromkeys(("tls_trusted", "srvcert"), paths),
        **dict.fromkeys(("untrusted", "extracerts"), st.lists(paths, max_size=2).map(tuple)),
        **dict.fromkeys(("reuse_key", "implicit_confirm", "unprotected_errors"), st.booleans()),
        **dict.fromkeys(("total_timeout", "msg_timeout"), times),
        "tolerate": st.lists(texts, max_size=2).map(tuple),
        "window": st.integers(1, 99).map(lambda share: Span.parse(f"{share}%")),
        "hook_timeout": st.integers(1, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    values = {name: draw(optional[name]) for name in sorted(chosen)}
    if draw(st.booleans()):
        values |= {"ref": draw(texts), "secret": f"env:{draw(texts)}"}
    return Definition(url=draw(texts), trusted=(draw(paths),), **values)


@given(definitions())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, definition: Definition) -> None:
    path = tmp_path_factory.getbasetemp() / "round.toml"
    path.write_text(dump_definition(definition), encoding="utf-8")
    assert load_definition(path) == definition


def test_only_what_differs_from_the_defaults_is_written() -> None:
    text = dump_definition(Definition(url="http://x", trusted=(Path("/root.pem"),)))
    keys = [line.partition(" = ")[0] for line in text.splitlines() if " = " in line]
    assert keys == ["url", "trusted", "window", "jitter"]


def test_relative_paths_start_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('url = "http://x"\ntrusted = ["root.pem"]\ntls_cert = "tls.pem"\n')
    found = load_definition(tmp_path / "a.toml")
    assert found.trusted == (tmp_path / "root.pem",)
    assert found.tls_cert == tmp_path / "tls.pem"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "url: is missing; trusted: is missing"),
        ("colour = 1", "colour: there is no such key"),
        ('url = ""', "url: text is needed"),
        ('trusted = "root.pem"', "trusted: a list is needed"),
        ("trusted = [1]", "trusted: text is needed"),
        ("trusted = []", "trusted: a trust anchor is needed"),
        ("reuse_key = 1", "reuse_key: true or false is needed"),
        ("total_timeout = true", "total_timeout: a number of seconds is needed"),
        ("total_timeout = 0", "total_timeout: must be more than 0"),
        ("msg_timeout = -1", "msg_timeout: must be more than 0"),
        ('window = "soon"', "window: a length of time is needed"),
        ("hook_timeout = 60", "hook_timeout: a length of time is needed"),
        ('ref = "x"', "ref and secret"),
        ('key = "pkcs11:x"', "needs reuse_key"),
        ('ref = "x"\nsecret = "hunter2"', "never the secret itself"),
        ('keypass = "fd:3"', "keypass: file:PATH or env:NAME is needed"),
        ("x = [", "is no TOML"),
    ],
)
def test_each_mistake_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.toml"
    whole = {"url": 'url = "http://x"', "trusted": 'trusted = ["root.pem"]'}
    lines = [line for key, line in whole.items() if text and f"{key} =" not in text]
    path.write_text("\n".join([*lines, text]))
    with pytest.raises(ConfigurationError) as refused:
        load_definition(path)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read"):
        load_definition(tmp_path / "none.toml")


def test_what_is_no_text_cannot_be_written() -> None:
    with pytest.raises(ConfigurationError, match="UTF-8"):
        dump_definition(Definition(url="http://\udcff", trusted=(Path("x"),)))


def test_every_key_is_described() -> None:
    text = Definition.__doc__ or ""
    own = [field.name for field in fields(Definition)][: [f.name for f in fields(Definition)].index("profile")]
    assert not [name for name in own if f":param {name}:" not in text]
