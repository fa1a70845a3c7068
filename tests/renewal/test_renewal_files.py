"""What is kept of a certificate from run to run."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit.crypto.x509 import load_certificates
from cmpkit.errors import ConfigurationError
from cmpkit.renewal.place import Busy, Place, find_places
from cmpkit.renewal.state import RenewalState, Trouble, load_state, save_state

moments = st.datetimes(timezones=st.just(UTC))
troubles = st.none() | st.builds(Trouble, st.integers(1, 10**6), moments, st.text())


@settings(max_examples=5)
@given(st.builds(RenewalState, troubles, troubles, st.text()))
def test_a_state_that_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, state: RenewalState) -> None:
    path = tmp_path_factory.getbasetemp() / "state.json"
    save_state(path, state)
    assert load_state(path) == state
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_there_is_no_state_nothing_happened_yet(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.json") == RenewalState()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ('{"format": 2}', "format 2"),
        ('{"format": 1, "renewal": null}', "damaged"),
        ('{"format": 1, "renewal": {"attempts": 1, "next_attempt": "2026-01-01T00:00:00", "error": ""}}', "damaged"),
    ],
)
def test_a_damaged_state_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load_state(path)


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_state(tmp_path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "renewal", "dev")
    with place.locked():
        pass
    return place


@pytest.fixture
def certificates(initialised: Path) -> tuple[bytes, ...]:
    """That of the signer of the server, and those above it, the root last."""
    names = ("signer.pem", "issuing.pem", "trust.pem")
    return tuple(load_certificates((initialised / name).read_bytes())[0] for name in names)


def write(place: Place, certificates: tuple[bytes, ...], key: bytes | None = b"key") -> str:
    version = place.write_version(certificates[0], certificates[1:], key)
    place.switch_to(version)
    return version.name


class TestVersions:
    def test_the_version_in_use_is_what_was_written(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        assert place.version() is None
        write(place, certificates)
        version = place.version()
        assert version is not None
        assert (version.certificate, version.chain) == (certificates[0], certificates[1:2])
        assert load_certificates((place.current / "fullchain.pem").read_bytes()) == certificates[:2]
        assert load_certificates((place.current / "cert.pem").read_bytes()) == certificates[:1]
        assert load_certificates((place.current / "chain.pem").read_bytes()) == certificates[1:2]

    def test_the_current_one_and_the_one_before_are_kept(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        assert [write(place, certificates) for _ in range(4)] == ["0001", "0002", "0003", "0004"]
        assert sorted(path.name for path in (place.directory / "versions").iterdir()) == ["0003", "0004"]

    def test_one_that_was_not_finished_is_written_anew(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        write(place, certificates)
        unfinished = place.directory / "versions" / "0002"
        unfinished.mkdir()
        (unfinished / "key.pem").write_bytes(b"another")
        assert write(place, certificates) == "0002"
        assert (place.current / "key.pem").read_bytes() == b"key"

    def test_what_is_written_is_not_in_use_before_the_switch(
        self, place: Place, certificates: tuple[bytes, ...]
    ) -> None:
        write(place, certificates)
        place.write_version(certificates[1], (), None)
        version = place.version()
        assert version is not None
        assert version.certificate == certificates[0]

    def test_a_link_that_was_left_behind_does_no_harm(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        (place.directory / ".current").symlink_to("versions/0009")
        assert write(place, certificates) == "0001"

    def test_nobody_else_can_read_what_is_secret(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        write(place, certificates)
        private = (
            place.folder,
            place.directory,
            place.directory / "versions",
            place.current,
            place.current / "key.pem",
        )
        assert not [path for path in private if path.stat().st_mode & 0o077]

    def test_a_key_elsewhere_is_no_file(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        write(place, certificates, key=None)
        assert not (place.current / "key.pem").exists()
        assert place.environment("pkcs11:x")["CMPKIT_KEY"] == "pkcs11:x"

    def test_a_link_that_leads_nowhere_is_named(self, place: Place) -> None:
        place.current.symlink_to("versions/0007")
        with pytest.raises(ConfigurationError, match="leads nowhere"):
            place.version()

    def test_a_link_to_somewhere_else_is_named(
        self, place: Place, certificates: tuple[bytes, ...], tmp_path: Path
    ) -> None:
        write(place, certificates)
        elsewhere = tmp_path / "elsewhere"
        place.current.resolve().rename(elsewhere)
        place.current.unlink()
        place.current.symlink_to(elsewhere)
        with pytest.raises(ConfigurationError, match="none of the versions"):
            place.version()

    def test_files_that_cannot_be_read_are_named(self, place: Place) -> None:
        (place.directory / "versions" / "0001" / "fullchain.pem").mkdir(parents=True)
        place.current.symlink_to("versions/0001")
        with pytest.raises(ConfigurationError, match="cannot be read"):
            place.version()

    def test_what_cannot_be_written_is_named(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        (place.directory / "versions").write_text("in the way")
        with pytest.raises(ConfigurationError, match="cannot be written"):
            write(place, certificates)

    def test_a_link_that_cannot_be_replaced_is_named(self, place: Place, certificates: tuple[bytes, ...]) -> None:
        version = place.write_version(certificates[0], (), None)
        place.current.mkdir()
        with pytest.raises(ConfigurationError, match="cannot be replaced"):
            place.switch_to(version)


class TestPlaces:
    def test_two_do_not_work_on_one_certificate(self, place: Place) -> None:
        with place.locked(), pytest.raises(Busy), place.locked():
            pass
        with place.locked():
            pass

    def test_a_folder_that_cannot_be_used_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigurationError, match="cannot be used"), Place(tmp_path / "file", "dev").locked():
            pass

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".hidden", "a b", "x" * 101, "ä"])
    def test_a_name_that_is_no_good_file_name_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigurationError, match="is no name"):
            Place.named(tmp_path, name)

    def test_every_definition_is_found(self, tmp_path: Path) -> None:
        for name in ("b.toml", "a.toml", "notes.txt", ".#a.toml"):
            (tmp_path / name).write_text("")
        assert [place.name for place in find_places(tmp_path)] == ["a", "b"]

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="there is no folder"):
            find_places(tmp_path / "none")
