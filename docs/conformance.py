"""Which rules there are, where they are checked, and which tests say so: writes docs/conformance.md.

The rules are in rules.toml. A test that is about some of them has the marker ``@pytest.mark.rule("R-012", …)``, or its
class has; code names the rules that it checks in docstrings and comments. A rule without a test must say why it has
none (``untested``), and one that says so must have none.

``python docs/conformance.py`` writes the page; ``--check`` says whether it is as it should be.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGE = DOCS / "conformance.md"
RULES = DOCS / "rules.toml"
_MARK = "pytest.mark.rule"
INTRODUCTION = """# Conformance

Every rule between an end entity, a registration authority (RA) and a CA that cmpkit knows, with the place in the code
that checks it and the tests that show it. The rules are those of RFC 9810, RFC 9483, RFC 4211 and RFC 9481, and some of
our own where an RFC leaves a limit open. What may be allowed beyond them is in [tolerances](reference/tolerances.md).

`python docs/conformance.py` writes this page from `docs/rules.toml` and the tests; a test fails when it is out of date.
"""


@dataclass(frozen=True)
class Rule:
    """One rule.

    :param untested: why there is no test, empty if there must be one.
    """

    id: str
    text: str
    section: str
    untested: str = ""


def rules() -> tuple[Rule, ...]:
    """All of them, in their order."""
    sections = tomllib.loads(RULES.read_text(encoding="utf-8"))["section"]
    return tuple(Rule(section=section["title"], **rule) for section in sections for rule in section["rule"])


def checked_in() -> dict[str, list[str]]:
    """The modules that name each rule; ``R-092 to R-098`` names all of them."""
    found: dict[str, list[str]] = defaultdict(list)
    for base, pattern in ((ROOT, "cmpkit/**/*.py"), (ROOT / "plugins", "cmpkit_*/**/*.py")):
        for path in sorted(base.glob(pattern)):
            names = path.relative_to(base).with_suffix("").parts
            module = ".".join(names[:-1] if names[-1] == "__init__" else names)
            for rule in sorted(set(_named(path.read_text(encoding="utf-8")))):
                found[rule].append(module)
    return found


def _named(text: str) -> Iterator[str]:
    for first, last in re.findall(r"R-(\d{3})(?:\s+to\s+R-(\d{3}))?", text):
        for number in range(int(first), int(last or first) + 1):
            yield f"R-{number:03}"


@functools.cache
def tests() -> dict[str, list[tuple[str, str]]]:
    """The tests of each rule: file and name."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        # Most files have none, and to parse them takes the longest.
        if _MARK not in text:
            continue
        for rule, name in _marked(ast.parse(text).body, (), ""):
            found[rule].append((path.relative_to(ROOT).as_posix(), name))
    return found


def _marked(body: list[ast.stmt], inherited: tuple[str, ...], prefix: str) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _marked(node.body, (*inherited, *_marks(node)), f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            for rule in sorted({*inherited, *_marks(node)}):
                yield rule, prefix + node.name


def _marks(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == _MARK:
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def faults() -> Iterator[str]:
    """What is wrong with rules and marks."""
    known, tested = {rule.id: rule for rule in rules()}, tests()
    for name in sorted(tested.keys() - known.keys()):
        yield f"{name} is marked in {tested[name][0][0]} and is no rule"
    for rule in known.values():
        if rule.untested and rule.id in tested:
            yield f"{rule.id} has tests, and says why it has none"
        if not rule.untested and rule.id not in tested:
            yield f"{rule.id} has neither a test nor a reason"


def page() -> str:
    """The page."""
    where, tested, parts, section = checked_in(), tests(), [INTRODUCTION], ""
    every = rules()
    count = sum(rule.id in tested for rule in every)
    parts.append(f"\n{len(every)} rules, {count} of them with tests.\n")
    for rule in every:
        if rule.section != section:
            section = rule.section
            parts.append(f"\n## {section}\n")
        parts.append(_entry(rule, where.get(rule.id, []), tested.get(rule.id, [])))
    return "".join(parts)


def _entry(rule: Rule, modules: list[str], found: list[tuple[str, str]]) -> str:
    lines = [f"\n### {rule.id}\n\n{rule.text}\n"]
    lines.append(f"\n- State: {'kept' if found else rule.untested}")
    if modules:
        lines.append("- Checked in: " + ", ".join(f"`{module}`" for module in modules))
    by_file: dict[str, list[str]] = defaultdict(list)
    for file, name in found:
        by_file[file].append(name)
    for file, names in by_file.items():
        lines.append(f"- `{file}`: " + ", ".join(f"`{name}`" for name in dict.fromkeys(names)))
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or check it."""
    wrong = list(faults())
    if "--check" in sys.argv[1:] and not wrong and PAGE.read_text(encoding="utf-8") != page():
        wrong.append("docs/conformance.md is out of date: run python docs/conformance.py")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    if not wrong and "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
