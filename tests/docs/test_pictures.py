"""The pictures are those of the script, all of them are shown, and what they show happens."""

from __future__ import annotations

import importlib
import re
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from device import Device
from operating import run
from pages import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def pictures() -> dict[str, str]:
    """What the script draws, by name."""
    sys.path.insert(0, str(DOCS))
    try:
        script = importlib.import_module("pictures")
    finally:
        sys.path.remove(str(DOCS))
    return {name: draw() for name, draw in script.PICTURES.items()}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    run("init", tmp_path / "ca", "--subject", "CN=Example CA")
    (tmp_path / "device").mkdir()
    device = Device.of(tmp_path / "device", tmp_path / "ca" / "cmpkit.toml")
    secret = f"file:{device.path('dev-42.secret')}"
    run("secret", "add", "dev-42", "--config", device.road.config, "--secret", secret, "--uses", "3")
    return device


def test_committed_pictures_are_those_of_the_script(pictures: dict[str, str]) -> None:
    folder = DOCS / "explanation" / "pictures"
    assert {path.stem: path.read_text() for path in folder.iterdir()} == pictures


def test_every_picture_is_on_the_page(pictures: dict[str, str]) -> None:
    page = (DOCS / "explanation" / "cmp-in-pictures.md").read_text()
    assert re.findall(r"^!\[.+\]\(pictures/(.+)\.svg\)$", page, re.MULTILINE)
    assert set(re.findall(r"\(pictures/(.+)\.svg\)", page)) == set(pictures)


def test_pictures_are_xml_with_a_title_and_load_nothing(pictures: dict[str, str]) -> None:
    for drawn in pictures.values():
        root = ElementTree.fromstring(drawn)
        assert root.findtext("{http://www.w3.org/2000/svg}title")
        assert "href" not in drawn
        assert drawn.count("http") == 1


def requests(drawn: str) -> list[str]:
    """The labels of the arrows from left to right."""
    elements = list(ElementTree.fromstring(drawn))
    arrows = [
        (label.text or "", line)
        for label, line in pairwise(elements)
        if line.get("marker-end") and label.get("font-weight") == "600"
    ]
    assert arrows
    return [label for label, line in arrows if float(line.attrib["x1"]) < float(line.attrib["x2"])]


def test_what_the_pictures_show_is_sent(pictures: dict[str, str], device: Device) -> None:
    def sent() -> list[str]:
        names = [message.body.type.wire_name for message in device.road.requests]
        device.road.requests.clear()
        return names

    device.enroll()
    assert sent() == requests(pictures["enrolment"])
    renewed = device.wanted("renewed")[2:]
    device.command("update", *device.by_certificate(), *renewed)
    assert sent() == requests(pictures["update"])
    device.command("revoke", *device.by_certificate("renewed"), "--oldcert", device.path("renewed.pem"))
    assert sent() == requests(pictures["revocation"])
    for name in ("dev-42.key", "dev-42.pem"):
        device.path(name).unlink()
    device.enroll("--implicit-confirm")
    assert sent() == requests(pictures["implicit-confirm"])
    device.road.waits = 2
    device.enroll()
    assert sent() == requests(pictures["polling"])
