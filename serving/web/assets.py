"""The files of the page, read once at the start: what is asked for is a name among them, never a path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from serving.web.limits import Refused

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    content: bytes
    kind: str
    tag: str


@dataclass(frozen=True)
class Assets:
    """All of them, by name."""

    files: dict[str, Asset]

    @classmethod
    def read(cls) -> Assets:
        """Those in the folder of the page."""
        paths = sorted(path for path in FOLDER.iterdir() if path.suffix in _TYPES)
        found = {path.name: path.read_bytes() for path in paths}
        return cls(
            {
                name: Asset(content, _TYPES[Path(name).suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')
                for name, content in found.items()
            }
        )

    def response(self, name: str, request: web.Request) -> web.Response:
        """A file, or that it has not changed since the client asked before.

        Raises:
            Refused: there is none of that name.
        """
        asset = self.files.get(name)
        if asset is None:
            raise Refused(404, "There is nothing here.")
        headers = {"ETag": asset.tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == asset.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=asset.content, content_type=asset.kind, charset="utf-8", headers=headers)
