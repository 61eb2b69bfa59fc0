"""Open every page of the built book in headless Chromium and look for what must not be there.

    python workflow/check_site.py _build/smoke/site

With every outside host blocked: an error in the console, a directive left as text, a figure that
is blank or did not load, a slider that changes nothing, an internal link that leads nowhere, a
formula wider than its column, wide content whose scroll bar does not show, a page wider than a
telephone.
"""

import argparse
import functools
import http.server
import json
import os
import re
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import setup_cell
import yaml
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
RAW = re.compile(
    r"```\{|:::\{|\{cite|\{ref\}|\{numref\}|<!--|\[\?\]|\*\*\w|\$\$|\$[^$\s][^$\n]{0,80}\$"
)

PROBE = """
const inside = document.querySelector('article') || document.body;
const text = inside.cloneNode(true);
text.querySelectorAll('pre, code, dt.sig, script, style, mjx-container').forEach(e => e.remove());
const blank = [];
for (const image of document.querySelectorAll('article img')) {
  const name = image.alt || image.src.slice(0, 60);
  if (!image.complete || image.naturalWidth === 0) { blank.push(name + ' (not loaded)'); continue; }
  if (image.src.endsWith('.svg')) continue;
  const canvas = document.createElement('canvas');
  canvas.width = 64; canvas.height = 64;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, 64, 64);
  const data = context.getImageData(0, 0, 64, 64).data;
  let low = 255, high = 0;
  for (let i = 0; i < data.length; i += 4) {
    low = Math.min(low, data[i], data[i + 1], data[i + 2]);
    high = Math.max(high, data[i], data[i + 1], data[i + 2]);
  }
  if (high - low < 20) blank.push(name + ' (blank)');
}
const unnamed = Array.from(document.querySelectorAll('article img'))
  .filter(i => !i.alt || /^(_?images?|\\.\\.\\/|[0-9a-f]{32})/.test(i.alt))
  .map(i => i.src.slice(-60));
const cut = [];
const boxes = 'pre, .output, .pst-scrollable-table-container, mjx-container[display="true"]';
for (const box of inside.querySelectorAll(boxes)) {
  if (box.clientWidth === 0 || box.scrollWidth <= box.clientWidth + 1) continue;
  const name = box.textContent.trim().slice(0, 40) || (box.closest('section') || {id: ''}).id;
  if (box.tagName === 'MJX-CONTAINER') cut.push('a formula is wider than its column: ' + name);
  else if (box.offsetHeight - box.clientHeight - box.clientTop < 5)
    cut.push('wide content without a scroll bar: ' + name);
}
return {
  cut: cut,
  text: text.textContent,
  blank: blank,
  unnamed: unnamed,
  links: Array.from(document.querySelectorAll('a[href]')).map(a => a.href),
  ids: Array.from(document.querySelectorAll('[id]')).map(e => e.id),
  explorers: document.querySelectorAll('.sftkd-explore').length,
  formulas: document.querySelectorAll('.math').length,
  rendered: document.querySelectorAll('mjx-container').length,
  title: document.title,
};
"""
MOVE = """
const stuck = [];
function set(input, value) { input.value = value; input.dispatchEvent(new Event('input')); }
for (const box of document.querySelectorAll('.sftkd-explore')) {
  const inputs = Array.from(box.querySelectorAll('input[type=range]'));
  const picture = () => box.querySelector('img').src;
  for (const input of inputs) {
    if (Number(input.max) === 0) continue;
    let changes = false;
    for (const end of ['min', 'max']) {  // of the others: at one end this one may not matter
      inputs.forEach(other => set(other, other[end]));
      set(input, 0);
      const before = picture();
      set(input, input.max);
      changes = changes || picture() !== before;
    }
    if (!changes) stuck.push(input.getAttribute('aria-label'));
  }
  inputs.forEach(input => set(input, 0));
}
return stuck;
"""


def pages() -> list[str]:
    """The pages of ``_toc.yml``, as paths of the site."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    return [f"{file}.html" for file in files]


def open_browser(profile: str) -> webdriver.Chrome:
    """Headless Chromium that reaches this machine and nothing else."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None:
        raise SystemExit("error: no Chromium; install Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--window-size=1280,1600",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver) if driver else None)


