"""Sphinx extension: what a cell draws is a figure with a number and a caption.

The caption is the alternative text of the cell's metadata or of ``plots.explore``:
who sees the figure reads it below, who does not hears the first sentence as a name.
"""

import re

from docutils import nodes

LABEL = re.compile(r'class="sftkd-explore"[^>]*aria-label="([^"]*)"')


def drawn(output: nodes.Element) -> str:
    """The alternative text of an output that is a picture; "" where it is none."""
    for image in output.findall(nodes.image):
        return image.get("alt", "")
    for raw in output.findall(nodes.raw):
        if label := LABEL.search(raw.astext()):
            return label[1].replace("&quot;", '"').replace("&#x27;", "'")
    return ""


def with_captions(app, document: nodes.document) -> None:
    """Put each picture among the outputs of cells into a figure."""
    number = 0
    for outputs in list(document.findall(nodes.container)):
        if outputs.get("nb_element") != "cell_code_output":
            continue
        for output in list(outputs.children):
            text = drawn(output)
            if not text:
                continue
            number += 1
            figure = nodes.figure(ids=[f"figure-{number}"], align="default")
            output.replace_self(figure)
            figure += [output, nodes.caption(text, text)]
            for image in output.findall(nodes.image):
                image["alt"] = re.split(r"(?<=[.:]) ", text)[0]


def setup(app):
    app.connect("doctree-read", with_captions, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
