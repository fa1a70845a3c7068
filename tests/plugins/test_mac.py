"""PasswordBasedMac and PBMAC1 against independent computation, and their limits."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import cmpkit_mac
import pytest
from cmpkit_mac import PBMAC1, DHBasedMac, PasswordBasedMac, derived
from cmpkit_mac.macs import MAC_NAMES, read_mac
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc4211, rfc8018

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    DHBMParameter,
    GMACParameters,
    Null,
    PBKDF2Params,
    PBMAC1Params,
    PBMParameter,
    Variant,
    decode,
    decode_message,
    encode,
    to_tlv,
)
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import ProtectionKind, SharedSecret
from cmpkit.plugins import Plugins
from cmpkit.testing import check_protection

PART = b"\x30\x03\x02\x01\x05"
SECRET = SharedSecret("ref", "päss")
TOLERANT = frozenset({"hmac-sha1"})
HMACS = {
    "sha224": oids.HMAC_SHA224,
    "sha256": oids.HMAC_SHA256,
    "sha384": oids.HMAC_SHA384,
    "sha512": oids.HMAC_SHA512,
}
HASHES = {"sha224": oids.SHA224, "sha256": oids.SHA256, "sha384": oids.SHA384, "sha512": oids.SHA512}
MD5 = "1.2.840.113549.2.5"


# ir by OpenSSL 3.6.5: openssl cmp -cmd ir -ref dev-42 -secret pass:geheim [-mac hmacWithSHA256] -reqout_only FILE
OPENSSL_IR_SHA256 = bytes.fromhex(
    "308201ad3081ae020102a4133011310f300d06035504030c066465762d3432a40f300d310b300906035504030c024341a011180f3230"
    "3236313132333130313332335aa13e303c06092a864886f67d07420d302f0410b16b9cd7c3b9bb903c5705020478f1a3300b06096086"
    "48016503040201020201f4300a06082a864886f70d0209a20804066465762d3432a4120410fe22d24fae4f9fda2657fc9c10c2ac5da5"
    "12041055bc15257c8a52b6ebb92bf164738a2da081d43081d13081ce30750201003070a5133011310f300d06035504030c066465762d"
    "3432a659301306072a8648ce3d020106082a8648ce3d0301070342000450e8bcf93b4dc67e59193bca756c0a7b4c639dd3259a31f54c"
    "68957684b5c4bb39eac24014fceed41374c545ae13f9135f12be078fde25842f8eb7f4cd199198a155300a06082a8648ce3d04030203"
    "4700304402200bae93887ed25497c552546242c1d1e109ed65d1e2e6efbef8a59472309fe5460220562bf45264581d2d740f1a9bbf38"
    "4daf394867d195aae10bc8f4008de1032259a023032100f7766ca728dc189f9ce486c695279ba9c49568b696e38b3c332549ecd81d12"
    "e9"
)
OPENSSL_IR_SHA1 = bytes.fromhex(
    "308201a23081ae020102a4133011310f300d06035504030c066465762d3432a40f300d310b300906035504030c024341a011180f3230"
    "3236313132333130313234395aa13e303c06092a864886f67d07420d302f0410082df9342446f860d967660b3ff7bcd3300b06096086"
    "48016503040201020201f4300a06082b06010505080102a20804066465762d3432a4120410dee9685222cd443787a5111d9e9d75a4a5"
    "1204108639c7d98774cbe759e2fc9cbc2f5fc4a081d53081d23081cf30750201003070a5133011310f300d06035504030c066465762d"
    "3432a659301306072a8648ce3d020106082a8648ce3d0301070342000450e8bcf93b4dc67e59193bca756c0a7b4c639dd3259a31f54c"
    "68957684b5c4bb39eac24014fceed41374c545ae13f9135f12be078fde25842f8eb7f4cd199198a156300a06082a8648ce3d04030203"
    "48003045022100d5a18c371dd5a379b1bc15dbb124425a34b2447ac4e9227d13e4c31564aa795902207ab54bf836d10d5480c4d5bb3e"
    "f0fd31f4af7e5e8216b99192960345f1b7ccf3a0170315008d3084553d42b6723ba36a5335a0bfc7c8bf68b7"
)


def pbm(
    *,
    salt: bytes = b"saltsalt",
    owf: Any = oids.SHA256,
    count: int = 100,
    mac: Any = oids.HMAC_SHA256,
    null: bool = True,
) -> AlgorithmIdentifier:
    params = PBMParameter(
        salt=salt,
        owf=AlgorithmIdentifier(owf),
        iteration_count=count,
        mac=AlgorithmIdentifier(mac, Null() if null else None),
    )
    return AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, params)


def pbmac1(
    *,
    salt: Any = b"saltsalt",
    count: int = 10,
    key_length: int | None = 32,
    prf: Any = oids.HMAC_SHA256,
    mac: Any = oids.HMAC_SHA256,
    kdf_oid: Any = oids.PBKDF2,
) -> AlgorithmIdentifier:
    kdf = PBKDF2Params(
        salt=Variant(salt, "specified" if isinstance(salt, bytes) else "other_source"),
        iteration_count=count,
        key_length=key_length,
        prf=None if prf is None else AlgorithmIdentifier(prf, Null()),
    )
    params = PBMAC1Params(
        key_derivation_func=AlgorithmIdentifier(kdf_oid, kdf), message_auth_scheme=AlgorithmIdentifier(mac, Null())
    )
    return AlgorithmIdentifier(oids.PBMAC1, params)


async def refusal(protection: Any, algorithm: AlgorithmIdentifier, octets: bytes = b"", **options: Any) -> CMPError:
    with pytest.raises(CMPError) as caught:
        await protection.verify(PART, algorithm, octets, SECRET, **options)
    return caught.value


def test_the_plugin_brings_two_protections_and_a_proof() -> None:
    plugins = Plugins()
    plugins.add(cmpkit_mac, "mac")
    found = plugins.all("protection")
    assert [(part.kind, part.oids) for part in found] == [
        (ProtectionKind.MAC, (oids.PASSWORD_BASED_MAC,)),
        (ProtectionKind.MAC, (oids.PBMAC1,)),
        (ProtectionKind.AGREEMENT, (oids.DH_BASED_MAC,)),
    ]


async def test_dh_based_mac_keeps_the_contract_of_protections() -> None:
    await check_protection(DHBasedMac(), SECRET, wrong_credential=SharedSecret("ref", "another secret"))


@pytest.mark.parametrize("mac", MAC_NAMES)
async def test_dh_based_mac_is_one_hash_of_the_secret_as_long_as_the_mac_wants(mac: str) -> None:
    """RFC 9810 section 5.1.3.2: as PasswordBasedMac, without salt and iterations."""
    made = DHBasedMac()
    algorithm = made.new_algorithm(mac, secrets.token_bytes)
    params = algorithm.parse(DHBMParameter)
    again = made.algorithm(SECRET, algorithm)
    assert (again == algorithm) is ("gmac" not in mac)
    base = hashlib.sha256(SECRET.value).digest()
    wanted = read_mac(params.mac)
    expected = wanted.compute(base[: wanted.fit_key(32)], PART)
    assert await made.protect(PART, algorithm, SECRET) == expected


async def test_dh_based_mac_lengthens_a_hash_that_is_too_short_for_the_key() -> None:
    owf, mac = AlgorithmIdentifier(oids.SHA224), AlgorithmIdentifier(oids.AES256_GMAC, GMACParameters(nonce=bytes(12)))
    algorithm = AlgorithmIdentifier(oids.DH_BASED_MAC, DHBMParameter(owf=owf, mac=mac))
    base = hashlib.sha224(SECRET.value).digest()
    key = (base + hashlib.sha224(b"1" + base).digest())[:32]
    assert await DHBasedMac().protect(PART, algorithm, SECRET) == read_mac(mac).compute(key, PART)


def test_no_message_begins_with_dh_based_mac() -> None:
    assert DHBasedMac().macs == ()


@pytest.mark.parametrize("null", [True, False])
@pytest.mark.parametrize("mac", HMACS)
@pytest.mark.parametrize("owf", HASHES)
async def test_password_based_mac_is_what_rfc_9810_says(owf: str, mac: str, null: bool) -> None:
    algorithm = pbm(owf=HASHES[owf], mac=HMACS[mac], count=123, null=null)
    key = SECRET.value + b"saltsalt"
    for _ in range(123):
        key = hashlib.new(owf, key).digest()
    expected = hmac.new(key, PART, mac).digest()
    assert await PasswordBasedMac().protect(PART, algorithm, SECRET) == expected
    assert await PasswordBasedMac().verify(PART, algorithm, expected, SECRET) is None


@pytest.mark.parametrize("mac", HMACS)
@pytest.mark.parametrize("prf", HMACS)
@pytest.mark.parametrize("key_length", [None, 20, 33])
async def test_pbmac1_is_what_rfc_8018_says(prf: str, mac: str, key_length: int | None) -> None:
    algorithm = pbmac1(prf=HMACS[prf], mac=HMACS[mac], key_length=key_length)
    length = key_length or hashlib.new(mac).digest_size
    expected = hmac.new(hashlib.pbkdf2_hmac(prf, SECRET.value, b"saltsalt", 10, length), PART, mac).digest()
    assert await PBMAC1().protect(PART, algorithm, SECRET) == expected
    assert await PBMAC1().verify(PART, algorithm, expected, SECRET) is None


def test_our_own_password_based_mac_parameters_are_read_by_pyasn1() -> None:
    algorithm = PasswordBasedMac().algorithm(SECRET)
    assert algorithm.parameters is not None
    der = encode(algorithm.parameters)
    read, _ = decoder.decode(der, asn1Spec=rfc4211.PBMParameter())
    assert encoder.encode(read) == der
    assert len(read["salt"]) == 16
    assert read["iterationCount"] == 10_000
    assert str(read["owf"]["algorithm"]) == oids.SHA256.dotted_string
    assert str(read["mac"]["algorithm"]) == oids.HMAC_SHA256.dotted_string
    assert bytes(read["mac"]["parameters"]) == b"\x05\x00"


def test_our_own_pbmac1_parameters_are_read_by_pyasn1() -> None:
    algorithm = PBMAC1().algorithm(SECRET)
    assert algorithm.parameters is not None
    read, _ = decoder.decode(encode(algorithm.parameters), asn1Spec=rfc8018.PBMAC1_params())
    assert str(read["keyDerivationFunc"]["algorithm"]) == oids.PBKDF2.dotted_string
    assert str(read["messageAuthScheme"]["algorithm"]) == oids.HMAC_SHA256.dotted_string
    kdf, _ = decoder.decode(bytes(read["keyDerivationFunc"]["parameters"]), asn1Spec=rfc8018.PBKDF2_params())
    assert len(kdf["salt"]["specified"]) == 16
    assert kdf["iterationCount"] == 100_000
    assert kdf["keyLength"] == 32
    assert str(kdf["prf"]["algorithm"]) == oids.HMAC_SHA256.dotted_string


@pytest.mark.parametrize("make", [PasswordBasedMac, PBMAC1])
async def test_each_protection_verifies_its_own_with_a_fresh_salt(make: Callable[[], Any]) -> None:
    protection, other_side = make(), make()
    first, second = protection.algorithm(SECRET), protection.algorithm(SECRET)
    assert first != second
    octets = await protection.protect(PART, first, SECRET)
    assert await other_side.verify(PART, first, octets, SECRET) is None


@pytest.mark.parametrize("make", [PasswordBasedMac, PBMAC1])
@pytest.mark.parametrize("kept", [False, True])
async def test_any_other_octets_secret_or_mac_is_bad_message_check(make: Callable[[], Any], kept: bool) -> None:
    protection = make()
    algorithm = {PasswordBasedMac: pbm, PBMAC1: pbmac1}[make]()  # type: ignore[index]
    octets = await make().protect(PART, algorithm, SECRET)
    if kept:
        await protection.verify(PART, algorithm, octets, SECRET)
    errors = []
    for part, mac, secret in (
        (PART + b"x", octets, SECRET),
        (PART, octets[:-1], SECRET),
        (PART, octets + b"x", SECRET),
        (PART, b"", SECRET),
        (PART, bytes(32), SECRET),
        (PART, octets, SharedSecret("unknown", "random")),
    ):
        with pytest.raises(CMPError) as caught:
            await protection.verify(part, algorithm, mac, secret)
        errors.append((str(caught.value), caught.value.fail_info, caught.value.status_text))
    assert len(set(errors)) == 1
    assert errors[0][1] is PKIFailureInfo.BAD_MESSAGE_CHECK


@pytest.mark.rule("R-039")
async def test_an_answer_repeats_the_parameters_of_its_own_mechanism() -> None:
    like = pbm()
    assert PasswordBasedMac().algorithm(SECRET, like=like) is like
    assert PBMAC1().algorithm(SECRET, like=like).algorithm == oids.PBMAC1


@pytest.mark.parametrize("count", [-1, 0, 99, 100_001, 1 << 64])
@pytest.mark.rule("R-035")
async def test_password_based_mac_iterations_are_limited(count: int) -> None:
    error = await refusal(PasswordBasedMac(), pbm(count=count))
    assert error.fail_info is PKIFailureInfo.BAD_ALG
    assert "100 to 100000" in error.hint


async def test_the_limits_themselves_are_accepted() -> None:
    for protection, algorithm in (
        (PasswordBasedMac(), pbm(count=100)),
        (PasswordBasedMac(), pbm(count=100_000)),
        (PasswordBasedMac(), pbm(salt=b"x")),
        (PasswordBasedMac(), pbm(salt=bytes(128))),
        (PBMAC1(), pbmac1(count=1)),
        (PBMAC1(), pbmac1(count=300_000)),
        (PBMAC1(), pbmac1(key_length=20)),
        (PBMAC1(), pbmac1(key_length=1024, count=9_375)),
    ):
        await protection.verify(PART, algorithm, await protection.protect(PART, algorithm, SECRET), SECRET)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param(pbmac1(count=0), id="no iteration"),
        pytest.param(pbmac1(count=-1), id="less than none"),
        pytest.param(pbmac1(count=300_001), id="many"),
        pytest.param(pbmac1(count=150_001, key_length=33), id="many for two blocks"),
        pytest.param(pbmac1(key_length=19), id="short key"),
        pytest.param(pbmac1(key_length=0), id="no key"),
        pytest.param(pbmac1(key_length=-1), id="negative key"),
        pytest.param(pbmac1(key_length=1025), id="long key"),
        pytest.param(pbmac1(salt=b""), id="no salt"),
        pytest.param(pbmac1(salt=bytes(129)), id="long salt"),
        pytest.param(pbmac1(salt=to_tlv(AlgorithmIdentifier(oids.SHA256))), id="salt from elsewhere"),
        pytest.param(pbmac1(mac=oids.SHA256), id="a hash for a MAC"),
        pytest.param(pbmac1(prf=oids.SHA256), id="a hash for a PRF"),
        pytest.param(pbmac1(kdf_oid=oids.PBMAC1), id="no PBKDF2"),
    ],
)
@pytest.mark.rule("R-035")
async def test_pbmac1_parameters_beyond_the_limits_are_bad_alg(
    algorithm: AlgorithmIdentifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", None)
    error = await refusal(PBMAC1(), algorithm)
    assert error.fail_info is PKIFailureInfo.BAD_ALG
    with pytest.raises(CMPError):
        await PBMAC1().protect(PART, algorithm, SECRET)


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param(pbm(salt=b""), id="no salt"),
        pytest.param(pbm(salt=bytes(129)), id="long salt"),
        pytest.param(pbm(owf=oids.HMAC_SHA256), id="a MAC for a hash"),
        pytest.param(pbm(mac=oids.SHA256), id="a hash for a MAC"),
    ],
)
@pytest.mark.rule("R-035")
async def test_password_based_mac_parameters_beyond_the_limits_are_bad_alg(algorithm: AlgorithmIdentifier) -> None:
    assert (await refusal(PasswordBasedMac(), algorithm)).fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.parametrize("tolerances", [frozenset(), TOLERANT])
@pytest.mark.rule("R-033")
async def test_md5_is_never_accepted(tolerances: frozenset[str]) -> None:
    md5 = type(oids.SHA1)(MD5)
    error = await refusal(PasswordBasedMac(), pbm(owf=md5), tolerances=tolerances)
    assert error.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.parametrize(
    ("protection", "algorithm"),
    [
        pytest.param(PasswordBasedMac(), pbm(mac=oids.HMAC_SHA1), id="PBM hmacWithSHA1"),
        pytest.param(PasswordBasedMac(), pbm(mac=oids.HMAC_SHA1_RFC4210), id="PBM hmac-SHA1 of RFC 4210"),
        pytest.param(PasswordBasedMac(), pbm(owf=oids.SHA1), id="PBM owf SHA-1"),
        pytest.param(PBMAC1(), pbmac1(prf=None), id="PBMAC1 default PRF"),
        pytest.param(PBMAC1(), pbmac1(prf=oids.HMAC_SHA1), id="PBMAC1 PRF"),
        pytest.param(PBMAC1(), pbmac1(mac=oids.HMAC_SHA1), id="PBMAC1 MAC"),
    ],
)
@pytest.mark.rule("R-033")
async def test_sha1_needs_the_tolerance_and_both_sides_are_told(
    protection: Any, algorithm: AlgorithmIdentifier
) -> None:
    octets = await protection.protect(PART, algorithm, SECRET)
    for tolerances in (frozenset[str](), frozenset({"sha1"})):
        error = await refusal(protection, algorithm, octets, tolerances=tolerances)
        assert error.fail_info is PKIFailureInfo.BAD_ALG
        for text in ("-digest sha256", "-mac hmacWithSHA256", "-mac hmac-sha256"):
            assert text in error.status_text
            assert text in error.hint
        assert 'tolerances = ["hmac-sha1"]' in str(error)
    assert await protection.verify(PART, algorithm, octets, SECRET, tolerances=TOLERANT) is None


@pytest.mark.parametrize("make", [PasswordBasedMac, PBMAC1])
async def test_parameters_that_cannot_be_read_are_bad_data_format(make: Callable[[], Any]) -> None:
    for parameters in (None, Null(), 5):
        error = await refusal(make(), AlgorithmIdentifier(make().oids[0], parameters))
        assert error.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize("make", [PasswordBasedMac, PBMAC1])
@given(position=st.integers(4, 200), change=st.integers(1, 255))
async def test_damaged_parameters_raise_nothing_but_cmp_errors(
    make: Callable[[], Any], position: int, change: int
) -> None:
    octets = bytearray(encode({PasswordBasedMac: pbm, PBMAC1: pbmac1}[make]()))  # type: ignore[index]
    octets[position % len(octets)] ^= change
    with contextlib.suppress(CMPError):
        assert (await refusal(make(), decode(AlgorithmIdentifier, bytes(octets)))).fail_info


async def count_derivations(monkeypatch: pytest.MonkeyPatch, protection: Any) -> list[int]:
    counted: list[int] = []
    real = protection.read

    def read(algorithm: AlgorithmIdentifier) -> derived.Derivation:
        found = real(algorithm)

        def derive(secret: bytes) -> bytes:
            counted.append(len(secret))
            return bytes(found.derive(secret))

        return dataclasses.replace(found, derive=derive)

    monkeypatch.setattr(protection, "read", read)
    return counted


async def test_a_transaction_derives_its_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    protection = PasswordBasedMac()
    counted = await count_derivations(monkeypatch, protection)
    algorithm = pbm()
    octets = await protection.protect(PART, algorithm, SECRET)
    await protection.verify(PART, algorithm, octets, SECRET)
    await protection.protect(b"other", algorithm, SECRET)
    assert len(counted) == 1
    for changed in (pbm(salt=b"another "), pbm(count=101), pbm(owf=oids.SHA512)):
        await protection.protect(PART, changed, SECRET)
    await protection.protect(PART, algorithm, SharedSecret("ref", "other"))
    assert len(counted) == 5


async def test_guesses_are_as_slow_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    protection = PasswordBasedMac()
    counted = await count_derivations(monkeypatch, protection)
    for _ in range(3):
        await refusal(protection, pbm(), bytes(32))
    assert len(counted) == 3


async def test_few_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "_KEPT_KEYS", 2)
    protection = PasswordBasedMac()
    counted = await count_derivations(monkeypatch, protection)
    salts = (b"1", b"2", b"1", b"3", b"1", b"2")
    for salt in salts:
        await protection.protect(PART, pbm(salt=salt), SECRET)
    assert len(counted) == 4


@pytest.mark.parametrize(("count", "threads"), [(1_000, 0), (1_001, 1)])
async def test_only_long_derivations_leave_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, count: int, threads: int
) -> None:
    started = []
    real = anyio.to_thread.run_sync

    async def run_sync(function: Any, *args: Any, **options: Any) -> Any:
        started.append(options["limiter"].total_tokens)
        return await real(function, *args, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    await PasswordBasedMac().protect(PART, pbm(count=count), SECRET)
    assert started == [2] * threads


@pytest.mark.parametrize(("der", "tolerances"), [(OPENSSL_IR_SHA256, frozenset()), (OPENSSL_IR_SHA1, TOLERANT)])
async def test_a_message_of_openssl_verifies(der: bytes, tolerances: frozenset[str]) -> None:
    message = decode_message(der)
    algorithm, octets = message.header.protection_alg, message.protection
    assert algorithm is not None
    assert octets is not None
    protection = PasswordBasedMac()
    secret = SharedSecret("dev-42", "geheim")
    assert await protection.verify(message.protected_part, algorithm, octets, secret, tolerances=tolerances) is None
    assert await protection.protect(message.protected_part, algorithm, secret) == octets
    with pytest.raises(CMPError):
        await protection.verify(message.protected_part, algorithm, octets, SECRET, tolerances=tolerances)
