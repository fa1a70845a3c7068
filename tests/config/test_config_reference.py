"""The reference of the configuration file, and the file that ``init`` writes, have every key as the code has it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from cmpkit.ca.cross_profiles import CrossProfileSettings
from cmpkit.ca.documents import configuration_text
from cmpkit.ca.opening import IssuerSettings
from cmpkit.ca.policy import PolicySettings
from cmpkit.ca.profiles import ProfileSettings
from cmpkit.ca.python_policy import PythonPolicySettings
from cmpkit.ca.rule_settings import ChangeSettings, RuleSettings
from cmpkit.ca.settings import Settings
from cmpkit.config import load_configuration
from cmpkit.config.reading import TABLES
from cmpkit.config.tables import (
    AnnounceTable,
    EncryptionTable,
    ListenTable,
    OCSPTable,
    PublicationTable,
    RepositoryTable,
    RouteTable,
    ServerTable,
    SignerTable,
    StoreTable,
    UpstreamTable,
)
from cmpkit.issuers.cmp_opening import CMPIssuerSettings
from cmpkit.issuers.command_opening import CommandIssuerSettings
from cmpkit.plugins import load_plugins
from cmpkit.transports import ServerTLSOptions

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
MODELS: dict[str, type[Settings]] = {
    "[store]": StoreTable,
    "[issuer]": IssuerSettings,
    "[signer]": SignerTable,
    "[[listen]]": ListenTable,
    "[ocsp]": OCSPTable,
    "[publication]": PublicationTable,
    "[server]": ServerTable,
    "[policy]": PolicySettings,
    "[profiles.NAME]": ProfileSettings,
}
ELSEWHERE: dict[str, type[Settings]] = {
    "[encryption]": EncryptionTable,
    "[[announce]]": AnnounceTable,
    "[repository]": RepositoryTable,
    "[[upstream]]": UpstreamTable,
    "[[route]]": RouteTable,
    'kind = "cmp"': CMPIssuerSettings,
    'kind = "command"': CommandIssuerSettings,
    'kind = "cross-certificate"': CrossProfileSettings,
    'kind = "rules"': RuleSettings,
    "change": ChangeSettings,
    'kind = "python"': PythonPolicySettings,
}
"""Tables that ``init`` does not write."""
REQUIRED = {"action": "default"}
"""Values of keys that must be there, and cannot be any text."""
IN_FILE = {"[profiles.NAME]": "[profiles.device]"}


def section(title: str) -> str:
    (found,) = re.findall(rf"^## `{re.escape(title)}`\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def rows(title: str) -> dict[str, str]:
    """The keys in the table of a section, with their defaults as they are written there."""
    return dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", section(title), re.MULTILINE))


def test_every_table_has_a_section() -> None:
    titles = re.findall(r"^## `\[+(\w+)", PAGE.read_text(), re.MULTILINE)
    assert sorted(titles) == sorted(TABLES)


@pytest.mark.parametrize("title", MODELS | ELSEWHERE)
def test_the_reference_has_the_keys_and_defaults_of_the_code(title: str) -> None:
    model = (MODELS | ELSEWHERE)[title]
    written = rows(title)
    assert list(written) == list(model.model_fields)
    for name, field in model.model_fields.items():
        if written[name] == "required":
            assert field.is_required()
        elif written[name] == "absent":
            assert field.default is None
        else:
            assert field.default is not PydanticUndefined
            value = tomllib.loads(f"value = {written[name]}")["value"]
            others = {key: REQUIRED.get(key, "x") for key, other in model.model_fields.items() if other.is_required()}
            assert getattr(model(**others, **{name: value}), name) == field.default


def test_the_reference_has_the_keys_about_tls() -> None:
    text = PAGE.read_text().partition("\n## TLS at an address\n")[2].partition("\n## ")[0]
    written = dict(re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", text, re.MULTILINE))
    assert list(written) == [field.name for field in fields(ServerTLSOptions)]
    required = [field.name for field in fields(ServerTLSOptions) if field.default is MISSING]
    assert required == [name for name, default in written.items() if default == "required"]
    values = {"absent": None, '"none"': "none", "[]": ()}
    given = {name: values[default] for name, default in written.items() if default != "required"}
    assert ServerTLSOptions(tls_cert=Path("x"), **given) == ServerTLSOptions(tls_cert=Path("x"))


@pytest.mark.parametrize("title", MODELS)
def test_the_file_that_init_writes_has_every_key(title: str) -> None:
    name = IN_FILE.get(title, title)
    _, _, rest = configuration_text(()).partition(f"\n{name}\n")
    table = re.split(r"^\[", rest, maxsplit=1, flags=re.MULTILINE)[0]
    keys = re.findall(r"^(?:# )?(\w+) = ", table, re.MULTILINE)
    assert set(keys) - {"kind"} == set(MODELS[title].model_fields)


def test_every_key_that_is_commented_out_may_be_used(tmp_path: Path) -> None:
    path = tmp_path / "cmpkit.toml"
    path.write_text(re.sub(r"^# (\w+ = )", r"\1", configuration_text(()), flags=re.MULTILINE))
    configuration = load_configuration(path, load_plugins())
    assert configuration.server.tolerances == ("hmac-sha1",)
    IssuerSettings(**configuration.issuer.settings)


def test_the_example_of_the_reference_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "cmpkit.toml"
    path.write_text(example)
    assert set(load_configuration(path, load_plugins()).profiles) == {"device"}
