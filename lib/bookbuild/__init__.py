"""The press: pairs, executes and typesets the chapters.

`project` knows the files, `pairing` keeps a chapter's three forms equal, `freshness` decides what
must run, `pytest_plugin` runs it through nbmake, `site` builds the pages, and `extension` and
`render` teach Sphinx the book's own directives and outputs.
"""
