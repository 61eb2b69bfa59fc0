"""Outside links: all of them are found, their hosts are known, and dead ones are named."""

import http.server
import sys
import threading

import pytest
import yaml
from chapters import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import links


def test_every_outside_link_of_the_book_has_a_known_host():
    hosts = yaml.safe_load((ROOT / "workflow" / "links.yaml").read_text())
    places = links.links(links.texts())
    assert links.unknown_hosts(places, hosts) == []
    used = {links.urlparse(link).hostname for link in places}
    assert hosts == sorted(used), "workflow/links.yaml: sorted, and nothing that is not linked"


def test_links_and_dois_are_found_and_local_addresses_are_not():
    text = "see (https://a.org/x), <http://b.org/y>. At http://localhost:8000\n  doi = {10.1/z},"
    found = links.links({"page": text})
    assert set(found) == {"https://a.org/x", "http://b.org/y", "https://doi.org/10.1/z"}
    assert "a.org to links.yaml" in links.unknown_hosts(found, ["b.org", "doi.org"])[0]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def base():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_dead_links_are_named_with_their_page(base):
    places = {f"{base}/{code}": {"page"} for code in (200, 403, 404, 500)}
    assert links.dead(places) == [
        f"{base}/404 in page: answers 404",
        f"{base}/500 in page: answers 500",
    ]
