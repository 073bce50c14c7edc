"""Build what the pages are made of: styles, scripts, fonts, icons, and the message catalogues.

`npm ci` comes first; the Makefile does both. Nothing is rebuilt when its sources are older than it.
"""

import argparse
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tools import catalogues

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "flowlink/web/assets"
OUT = ROOT / "flowlink/web/static/build"
PACKAGES = ROOT / "node_modules"
FONTS = PACKAGES / "@fontsource-variable/inter/files"
TAILWIND = PACKAGES / ".bin/tailwindcss"
COPIED = {
    "inter-latin.woff2": FONTS / "inter-latin-wght-normal.woff2",
    "inter-latin-ext.woff2": FONTS / "inter-latin-ext-wght-normal.woff2",
    "htmx.js": PACKAGES / "htmx.org/dist/htmx.min.js",
    "chart.js": PACKAGES / "chart.js/dist/chart.umd.min.js",
    "app.js": SOURCES / "app.js",
    "charts.js": SOURCES / "charts.js",
    "favicon.svg": SOURCES / "favicon.svg",
    "favicon.ico": SOURCES / "favicon.ico",
    "icon-180.png": SOURCES / "icon-180.png",
    "icon-512.png": SOURCES / "icon-512.png",
}
PACKED = {".css", ".js", ".svg"}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--force", action="store_true", help="build even what is up to date")
    force = options.parse_args().force
    catalogues.build()
    if force or stale():
        build()
    return 0


def inputs() -> list[Path]:
    """All that the result depends on."""
    templates = ROOT.glob("flowlink/*/templates/**/*.html")
    return [*templates, *SOURCES.iterdir(), ROOT / "package-lock.json", Path(__file__)]


def stale() -> bool:
    """Something changed, or went away, since the last build."""
    names = "\n".join(sorted(str(path) for path in inputs()))
    newest = max(path.stat().st_mtime_ns for path in inputs())
    wanted = f"{newest}:{hashlib.sha256(names.encode()).hexdigest()}"
    stamp = OUT / ".stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    OUT.mkdir(parents=True, exist_ok=True)
    stamp.write_text("building")
    return True


def build() -> None:
    """Make all files beside the old ones, then switch the manifest over."""
    OUT.mkdir(parents=True, exist_ok=True)
    names = {name: store(name, path.read_bytes()) for name, path in sorted(COPIED.items())}
    names["app.css"] = store("app.css", styles(names))
    manifest = OUT / "manifest.json"
    fresh = manifest.with_suffix(".new")
    fresh.write_text(json.dumps(names, indent=1, sort_keys=True) + "\n")
    fresh.replace(manifest)
    drop_others(set(names.values()))
    newest = max(path.stat().st_mtime_ns for path in inputs())
    listed = "\n".join(sorted(str(path) for path in inputs()))
    (OUT / ".stamp").write_text(f"{newest}:{hashlib.sha256(listed.encode()).hexdigest()}")


def styles(names: dict[str, str]) -> bytes:
    """All style sheets in one, minified, with the fonts under their hashed names."""
    raw = OUT / "app.raw.css"
    command = [str(TAILWIND), "--input", "app.css", "--output", str(raw), "--minify"]
    if not TAILWIND.exists():
        sys.exit("node_modules is missing: run `npm ci` first")
    done = subprocess.run(command, check=False, cwd=SOURCES, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.exit(done.stderr)
    text = raw.read_text()
    raw.unlink()
    for font in ("inter-latin.woff2", "inter-latin-ext.woff2"):
        text = text.replace(f"./{font}", names[font])
    return text.encode()


def store(name: str, body: bytes) -> str:
    """Write `body` under a name that changes with it, and compressed beside."""
    stem, _, ending = name.rpartition(".")
    hashed = f"{stem}.{hashlib.sha256(body).hexdigest()[:10]}.{ending}"
    (OUT / hashed).write_bytes(body)
    if f".{ending}" in PACKED:
        (OUT / f"{hashed}.gz").write_bytes(gzip.compress(body, mtime=0))
    return hashed


def drop_others(kept: set[str]) -> None:
    """Remove what an earlier build left."""
    for path in OUT.iterdir():
        known = path.name.removesuffix(".gz") in kept or path.name in {"manifest.json", ".stamp"}
        if path.is_dir():
            shutil.rmtree(path)
        elif not known:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
