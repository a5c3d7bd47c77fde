"""The press: pairs, executes and typesets the chapters.

`project` knows the files and `pairing` keeps a chapter's three forms equal.  `freshness` decides
what must run, `execution` runs it in a kernel of its own, `verification` judges the run, `runs`
keeps what came of it, and `sharing` shares it between checkouts.  `site` builds the pages, and
`extension` and `render` teach Sphinx the book's own directives and outputs; `pytest_plugin` makes
each chapter a test.
"""
