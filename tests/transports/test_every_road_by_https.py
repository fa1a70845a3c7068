"""What must work on every road, over HTTPS with certificates on both sides."""

from __future__ import annotations

from pathlib import Path

from cmpkit_http.roads import HTTPClients, HTTPServer
from every_road import EveryRoad, WholeRoad
from tls_servers import Files

from cmpkit.parts import TransportOptions


class TestHTTPS(EveryRoad):
    def road(self, directory: Path) -> WholeRoad:
        files = Files(directory)
        files.server_context("good")
        keys = {"tls_cert": "good.pem", "tls_trusted": "root.pem", "tls_client": "required"}
        shown = TransportOptions(timeout=20, tls_trusted=files.root, tls_cert=files.client_both)
        return WholeRoad(HTTPServer().configured(keys, directory), "https://127.0.0.1:0", HTTPClients(), shown)
