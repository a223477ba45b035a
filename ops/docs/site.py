"""Hooks of the site: files of the repository that the docs link to, and figures without their markers.

No address of the repository is known to the site. So it contains the files themselves: SECURITY.md and its like as
pages, all others as text under ``source/``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from ops.docs.figures import unquoted

_REPOSITORY = Path(__file__).parents[2]
_DOCS = "docs"
_LINK = re.compile(r"(\[(?:[^\[\]]|\[[^\]]*\])*\])\(((?!https?:|mailto:|#)[^)\s#]+)(#[^)\s]*)?(\s+\"[^\"]*\")?\)")
_PAGES = {"SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the repository's own files, and every other file that a page links to."""
    for name, page in _PAGES.items():
        text = (_REPOSITORY / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_LINK.sub(_from_top, text)))
    for file in list(files.documentation_pages()):
        for path in _sources(file.content_string, file.src_uri):
            if files.get_file_from_path(_copy(path)) is None:
                files.append(File.generated(config, _copy(path), abs_src_path=str(_REPOSITORY / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page's links as the site has them, and its figures without markers."""
    here = page.file.src_uri

    def link(match: re.Match[str]) -> str:
        words, target, anchor, title = match.groups(default="")
        path = _in_repository(here, target)
        if path in _PAGES:
            return f"{words}({posixpath.relpath(_PAGES[path], posixpath.dirname(here) or '.')}{anchor}{title})"
        if path.startswith(f"{_DOCS}/"):
            return match.group(0)
        if (_REPOSITORY / path).is_file():
            return f"{words}({posixpath.relpath(_copy(path), posixpath.dirname(here) or '.')}{title})"
        return str(words[1:-1])

    return _LINK.sub(link, unquoted(markdown))


def on_page_content(html: str, **_: Any) -> str:
    """A bar in code in a table, which Markdown wants escaped and Python-Markdown shows as it was escaped."""
    return re.sub(r"<code>[^<]*</code>", lambda match: match.group(0).replace("\\|", "|"), html)


def _sources(markdown: str, here: str) -> Iterator[str]:
    for match in _LINK.finditer(markdown):
        path = _in_repository(here, match.group(2))
        if path not in _PAGES and not path.startswith(f"{_DOCS}/") and (_REPOSITORY / path).is_file():
            yield path


def _in_repository(here: str, target: str) -> str:
    """The path of a link's target from the top of the repository. ``here`` is the page that has the link."""
    return posixpath.normpath(posixpath.join(_DOCS, posixpath.dirname(here), target))


def _copy(path: str) -> str:
    """The name of a file's copy on the site. Browsers show text, and offer all else to be saved."""
    return f"source/{path}" if path.endswith((".svg", ".png", ".html")) else f"source/{path}.txt"


def _from_top(match: re.Match[str]) -> str:
    """A link of a file at the top of the repository, as a page in the docs has to write it."""
    words, target, anchor, title = match.groups(default="")
    path = target.removeprefix(f"{_DOCS}/") if target.startswith(f"{_DOCS}/") else f"../{target}"
    return f"{words}({path}{anchor}{title})"