def look_at(browser: webdriver.Chrome, address: str) -> tuple[dict, list[str]]:
    """What a page holds, and what is wrong with it by itself."""
    browser.get(address)
    wait = WebDriverWait(browser, 60)
    wait.until(lambda b: b.execute_script("return document.readyState") == "complete")
    browser.execute_script("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    wait.until(lambda b: b.execute_script(
        "return Array.from(document.images).every(i => i.complete)"
    ))  # fmt: skip
    if browser.execute_script("return document.querySelectorAll('.math').length"):
        wait.until(lambda b: b.execute_script(
            "return document.querySelectorAll('mjx-container').length"
            " >= document.querySelectorAll('.math').length"
        ))  # fmt: skip
    found = browser.execute_script(PROBE)
    problems = [f"raw text {mark!r}" for mark in dict.fromkeys(RAW.findall(found["text"]))]
    problems += [f"figure {name}" for name in found["blank"]]
    problems += [f"figure without alt text: {name}" for name in found["unnamed"]]
    problems += [f"slider {name!r} changes nothing" for name in browser.execute_script(MOVE)]
    problems += found["cut"]
    if browser.execute_script("return document.querySelectorAll('mjx-merror').length"):
        problems.append("a formula did not render")
    for entry in browser.get_log("browser"):
        if entry["level"] == "SEVERE":
            problems.append(f"console: {entry['message'][:300]}")
    browser.set_window_size(420, 900)
    overflow = browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    browser.set_window_size(1280, 1600)
    if overflow > 2:
        problems.append(f"{overflow} pixels too wide for a telephone")
    return found, problems


def dead_links(site: Path, base: str, seen: dict[str, dict]) -> list[str]:
    """Internal links whose file, or whose place on a page of the book, is not there."""
    problems = []
    for page, found in seen.items():
        for link in found["links"]:
            address, fragment = urldefrag(urljoin(base + page, link))
            if not address.startswith(base):
                continue
            path = unquote(urlparse(address).path).lstrip("/") or "index.html"
            if not (site / path).exists():
                problems.append(f"{page}: link to {path}, which is not there")
            elif fragment and path in seen and unquote(fragment) not in seen[path]["ids"]:
                problems.append(f"{page}: link to {path}#{fragment}, which is not on that page")
    return problems


def launch_links(seen: dict[str, dict]) -> list[str]:
    """Chapters whose launch button is missing, wrong, or there although no repository is known."""
    url = os.environ.get("SFTKD_REPOSITORY_URL", setup_cell.repository_url())
    problems = []
    for path in setup_cell.chapters():
        notebook = str(path.relative_to(ROOT))
        page = notebook.removesuffix(".ipynb") + ".html"
        links = [link for link in seen.get(page, {}).get("links", []) if "colab." in link]
        if url and page in seen and not any(link.endswith(f"/{notebook}") for link in links):
            problems.append(f"{page}: no button that opens {notebook} in Colab")
        if not url and links:
            problems.append(f"{page}: a launch button to {links[0]}, but no repository is known")
    return problems


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def check(site: Path, screenshots: Path | None = None) -> list[str]:
    """Every problem of the site, one line each."""
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}/"
    seen, problems = {}, []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = open_browser(profile)
        try:
            for page in pages():
                if not (site / page).exists():
                    problems.append(f"{page} is missing")
                    continue
                seen[page], found = look_at(browser, base + page)
                problems += [f"{page}: {problem}" for problem in found]
                if screenshots:
                    height = browser.execute_script("return document.body.scrollHeight")
                    browser.set_window_size(1280, min(max(height, 900), 16000))
                    screenshots.mkdir(parents=True, exist_ok=True)
                    browser.save_screenshot(str(screenshots / f"{Path(page).stem}.png"))
                    browser.set_window_size(1280, 1600)
        finally:
            browser.quit()
            server.shutdown()
            server.server_close()
    problems += dead_links(site, base, seen) + launch_links(seen)
    summary = {page: [found["explorers"], found["formulas"]] for page, found in seen.items()}
    print(f"{len(seen)} pages; figures with sliders and formulas: {json.dumps(summary)}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--screenshots", type=Path, help="a folder for a picture of each page")
    options = parser.parse_args()
    problems = check(options.site, options.screenshots)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
