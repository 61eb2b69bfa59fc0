"""The preprint's layout is complete: what it names is there, and its chapters are the book's."""

import json
import os
import sys

import nbformat
import pytest
import yaml
from chapters import CHAPTERS, ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import neurolibre


@pytest.fixture(scope="module")
def preprint(tmp_path_factory):
    target = tmp_path_factory.mktemp("preprint") / "laid-out"
    neurolibre.lay_out(target)
    return target


def test_every_page_of_the_contents_is_there_and_executed_by_force(preprint):
    content = preprint / "content"
    toc = yaml.safe_load((content / "_toc.yml").read_text())
    files = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    for file in files:
        assert any((content / f"{file}{ending}").exists() for ending in (".md", ".ipynb")), file
    config = yaml.safe_load((content / "_config.yml").read_text())
    assert config["execute"]["execute_notebooks"] == "force"
    for path in config["bibtex_bibfiles"]:
        assert (content / path).exists()


def test_chapters_are_the_sources_without_outputs(preprint):
    for path in CHAPTERS:
        copy = nbformat.read(preprint / "content" / path.relative_to(ROOT), as_version=4)
        assert copy == nbformat.read(path, as_version=4)
        assert not any(cell.get("outputs") for cell in copy.cells)


def test_the_environment_can_be_built_from_what_is_there(preprint):
    script = preprint / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    assert json.loads((preprint / "binder" / "data_requirement.json").read_text()) == {}
    for name in ("constraints.txt", "pyproject.toml", "sftkd_core/__init__.py", "results"):
        assert (preprint / name).exists()


def test_the_paper_has_a_head_a_summary_and_its_references(preprint):
    text = (preprint / "paper.md").read_text()
    _, head, body = text.split("---\n", 2)
    head = yaml.safe_load(head)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert head["title"] == citation["title"]
    assert {a["affiliation"] for a in head["authors"]} == {a["index"] for a in head["affiliations"]}
    assert len(body.split("# Summary")[1].split("# References")[0].split()) > 20
    assert "{cite" not in body
    assert "@" in (preprint / head["bibliography"]).read_text()
