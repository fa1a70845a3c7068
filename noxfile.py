"""What contributors and CI run: ``nox`` for the usual checks, ``nox -s NAME`` for one, ``nox -l`` for the list.

``pip install nox`` is all that is needed. Sessions install this checkout; versions and groups are in pyproject.toml.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "types", "lint", "docs", "plugin"]

PYTHONS = ["3.11", "3.12", "3.13"]
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def install(session: nox.Session, group: str, *options: str) -> None:
    """Install the checkout with all extras and a dependency group."""
    session.install(*options, "-e", ".[all]", f"--group={group}")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests that need no foreign program."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session(python=THIS_PYTHON)
def interop(session: nox.Session) -> None:
    """Tests with foreign programs: openssl on PATH, more in CMPKIT_OPENSSL_PEERS, odd messages in CMPKIT_CORPUS."""
    install(session, "test")
    session.run("pytest", "tests/interop", *session.posargs)


@nox.session(python=THIS_PYTHON)
def coverage(session: nox.Session) -> None:
    """Tests and interop together under branch coverage; fails under the limit in pyproject.toml."""
    install(session, "test")
    # Not "tests tests/interop": pytest takes a folder within another one as a part of that, and would leave it out.
    session.run("pytest", "tests", "-o", "norecursedirs=benchmarks .*", "--cov", *session.posargs)


@nox.session(python=THIS_PYTHON)
def bench(session: nox.Session) -> None:
    """Benchmarks, defined in docs/performance.md: nox -s bench -- --quick --json FILE."""
    install(session, "bench")
    session.run("python", "tests/benchmarks/bench.py", *session.posargs)


@nox.session(python=THIS_PYTHON)
def fuzz(session: nox.Session) -> None:
    """The decoder under atheris, for a minute: nox -s fuzz -- -max_total_time=600 [FOLDER OF INPUTS]."""
    install(session, "fuzz")
    session.chdir(session.create_tmp())
    script = str(Path(__file__).parent / "tests" / "fuzz" / "fuzz_decode.py")
    session.run("python", script, "-max_total_time=60", *session.posargs)


@nox.session(python=THIS_PYTHON)
def types(session: nox.Session) -> None:
    """mypy, strict."""
    install(session, "types")
    session.run("mypy", *session.posargs)


@nox.session(python=THIS_PYTHON)
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    session.install("--group=lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session(python=THIS_PYTHON)
def docs(session: nox.Session) -> None:
    """The documentation, into docs/_build/html; a warning is an error."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session(python=THIS_PYTHON)
def conformance(session: nox.Session) -> None:
    """Write docs/conformance.md: which rules there are, where they are checked, and by which tests."""
    session.run("python", "docs/conformance.py", *session.posargs)


@nox.session(python=THIS_PYTHON)
def plugin(session: nox.Session) -> None:
    """The built wheel with the example plugin beside it, installed like any stranger's, and that plugin's tests."""
    wheels = Path(session.create_tmp()).resolve() / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    session.install("build", "--group=test")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(wheels))
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        strays = [name for name in archive.namelist() if "example" in name or name.startswith("tests/")]
    if strays:
        session.error(f"not for the wheel: {', '.join(strays)}")
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.install(f"cmpkit[all] @ {wheel.as_uri()}", "./plugins/example")
    session.chdir("plugins/example")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """The tests with the oldest versions that pyproject.toml allows."""
    install(session, "test", "--constraint=tests/constraints/oldest.txt")
    session.run("pytest", *session.posargs)


@nox.session(python=THIS_PYTHON)
def newest(session: nox.Session) -> None:
    """The tests with the newest releases of everything below us, whatever was installed before."""
    eager = [] if session.venv_backend == "uv" else ["--upgrade-strategy=eager"]
    install(session, "test", "--upgrade", *eager)
    session.run("pytest", *session.posargs)
