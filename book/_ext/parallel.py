"""Sphinx extension: pages are read and written by several processes (-j).

Three extensions that come with jupyter-book do not say whether that is safe, and
one silent extension is enough for Sphinx to read all pages in one process. These
keep nothing of a page: they copy files at the end, add nodes, or number the table
of contents when all pages are there.
"""

SILENT = (
    "sphinx-mathjax-offline",
    "sphinx_jupyterbook_latex",
    "sphinx_multitoc_numbering",
)


def speak_for_them(app):
    for name in SILENT:
        if (
            name in app.extensions
            and app.extensions[name].parallel_read_safe is None
        ):
            app.extensions[name].parallel_read_safe = True


def setup(app):
    app.connect("builder-inited", speak_for_them)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
