"""Whatever happens in whatever order, the files in use belong together, and nothing is asked for twice."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from device import Device, KilledError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from renewing import Renewing

from cmpkit.asn1 import decode_message
from cmpkit.endpoints.checkpoints import Checkpoint
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.states import OPENS
from cmpkit.errors import TransportError
from cmpkit.renewal.renewer import Deed, Outcome
from cmpkit.renewal.requesting import under_way
from cmpkit.testing import VirtualClock

POINTS = (
    Checkpoint.KEY_WRITTEN,
    Checkpoint.REQUEST_SAVED,
    Checkpoint.ANSWER_RECEIVED,
    Checkpoint.CERTIFICATE_SAVED,
    Checkpoint.CONFIRMED,
    Checkpoint.VERSION_WRITTEN,
    Checkpoint.VERSION_IN_USE,
    Checkpoint.DEPLOYED,
)


class Renewals(RuleBasedStateMachine):
    """A certificate of an hour under renewal; time, failures and SIGKILL happen to it."""

    initialised: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        shutil.copytree(self.initialised, self.home / "ca")
        config = self.home / "ca" / "cmpkit.toml"
        config.write_text(config.read_text().replace('validity = "60s"', 'validity = "1h"'))
        (self.home / "device").mkdir()
        device = Device.of(self.home / "device", config)
        self.renewing = Renewing(device, VirtualClock(datetime.now(UTC)))
        device.road.time = self.renewing.clock
        self.good = device.path("good")
        self.serials: set[int] = set()

    @initialize(implicit_confirm=st.booleans(), reuse_key=st.booleans())
    def add(self, implicit_confirm: bool, reuse_key: bool) -> None:
        hook = f"test -e {self.good}"
        self.options = {"implicit_confirm": implicit_confirm, "reuse_key": reuse_key, "deploy_hook": hook}
        anyio.run(lambda: self.renewing.add(**self.options))

    @rule(minutes=st.sampled_from([0, 1, 4, 15]))
    def time_passes(self, minutes: int) -> None:
        self.renewing.clock.advance(60 * minutes)

    @rule(works=st.booleans())
    def the_hook_changes(self, works: bool) -> None:
        if works:
            self.good.touch()
        else:
            self.good.unlink(missing_ok=True)

    @rule(force=st.booleans())
    def it_runs(self, force: bool) -> None:
        assert self.run(force=force).next_step > self.renewing.clock()

    @rule(number=st.integers(1, 2))
    def the_server_is_down(self, number: int) -> None:
        self.renewing.device.road.faults = [None] * (number - 1) + [TransportError("down")]
        self.run(force=True)
        self.renewing.device.road.faults = []

    @rule(point=st.sampled_from(POINTS))
    def it_is_killed(self, point: Checkpoint) -> None:
        self.renewing.device.watcher.at = {point.value: KilledError()}
        with suppress(BaseExceptionGroup):
            self.run(force=True)
        self.renewing.device.watcher.at = {}

    def run(self, *, force: bool) -> Outcome:
        """A run; it opens no operation if there is one that can be gone on with."""
        place, requests = self.renewing.place, self.renewing.device.road.requests
        begun, seen = [item for item in under_way(place) if self.can_go_on(item)], len(requests)
        try:
            outcome: Outcome = anyio.run(lambda: self.renewing.renew(force=force))
        finally:
            opened = {request.header.transaction_id for request in requests[seen:] if request.body.type in OPENS}
            assert not begun or opened <= {item.transaction_id for item in begun}
        if {Deed.ENROLLED, Deed.UPDATED} & set(outcome.done):
            assert not self.renewing.standing.begun
            assert self.renewing.standing.state.renewal is None
        return outcome

    def can_go_on(self, transaction: ClientTransaction) -> bool:
        """Whether its certificate is not in use yet, and the server still takes its last message."""
        sent, version = decode_message(transaction.message).header.time, self.renewing.place.version()
        assert sent is not None
        in_use = version is not None and version.certificate == transaction.certificate
        return not in_use and self.renewing.clock() - sent < timedelta(minutes=5)

    @invariant()
    def the_pair_in_use_belongs_together(self) -> None:
        if self.renewing.place.current.is_symlink():
            self.serials.add(self.renewing.certificate().serial_number)

    def teardown(self) -> None:
        """In the end there is a certificate in use, and each that was is known to the server."""
        try:
            self.good.touch()
            outcome = self.run(force=True)
            assert outcome.errors == ()
            assert outcome.done[-1] is Deed.DEPLOYED
            self.the_pair_in_use_belongs_together()
            assert self.serials <= {record.serial_number for record in anyio.run(self.renewing.issued)}
            assert len(list((self.renewing.place.directory / "versions").iterdir())) <= 2
        finally:
            shutil.rmtree(self.home)


def test_the_pair_belongs_together_and_nothing_is_asked_for_twice(
    initialised: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Renewals, "initialised", initialised, raising=False)
    run_state_machine_as_test(Renewals, settings=settings(max_examples=4, stateful_step_count=8))
