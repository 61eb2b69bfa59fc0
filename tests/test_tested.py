"""``make test`` runs nothing twice for the same files, and everything for others."""

import subprocess
import sys

import pytest
from chapters import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import tested


@pytest.fixture
def clone(tmp_path):
    root = tmp_path / "clone"
    root.mkdir()
    (root / ".gitignore").write_text("_build/\n")
    (root / "library.py").write_text("one = 1\n")
    for command in (
        ["init", "-q"], ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def test_what_has_passed_is_known_until_something_changes(clone, monkeypatch):
    assert tested.when(clone) == ""
    assert tested.passed(tested.key(clone), clone)
    assert tested.when(clone)
    with monkeypatch.context() as patch:
        patch.setenv("SFTKD_TESTS", "all")
        assert tested.when(clone) == ""
    (clone / "library.py").write_text("one = 2\n")
    assert tested.when(clone) == ""
    (clone / "library.py").write_text("one = 1\n")
    assert tested.when(clone)


@pytest.mark.parametrize("change", ["new.py", "library.py", None])
def test_a_change_while_the_tests_run_is_seen(change, clone):
    begun = tested.key(clone)
    if change is None:
        commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty"]
        subprocess.run(["git", *commit, "-m", "two"], cwd=clone, check=True)
    else:
        (clone / change).write_text("one = 3\n")
    assert not tested.passed(begun, clone)
    assert tested.when(clone) == ""


def test_what_is_built_is_no_change(clone):
    begun = tested.key(clone)
    (clone / "_build").mkdir()
    (clone / "_build" / "site").write_text("")
    assert tested.key(clone) == begun


def test_without_git_nothing_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert tested.key(tmp_path) is None
    assert not tested.passed("", tmp_path)
    assert tested.when(tmp_path) == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": null, "at": "today"}'])
def test_a_damaged_note_is_none(text, clone):
    (clone / tested.KNOWN).parent.mkdir(parents=True)
    (clone / tested.KNOWN).write_text(text)
    assert tested.when(clone) == ""
