"""Static files under URLs that carry their content's hash, so that browsers may keep them for a year."""

import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, g, request

LONG = "public, max-age=31536000, immutable"


def register(app: Flask, folder: Path) -> None:
    """Give the templates `asset(path)`."""

    @lru_cache(maxsize=256)
    def digest(path: str, _modified_ns: int) -> str:
        return hashlib.sha256((folder / path).read_bytes()).hexdigest()[:12]

    def asset(path: str) -> str:
        # A page names a file up to a hundred times, as it does the icons'.
        known: dict[str, str] = g.setdefault("assets", {})
        if path not in known:
            known[path] = f"/static/{path}?v={digest(path, (folder / path).stat().st_mtime_ns)}"
        return known[path]

    def keep(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code == 200:
            # A module imports others by plain paths, without a hash: those are asked about, by ETag.
            response.headers["Cache-Control"] = LONG if "v" in request.args else "no-cache"
        return response

    app.jinja_env.globals["asset"] = asset
    app.after_request(keep)
