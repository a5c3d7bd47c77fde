"""Pages are drawn again when what they rest on has other contents, whatever the files' times say.

Sphinx compares modification times, which a copy, a restored archive or a clock that was set back
leave in the past.  The environment remembers a digest for each page instead: of its source, of
every file it depends on, and of the bibliography if it cites.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.index_entries import split_index_msg
from sphinxcontrib.bibtex.bibfile import parse_bibdata


def by_content(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Return the pages whose contents are not those that were read last."""
    known = getattr(env, "gaussbook_digests", None)
    if known is None:
        return []
    domain = env.get_domain("cite")
    files = {path: _digest(path) for path in domain.bibdata.bibfiles}
    if files != getattr(env, "gaussbook_bibliography", files):
        domain.data["bibdata"] = parse_bibdata(list(files), domain.bibdata.encoding)
    return [name for name, digest in _digests(env).items() if known.get(name) != digest]


def remember(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Keep the digests of all pages as they have just been read."""
    env.gaussbook_digests = _digests(env)
    env.gaussbook_bibliography = {
        path: _digest(path) for path in env.get_domain("cite").bibdata.bibfiles
    }
    return []


def keep_searchable(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give the search the entries of the index of all pages.

    Sphinx collects them when it writes a page, after it has written its environment down: at the
    next build those of the pages that have not changed would be missing.
    """
    found = env._search_index_index_entries
    found.clear()
    for page, entries in env.get_domain("index").entries.items():
        words = set()
        for kind, value, target, main, _ in entries:
            with contextlib.suppress(ValueError):  # Sphinx has warned of what cannot be split
                words |= {(word, target or "", main) for word in split_index_msg(kind, value)}
        found[page] = sorted(words)
    return []


def _digests(env: BuildEnvironment) -> dict[str, str]:
    domain = env.get_domain("cite")
    citing = {reference.docname for reference in domain.citation_refs}
    citing |= {key.docname for key in domain.bibliographies}
    files: dict[Path, str] = {}
    result = {}
    for name in env.found_docs:
        paths = {Path(env.doc2path(name)), *(Path(env.srcdir, p) for p in env.dependencies[name])}
        paths |= set(domain.bibdata.bibfiles) if name in citing else set()
        for path in paths - files.keys():
            files[path] = _digest(path)
        lines = sorted(f"{path} {files[path]}" for path in paths)
        result[name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return result


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "missing"
