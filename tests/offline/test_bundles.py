"""Bundles that are damaged, and bundles that are made to harm."""

from __future__ import annotations

import os
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from cmpkit import oids
from cmpkit.asn1 import ContentInfo, encode, to_tlv
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.offline.bundle import Bundle, digest_of, name_of, read_bundle, write_bundle
from cmpkit.offline.manifest import Entry, Kind, Manifest, dump_manifest
from cmpkit.offline.signing import BundleSigner, check_signature
from cmpkit.plugins import load_plugins
from cmpkit.testing import InProcessCA

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGES = [bytes([number]) * 50 for number in range(1, 6)]
PLUGINS = load_plugins()


def entry_of(octets: bytes, number: int) -> Entry:
    return Entry(name=f"messages/{number:05}.pki", size=len(octets), digest=digest_of(octets))


ENTRIES = {entry_of(octets, number): octets for number, octets in enumerate(MESSAGES, 1)}
MANIFEST = Manifest(
    kind=Kind.REQUESTS,
    series=bytes(16),
    sequence=1,
    created=NOW,
    expires=NOW + timedelta(days=30),
    entries=tuple(ENTRIES),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A bundle with five messages."""
    return write(tmp_path / "requests.zip")


def write(path: Path, signer: BundleSigner | None = None) -> Path:
    anyio.run(partial(write_bundle, path, MANIFEST, ENTRIES, PLUGINS, signer=signer, now=NOW))
    return path


def read(path: Path) -> Bundle:
    return read_bundle(path, PLUGINS)


def test_a_bundle_is_read_as_it_was_written(path: Path) -> None:
    bundle = read(path)
    assert bundle.manifest == MANIFEST
    assert bundle.messages == ENTRIES
    assert not bundle.faults
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_flipped_bit_in_a_message_is_told_by_its_name_and_the_others_are_read(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[octets.index(MESSAGES[2]) + 7] ^= 0x10
    path.write_bytes(octets)
    bundle = read(path)
    assert list(bundle.faults) == ["messages/00003.pki"]
    assert list(bundle.messages.values()) == [one for one in MESSAGES if one != MESSAGES[2]]


def test_whatever_bit_is_flipped_no_message_is_read_that_was_not_written(path: Path) -> None:
    octets = path.read_bytes()
    whole = 0
    for position in range(0, len(octets), 5):
        path.write_bytes(octets[:position] + bytes([octets[position] ^ 1 << position % 8]) + octets[position + 1 :])
        try:
            bundle = read(path)
        except CMPError:
            continue
        whole += 1
        assert bundle.manifest == MANIFEST
        assert all(ENTRIES[entry] == message for entry, message in bundle.messages.items())
        assert len(bundle.messages) + len(bundle.faults) >= len(MESSAGES)
        # Only in the directory of the archive a bit may be part of the names of several.
        assert len(bundle.messages) >= len(MESSAGES) - 1 or position > octets.index(b"PK\x01\x02")
    assert whole > len(MESSAGES) * 50 / 5


def test_a_bundle_that_is_cut_off_anywhere_is_refused(path: Path) -> None:
    octets = path.read_bytes()
    for length in (0, 10, len(octets) // 2, len(octets) - 1):
        path.write_bytes(octets[:length])
        with pytest.raises(CMPError, match="no bundle, or not whole"):
            read(path)


def test_a_damaged_manifest_is_named(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[octets.index(b'"sequence": 1') + 12] ^= 0x02
    path.write_bytes(octets)
    with pytest.raises(CMPError, match=r"manifest\.json: it is damaged"):
        read(path)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: None])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "it")
    with pytest.raises(CMPError, match=r"no regular file|cannot be read"):
        read(tmp_path / "it")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "it").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(CMPError, match="at most"):
        read(tmp_path / "it")


def rewrite(
    path: Path,
    change: Callable[[zipfile.ZipInfo], None] = lambda info: None,
    *,
    extra: tuple[str, ...] = (),
    more: bytes = b"",
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """The archive anew, by somebody else: the third message changed, and other members beside."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for info, octets in members:
            fresh = zipfile.ZipInfo(info.filename, info.date_time)
            fresh.compress_type = zipfile.ZIP_STORED
            if info.filename == "messages/00003.pki":
                fresh.compress_type = compression
                change(fresh)
            archive.writestr(fresh, octets + (more if info.filename == "messages/00003.pki" else b""))
        for name in extra:
            archive.writestr(name, b"x", zipfile.ZIP_STORED)


def become_a_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def become_a_device(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFCHR | 0o666) << 16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"change": become_a_link}, "no regular file"),
        ({"change": become_a_device}, "no regular file"),
        ({"compression": zipfile.ZIP_DEFLATED}, "it is compressed"),
        ({"compression": zipfile.ZIP_LZMA}, "it is compressed"),
        ({"compression": zipfile.ZIP_DEFLATED, "more": bytes(8 << 20)}, "it is compressed"),
        ({"more": b"more"}, "its digest differs"),
        ({"more": bytes(2 << 20)}, "are read at most"),
    ],
)
def test_a_member_that_is_no_plain_message_is_refused_and_the_others_are_read(
    path: Path, options: dict[str, object], said: str
) -> None:
    rewrite(path, **options)  # type: ignore[arg-type]
    bundle = read(path)
    assert list(bundle.faults) == ["messages/00003.pki"]
    assert said in bundle.faults["messages/00003.pki"]
    assert len(bundle.messages) == len(MESSAGES) - 1


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "messages/99999.pki", "C:\\x", "a/", "manifest"])
def test_members_that_nobody_named_are_refused_and_nothing_is_written(path: Path, name: str, tmp_path: Path) -> None:
    rewrite(path, extra=(name,))
    before = sorted(tmp_path.rglob("*"))
    bundle = read(path)
    assert list(bundle.faults.values()) == ["the manifest does not name it"]
    assert bundle.messages == ENTRIES
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(path: Path) -> None:
    rewrite(path, extra=("messages/00003.pki",))
    bundle = read(path)
    assert bundle.faults == {"messages/00003.pki": "it is there twice"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_manifest_spoils_the_bundle(path: Path) -> None:
    rewrite(path, extra=("manifest.json",))
    with pytest.raises(CMPError, match=r"manifest\.json: it is there twice"):
        read(path)


def test_a_member_that_is_missing_is_told(path: Path) -> None:
    rewrite(path, lambda info: setattr(info, "filename", "messages/other.pki"))
    bundle = read(path)
    assert bundle.faults == {
        "messages/00003.pki": "it is missing",
        "messages/other.pki": "the manifest does not name it",
    }


def test_an_archive_of_100_000_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    directory = entry * 100_000
    for count in (0xFFFF, 100_000 & 0xFFFF, 10):
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), 0, 0)
        (tmp_path / "it").write_bytes(directory + end)
        start = time.process_time()
        with pytest.raises(CMPError, match="are read at most"):
            read(tmp_path / "it")
        assert time.process_time() - start < 0.2


