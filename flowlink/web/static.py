"""Built assets under their content-hash names: kept for ever by browsers, sent compressed."""

import json
from functools import lru_cache
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

PREFIX = "/static"
BUILD = Path(__file__).parent / "static" / "build"
_MANIFEST = BUILD / "manifest.json"
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}


class AssetsMissing(RuntimeError):
    """The pages' assets were never built: `make assets` does it."""


def manifest() -> dict[str, str]:
    """Plain name -> name with the content's hash; a build while we run is noticed.

    :raises AssetsMissing: nothing was built yet.
    """
    try:
        built = _MANIFEST.stat().st_mtime_ns
    except FileNotFoundError:
        raise AssetsMissing(f"{_MANIFEST} is missing: run `make assets`") from None
    return _read(built)


@lru_cache(maxsize=1)
def _read(_: int) -> dict[str, str]:
    names: dict[str, str] = json.loads(_MANIFEST.read_text())
    return names


def url(name: str) -> str:
    """The address of a built asset, such as `app.css`."""
    return f"{PREFIX}/{manifest()[name]}"


class StaticFiles:
    """Serves exactly the files of the manifest, and nothing else: no path can walk out of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise HTTPException(404)
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405)
        await self.reply(name, Headers(scope=scope))(scope, receive, send)

    def reply(self, name: str, headers: Headers) -> Response:
        if name not in manifest().values():
            raise HTTPException(404)
        path = BUILD / name
        sent = {"cache-control": _FOREVER, "vary": "accept-encoding"}
        packed = path.with_name(f"{name}.gz")
        if "gzip" in headers.get("accept-encoding", "") and packed.is_file():
            sent["content-encoding"] = "gzip"
            path = packed
        kind = _TYPES.get(Path(name).suffix, "application/octet-stream")
        return FileResponse(path, headers=sent, media_type=kind)


def install(app: Starlette) -> None:
    """Serve the assets, and the favicon also where browsers look for it unasked."""
    app.mount(PREFIX, StaticFiles(), name="static")
    app.add_route("/favicon.ico", _favicon, include_in_schema=False)


def _favicon(_: Request) -> Response:
    return FileResponse(BUILD / manifest()["favicon.ico"], media_type=_TYPES[".ico"])
