"""Certificates that are kept valid: when they are due, through failures, and after the process was killed anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from device import SECRET, KilledError
from renewing import Renewing

from cmpkit.crypto.keys import generate_key, key_to_pem
from cmpkit.endpoints.checkpoints import Checkpoint
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError, DeploymentError, PeerRefusal, StillWaiting, TransportError, TrustError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import PrivateKey
from cmpkit.renewal.adding import import_pair
from cmpkit.renewal.definition import dump_definition
from cmpkit.renewal.keeper import Keeper
from cmpkit.renewal.renewer import Deed, Outcome

DOWN = TransportError("connection refused")
CLIENT_POINTS = [
    Checkpoint.KEY_WRITTEN,
    Checkpoint.REQUEST_SAVED,
    Checkpoint.ANSWER_RECEIVED,
    Checkpoint.CERTIFICATE_SAVED,
    Checkpoint.CONFIRMED,
    Checkpoint.VERSION_WRITTEN,
    Checkpoint.VERSION_IN_USE,
]


@dataclass(eq=False)
class HoldsKey:
    """A key provider with one key, which cannot leave it."""

    key: PrivateKey
    schemes: tuple[str, ...] = ("held",)

    @hookimpl
    def cmpkit_key_providers(self) -> list[HoldsKey]:
        return [self]

    async def load(self, uri: str, password: bytes | None, algorithms: object) -> PrivateKey:
        return self.key


def bodies(renewing: Renewing) -> list[BodyType]:
    return [request.body.type for request in renewing.device.road.requests]


class TestDue:
    async def test_the_first_certificate_is_got_by_the_secret_and_the_next_ones_by_the_one_before(
        self, renewing: Renewing
    ) -> None:
        await renewing.add(implicit_confirm=False)
        assert (await renewing.renew()).done == (Deed.ENROLLED,)
        first = renewing.certificate()
        assert (await renewing.renew()).done == ()
        renewing.until_due()
        assert (await renewing.renew()).done == (Deed.UPDATED,)
        second = renewing.certificate()
        assert bodies(renewing) == [BodyType.IR, BodyType.CERT_CONF, BodyType.KUR, BodyType.CERT_CONF]
        assert second.public_key() != first.public_key()
        assert second.not_valid_after_utc > first.not_valid_after_utc

    async def test_a_certificate_that_there_is_needs_no_secret(self, renewing: Renewing) -> None:
        pair = await renewing.enrolled()
        await renewing.add(pair, ref=None, secret=None)
        renewing.until_due()
        assert (await renewing.renew()).done == (Deed.UPDATED,)

    async def test_the_key_stays_if_it_is_to_be(self, renewing: Renewing) -> None:
        await renewing.add(reuse_key=True)
        await renewing.renew()
        first = renewing.certificate()
        assert (await renewing.renew(force=True)).done == (Deed.UPDATED,)
        assert renewing.certificate().public_key() == first.public_key()
        assert renewing.certificate().serial_number != first.serial_number

    async def test_a_key_that_is_in_no_file_is_certified_again(self, renewing: Renewing) -> None:
        device = HoldsKey(generate_key("p256", renewing.device.plugins))
        renewing.device.plugins.add(device, "device")
        await renewing.add(
            key="held:key", reuse_key=True, deploy_hook=f"echo $CMPKIT_KEY > {renewing.device.path('key')}"
        )
        assert (await renewing.renew()).done == (Deed.ENROLLED, Deed.DEPLOYED)
        renewing.until_due()
        renewing.device.watcher.at[Checkpoint.CONFIRMED.value] = KilledError()
        with pytest.raises(BaseExceptionGroup):
            await renewing.renew()
        assert (await renewing.renew()).done == (Deed.UPDATED, Deed.DEPLOYED)
        await renewing.keeper().check(renewing.place)
        assert renewing.device.path("key").read_text() == "held:key\n"
        assert not (renewing.place.current / "key.pem").exists()

    async def test_the_type_of_the_key_may_change(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        text = renewing.place.definition.read_text()
        renewing.place.definition.write_text(f'{text}\nnewkey_type = "p384"\n')
        await renewing.renew(force=True)
        assert renewing.certificate().public_key().curve.name == "secp384r1"  # type: ignore[union-attr]

    async def test_a_certificate_that_is_too_late_to_update_says_what_to_do(self, renewing: Renewing) -> None:
        pair = await renewing.enrolled()
        await renewing.add(pair, ref=None, secret=None)
        renewing.until_expired()
        requests = len(renewing.device.road.requests)
        outcome = await renewing.renew()
        (error,) = outcome.errors
        assert "expired" in error.detail
        assert "cmpkit renew import dev" in error.hint
        assert len(renewing.device.road.requests) == requests
        assert outcome.next_step > renewing.clock()
        with pytest.raises(ConfigurationError, match="expired"):
            await renewing.keeper().check(renewing.place)

    async def test_without_certificate_and_secret_there_is_nothing_to_begin_with(self, renewing: Renewing) -> None:
        await renewing.add()
        text = dump_definition(renewing.definition(ref=None, secret=None))
        renewing.place.definition.write_text(text)
        assert "no shared secret" in (await renewing.renew()).errors[0].detail

    async def test_it_is_got_anew_if_there_is_a_secret(self, renewing: Renewing) -> None:
        await renewing.add(subject=None, sans="dev-42.example")
        pair = await renewing.enrolled()
        await import_pair(renewing.place, renewing.definition(), renewing.device.plugins, pair=pair, keypass=None)
        renewing.until_expired()
        config = renewing.device.road.config
        config.write_text(config.read_text().replace("# allow_requested_names = false", "allow_requested_names = true"))
        assert (await renewing.renew()).done == (Deed.ENROLLED,)
        assert renewing.certificate().subject.rfc4514_string() == "CN=dev-42"

    async def test_one_that_expired_may_be_imported(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        renewing.until_expired()
        renewing.place.definition.write_text(dump_definition(renewing.definition(ref=None, secret=None)))
        assert (await renewing.renew()).errors
        pair = await renewing.enrolled()
        await import_pair(renewing.place, renewing.definition(), renewing.device.plugins, pair=pair, keypass=None)
        assert (await renewing.renew()).errors == ()

    async def test_a_renewal_that_gains_no_time_is_not_repeated_at_once(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        config = renewing.device.road.config
        config.write_text(config.read_text().replace('validity = "60s"', 'validity = "10s"'))
        renewing.clock.advance(30)
        outcome = await renewing.renew(force=True)
        assert outcome.done == (Deed.UPDATED,)
        assert "ends no later" in outcome.errors[0].detail
        assert renewing.standing.state.renewal is not None


class TestFailures:
    async def test_pauses_between_attempts_grow_and_end_with_success(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        renewing.until_due()
        pauses = []
        for attempt in (1, 2, 3):
            renewing.device.road.faults = [DOWN]
            outcome = await renewing.renew()
            assert outcome.errors == (DOWN,)
            trouble = renewing.standing.state.renewal
            assert trouble is not None
            assert (trouble.attempts, trouble.error) == (attempt, str(DOWN))
            assert (await renewing.renew()).errors == ()
            pauses.append(outcome.next_step - renewing.clock())
            renewing.until_due()
        assert pauses == sorted(pauses)
        assert (await renewing.renew()).done == (Deed.UPDATED,)
        assert renewing.standing.state.renewal is None

    async def test_the_same_request_is_sent_again(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        renewing.device.road.requests.clear()
        renewing.device.road.faults = [DOWN]
        await renewing.renew(force=True)
        renewing.until_due()
        await renewing.renew()
        first, again = renewing.device.road.requests
        assert first.raw == again.raw
        assert len(await renewing.issued()) == 2

    async def test_a_certificate_that_is_confirmed_too_late_is_asked_for_anew(self, renewing: Renewing) -> None:
        await renewing.add(implicit_confirm=False)
        renewing.device.road.faults = [None, DOWN]
        assert (await renewing.renew()).errors == (DOWN,)
        renewing.clock.advance(16 * 60)
        outcome = await renewing.renew()
        assert (outcome.done, outcome.errors) == ((Deed.ENROLLED,), ())
        (record,) = await renewing.issued()
        assert record.serial_number == renewing.certificate().serial_number

    async def test_a_refusal_is_noted_and_the_next_attempt_is_a_new_request(self, renewing: Renewing) -> None:
        await renewing.add(profile="none")
        outcome = await renewing.renew()
        assert isinstance(outcome.errors[0], PeerRefusal)
        text = renewing.place.definition.read_text()
        renewing.place.definition.write_text(text.replace('profile = "none"\n', ""))
        assert (await renewing.renew(force=True)).done == (Deed.ENROLLED,)

    async def test_a_server_that_needs_time_is_asked_again_when_it_said(self, renewing: Renewing) -> None:
        await renewing.add(total_timeout=2.0)
        renewing.device.road.waits, renewing.device.road.check_after = 2, 600
        outcome = await renewing.renew()
        (error,) = outcome.errors
        assert isinstance(error, StillWaiting)
        assert "cmpkit resume" not in error.hint
        assert outcome.next_step >= renewing.clock() + timedelta(seconds=597)
        renewing.until_due()
        assert (await renewing.renew()).done == (Deed.ENROLLED,)
        assert len(await renewing.issued()) == 1

    async def test_an_answer_that_is_not_believed_changes_nothing(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        before = renewing.certificate()
        renewing.device.road.faults = [lambda answer: answer[:-1] + bytes([answer[-1] ^ 1])]
        outcome = await renewing.renew(force=True)
        assert isinstance(outcome.errors[0], TrustError | TransportError)
        assert renewing.certificate() == before

    async def test_one_that_fails_keeps_nobody_from_the_others(self, renewing: Renewing) -> None:
        await renewing.add()
        (renewing.place.folder / "broken.toml").write_text("url = 1\n")
        broken, fine = await renewing.keeper().renew()
        assert "url: text is needed" in broken.errors[0].detail
        assert fine.done == (Deed.ENROLLED,)

    async def test_a_fault_of_the_disk_is_the_affair_of_one_certificate(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        renewing.device.watcher.at[Checkpoint.KEY_WRITTEN.value] = OSError(28, "No space left on device", "new.key")
        outcome = await renewing.renew(force=True)
        assert outcome.errors[0].detail == "new.key: No space left on device"

    async def test_one_that_another_process_works_on_is_left_alone(self, renewing: Renewing) -> None:
        await renewing.add()
        with renewing.place.locked():
            outcome = await renewing.renew()
        assert "another process" in outcome.errors[0].detail
        assert not renewing.device.road.requests

    async def test_a_name_that_is_not_there_is_refused(self, renewing: Renewing) -> None:
        await renewing.add()
        with pytest.raises(ConfigurationError, match="there is no other"):
            await renewing.renew(["other"])

    def test_keys_are_encrypted_and_made_again_if_their_password_changed(
        self, renewing: Renewing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On one backend: derivations take their time."""
        monkeypatch.setenv("KEYPASS", "one")
        anyio.run(lambda: renewing.add(keypass="env:KEYPASS"))
        renewing.device.road.faults = [DOWN]
        assert anyio.run(renewing.renew).errors == (DOWN,)
        monkeypatch.setenv("KEYPASS", "two")
        renewing.until_due()
        assert anyio.run(renewing.renew).done == (Deed.ENROLLED,)
        key = (renewing.place.current / "key.pem").read_bytes()
        assert serialization.load_pem_private_key(key, b"two")


