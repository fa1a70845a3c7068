"""The fixtures for other people's tests: on both event loops and without one, and cheap where they are not used."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import cmpkit
import pytest


@pytest.mark.anyio
async def test_async(cmp_client, cmp_ca, virtual_clock):
    async with cmp_client as client:
        enrolled = await client.enroll("CN=dev-42")
    (record,) = await cmp_ca.certificates()
    assert record.der == enrolled.certificate
    assert record.not_before == virtual_clock().replace(microsecond=0)


def test_without_async(cmp_blocking_client, cmp_secret):
    assert cmp_secret.reference == b"dev-42"
    assert cmp_blocking_client.enroll("CN=dev-42").certificate


@pytest.mark.anyio
async def test_each_test_has_a_store_of_its_own(cmp_ca):
    assert await cmp_ca.certificates() == ()


@pytest.mark.anyio
async def test_a_client_may_be_odd(cmp_ca, cmp_secret):
    from cmpkit.testing import mutate

    async with cmp_ca.client(cmp_secret, transform=mutate("wrong-pop"), total_timeout=10) as client:
        with pytest.raises(cmpkit.PeerRefusal, match="badPOP"):
            await client.enroll("CN=dev-42")
"""


def test_its_fixtures_work_on_both_loops_and_without_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\ncmp_backends = ['asyncio', 'trio']")
    result = pytester.runpytest_subprocess("-v", "-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=7)
    for backend in ("asyncio", "trio"):
        result.stdout.fnmatch_lines([f"*::test_async[[]{backend}[]] PASSED*"])
    assert "test_without_async PASSED" in result.stdout.str()


def test_without_the_setting_it_leaves_the_event_loops_to_anyio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "trio"

        @pytest.mark.anyio
        async def test_on_trio():
            import sniffio

            assert sniffio.current_async_library() == "trio"
        """
    )
    pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_loading_it_imports_nothing_else_of_cmpkit() -> None:
    program = "import sys, cmpkit.pytest_plugin; print(*(name for name in sys.modules if name.startswith('cmpkit')))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["cmpkit", "cmpkit.pytest_plugin"]
