"""The steps of a rollover: what each leaves behind, and that none of them can leave a CA that does not work."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cmpkit import oids
from cmpkit.asn1 import CertificateWire, decode, to_tlv
from cmpkit.ca.generation import Generation
from cmpkit.ca.setup import initialise
from cmpkit.config import check_configuration, load_configuration, open_parts, open_store
from cmpkit.config.rollover import Switched, finish_rollover, prepare_rollover, switch_keys
from cmpkit.crypto.crls import check_crl_signature
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.root_update import check_root_update
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.support import believe_root_update, read_root_update
from cmpkit.errors import ConfigurationError
from cmpkit.parts import (
    Authenticated,
    CertificateRecord,
    Credential,
    InfoContext,
    ProtectionKind,
    StatusAddresses,
    StatusPublisher,
    UnitOfWork,
    root_key_updates,
)
from cmpkit.plugins import Plugins

from .conftest import Write

NOBODY = Authenticated("", Credential(ProtectionKind.SIGNATURE, "nobody"))


class Steps:
    """Runs the steps on one configuration file."""

    def __init__(self, path: Path, plugins: Plugins) -> None:
        self.path, self.plugins = path, plugins
        self.now = datetime.now(UTC)

    @property
    def directory(self) -> Path:
        return self.path.parent

    async def prepare(self, **options: object) -> Generation:
        return await prepare_rollover(self.path, self.plugins, **{"now": self.now, **options})  # type: ignore[arg-type]

    async def switch(self, *crl_urls: str) -> Switched:
        return await switch_keys(self.path, self.plugins, addresses={"crl_urls": crl_urls}, now=self.now)

    async def finish(self, *, force: bool = False, later: timedelta = timedelta()) -> tuple[str, ...]:
        return await finish_rollover(self.path, self.plugins, force=force, now=self.now + later)

    async def check(self) -> None:
        await check_configuration(self.path, self.plugins, now=self.now)

    def certificates(self, name: str) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates((self.directory / name).read_bytes())

    def ders(self, name: str) -> tuple[bytes, ...]:
        return load_certificates((self.directory / name).read_bytes())


@pytest.fixture
def steps(write: Write, plugins: Plugins) -> Steps:
    return Steps(write(), plugins)


class TestPrepare:
    @pytest.mark.rule("R-196")
    async def test_the_certificates_are_those_of_rfc_9810(self, steps: Steps) -> None:
        await steps.prepare()
        (old,) = steps.certificates("root/root.pem")
        new, link, back = (
            steps.certificates(f"ca-2/{name}.pem")[0] for name in ("new-with-new", "new-with-old", "old-with-new")
        )
        new.verify_directly_issued_by(new)
        link.verify_directly_issued_by(old)
        back.verify_directly_issued_by(new)
        assert link.public_key() == new.public_key() != old.public_key() == back.public_key()
        assert {certificate.subject for certificate in (old, new, link, back)} == {old.subject}
        #
        assert new.not_valid_before_utc == link.not_valid_before_utc < old.not_valid_after_utc
        assert link.not_valid_after_utc <= old.not_valid_after_utc
        validity = (back.not_valid_before_utc, back.not_valid_after_utc)
        assert validity == (old.not_valid_before_utc, old.not_valid_after_utc)

    async def test_the_new_root_is_trusted_and_told_of_while_the_old_key_issues(self, steps: Steps) -> None:
        old = steps.ders("trust.pem")
        made = await steps.prepare()
        assert steps.ders("trust.pem") == (*old, made.update.new_with_new)
        async with open_parts(load_configuration(steps.path, steps.plugins), steps.plugins) as parts:
            assert await parts.issuer.root_key_update() == made.update
            assert parts.authority == steps.ders("issuing.pem")
            assert parts.former == ()

    async def test_the_root_key_is_encrypted_and_everything_private(self, steps: Steps) -> None:
        await steps.prepare()
        made = steps.directory / "ca-2"
        key, passphrase = (made / "root/root.key.pem").read_bytes(), (made / "root/root.passphrase").read_bytes()
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in key
        assert (
            load_pem_private_key(key, passphrase.strip()).public_key()
            == steps.certificates("ca-2/root/root.pem")[0].public_key()
        )
        private = [path for name in ("root", "keys") for path in (made / name).iterdir()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in (made, made / "root", made / "keys")} == {0o700}

    async def test_a_second_time_gives_the_same(self, steps: Steps) -> None:
        made = await steps.prepare()
        text = steps.path.read_text()
        assert await steps.prepare() == made
        assert steps.path.read_text() == text

    async def test_names_and_keys_are_as_asked_for(self, steps: Steps) -> None:
        made = await steps.prepare(subject=parse_name("CN=Other CA"), key_type="p384")
        assert made.issuing.name == parse_name("CN=Other CA")
        keys = {certificate.public_key().key_size for certificate in steps.certificates("ca-2/signer.pem")}  # type: ignore[union-attr]
        assert keys == {384}

    async def test_what_a_killed_run_left_behind_is_no_obstacle(self, steps: Steps) -> None:
        leftover = steps.directory / ".rollover" / "keys"
        leftover.mkdir(parents=True)
        (leftover / "issuing.key.pem").write_text("half of a key")
        await steps.prepare()
        assert not leftover.exists()
        await steps.check()

    async def test_a_root_that_was_carried_away_must_be_brought_back(self, steps: Steps, tmp_path: Path) -> None:
        shutil.move(steps.directory / "root", tmp_path / "safe")
        text = steps.path.read_text()
        with pytest.raises(ConfigurationError, match="the key of the root CN=Example CA Root is not in"):
            await steps.prepare()
        assert steps.path.read_text() == text
        await steps.prepare(root=tmp_path / "safe")
        await steps.check()

    async def test_the_directory_of_another_root_is_none(self, steps: Steps, tmp_path: Path, plugins: Plugins) -> None:
        await initialise(tmp_path / "other", plugins=plugins, now=steps.now)
        with pytest.raises(ConfigurationError, match="the key of the root CN=Example CA Root is not in"):
            await steps.prepare(root=tmp_path / "other" / "root")

    async def test_a_root_that_issues_itself_is_for_its_owner_to_replace(
        self, steps: Steps, tmp_path: Path, plugins: Plugins
    ) -> None:
        root = steps.directory / "root"
        taken = await initialise(
            tmp_path / "taken",
            ca_certificate=root / "root.pem",
            ca_key=root / "root.key.pem",
            ca_key_password=(root / "root.passphrase").read_bytes().strip(),
            plugins=plugins,
            now=steps.now,
        )
        with pytest.raises(ConfigurationError, match="is not known here, or is the issuing CA itself"):
            await Steps(taken.config, plugins).prepare()

    async def test_an_expired_root_vouches_for_nothing(self, steps: Steps) -> None:
        with pytest.raises(ConfigurationError, match="it can vouch for no other"):
            await steps.prepare(now=steps.now + timedelta(days=3651))

    async def test_keys_that_are_elsewhere_are_replaced_there(self, write: Write, plugins: Plugins) -> None:
        path = write(('kind = "local"', 'kind = "elsewhere"'))
        with pytest.raises(ConfigurationError, match=r"no issuer|not here"):
            await Steps(path, plugins).prepare()

    async def test_two_commands_at_once_do_not_mix(self, steps: Steps) -> None:
        descriptor = os.open(steps.directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with pytest.raises(ConfigurationError, match="another command is changing this CA"):
                await steps.prepare()
        finally:
            os.close(descriptor)


class TestSwitch:
    async def test_the_new_key_issues_and_the_old_one_is_kept(self, steps: Steps) -> None:
        made = await steps.prepare()
        await steps.switch()
        async with open_parts(load_configuration(steps.path, steps.plugins), steps.plugins) as parts:
            assert parts.authority == made.issuing.all
            assert [certificates for _, certificates in parts.former] == [steps.ders("issuing.pem")]
            assert parts.signer.certificate == made.signer.der
            assert made.update.new_with_old in parts.signer.extra_certs
            assert [signer.certificate for signer in parts.former_signers] == [steps.ders("signer.pem")[0]]
            assert await parts.issuer.root_key_update() == made.update
            check_root_update(made.update, steps.ders("root/root.pem")[0], plugins=steps.plugins, now=steps.now)
        assert made.issuing.name == parse_name("CN=Example CA 2")

    async def test_what_has_expired_of_the_former_keys_stops_nothing(self, steps: Steps) -> None:
        steps.now += timedelta(days=365)
        await steps.prepare()
        await steps.switch()
        # The issuing CA of the beginning lives for 1825 days.
        steps.now += timedelta(days=1465)
        await steps.check()

    async def test_without_preparation_there_is_nothing_to_switch_to(self, steps: Steps) -> None:
        with pytest.raises(ConfigurationError, match="no new keys were prepared"):
            await steps.switch()

    async def test_each_crl_needs_an_address_of_its_own(self, write: Write, plugins: Plugins) -> None:
        first, second = "http://crl.example/ca.crl", "http://crl.example/ca-2.crl"
        steps = Steps(write(('kind = "local"\n', f'kind = "local"\ncrl_urls = ["{first}"]\n')), plugins)
        await steps.prepare()
        await steps.switch()
        async with open_parts(load_configuration(steps.path, plugins), plugins) as parts:
            ((former, _),) = parts.former
            assert (parts.issuer.crl_urls, former.crl_urls) == ((second,), (first,))

    @pytest.mark.parametrize("given", [(), ("http://crl.example/other.crl",)])
    async def test_an_address_that_is_none_of_http_is_given_by_the_operator(
        self, write: Write, plugins: Plugins, given: tuple[str, ...]
    ) -> None:
        line = 'crl_urls = ["ldap://dir.example/cn=ca"]'
        steps = Steps(write(('kind = "local"\n', f'kind = "local"\n{line}\n')), plugins)
        await steps.prepare()
        if given:
            assert (await steps.switch(*given)).addresses["crl_urls"] == given
            return
        with pytest.raises(ConfigurationError, match="needs an address of its own"):
            await steps.switch()

    async def test_every_address_is_followed_by_one_for_the_new_key(self, write: Write, plugins: Plugins) -> None:
        lines = (
            *('delta_crl_validity = "1d"', 'delta_crl_urls = ["http://pki.example/crl/delta.crl"]'),
            *('ca_issuers_urls = ["http://pki.example/ca/ca.cer"]', 'ocsp_urls = ["http://pki.example/ocsp"]'),
        )
        text = "\n".join(lines)
        steps = Steps(write(('kind = "local"\n', f'kind = "local"\n{text}\n')), plugins)
        for number in ("2", "3"):
            await steps.prepare()
            await steps.switch()
            async with open_parts(load_configuration(steps.path, plugins), plugins) as parts:
                assert isinstance(parts.issuer, StatusPublisher)
                assert parts.issuer.addresses == StatusAddresses(
                    (f"http://pki.example/crl/delta-{number}.crl",),
                    ("http://pki.example/ocsp",),
                    (f"http://pki.example/ca/ca-{number}.cer",),
                )
                published = parts.published
                assert published is not None
                assert {f"root-{number}.crl", "root.crl"} <= published.crls.keys()
                assert len(published.signers) == 2
            await steps.finish()

    async def test_keys_that_cannot_be_used_leave_everything_as_it_was(self, steps: Steps) -> None:
        await steps.prepare()
        text = steps.path.read_text()
        (steps.directory / "ca-2/keys/issuing.key.pem").write_text("damaged")
        with pytest.raises(ConfigurationError, match=r"\[issuer\] key"):
            await steps.switch()
        assert steps.path.read_text() == text
        assert sorted(path.name for path in steps.directory.glob(".*")) == []
        await steps.check()


class TestFinish:
    async def test_what_is_valid_keeps_the_old_key_in_use(self, steps: Steps, plugins: Plugins) -> None:
        configuration = load_configuration(steps.path, plugins)
        async with open_store(configuration, plugins) as store:
            (signer, *_) = await store.certificates()
            ends = signer.not_before + timedelta(days=365)
            record = CertificateRecord(
                issuer_key=signer.issuer_key,
                serial_number=1,
                der=b"certificate",
                fingerprint=bytes(32),
                subject="CN=dev",
                not_before=signer.not_before,
                not_after=ends,
                profile="device",
                request_key="key",
            )
            await store.commit(UnitOfWork(certificates=(record,)))
        await steps.prepare()
        await steps.switch()
        with pytest.raises(ConfigurationError, match="certificates of CN=Example CA are valid until"):
            await steps.finish()
        keys = await steps.finish(later=timedelta(days=366))
        assert keys == ("file:keys/issuing.key.pem", "file:keys/signer.key.pem")

    async def test_the_old_root_is_no_anchor_any_more_but_still_leads_to_the_new_one(self, steps: Steps) -> None:
        made = await steps.prepare()
        await steps.switch()
        await steps.finish()
        assert steps.ders("trust.pem") == (made.update.new_with_new,)
        async with open_parts(load_configuration(steps.path, steps.plugins), steps.plugins) as parts:
            assert parts.former == parts.former_signers == ()
            assert await parts.issuer.root_key_update() == made.update

    async def test_there_may_be_another_rollover_only_then(self, steps: Steps) -> None:
        await steps.prepare()
        await steps.switch()
        with pytest.raises(ConfigurationError, match="the keys were replaced already"):
            await steps.prepare()
        await steps.finish(force=True)
        made = await steps.prepare()
        await steps.switch()
        assert made.issuing.name == parse_name("CN=Example CA 3")
        assert steps.ders("trust.pem") == (steps.ders("ca-2/root/root.pem")[0], made.update.new_with_new)
        await steps.check()

    async def test_without_former_keys_there_is_nothing_to_finish(self, steps: Steps) -> None:
        with pytest.raises(ConfigurationError, match="there are no former keys"):
            await steps.finish()


class TestSeveral:
    """Two rollovers, of which the first was not finished."""

    @pytest.fixture
    async def rolled(self, steps: Steps) -> Steps:
        for _ in range(2):
            await steps.prepare(again=True)
            await steps.switch()
        return steps

    @pytest.mark.rule("R-183", "R-196")
    async def test_each_root_leads_to_the_one_after_it(self, rolled: Steps, plugins: Plugins) -> None:
        roots = [rolled.ders(name)[0] for name in ("root/root.pem", "ca-2/root/root.pem", "ca-3/root/root.pem")]
        assert set(rolled.ders("trust.pem")) == set(roots)
        part = plugins.require("info type", oids.ROOT_CA_CERT)
        async with open_parts(load_configuration(rolled.path, plugins), plugins) as parts:
            for old, new in ((roots[0], roots[1]), (roots[1], roots[2]), (None, roots[2]), (roots[2], None)):
                context = InfoContext(parts.issuer, NOBODY, rolled.now)
                asked = None if old is None else to_tlv(decode(CertificateWire, old))
                answer = await part.answer(asked, context)
                if new is None:
                    assert answer.info_value is None
                    continue
                update = believe_root_update(read_root_update(answer), roots, plugins=plugins, now=rolled.now)
                assert update.new_with_new == new
            links = [rolled.ders(f"ca-{number}/new-with-old.pem")[0] for number in (3, 2)]
            assert [der for der in parts.signer.extra_certs if der in links] == links
            path = (*parts.signer.extra_certs[1:], *links)
            validate_path(parts.signer.certificate, candidates=path, anchors=roots[:1], now=rolled.now, plugins=plugins)

    async def test_every_key_has_its_crl_and_its_signer_of_ocsp_responses(
        self, rolled: Steps, plugins: Plugins
    ) -> None:
        async with open_parts(load_configuration(rolled.path, plugins), plugins) as parts:
            assert await parts.issuer.ca_certificates() == rolled.ders("ca-3/issuing.pem")
            issuers = [rolled.ders(name)[0] for name in ("ca-3/issuing.pem", "ca-2/issuing.pem", "issuing.pem")]
            assert [chain[0] for _, chain in parts.former] == issuers[1:]
            for issuer, der in zip((parts.issuer, *(one for one, _ in parts.former)), issuers, strict=True):
                check_crl_signature(await issuer.crl(now=rolled.now), der, plugins)
            assert parts.published is not None
            assert len(parts.published.signers) == 3
            assert len(parts.former_signers) == 2

    async def test_they_are_announced_the_oldest_first(self, rolled: Steps, plugins: Plugins) -> None:
        async with open_parts(load_configuration(rolled.path, plugins), plugins) as parts:
            updates = await root_key_updates(parts.issuer)
        told = [rolled.ders(f"ca-{number}/new-with-new.pem")[0] for number in (3, 2)]
        assert [update.new_with_new for update in updates] == told

    async def test_what_nobody_can_verify_any_more_is_not_told(self, rolled: Steps, plugins: Plugins) -> None:
        await rolled.finish(force=True)
        rolled.now += timedelta(days=3651)
        settings = load_configuration(rolled.path, plugins).issuer.settings
        assert len(settings["earlier_root_updates"]) == 1
        text = rolled.path.read_text()
        with pytest.raises(ConfigurationError, match="valid from"):
            await rolled.prepare()
        assert rolled.path.read_text() == text

    async def test_without_again_the_keys_are_not_replaced_twice(self, rolled: Steps) -> None:
        with pytest.raises(ConfigurationError, match="former ones are still in use") as caught:
            await rolled.prepare()
        assert "--again" in caught.value.hint


async def test_every_address_may_be_given(write: Write, plugins: Plugins) -> None:
    lines = (
        *('crl_urls = ["ldap://pki.example/cn=ca"]', 'delta_crl_validity = "1d"'),
        *('delta_crl_urls = ["ldap://pki.example/cn=delta"]', 'ca_issuers_urls = ["ldap://pki.example/cn=issuer"]'),
    )
    text = "\n".join(lines)
    steps = Steps(write(('kind = "local"\n', f'kind = "local"\n{text}\n')), plugins)
    await steps.prepare()
    given = {f"{name}_urls": (f"http://pki.example/{name}-2",) for name in ("crl", "delta_crl", "ca_issuers")}
    for missing, option in (("crl", "--crl-url"), ("delta_crl", "--delta-crl-url"), ("ca_issuers", "--ca-issuers-url")):
        some = {key: urls for key, urls in given.items() if key != f"{missing}_urls"}
        with pytest.raises(ConfigurationError, match="needs an address of its own") as caught:
            await switch_keys(steps.path, plugins, addresses=some, now=steps.now)
        assert caught.value.hint == f"give {option}"
    assert (await switch_keys(steps.path, plugins, addresses=given, now=steps.now)).addresses == given
