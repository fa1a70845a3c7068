"""The checks for protections, key algorithms, private keys and key providers find what breaks their contracts."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from secrets import token_bytes
from typing import Any, ClassVar

import pytest
from cmpkit_signature import EllipticCurveKeys, MontgomeryCurveKeys, RSAKeys
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import AlgorithmIdentifier, Null
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import KeyAlgorithm, NeedsExchange, PrivateKey, ProtectionKind, RandomOctets, SharedSecret
from cmpkit.testing import check_key_algorithm, check_key_provider, check_private_key, check_protection

SECRET = SharedSecret("dev-42", "a shared secret")
WRONG = SharedSecret("dev-42", "another secret")
OID = ObjectIdentifier("2.999.7")


class PlainMac:
    """An HMAC without any derivation: small, and it keeps the contract."""

    kind: Any = ProtectionKind.MAC
    oids: tuple[Any, ...] = (OID,)
    tolerances: tuple[str, ...] = ()

    async def verify(
        self,
        protected_part: bytes,
        algorithm: AlgorithmIdentifier,
        protection: bytes,
        credential: SharedSecret,
        *,
        tolerances: frozenset[str] = frozenset(),
    ) -> NeedsExchange | None:
        if not algorithm.has_null_or_no_parameters:
            raise CMPError("parameters", PKIFailureInfo.BAD_ALG)
        self.compare(await self.protect(protected_part, algorithm, credential), protection, credential)
        return None

    def compare(self, mac: bytes, protection: bytes, credential: SharedSecret) -> None:
        if not hmac.compare_digest(mac, protection):
            raise CMPError("it does not fit", PKIFailureInfo.BAD_MESSAGE_CHECK)

    def algorithm(
        self, credential: SharedSecret, like: AlgorithmIdentifier | None = None, *, random: RandomOctets = token_bytes
    ) -> AlgorithmIdentifier:
        return AlgorithmIdentifier(OID, Null())

    async def protect(self, protected_part: bytes, algorithm: AlgorithmIdentifier, credential: SharedSecret) -> bytes:
        return hmac.digest(credential.value, protected_part, "sha256")


async def test_a_protection_that_keeps_the_contract_passes() -> None:
    await check_protection(PlainMac(), SECRET, wrong_credential=WRONG)


class NoOIDs(PlainMac):
    oids = ("2.999.7",)


class NoKind(PlainMac):
    kind = "MAC"


class NoTolerances(PlainMac):
    tolerances = None  # type: ignore[assignment]


class Believing(PlainMac):
    def compare(self, mac: bytes, protection: bytes, credential: SharedSecret) -> None:
        pass


class Prefix(PlainMac):
    """Compares as much as there is."""

    def compare(self, mac: bytes, protection: bytes, credential: SharedSecret) -> None:
        super().compare(mac[: len(protection)], protection, credential)


class Deaf(PlainMac):
    """Protects only the start of a message."""

    async def protect(self, protected_part: bytes, algorithm: AlgorithmIdentifier, credential: SharedSecret) -> bytes:
        return await super().protect(protected_part[:10], algorithm, credential)


class Telling(PlainMac):
    def compare(self, mac: bytes, protection: bytes, credential: SharedSecret) -> None:
        if mac != protection:
            raise CMPError(f"it does not fit {credential.value.decode()}", PKIFailureInfo.BAD_MESSAGE_CHECK)


class Careless(PlainMac):
    """Takes any parameters."""

    async def verify(self, part: bytes, algorithm: AlgorithmIdentifier, *more: Any, **options: Any) -> None:
        await super().verify(part, AlgorithmIdentifier(OID), *more, **options)


class OtherFailInfo(PlainMac):
    def compare(self, mac: bytes, protection: bytes, credential: SharedSecret) -> None:
        if mac != protection:
            raise CMPError("it does not fit", PKIFailureInfo.BAD_REQUEST)


class Leaking(PlainMac):
    def compare(self, mac: bytes, protection: bytes, credential: SharedSecret) -> None:
        if mac != protection:
            raise ValueError("it does not fit")


class Remembering(PlainMac):
    """Believes whoever it has refused once."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()

    def compare(self, mac: bytes, protection: bytes, credential: SharedSecret) -> None:
        if credential.value in self.seen:
            return
        if credential == WRONG:
            self.seen.add(credential.value)
        super().compare(mac, protection, credential)


