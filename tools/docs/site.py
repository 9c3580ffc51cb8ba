"""MkDocs hooks: pages that lie outside `docs/` join the site, and links are made to fit it.

Pages are written for the forge, where `../SECURITY.md` leads to a file. On the site that is a page
of its own; a link to code becomes plain text unless `repo_url` is configured.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

OUTSIDE = {
    "README.md": "readme.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "model_store/README.md": "checkpoints.md",
}
"""Files of the repository that the site has as pages."""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|!?\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside of `docs/`."""
    for source, page in OUTSIDE.items():
        text = Path(source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Make links of a page, which hold in the repository, hold on the site."""
    sources = {site: source for source, site in OUTSIDE.items()}
    here = page.file.src_uri
    folder = posixpath.dirname(sources.get(here, f"docs/{here}"))

    def fitted(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in path:
            return link[0]
        path = posixpath.normpath(posixpath.join(folder, path))
        site = OUTSIDE.get(path)
        if path.startswith("docs/"):
            site = path.removeprefix("docs/")
        if site is None:
            url = f"{config.repo_url.rstrip('/')}/blob/main/{path}" if config.repo_url else None
            return f"[{text}]({url})" if url and not image else text
        target = posixpath.relpath(site, posixpath.dirname(here) or ".")
        return f"{image}[{text}]({target}{'#' + anchor if anchor else ''})"

    return _LINK.sub(fitted, markdown)
