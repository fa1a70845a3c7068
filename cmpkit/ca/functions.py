"""Functions that the configuration file names: ``module:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio.to_thread

from cmpkit.errors import ConfigurationError

__all__ = ["load_function"]


async def load_function(text: str, directory: Path) -> Callable[..., Any]:
    """A function, or anything else that can be called.

    :param text: ``module:name``.
    :param directory: where the configuration file is: ``module`` may be a file there.
    :raises ConfigurationError: naming what is wrong.
    """
    module_name, colon, name = text.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigurationError(f'{text!r} is not written "module:name"')
    module = await anyio.to_thread.run_sync(_load_module, module_name, directory)
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigurationError(f"{module.__file__} has no function {name}")
    found: Callable[..., Any] = function
    return found


def _load_module(name: str, directory: Path) -> ModuleType:
    path = directory / f"{name}.py"
    try:
        return _load_file(name, path) if path.is_file() else importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"there is no module {error.name}", hint=f"put {path.name} beside the configuration file, or install it"
        ) from error
    except Exception as error:
        # Whatever goes wrong in code that is not ours is a mistake of the configuration.
        raise ConfigurationError(f"the module {name} cannot be loaded: {type(error).__name__}: {error}") from error


def _load_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look modules up by their names.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