class Foreign(PlainMac):
    def algorithm(
        self, credential: SharedSecret, like: AlgorithmIdentifier | None = None, *, random: RandomOctets = token_bytes
    ) -> AlgorithmIdentifier:
        return AlgorithmIdentifier(ObjectIdentifier("2.999.8"))


class Parroting(PlainMac):
    """Answers in kind where it cannot."""

    def algorithm(
        self, credential: SharedSecret, like: AlgorithmIdentifier | None = None, *, random: RandomOctets = token_bytes
    ) -> AlgorithmIdentifier:
        return like or super().algorithm(credential)


class Fickle(PlainMac):
    """Changes its parameters within a transaction."""

    def algorithm(
        self, credential: SharedSecret, like: AlgorithmIdentifier | None = None, *, random: RandomOctets = token_bytes
    ) -> AlgorithmIdentifier:
        return AlgorithmIdentifier(OID, None if like else Null())


class Salting(PlainMac):
    """Draws octets from elsewhere."""

    def algorithm(
        self, credential: SharedSecret, like: AlgorithmIdentifier | None = None, *, random: RandomOctets = token_bytes
    ) -> AlgorithmIdentifier:
        return like if like and like.algorithm == OID else AlgorithmIdentifier(OID, b"\x04\x10" + token_bytes(16))


class Unhelpful(PlainMac):
    async def protect(self, *arguments: Any) -> bytes:
        raise CMPError("not today")


class Exchanging(PlainMac):
    async def verify(self, *arguments: Any, **options: Any) -> NeedsExchange | None:
        return NeedsExchange("always")


