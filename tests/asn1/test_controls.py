"""utf8Pairs: names and values in one text, with its escapes (RFC 4211 section 7.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.asn1 import join_utf8_pairs, split_utf8_pairs
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

texts = st.text(st.sampled_from("%?25fF3aAé0 ") | st.characters(exclude_categories=("Cs",)), max_size=8)
names = texts.filter(lambda name: name and not name[0].isdigit())


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("version?1%", [("version", "1")]),
        ("version?1", [("version", "1")]),
        ("a?1%b?2%a?3%", [("a", "1"), ("b", "2"), ("a", "3")]),
        ("a?%", [("a", "")]),
        ("corp_company?100%25 %3f%", [("corp_company", "100% ?")]),
        ("a%3F?b%3F%", [("a?", "b?")]),
        ("validity?20260101-20270101%", [("validity", "20260101-20270101")]),
    ],
)
def test_pairs_are_read(text: str, pairs: list[tuple[str, str]]) -> None:
    assert split_utf8_pairs(text) == pairs


@pytest.mark.parametrize("text", ["a", "?", "?x%", "1a?x%", "a?b?c%", "a?b%%", "a?%20%", "a?b%2", "%", "%%", "a?b%3"])
def test_what_is_not_of_that_form_is_refused(text: str) -> None:
    with pytest.raises(CMPError, match="utf8Pairs") as caught:
        split_utf8_pairs(text)
    assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
    assert caught.value.rule == "RFC 4211 section 7.1"
    assert "%25" in caught.value.hint


@given(st.lists(st.tuples(names, texts), max_size=4))
def test_what_is_joined_is_split_again(pairs: list[tuple[str, str]]) -> None:
    assert split_utf8_pairs(join_utf8_pairs(pairs)) == pairs


@given(texts)
def test_any_text_is_split_or_refused(text: str) -> None:
    try:
        pairs = split_utf8_pairs(text)
    except CMPError:
        return
    assert split_utf8_pairs(join_utf8_pairs(pairs)) == pairs


def test_percent_and_question_mark_are_escaped() -> None:
    assert join_utf8_pairs([("a", "100%?"), ("b", "")]) == "a?100%25%3f%b?%"


@pytest.mark.parametrize("name", ["", "1a"])
def test_a_name_begins_with_no_digit(name: str) -> None:
    with pytest.raises(CMPError, match="no name for utf8Pairs") as caught:
        join_utf8_pairs([(name, "x")])
    assert caught.value.fail_info == PKIFailureInfo.SYSTEM_FAILURE
