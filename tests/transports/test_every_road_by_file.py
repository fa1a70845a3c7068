"""What must work on every road, by drop-directory."""

from __future__ import annotations

from pathlib import Path

from cmpkit_file.roads import FileClients, FileServer
from every_road import EveryRoad, WholeRoad


class TestFile(EveryRoad):
    def road(self, directory: Path) -> WholeRoad:
        return WholeRoad(FileServer(), directory.as_uri(), FileClients())