class TestKilled:
    @pytest.mark.parametrize(
        ("point", "reuse_key"),
        [*((point, False) for point in CLIENT_POINTS), *((point, True) for point in CLIENT_POINTS[-2:])],
        ids=lambda value: value.name.lower() if isinstance(value, Checkpoint) else "same-key" if value else "new-key",
    )
    async def test_the_next_run_finishes_what_was_begun_and_asks_for_nothing_twice(
        self, renewing: Renewing, point: Checkpoint, reuse_key: bool
    ) -> None:
        await renewing.add(reuse_key=reuse_key, implicit_confirm=point is not Checkpoint.CERTIFICATE_SAVED)
        await renewing.renew()
        before = renewing.certificate()
        renewing.until_due()
        renewing.device.watcher.at[point.value] = KilledError()
        with pytest.raises(BaseExceptionGroup) as killed:
            await renewing.renew()
        assert killed.group_contains(KilledError)
        renewing.certificate()
        await renewing.renew()
        assert renewing.certificate().serial_number != before.serial_number
        assert len(await renewing.issued()) == 2
        assert sorted(path.name for path in renewing.place.directory.iterdir()) == [
            *("current", "lock", "state.json", "transactions", "versions")
        ]
        assert not list(renewing.place.transactions.iterdir())

    async def test_a_certificate_that_came_is_used_though_the_one_before_expired(self, renewing: Renewing) -> None:
        pair = await renewing.enrolled()
        await renewing.add(pair, ref=None, secret=None)
        renewing.clock.advance(50)
        renewing.device.watcher.at[Checkpoint.CONFIRMED.value] = KilledError()
        with pytest.raises(BaseExceptionGroup):
            await renewing.renew()
        renewing.until_expired()
        requests = len(renewing.device.road.requests)
        assert (await renewing.renew()).done == (Deed.UPDATED,)
        assert len(renewing.device.road.requests) == requests

    async def test_one_that_came_and_expired_is_got_anew(self, renewing: Renewing) -> None:
        await renewing.add()
        renewing.device.watcher.at[Checkpoint.CONFIRMED.value] = KilledError()
        with pytest.raises(BaseExceptionGroup):
            await renewing.renew()
        renewing.clock.advance(61)
        assert (await renewing.renew()).done == (Deed.ENROLLED,)
        assert renewing.certificate().not_valid_after_utc > renewing.clock()

    async def test_a_hook_that_was_not_noted_runs_again(self, renewing: Renewing) -> None:
        ran = renewing.device.path("ran")
        await renewing.add(deploy_hook=f"echo >> {ran}")
        renewing.device.watcher.at[Checkpoint.DEPLOYED.value] = KilledError()
        with pytest.raises(BaseExceptionGroup):
            await renewing.renew()
        assert (await renewing.renew()).done == (Deed.DEPLOYED,)
        assert len(ran.read_text()) == 2
        assert (await renewing.renew()).done == ()

    async def test_what_was_begun_is_forgotten_when_a_certificate_is_imported(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        renewing.device.watcher.at[Checkpoint.CONFIRMED.value] = KilledError()
        with pytest.raises(BaseExceptionGroup):
            await renewing.renew(force=True)
        pair = await renewing.enrolled()
        await import_pair(renewing.place, renewing.definition(), renewing.device.plugins, pair=pair, keypass=None)
        assert not list(renewing.place.transactions.iterdir())
        assert (await renewing.renew()).done == ()
        assert (await renewing.renew(force=True)).done == (Deed.UPDATED,)

    async def test_what_was_begun_with_another_secret_is_forgotten(self, renewing: Renewing) -> None:
        await renewing.add()
        right = renewing.device.path("dev-42.secret").read_text()
        renewing.device.path("dev-42.secret").write_text("another one")
        renewing.device.road.faults = [DOWN]
        await renewing.renew()
        renewing.device.path("dev-42.secret").write_text(right)
        assert (await renewing.renew(force=True)).done == (Deed.ENROLLED,)


class TestHook:
    async def test_it_finds_the_files_in_its_environment(self, renewing: Renewing) -> None:
        seen = renewing.device.path("seen")
        files = '"$CMPKIT_CERTIFICATE" "$CMPKIT_CHAIN" "$CMPKIT_KEY"'
        await renewing.add(deploy_hook=f'cat {files} > {seen}; echo "$CMPKIT_NAME" >> {seen}')
        assert (await renewing.renew()).done == (Deed.ENROLLED, Deed.DEPLOYED)
        texts = [(renewing.place.current / name).read_text() for name in ("cert.pem", "chain.pem", "key.pem")]
        assert seen.read_text() == "".join([*texts, "dev\n"])

    async def test_its_failure_is_noted_and_it_runs_later_without_another_renewal(self, renewing: Renewing) -> None:
        good = renewing.device.path("good")
        await renewing.add(deploy_hook=f"echo no good; test -e {good}")
        outcome = await renewing.renew()
        assert outcome.done == (Deed.ENROLLED,)
        (error,) = outcome.errors
        assert isinstance(error, DeploymentError)
        assert error.detail == "the deploy hook ended with status 1: no good"
        assert (await renewing.renew()).errors == ()
        renewing.until_due()
        assert isinstance((await renewing.renew()).errors[0], DeploymentError)
        trouble = renewing.standing.state.deployment
        assert trouble is not None
        assert trouble.attempts == 2
        good.touch()
        renewing.until_due()
        requests = len(renewing.device.road.requests)
        assert (await renewing.renew()).done == (Deed.DEPLOYED,)
        assert len(renewing.device.road.requests) == requests

    async def test_it_does_not_see_secrets_of_the_environment(
        self, renewing: Renewing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = renewing.device.path("seen")
        monkeypatch.setenv("HIDDEN", SECRET)
        monkeypatch.setenv("HARMLESS", "yes")
        (renewing.place.folder).mkdir(mode=0o700)
        (renewing.place.folder / "broken.toml").write_text("url = 1\n")
        await renewing.add(secret="env:HIDDEN", deploy_hook=f"env > {seen}")
        assert (await renewing.keeper().renew(["dev"]))[0].errors == ()
        assert SECRET not in seen.read_text()
        assert "HARMLESS=yes" in seen.read_text()

    async def test_it_runs_again_if_forced(self, renewing: Renewing) -> None:
        ran = renewing.device.path("ran")
        await renewing.add(deploy_hook=f"echo >> {ran}")
        await renewing.renew()
        assert (await renewing.renew(force=True)).done == (Deed.UPDATED, Deed.DEPLOYED)
        assert len(ran.read_text()) == 2


class TestAdding:
    async def test_a_name_can_be_taken_once(self, renewing: Renewing) -> None:
        await renewing.add()
        with pytest.raises(ConfigurationError, match="under renewal already"):
            await renewing.add()

    async def test_something_must_be_there_to_begin_with(self, renewing: Renewing) -> None:
        with pytest.raises(ConfigurationError, match="nothing to renew"):
            await renewing.add(ref=None, secret=None)

    async def test_a_key_that_does_not_fit_is_refused_and_nothing_added(self, renewing: Renewing) -> None:
        pair = await renewing.enrolled()
        other = renewing.device.path("other.key")
        other.write_bytes(key_to_pem(generate_key("p256", renewing.device.plugins)))
        with pytest.raises(ConfigurationError, match="is not that of the certificate"):
            await renewing.add((pair[0], other.as_uri()))
        assert not renewing.place.definition.exists()

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"trusted": (Path("/none.pem"),)}, "/none.pem"),
            ({"url": "gopher://x"}, "gopher"),
            ({"secret": "env:NOT_THERE"}, "NOT_THERE"),
            ({"tolerate": ("md5",)}, "hmac-sha1"),
            ({"mac": "md5"}, "mac: there is no md5"),
            ({"sans": "ä"}, "--sans"),
        ],
    )
    async def test_what_cannot_be_used_is_named_before_it_is_needed(
        self, renewing: Renewing, changes: dict[str, object], said: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=said):
            await renewing.add(**changes)
        assert not renewing.place.definition.exists()

    async def test_an_empty_secret_is_refused(self, renewing: Renewing, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        with pytest.raises(ConfigurationError, match="empty"):
            await renewing.add(secret=f"file:{tmp_path / 'empty'}")

    async def test_files_that_were_exchanged_are_found_out(self, renewing: Renewing) -> None:
        await renewing.add()
        await renewing.renew()
        key = key_to_pem(generate_key("p256", renewing.device.plugins))
        (renewing.place.current / "key.pem").write_bytes(key)
        with pytest.raises(ConfigurationError, match="is not that of the certificate"):
            await renewing.keeper().check(renewing.place)
        assert "is not that" in (await renewing.renew(force=True)).errors[0].detail


class TestStaying:
    async def test_a_certificate_of_a_minute_is_valid_for_five_through_a_restart_and_a_failing_hook(
        self, renewing: Renewing
    ) -> None:
        begin, stop = renewing.clock(), anyio.Event()
        good = renewing.device.path("good")
        good.touch()
        ran = renewing.device.path("ran")
        await renewing.add(deploy_hook=f"test -e {good} && cat $CMPKIT_CERTIFICATE >> {ran}")
        outcomes: list[Outcome] = []

        def passing(seconds: float) -> None:
            """The certificate outlives the sleep; the server is away for 10 s, and the hook fails for a minute."""
            after = renewing.clock() + timedelta(seconds=seconds)
            assert renewing.certificate().not_valid_after_utc > after
            elapsed = (after - begin).total_seconds()
            renewing.device.road.faults = [DOWN] if 118 <= elapsed < 128 else []
            if 180 <= elapsed < 240:
                good.unlink(missing_ok=True)
            else:
                good.touch()
            if elapsed > 300:
                stop.set()

        renewing.before_sleep = passing
        await renewing.keeper().keep(stop, told=outcomes.append)
        deeds = [deed for outcome in outcomes for deed in outcome.done]
        errors = [type(error) for outcome in outcomes for error in outcome.errors]
        assert deeds[0] is Deed.ENROLLED
        assert 6 <= deeds.count(Deed.UPDATED) <= 8
        assert TransportError in errors
        assert DeploymentError in errors
        assert len(await renewing.issued()) == deeds.count(Deed.UPDATED) + 1
        assert ran.read_text().endswith((renewing.place.current / "cert.pem").read_text())
        assert len(renewing.slept) < 40

    async def test_it_looks_again_when_it_is_woken(self, renewing: Renewing) -> None:
        stop, told = anyio.Event(), anyio.Event()
        await renewing.add()
        keeper = Keeper(
            renewing.place.folder,
            renewing.device.plugins,
            clock=renewing.clock,
            sleep=lambda seconds: anyio.sleep_forever(),
        )
        outcomes: list[Outcome] = []

        def tell(outcome: Outcome) -> None:
            outcomes.append(outcome)
            told.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: keeper.keep(stop, told=tell))
            await told.wait()
            told = anyio.Event()
            keeper.wake()
            await told.wait()
            stop.set()
        assert [outcome.done for outcome in outcomes] == [(Deed.ENROLLED,), ()]

    async def test_without_certificates_it_waits_for_some(self, renewing: Renewing) -> None:
        stop = anyio.Event()
        renewing.place.folder.mkdir()
        renewing.before_sleep = lambda seconds: stop.set()
        await renewing.keeper().keep(stop)
        assert renewing.slept == [600.0]
