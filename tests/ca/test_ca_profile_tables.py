"""Tables ``[profiles.NAME]`` of the configuration file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cmpkit.ca.profiles import ConfiguredProfile
from cmpkit.errors import ConfigurationError

MakeProfile = Callable[..., ConfiguredProfile]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"validty": "1d"}, "validty: there is no such key"),
        ({"validity": "soon"}, "validity: a length of time"),
        ({"key_types": ["p255"]}, "key_types: p255"),
        ({"key_types": []}, "key_types: "),
        ({"subject": "nobody"}, "subject: "),
        ({"subject_alt_names": ["host"]}, "subject_alt_names: 'host'"),
        ({"key_usage": ["signing"]}, "key_usage: signing: is none of"),
        ({"key_usage": ["keyCertSign"]}, "key_usage: keyCertSign: is none of"),
        ({"key_usage": ["digitalSignature", "encipherOnly"]}, "key_usage: "),
        ({"extended_key_usage": ["web"]}, "'web' is neither an OID"),
        ({"extended_key_usage": ["cmcCA"]}, "cmcCA makes its holder an authority"),
        ({"extended_key_usage": ["1.3.6.1.5.5.7.3.28"]}, "1.3.6.1.5.5.7.3.28 makes its holder an authority"),
        ({"extended_key_usage": ["anyExtendedKeyUsage"]}, "special = true"),
        ({"approval": "perhaps"}, "approval: Input should be 'none' or 'manual'"),
        ({"allow_requested_names": "yes"}, "allow_requested_names: "),
    ],
)
def test_a_mistake_in_the_table_names_its_key(profile: MakeProfile, table: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        profile(**table)
    assert caught.value.detail.startswith("[profiles.device] ")
    assert key in caught.value.detail


def test_no_subject_is_as_good_as_a_missing_one(profile: MakeProfile) -> None:
    assert profile(subject=None).name == "device"


@pytest.mark.parametrize("approval", ["none", "manual"])
def test_a_profile_says_whether_a_person_has_to_agree(profile: MakeProfile, approval: str) -> None:
    assert profile(approval=approval).approval == approval
    assert profile().approval == "none"


def test_a_profile_shows_its_name(profile: MakeProfile) -> None:
    assert repr(profile()) == "ConfiguredProfile('device')"
