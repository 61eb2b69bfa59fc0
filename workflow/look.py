"""Look at one page in headless Chromium: what it holds, what is wrong with it, what it loaded.

``check_site.py`` opens every page of the book with it, once. What runs inside the page are the
scripts in ``browser/``; accessibility is judged by axe-core, which comes with selenium-axe-python.
"""

import re
import shutil
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait
from selenium_axe_python import Axe

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SCRIPTS = {p.stem: p.read_text() for p in (Path(__file__).parent / "browser").glob("*.js")}
RAW = re.compile(
    r"```\{|:::\{|\{cite|\{ref\}|\{numref\}|<!--|\[\?\]|\*\*\w|\$\$|\$[^$\s][^$\n]{0,80}\$"
)
WIDTHS = (1280, 400)  # pixels: a desk, a telephone
THEMES = ("light", "dark")
# Names, regions and tables do not depend on the theme, and colours do not depend on the width:
# of each way in which text is coloured, one element is judged in each theme.
EVERYTHING = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = {"include": [["[data-colours]"]]}
OF_COLOURS = ["color-contrast", "link-in-text-block"]
KINDS = {
    "PRE": "code",
    "TABLE": "a table",
    "MJX-CONTAINER": "a formula",
    "PRINTED": "printed words",
}


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
    browser = webdriver.Chrome(options=options, service=Service(driver) if driver else None)
    browser.set_script_timeout(120)
    return browser


def resize(browser: webdriver.Chrome, width: int, height: int = 1600) -> None:
    """Exactly so many pixels, also below what a window may have."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def look_at(browser: webdriver.Chrome, address: str) -> tuple[dict, list[str]]:
    """What a page holds, and what is wrong with it by itself."""
    resize(browser, 1280)
    browser.get(address)
    wait_for_all(browser)
    found = browser.execute_script(SCRIPTS["probe"])
    problems = [f"raw text {mark!r}" for mark in dict.fromkeys(RAW.findall(found["text"]))]
    problems += [f"figure {name}" for name in found["blank"]]
    problems += [f"figure without alt text: {name}" for name in found["unnamed"]]
    stuck = browser.execute_script(SCRIPTS["sliders"])
    problems += [f"slider {name!r} changes nothing" for name in stuck]
    if browser.execute_script("return document.querySelectorAll('mjx-merror').length"):
        problems.append("a formula did not render")
    for entry in browser.get_log("browser"):
        if entry["level"] == "SEVERE":
            problems.append(f"console: {entry['message'][:300]}")
    return found, problems + looks(browser)


def looks(browser: webdriver.Chrome) -> list[str]:
    """What does not fit or cannot be read, at each width and in each theme."""
    still = "const s = document.createElement('style'); document.head.append(s);"
    browser.execute_script(still + "s.textContent = '* {transition: none !important}'")
    Axe(browser).inject()
    problems = []
    for width in WIDTHS:
        resize(browser, width)
        for theme in THEMES:
            browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
            here = cut(browser, width)
            if width == WIDTHS[0]:
                browser.execute_script(SCRIPTS["colours"])
                here += barriers(browser, {"type": "rule", "values": OF_COLOURS}, COLOURS)
                if theme == THEMES[0]:
                    here += barriers(browser, {"type": "tag", "values": EVERYTHING})
            problems += [f"{text} ({width} pixels, {theme})" for text in here]
    return problems


def cut(browser: webdriver.Chrome, width: int) -> list[str]:
    """Content without a visible way to reach it; at a desk code and formulas fit as they are."""
    seen = browser.execute_script(SCRIPTS["cut"])
    problems = []
    if seen["page"] > 2:
        problems.append(f"the page is {seen['page']} pixels too wide")
    for item in seen["found"]:
        what = f"{KINDS[item['kind']]} is {item['over']} pixels wider than its column"
        if not item["reachable"]:
            problems.append(f"{what}, without a scroll bar: {item['name']}")
        elif width == WIDTHS[0] and item["kind"] in ("PRE", "MJX-CONTAINER"):
            problems.append(f"{what}: {item['name']}")
    return problems


def barriers(browser: webdriver.Chrome, which: dict, where: dict | None = None) -> list[str]:
    """Violations that axe-core finds, with the first elements of each."""
    options = {"runOnly": which, "resultTypes": ["violations"], "preload": False}
    if which["type"] == "tag":
        options["rules"] = {rule: {"enabled": False} for rule in OF_COLOURS}
        options["rules"]["label-content-name-mismatch"] = {"enabled": True}  # axe has it as a trial
    run = "axe.run(arguments[1] || document, arguments[0]).then(arguments[2])"
    found = browser.execute_async_script(run, options, where)["violations"]
    return [
        f"axe {rule['id']}, {len(rule['nodes'])} of them: {_first(rule['nodes'])}" for rule in found
    ]


def photograph(browser: webdriver.Chrome, stem: Path) -> None:
    """Pictures of the whole page, at each width and in each theme: ``masks-400-dark.png``."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for theme in THEMES:
            browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
            resize(browser, width)
            height = browser.execute_script("return document.body.scrollHeight")
            resize(browser, width, min(max(height, 900), 16000))
            browser.save_screenshot(f"{stem}-{width}-{theme}.png")


def _first(nodes: list[dict]) -> str:
    texts = []
    for node in nodes[:2]:
        said = node["any"][0]["message"] if node["any"] else ""
        texts.append(f"{node['html'].replace(chr(10), ' ')[:120]} {said}"[:280])
    return " | ".join(texts)


def wait_for_all(browser: webdriver.Chrome) -> None:
    """Until the page, its figures and its formulas are there."""
    wait = WebDriverWait(browser, 60)
    wait.until(lambda b: b.execute_script("return document.readyState") == "complete")
    browser.execute_script("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    wait.until(lambda b: b.execute_script(
        "return Array.from(document.images).every(i => i.complete)"
    ))  # fmt: skip
    wait.until(lambda b: b.execute_script(
        "return document.querySelectorAll('mjx-container').length"
        " >= document.querySelectorAll('.math').length"
    ))  # fmt: skip
