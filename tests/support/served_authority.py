"""Registration authorities as operators set them up: in front of a CA, or of one another."""

from __future__ import annotations

from pathlib import Path

from reader import put_tables
from served import Served, cmpkit, make_server_directory

CA_TABLES = """
[profiles.ra]
key_usage = ["digitalSignature"]
extended_key_usage = ["cmcRA"]
special = true

[policy]
kind = "rules"

[[policy.rule]]
who = ["ra"]
subjects = ["CN=*", "CN=*,OU=*"]
action = "accept"

[[policy.rule]]
action = "default"
"""
ROW_TABLES = """
[policy]
kind = "rules"

[[policy.rule]]
name = "questions"
who = ["ra", "trusted"]
body = ["genm"]
action = "accept"

[[policy.rule]]
name = "the authority before this one, and what the CA certified"
who = ["ra", "trusted"]
subjects = ["CN=*"]
action = "accept"
"""


def change(config: Path, tables: str) -> None:
    """Put tables into a configuration file, in place of those of the same name."""
    config.write_text(put_tables(config.read_text(), tables))


def make_ca_directory(directory: Path, port: int = 0) -> Path:
    """What ``cmpkit init`` makes, with rules for registration authorities."""
    make_server_directory(directory, port)
    change(directory / "cmpkit.toml", CA_TABLES)
    return directory


def certify_authority(folder: Path, ca: Served, name: str = "ra") -> Path:
    """The folder with ``cert.pem``, ``chain.pem`` and ``key.pem`` of a registration authority, from the CA."""
    folder.mkdir(parents=True)
    (folder / "secret").write_text(ca.add_secret(name, "--profile", "ra"))
    cmpkit(
        *("enroll", ca.url, "--ref", name, "--secret", f"file:{folder / 'secret'}", "--subject", f"CN={name}"),
        *("--trusted", ca.trust, "--newkey", folder / "key.pem", "--certout", folder / "cert.pem"),
        *("--chainout", folder / "chain.pem"),
    )
    return folder


def make_authority_directory(
    directory: Path, certified: Path, upstream: str, *, trust: Path, forward: str = "reprotect", port: int = 0
) -> Path:
    """What ``cmpkit init-ra`` makes.

    :param certified: from :func:`certify_authority`.
    :param upstream: address of what it is in front of.
    """
    cmpkit(
        *("init-ra", directory, "--upstream", upstream, "--trusted", trust, "--cert", certified / "cert.pem"),
        *("--chain", certified / "chain.pem", "--key", certified / "key.pem", "--forward", forward),
        *("--listen", f"http://127.0.0.1:{port}/.well-known/cmp"),
    )
    return directory