def test_an_archive_with_a_second_directory_is_refused(path: Path) -> None:
    octets = path.read_bytes()
    path.write_bytes(octets[:-22] + b"PK\x06\x07" + bytes(16) + octets[-22:])
    with pytest.raises(CMPError, match="a kind of archive that no bundle is"):
        read(path)


def test_members_that_overlap_are_refused(path: Path) -> None:
    octets = path.read_bytes()
    start = octets.index(b"PK\x01\x02")
    entries = octets[start:-22]
    directory = entries * 20
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 120, 120, len(directory), start, 0)
    path.write_bytes(octets[:start] + directory + end)
    with pytest.raises(CMPError, match="overlap"):
        read(path)


def test_an_encrypted_member_is_refused(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    at = octets.rindex(b"messages/00003.pki") - 46 + 8
    octets[at] |= 1
    path.write_bytes(octets)
    assert read(path).faults == {"messages/00003.pki": "it is encrypted"}


def test_what_is_no_message_has_a_name_as_well() -> None:
    assert name_of(b"no message", 7) == "messages/00007.pki"


def test_a_bundle_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write(tmp_path / "missing" / "it")


def test_a_signed_bundle_is_read_and_its_signer_known(tmp_path: Path) -> None:
    ca = anyio.run(InProcessCA.make, tmp_path)
    signer = BundleSigner(ca.signer.certificate, ca.signer.key)
    other = ca.issuing.der
    path = write(tmp_path / "signed.zip", signer)
    assert read_bundle(path, PLUGINS, signers=[other, signer.certificate]).signer == signer.certificate
    assert read(path).messages == ENTRIES
    with pytest.raises(TrustError, match="somebody else signed it"):
        read_bundle(path, PLUGINS, signers=[other])
    # Another manifest under the same signature.
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["manifest.json"] = dump_manifest(replace(MANIFEST, sequence=2))
    with zipfile.ZipFile(path, "w") as archive:
        for name, octets in members.items():
            archive.writestr(name, octets)
    with pytest.raises(TrustError, match="that of another manifest"):
        read_bundle(path, PLUGINS, signers=[signer.certificate])
    members["manifest.p7m"] = b"\x30\x00"
    with zipfile.ZipFile(path, "w") as archive:
        for name, octets in members.items():
            archive.writestr(name, octets)
    with pytest.raises(TrustError, match="not to be believed"):
        read_bundle(path, PLUGINS, signers=[signer.certificate])


def test_a_signature_of_another_kind_is_refused() -> None:
    other = encode(ContentInfo(content_type=oids.DATA, content=to_tlv(encode(b"it"))))
    with pytest.raises(TrustError, match="its signature is no SignedData"):
        check_signature(other, b"it", [b"anybody"], PLUGINS)


def test_an_unsigned_bundle_is_refused_where_a_signer_is_wanted(path: Path) -> None:
    with pytest.raises(TrustError, match="it is not signed"):
        read_bundle(path, PLUGINS, signers=[b"anybody"])
