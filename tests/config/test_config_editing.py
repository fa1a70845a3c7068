"""Changes of a configuration file: what they change, and that the rest stays as it is."""

from __future__ import annotations

import tomllib

import pytest

from cmpkit.ca.documents import configuration_text
from cmpkit.config.editing import edit_table
from cmpkit.errors import ConfigurationError

TEXT = configuration_text([])
CHANGES = {
    "certificate": "ca-2/issuing.pem",
    "new_with_new": "ca-2/new-with-new.pem",
    "crl_urls": ("http://crl.example/2.crl",),
    "former": [{"certificate": "issuing.pem", "key": "file:a", "key_password": None, "crl_urls": ("http://x/1.crl",)}],
}


def test_only_the_named_keys_change() -> None:
    before, after = tomllib.loads(TEXT), tomllib.loads(edit_table(TEXT, "issuer", CHANGES))
    former = {"certificate": "issuing.pem", "key": "file:a", "crl_urls": ["http://x/1.crl"]}
    changed = {**CHANGES, "crl_urls": ["http://crl.example/2.crl"], "former": [former]}
    assert after == {**before, "issuer": {**before["issuer"], **changed}}


def test_every_comment_stays_before_what_it_is_about() -> None:
    lines = edit_table(TEXT, "issuer", CHANGES).splitlines()
    comments = [line for line in TEXT.splitlines() if line.startswith("#")]
    assert [line for line in lines if line.startswith("#")] == comments
    assert lines[lines.index("[signer]") - 1].startswith("# Signs the answers")


def test_what_was_added_can_be_removed_without_a_trace() -> None:
    absent = dict.fromkeys(("new_with_new", "crl_urls"))
    edited = edit_table(TEXT, "issuer", CHANGES)
    assert edit_table(edited, "issuer", {**absent, "certificate": "issuing.pem", "former": ()}) == TEXT


@pytest.mark.parametrize(
    ("text", "fault"),
    [("", "cannot be changed"), ("[issuer", "cannot be changed"), ("issuer = {}", "not written as one table")],
)
def test_a_table_that_is_not_there_is_not_changed(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        edit_table(text, "issuer", {"certificate": "a"})
