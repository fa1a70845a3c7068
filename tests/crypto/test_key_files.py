"""The key provider for ``file:``."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from cmpkit.crypto.keys import generate_key, key_to_pem
from cmpkit.errors import ConfigurationError
from cmpkit.parts import KeyProvider
from cmpkit.plugins import Plugins


@pytest.fixture(scope="module")
def provider(plugins: Plugins) -> KeyProvider:
    found: KeyProvider = plugins.require("key provider", "file")
    return found


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "file://localhost{}"])
@pytest.mark.parametrize("password", [None, b"pw"])
async def test_a_key_is_loaded_by_uri(
    plugins: Plugins, provider: KeyProvider, tmp_path: Path, form: str, password: bytes | None
) -> None:
    key = generate_key("p256", plugins)
    path = tmp_path / "a key #1.pem"
    path.write_bytes(key_to_pem(key, password))
    loaded = await provider.load(form.format(quote(str(path))), password, plugins.all("key algorithm"))
    assert loaded.public_key_info == key.public_key_info


async def test_relative_paths_start_in_the_working_directory(
    plugins: Plugins, provider: KeyProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.pem").write_bytes(key_to_pem(generate_key("p256", plugins)))
    monkeypatch.chdir(tmp_path)
    assert (await provider.load("file:key.pem", None, plugins.all("key algorithm"))).key_type == "p256"


async def test_faults_name_the_file(plugins: Plugins, provider: KeyProvider, tmp_path: Path) -> None:
    algorithms = plugins.all("key algorithm")
    path = tmp_path / "key.pem"
    with pytest.raises(ConfigurationError, match=r"key\.pem cannot be read: No such file"):
        await provider.load(f"file:{path}", None, algorithms)
    path.write_bytes(key_to_pem(generate_key("p256", plugins), b"pw"))
    with pytest.raises(ConfigurationError, match=r"key\.pem: .*password .* is wrong"):
        await provider.load(f"file:{path}", b"no", algorithms)
    with pytest.raises(ConfigurationError, match=r"key\.pem: .*no key algorithm for 1\.2\.840\.10045\.2\.1"):
        await provider.load(f"file:{path}", b"pw", [])


@pytest.mark.parametrize("uri", ["file:", "file://elsewhere/key.pem", "file:key.pem?x=1", "file:key.pem#x"])
async def test_a_uri_that_names_no_local_file_is_refused(provider: KeyProvider, uri: str) -> None:
    with pytest.raises(ConfigurationError, match="does not name a file on this host"):
        await provider.load(uri, None, [])
