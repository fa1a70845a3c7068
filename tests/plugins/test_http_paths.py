"""Which paths name CMP, a label and an operation (RFC 9811 section 3.4)."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from cmpkit_http.addresses import OPERATIONS, PathTable
from hypothesis import given
from hypothesis import strategies as st

TABLE = PathTable("/.well-known/cmp", "/cmp", "/pkix/")
ROOTS = ("/.well-known/cmp", "/cmp", "/pkix")


@pytest.mark.parametrize("root", ROOTS)
def test_each_root_is_served_with_all_forms_below_it(root: str) -> None:
    assert TABLE.find(root.encode()) == (None, None)
    assert TABLE.find(f"{root}/".encode()) == (None, None)
    assert TABLE.find(f"{root}/p/ca-1".encode()) == ("ca-1", None)
    for operation in OPERATIONS:
        assert TABLE.find(f"{root}/{operation}".encode()) == (None, operation)
        assert TABLE.find(f"{root}/p/ca-1/{operation}".encode()) == ("ca-1", operation)


def test_the_operations_are_those_of_rfc_9483() -> None:
    assert {
        *("initialization", "certification", "keyupdate", "pkcs10", "revocation"),
        *("getcacerts", "getrootupdate", "getcertreqtemplate", "getcrls", "nested"),
    } == OPERATIONS


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/cm",
        "/cmp2",
        "/cmp/enroll",
        "/cmp/INITIALIZATION",
        "/cmp/initialization/more",
        "/cmp/initializatio%6e",
        "/cmp/p",
        "/cmp/p/",
        "/cmp/p//initialization",
        "/cmp/p/ca/enroll",
        "/cmp/p/ca/initialization/more",
        "/cmp/../cmp",
        "/.well-known/cmp/p/ca//",
    ],
)
def test_other_paths_are_not_served(path: str) -> None:
    assert TABLE.find(path.encode()) is None


@pytest.mark.parametrize(
    "name",
    ["..", ".", "a..b", "%2e%2e", "a%2Fb", "a%5Cb", "a%00b", "a%0Ab", "a%7Fb", "%zz", "%4", "%", "%ff", "a" * 257],
)
def test_names_that_may_be_mistaken_for_a_path_or_a_control_are_refused(name: str) -> None:
    assert TABLE.find(f"/cmp/p/{name}".encode()) is None
    assert TABLE.find(f"/cmp/p/{name}/initialization".encode()) is None


def test_a_name_is_percent_decoded_once() -> None:
    assert TABLE.find(b"/cmp/p/%2541") == ("%41", None)
    assert TABLE.find(b"/cmp/p/M%C3%BCnchen%20CA/nested") == ("München CA", "nested")


@given(st.text(min_size=1, max_size=60).filter(str.isprintable).filter(lambda name: ".." not in name and name != "."))
def test_a_printable_name_comes_out_as_it_was_encoded(name: str) -> None:
    expected = None if "/" in name or "\\" in name or len(quote(name, safe="")) > 256 else (name, None)
    assert TABLE.find(b"/cmp/p/" + quote(name, safe="").encode()) == expected


@given(st.binary(max_size=80))
def test_no_octets_break_the_table(rest: bytes) -> None:
    found = TABLE.find(b"/cmp/p/" + rest)
    assert found is None or (found[0] and "/" not in found[0] and "\0" not in found[0])