@pytest.mark.parametrize(
    ("protection", "breach"),
    [
        (NoOIDs, "oids must be a tuple of ObjectIdentifier"),
        (NoKind, "kind must be ProtectionKind, not str"),
        (NoTolerances, "tolerances must be tuple"),
        (Believing, "a message whose octet 0 was changed must be refused by a CMPError, but was not"),
        (Prefix, "a protection that was cut must be refused"),
        (Deaf, "a message whose octet 15 was changed must be refused"),
        (Telling, "no secret may be in the text of an error"),
        (Careless, "with parameters that cannot be read must be refused"),
        (OtherFailInfo, "must be refused with badMessageCheck, not with badRequest"),
        (Leaking, "must be refused by a CMPError, not by ValueError"),
        (Remembering, "under another credential, sent again, must be refused"),
        (Foreign, r"algorithm\(\) must be one of its oids, not 2.999.8"),
        (Parroting, "must be its own where the peer used another"),
        (Fickle, "parameters stay through a transaction"),
        (Salting, "must take every random octet from there"),
        (Unhelpful, r"must be protected and verified, not raise CMPError\('not today'\)"),
        (Exchanging, r"verify\(\) must return None"),
    ],
)
async def test_a_protection_that_breaks_the_contract_is_named(protection: type[PlainMac], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_protection(protection(), SECRET, wrong_credential=WRONG)


class Key:
    """A key that delegates to another, for tests to break."""

    def __init__(self, key: PrivateKey) -> None:
        self.key = key
        self.key_type = key.key_type
        self.public_key_info = key.public_key_info
        self.signature_algorithm = key.signature_algorithm

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        return await self.key.sign(data, algorithm)

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        return self.key.to_pkcs8(password)


class Keys(EllipticCurveKeys):
    """Key algorithms whose keys may be broken."""

    key: type[Key] = Key

    def generate(self, key_type: str) -> Any:
        return self.key(super().generate(key_type))


class Immovable(Keys):
    class key(Key):
        def to_pkcs8(self, password: bytes | None = None) -> bytes:
            raise CMPError("it cannot leave")


@pytest.mark.parametrize("algorithm", [Keys, Immovable])
async def test_key_algorithms_that_keep_the_contract_pass(algorithm: type[Keys]) -> None:
    await check_key_algorithm(algorithm(), key_types=["p256"])


class Nameless(Keys):
    name = ""


class ListedTypes(Keys):
    key_types: Any = {"p256"}  # noqa: RUF012 - the fault


class ListedUsages(Keys):
    key_usages: Any = ("digitalSignature",)


class UnknownUsage(Keys):
    key_usages = frozenset({"digital_signature"})


class AlwaysTheSame(Keys):
    made: Any = None

    def generate(self, key_type: str) -> Any:
        self.made = self.made or super().generate(key_type)
        return self.made


class WrongType(Keys):
    def generate(self, key_type: str) -> Any:
        return super().generate("p384")


class TwoNames(Keys):
    def key_type(self, public_key_info: bytes) -> str:
        return super().key_type(public_key_info).upper()


class ForeignKey(Keys):
    key_oids = (OID,)


class ForeignSignature(Keys):
    signature_oids = (OID,)


class TrueForAll(Keys):
    def verify(self, *arguments: Any) -> bool:
        return True


class Truthy(Keys):
    def verify(self, *arguments: Any) -> bool:
        return int(super().verify(*arguments))  # type: ignore[return-value]


class Raising(Keys):
    def verify(self, *arguments: Any) -> bool:
        if not super().verify(*arguments):
            raise ValueError("no fit")
        return True


class AnyAlgorithm(Keys):
    class key(Key):
        async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
            return await self.key.sign(data)


class VerifiesAnyAlgorithm(Keys):
    def verify(self, public: bytes, algorithm: AlgorithmIdentifier, *more: Any) -> bool:
        return algorithm.algorithm in self.signature_oids and super().verify(public, algorithm, *more)


class NoHash(Keys):
    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str | None:
        return "SHA two"


class UnencryptedPKCS8(Keys):
    class key(Key):
        def to_pkcs8(self, password: bytes | None = None) -> bytes:
            return self.key.to_pkcs8()


class OtherPKCS8(Keys):
    class key(Key):
        def to_pkcs8(self, password: bytes | None = None) -> bytes:
            return EllipticCurveKeys().generate("p256").to_pkcs8(password)


class OtherEncryptedPKCS8(Keys):
    class key(Key):
        def to_pkcs8(self, password: bytes | None = None) -> bytes:
            return (EllipticCurveKeys().generate("p256") if password else self.key).to_pkcs8(password)


class UnreadablePKCS8(Keys):
    class key(Key):
        def to_pkcs8(self, password: bytes | None = None) -> bytes:
            return b"no key"


class AnyPublicKey(Keys):
    def key_type(self, public_key_info: bytes) -> str:
        try:
            return super().key_type(public_key_info)
        except CMPError:
            return "p256"


class AnyPrivateKey(Keys):
    def load_private_key(self, pkcs8: bytes) -> Any:
        try:
            return super().load_private_key(pkcs8)
        except CMPError as error:
            raise KeyError("no key") from error


@pytest.mark.parametrize(
    ("algorithm", "breach"),
    [
        (Nameless, "name must be a text that is not empty"),
        (ListedTypes, "key_types must be tuple, not set"),
        (ListedUsages, "key_usages must be a frozenset of names"),
        (UnknownUsage, "key_usages must be a frozenset of names"),
        (AlwaysTheSame, r"generate\('p256'\) must make a new key each time"),
        (WrongType, r"a key made by generate\('p256'\) must be of it, not 'p384'"),
        (TwoNames, "must name their type alike, not p256 and P256"),
        (ForeignKey, "the OID of the public key must be in key_oids"),
        (ForeignSignature, "signature_algorithm must be one of signature_oids"),
        (TrueForAll, r"verify\(\) must return False for a signature of \d+ octets that does not, not True"),
        (Truthy, r"verify\(\) must return True for .* that fits, not 1"),
        (Raising, r"verify\(\) must return False for .*, not raise ValueError"),
        (AnyAlgorithm, "a signature by a foreign algorithm must be refused by a CMPError, but was not"),
        (VerifiesAnyAlgorithm, "the verification of a foreign algorithm must be refused"),
        (NoHash, "a name that hashlib knows, not 'SHA two'"),
        (UnencryptedPKCS8, "read with another password, must be refused"),
        (OtherPKCS8, "a key must be the same after PKCS#8"),
        (OtherEncryptedPKCS8, "a key must be the same after encrypted PKCS#8"),
        (UnreadablePKCS8, r"load_private_key\(\) must read what to_pkcs8\(\) made"),
        (AnyPublicKey, "a p256 public key of one octet must be refused"),
        (AnyPrivateKey, "octets that are no private key must be refused by a CMPError, not by KeyError"),
    ],
)
async def test_a_key_algorithm_that_breaks_the_contract_is_named(algorithm: type[Keys], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_key_algorithm(algorithm(), key_types=["p256"])


async def test_a_signature_that_fits_another_key_is_named() -> None:
    class Keyless(Keys):
        """Verifies with what it last made, whatever key it is given."""

        def verify(self, public: bytes, *more: Any) -> bool:
            return super().verify(self.first, *more)

        first = b""

        def generate(self, key_type: str) -> Any:
            key = super().generate(key_type)
            self.first = self.first or key.public_key_info
            return key

    with pytest.raises(AssertionError, match="a signature must not fit another p256 key"):
        await check_key_algorithm(Keyless(), key_types=["p256"])


class AgreeingKey(Key):
    """A key that agrees on secrets, too."""

    async def agree(self, public_key_info: bytes) -> bytes:
        key: Any = self.key
        secret: bytes = await key.agree(public_key_info)
        return secret


class Agreeing(Keys):
    key = AgreeingKey


class OneSecret(Agreeing):
    class key(AgreeingKey):
        async def agree(self, public_key_info: bytes) -> bytes:
            return bytes(32)

    def agree(self, public_key_info: bytes) -> tuple[bytes, bytes]:
        return super().agree(public_key_info)[0], bytes(32)


class OtherSecret(Agreeing):
    def agree(self, public_key_info: bytes) -> tuple[bytes, bytes]:
        return super().agree(public_key_info)[0], bytes(32)


class OneKey(Agreeing):
    kept: ClassVar[dict[bytes, tuple[bytes, bytes]]] = {}

    def agree(self, public_key_info: bytes) -> tuple[bytes, bytes]:
        return self.kept.setdefault(public_key_info, super().agree(public_key_info))


class NoScheme(Agreeing):
    def agreement_scheme(self, public_key_info: bytes) -> Any:
        return "ECDH"


@pytest.mark.parametrize(
    ("algorithm", "breach"),
    [
        (OneSecret, "another key must not agree on the same secret"),
        (OtherSecret, "both sides must agree on the same secret"),
        (OneKey, r"agree\(\) must make a new key each time"),
        (NoScheme, r"agreement_scheme\(\) must be an ObjectIdentifier"),
    ],
)
async def test_keys_that_do_not_agree_as_they_should_are_named(algorithm: type[Keys], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_key_algorithm(algorithm(), key_types=["p256"])


async def test_keys_that_agree_or_encrypt_or_do_not_sign_pass() -> None:
    await check_key_algorithm(Agreeing(), key_types=["p256"])
    await check_key_algorithm(MontgomeryCurveKeys())
    await check_key_algorithm(RSAKeys(), key_types=["rsa2048"])


class Forgetful(RSAKeys):
    def encrypt(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, secret: bytes) -> bytes:
        return super().encrypt(public_key_info, algorithm, b"another secret")


class Signing(MontgomeryCurveKeys):
    def verify(self, *arguments: Any) -> bool:
        return False


async def test_keys_that_encrypt_otherwise_or_sign_after_all_are_named() -> None:
    with pytest.raises(AssertionError, match="give back what was encrypted"):
        await check_key_algorithm(Forgetful(), key_types=["rsa2048"])
    with pytest.raises(AssertionError, match="the verification by a key that does not sign"):
        await check_key_algorithm(Signing(), key_types=["x25519"])


class Provider:
    """One key, with a password."""

    schemes: tuple[str, ...] = ("one",)
    uri, missing, password = "one:key", "one:another", b"a password"

    def __init__(self, key: PrivateKey) -> None:
        self.key = key

    async def load(self, uri: str, password: bytes | None, algorithms: Sequence[KeyAlgorithm]) -> PrivateKey:
        if uri != self.uri:
            raise ConfigurationError(f"{uri} is not there")
        if password != self.password:
            raise ConfigurationError("the password is wrong")
        return self.key


class NoSchemes(Provider):
    schemes = "one"  # type: ignore[assignment]


class UpperCase(Provider):
    schemes = ("ONE",)


class OtherScheme(Provider):
    schemes = ("two",)


class NewKeys(Provider):
    async def load(self, *arguments: Any) -> PrivateKey:
        return EllipticCurveKeys().generate("p256")


class AnyURI(Provider):
    async def load(self, uri: str, password: bytes | None, algorithms: Sequence[KeyAlgorithm]) -> PrivateKey:
        return await super().load(self.uri, password, algorithms)


class NoPassword(Provider):
    async def load(self, uri: str, password: bytes | None, algorithms: Sequence[KeyAlgorithm]) -> PrivateKey:
        return await super().load(uri, self.password, algorithms)


class TellsPassword(Provider):
    async def load(self, uri: str, password: bytes | None, algorithms: Sequence[KeyAlgorithm]) -> PrivateKey:
        try:
            return await super().load(uri, password, algorithms)
        except ConfigurationError as error:
            raise ConfigurationError(f"the password is {self.password.decode()}") from error


class OtherError(Provider):
    async def load(self, uri: str, password: bytes | None, algorithms: Sequence[KeyAlgorithm]) -> PrivateKey:
        if uri != self.uri:
            raise FileNotFoundError(uri)
        return await super().load(uri, password, algorithms)


async def check(provider: Provider) -> None:
    await check_key_provider(
        provider, Provider.uri, (EllipticCurveKeys(),), missing=Provider.missing, password=Provider.password
    )


async def test_a_key_provider_that_keeps_the_contract_passes(key: PrivateKey) -> None:
    await check(Provider(key))


@pytest.mark.parametrize(
    ("provider", "breach"),
    [
        (NoSchemes, "schemes must be a tuple of URL schemes in lower case, not 'one'"),
        (UpperCase, "schemes must be a tuple of URL schemes in lower case"),
        (OtherScheme, "the check needs a URI of"),
        (NewKeys, r"load\(\) must find the same key each time"),
        (AnyURI, "a key that is not there must be refused by a ConfigurationError, but was not"),
        (NoPassword, "a key with a wrong password must be refused"),
        (TellsPassword, "no password may be in the text of an error"),
        (OtherError, "by a ConfigurationError, not by FileNotFoundError"),
    ],
)
async def test_a_key_provider_that_breaks_the_contract_is_named(
    provider: type[Provider], breach: str, key: PrivateKey
) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check(provider(key))


async def test_a_provided_key_must_be_of_an_algorithm_that_there_is(key: PrivateKey) -> None:
    with pytest.raises(AssertionError, match="must give a key of one of the algorithms"):
        await check_key_provider(Provider(key), Provider.uri, (), missing=Provider.missing, password=Provider.password)


async def test_a_public_key_that_is_none_is_named(key: PrivateKey) -> None:
    broken = Key(key)
    broken.public_key_info = hashlib.sha256(b"").digest()
    with pytest.raises(AssertionError, match="public_key_info must be a SubjectPublicKeyInfo"):
        await check_private_key(broken, EllipticCurveKeys())
