"""Sync tests and fixtures may run event loops of their own, although that of async fixtures sleeps meanwhile."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

import pytest
import sniffio


@contextmanager
def _outside_of_event_loops(function: Any) -> Generator[None]:
    if iscoroutinefunction(function) or isasyncgenfunction(function):
        yield
        return
    token, name = sniffio.current_async_library_cvar.set(None), sniffio.thread_local.name
    sniffio.thread_local.name = None
    try:
        yield
    finally:
        sniffio.thread_local.name = name
        sniffio.current_async_library_cvar.reset(token)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Set up a fixture."""
    with _outside_of_event_loops(fixturedef.func):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Call a test."""
    with _outside_of_event_loops(pyfuncitem.obj):
        return (yield)
