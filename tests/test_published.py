"""A wheel brings this edition's results one by one; what goes wrong is told."""

import functools
import http.server
import json
import shutil
import sys
import threading

import pandas as pd
import pytest
import torch
from chapters import ROOT

from sftkd_core import system
from sftkd_core.experiments import published, store

sys.path.insert(0, str(ROOT / "workflow"))

import wheel_index

NAME, CODE = "D2C5-0123456789abcdef", "the seal"


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def edition(tmp_path, home, monkeypatch):
    """A folder of results as published, its index as in a wheel, and nothing in the store."""
    results = tmp_path / "published"
    store.put(NAME, {"w": torch.arange(3.0)}, {"history": [], "provenance": {}}, CODE)
    store.folder(NAME).parent.rename(results)
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    monkeypatch.setattr(store, "PACKAGE", tmp_path / "site-packages" / "sftkd_core")
    monkeypatch.setattr(published, "INDEX", tmp_path / "index.json")
    monkeypatch.setattr(published, "_UNREACHED", set())
    for remembered in (published.index, published._tell):
        remembered.cache_clear()
    (tmp_path / "index.json").write_text(json.dumps(wheel_index.index_of(results)))
    yield results
    published.index.cache_clear()


@pytest.fixture
def served(edition, monkeypatch):
    """The edition on a server of this machine; ``asked`` are the paths that it was asked for."""
    handler = type("Handler", (Quiet,), {"asked": []})
    bound = functools.partial(handler, directory=str(edition))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SFTKD_RESULTS_URL", f"http://127.0.0.1:{server.server_address[1]}/")
    yield handler
    server.shutdown()
    server.server_close()


def test_a_result_is_brought_when_it_is_asked_for_and_remembered(served, edition):
    assert store.find("D2C5-of-nobody", CODE) is None
    assert served.asked == []
    weights, record = store.find(NAME, CODE)
    assert weights["w"].tolist() == [0, 1, 2]
    assert record["code"] == CODE
    assert served.asked == [f"/{NAME}/weights.safetensors", f"/{NAME}/result.json"]
    shutil.rmtree(edition)
    assert store.find(NAME, CODE) is not None
    assert len(served.asked) == 2


def test_a_result_of_one_s_own_needs_no_server(served):
    store.put(NAME, {"w": torch.ones(1)}, {"history": [], "provenance": {}}, CODE)
    assert store.find(NAME, CODE)[0]["w"].tolist() == [1]
    assert served.asked == []


def test_a_file_with_another_checksum_is_not_taken(served, edition, home):
    (edition / NAME / "weights.safetensors").write_bytes(b"something else")
    with pytest.warns(UserWarning, match=r"its checksum differs\. .* trained or computed here"):
        assert store.find(NAME, CODE) is None
    assert not list(home.rglob("weights.safetensors"))


def test_a_damaged_file_of_your_home_is_brought_again(served):
    store.find(NAME, CODE)
    (published.place() / NAME / "weights.safetensors").write_bytes(b"half of i")
    assert store.find(NAME, CODE) is not None
    assert len(served.asked) == 3


def test_a_missing_file_is_told(served, edition):
    (edition / NAME / "result.json").unlink()
    with pytest.warns(UserWarning, match=r"result\.json cannot be had \(404 File not found\)"):
        assert store.find(NAME, CODE) is None


def test_without_a_network_one_sentence_is_said_once(edition, monkeypatch, recwarn):
    monkeypatch.setenv("SFTKD_RESULTS_URL", "http://127.0.0.1:9/results")
    for _ in range(2):
        assert store.find(NAME, CODE) is None
    (told,) = [str(warning.message) for warning in recwarn]
    assert told.startswith("http://127.0.0.1:9/results cannot be reached (")
    assert told.endswith("What is missing is trained or computed here instead.")


def test_without_an_address_the_remedy_is_named(edition, monkeypatch):
    monkeypatch.delenv("SFTKD_RESULTS_URL", raising=False)
    with pytest.warns(UserWarning, match="set SFTKD_RESULTS_URL"):
        assert store.find(NAME, CODE) is None


@pytest.mark.parametrize("address", ["file:///etc", "results", "ftp://example.org"])
def test_an_address_that_is_none_is_named(address, edition, monkeypatch):
    monkeypatch.setenv("SFTKD_RESULTS_URL", address)
    with pytest.raises(system.InputError, match=r"SFTKD_RESULTS_URL is .* begin with https://"):
        store.find(NAME, CODE)


def test_the_address_may_come_with_the_wheel(edition, monkeypatch):
    monkeypatch.setenv("SFTKD_RESULTS_URL", "https://example.org/edition/")
    built = wheel_index.index_of(edition)
    monkeypatch.delenv("SFTKD_RESULTS_URL")
    published.INDEX.write_text(json.dumps(built))
    assert published.address() == "https://example.org/edition"


def test_no_shipped_results_means_no_question(served, monkeypatch):
    monkeypatch.setenv("SFTKD_SHIPPED", "no")
    assert store.find(NAME, CODE) is None
    assert served.asked == []


def test_tables_of_metrics_come_in_the_same_way(served, edition, home, tmp_path):
    table = pd.DataFrame({"subject": ["a"], "psnr": [30.0]})
    store.remembered({}, lambda: table)
    (home / "evaluations").rename(edition / "evaluations")
    published.INDEX.write_text(json.dumps(wheel_index.index_of(edition)))
    published.index.cache_clear()
    again = store.remembered({}, lambda: pytest.fail("it was computed again"))
    assert again.equals(table)
    assert [path.split("/")[1] for path in served.asked] == ["evaluations"]


def test_a_clone_asks_nobody():
    assert published.index() == {"address": "", "files": {}}
