"""Publishing keeps what was published before, and previews live beside the book."""

import subprocess

import pytest
from chapters import ROOT

SCRIPT = ROOT / "workflow" / "push_site.sh"


@pytest.fixture
def remote(tmp_path):
    """A repository that nobody has published to, which hands out any commit, as GitHub does."""
    path = tmp_path / "remote.git"
    git("init", "--quiet", "--bare", path)
    git("-C", path, "config", "uploadpack.allowAnySHA1InWant", "true")
    return path


def git(*words):
    words = ["git", *map(str, words)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def push(remote, site, *place):
    words = [SCRIPT, remote, "an edition", site, *place]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True)


def files(remote):
    return set(git("-C", remote, "ls-tree", "-r", "--name-only", "gh-pages").splitlines())


@pytest.fixture
def site(tmp_path):
    def build(text, *others):
        folder = tmp_path / text
        folder.mkdir()
        for name in ("index.html", *others):
            (folder / name).write_text(text)
        return folder

    return build


def test_an_edition_replaces_the_last_one_which_stays_in_the_history(remote, site):
    assert push(remote, site("first", "old.html")).returncode == 0
    first = git("-C", remote, "rev-parse", "gh-pages")
    assert push(remote, site("second")).returncode == 0
    assert files(remote) == {".nojekyll", "index.html"}
    assert git("-C", remote, "show", f"{first}:old.html") == "first"
    assert git("-C", remote, "rev-list", "--count", "gh-pages") == "2"
    assert push(remote, "--back", first).returncode == 0
    assert git("-C", remote, "show", "gh-pages:index.html") == "first"
    assert git("-C", remote, "rev-list", "--count", "gh-pages") == "3"


def test_a_preview_lives_beside_the_book_and_goes(remote, site):
    push(remote, site("first"))
    assert push(remote, site("preview"), "preview/7").returncode == 0
    assert push(remote, site("second")).returncode == 0
    assert git("-C", remote, "show", "gh-pages:preview/7/index.html") == "preview"
    assert git("-C", remote, "show", "gh-pages:index.html") == "second"
    assert push(remote, "", "preview/7").returncode == 0
    assert files(remote) == {".nojekyll", "index.html"}


def test_a_folder_without_a_site_is_named(remote, tmp_path):
    refused = push(remote, tmp_path / "nothing")
    assert refused.returncode == 1
    assert "nothing has no index.html" in refused.stderr
