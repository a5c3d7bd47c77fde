"""Links from the code on a page to the reference of the library.

A name leads there if the page binds it to one thing only: by importing it from the library, or by
calling a documented class, or a function that says that it returns one.
"""

from __future__ import annotations

import ast
import functools
import html
import importlib
import inspect
import pydoc
import re
import typing
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# Code as Sphinx highlights it: a name and the attributes taken of it, unless it names an argument.
_CODE = re.compile(r'(?<=<div class="highlight"><pre>).*?(?=</pre>)', re.S)
_NAME = r'<span class="nn?">[\w.]+</span>'
_CHAIN = re.compile(
    rf'(?<!<span class="o">\.</span>){_NAME}(?:<span class="o">\.</span>{_NAME})*+'
    r'(?!<span class="o">=</span>)'
)
_TAG = re.compile("<[^>]*>")


def link_code(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Link the names in a page's code, before the page is written."""
    if doctree is None:
        return
    blocks = doctree.findall(nodes.literal_block)
    cells = [b.astext() for b in blocks if b.get("language") in ("python", "ipython3")]
    names = full_names(cells)
    addresses = {
        name: f"{app.builder.get_relative_uri(pagename, entry.docname)}#{entry.node_id}"
        for name, entry in app.env.get_domain("py").objects.items()
    }
    context["body"] = _CODE.sub(lambda code: linked(code[0], names, addresses), context["body"])


def linked(code: str, names: dict[str, str], addresses: dict[str, str]) -> str:
    """Return highlighted code with links.

    Parameters
    ----------
    code : str
        HTML of the highlighted code.
    names : dict[str, str]
        Full name of each short one, as `full_names` finds them.
    addresses : dict[str, str]
        Address of each full name that is documented.
    """

    def link(chain: re.Match[str]) -> str:
        first, *attributes = _TAG.sub("", chain[0]).split(".")
        full = ".".join([names.get(first, first), *attributes])
        if full not in addresses:
            return chain[0]
        address = html.escape(addresses[full])
        return f'<a class="code-link" href="{address}" title="{full}">{chain[0]}</a>'

    return _CHAIN.sub(link, code)


def full_names(cells: list[str]) -> dict[str, str]:
    """Return what each name of a page stands for, of the names that stand for one thing only.

    Parameters
    ----------
    cells : list of str
        The page's code; cells that are not plain Python are passed over.

    Returns
    -------
    dict[str, str]
        Full names of modules, functions and classes. An object has the name of its class, so that
        an attribute taken of it follows.
    """
    meanings = defaultdict(set)
    found = [node for tree in _trees(cells) for node in ast.walk(tree)]
    for name, meaning in _imports(found):
        meanings[name].add(meaning)
    imported = {name: next(iter(full)) for name, full in meanings.items() if len(full) == 1}
    for name, meaning in _bindings(found, imported):
        meanings[name].add(meaning)
    return {name: f for name, full in meanings.items() if len(full) == 1 for f in full if f}


def _trees(cells: list[str]) -> Iterator[ast.Module]:
    for cell in cells:
        try:
            yield ast.parse(cell)
        except SyntaxError:
            continue


def _imports(found: list[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in found:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, alias.name if alias.asname else top


def _bindings(found: list[ast.AST], imported: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Give every other binding of a name: the class of the object, or nothing if unknown."""
    objects = {}
    for node in found:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = _returned(ast.unparse(node.value.func), imported)
            objects |= {id(t): made for t in node.targets if isinstance(t, ast.Name)}
    for node in found:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, objects.get(id(node), "")
        elif isinstance(node, ast.arg):
            yield node.arg, ""
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, ""


def _returned(call: str, imported: dict[str, str]) -> str:
    """Return the full name of the library's class of what a call makes, "" if it is none."""
    first, *attributes = call.split(".")
    return _made_by(".".join([imported.get(first, ""), *attributes]))


@functools.cache
def _made_by(full: str) -> str:
    made = pydoc.locate(full) if _is_ours(full) else None
    if not inspect.isclass(made):
        made = typing.get_type_hints(made).get("return") if callable(made) else None
    return _public_name(made) if inspect.isclass(made) and _is_ours(made.__module__) else ""


def _is_ours(full: str) -> bool:
    return full.partition(".")[0] == "gaussbook"


def _public_name(made: type) -> str:
    """Return the name of a class in the package that offers it, not where it is defined."""
    parts = made.__module__.split(".")
    packages = [".".join(parts[: k + 1]) for k in range(len(parts))]
    offers = (p for p in packages if hasattr(importlib.import_module(p), made.__qualname__))
    return f"{next(offers, made.__module__)}.{made.__qualname__}"
