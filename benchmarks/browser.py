"""How long does a network take in a browser, beside PyTorch on the same core? Two minutes.

    python benchmarks/browser.py [--runtime FOLDER] [--output results/browser.json] [--seconds 8]

The exported student and teacher run in headless Chromium, by ONNX Runtime Web's WebAssembly on one
thread, which is what a page has whose server sends no special headers. Browser, ONNX Runtime and
PyTorch take turns, one slice at a time, on one thread each. Printed and written as JSON: whether
the browser's image is PyTorch's, its milliseconds a slice, ratios to PyTorch, and what must be sent
before it can begin. FOLDER holds the package ``onnxruntime-web``; without one npm brings it. The
chapter *Performance* shows what is written.
"""

import argparse
import base64
import functools
import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from sftkd_core import system
from sftkd_core.book import Setting, timing
from sftkd_core.cli import export
from sftkd_core.consistency import Measurement, measure
from sftkd_core.system import describe

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

import look  # noqa: E402
import loopback  # noqa: E402

PACKAGE = "onnxruntime-web"
NEEDED = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
SIZES = (96, 240)  # of profile "quick", and of the paper
PAGE = """<!doctype html><title>a network</title><script type="module">
import * as ort from './ort.wasm.min.mjs'
ort.env.wasm.numThreads = 1
const floats = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer)
window.sessions = {}
window.begin = async (name, given) => {
  const session = await ort.InferenceSession.create(name, {executionProviders: ['wasm']})
  const feeds = {}
  for (const input of session.inputNames)
    feeds[input] = new ort.Tensor('float32', floats(given[input].data), given[input].shape)
  sessions[name] = {session, feeds}
  return Array.from((await session.run(feeds)).image.data)
}
window.once = async name => {
  const {session, feeds} = sessions[name]
  const start = performance.now()
  await session.run(feeds)
  return (performance.now() - start) / 1000
}
</script>"""
CALL = """const [what, given, done] = arguments
window[what](...given).then(done, error => done({error: String(error)}))"""


def runtime(folder: Path | None, work: Path) -> tuple[Path, str]:
    """The scripts of ONNX Runtime Web, and their version; npm packs them where no folder is given.

    Raises ``SystemExit`` where there are none.
    """
    if folder is None:
        if shutil.which("npm") is None:
            raise SystemExit(f"error: no npm; unpack the package {PACKAGE}, pass its folder")
        packed = subprocess.run(
            ["npm", "pack", PACKAGE], cwd=work, capture_output=True, text=True, check=False
        )
        if packed.returncode:
            raise SystemExit(f"error: npm brought no {PACKAGE}: {packed.stderr.strip()[-200:]}")
        with tarfile.open(next(work.glob("*.tgz"))) as archive:
            archive.extractall(work, filter="data")
        folder = work / "package"
    missing = [name for name in NEEDED if not (folder / "dist" / name).exists()]
    if missing:
        raise SystemExit(f"error: {folder} has no dist/{missing[0]}; is it {PACKAGE}?")
    version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    return folder / "dist", version


def sent(given: Measurement) -> dict:
    """The network's inputs as JSON, floats in base64."""
    return {
        name: {
            "data": base64.b64encode(value.numpy().tobytes()).decode(),
            "shape": list(value.shape),
        }
        for name, value in export.inputs_of(given).items()
    }


def ask(browser, what: str, *given):
    """The answer of a function of the page; raises ``SystemExit`` with its error."""
    answer = browser.execute_async_script(CALL, what, list(given))
    if isinstance(answer, dict):
        raise SystemExit(f"error in the browser: {answer['error']}")
    return answer


def clocked(run: Callable) -> float:
    """Seconds by the wall, as the page's own clock gives them."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def native(payload: bytes, given: Measurement) -> Callable:
    """ONNX Runtime on one thread, as a function of nothing."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = onnxruntime.InferenceSession(payload, options, providers=["CPUExecutionProvider"])
    inputs = {n: x.numpy() for n, x in export.inputs_of(given).items()}
    taken = {item.name: inputs[item.name] for item in made.get_inputs()}
    return lambda: made.run(None, taken)


def row(browser, place: Path, setting: Setting, name: str, size: int, seconds: float) -> dict:
    """One network at one size: its image in the browser against PyTorch's, and three clocks."""
    network = setting.run(name).model.cpu().eval().requires_grad_(False)
    images = setting.test_set.images
    targets = export.resized(images[len(images) // 2 :], size, size, 2)
    pair = measure(targets, setting.sampling.mask(size))
    payload, given = export.onnx_payload(network, pair), pair[:1]
    file = f"{name}-{size}.onnx"
    (place / file).write_bytes(payload)
    expected = network(given)
    found = np.array(ask(browser, "begin", file, sent(given)), dtype=np.float32)
    error = float(np.abs(found - expected.numpy().ravel()).max())
    if not error <= export.TOLERANCE:
        raise SystemExit(f"error: {name} at {size} differs from PyTorch by {error:.1e}")
    ways = {
        "PyTorch": lambda: clocked(lambda: network(given)),
        "ONNX Runtime": functools.partial(clocked, native(payload, given)),
        "browser": lambda: ask(browser, "once", file),
    }
    times = timing.in_turns(ways, seconds)
    paces = timing.faster(times, "PyTorch")
    shown = {way: f"{p.times:.2f} ({p.low:.2f} to {p.high:.2f})" for way, p in paces.iterrows()}
    return {
        "network": name,
        "pixels": f"{size} x {size}",
        "browser, ms a slice": f"{1e3 * times['browser'].median():.0f}",
        "browser, times PyTorch's pace": shown["browser"],
        "ONNX Runtime, likewise": shown["ONNX Runtime"],
        "largest difference": f"{error:.0e}",
        "network sent, kB": f"{len(gzip.compress(payload)) / 1e3:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", type=Path, help=f"a folder with the package {PACKAGE}")
    parser.add_argument("--output", type=Path, default=Path("results/browser.json"))
    parser.add_argument("--seconds", type=float, default=8.0, help="of each timing, at most")
    parser.add_argument("--profile", default="quick")
    options = parser.parse_args()
    os.environ.setdefault("SFTKD_SHIPPED", "yes")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        scripts, version = runtime(options.runtime, work)
        place = work / "site"
        place.mkdir()
        for name in NEEDED:
            shutil.copy(scripts / name, place)
        (place / "index.html").write_text(PAGE, encoding="utf-8")
        load = sum(len(gzip.compress((place / name).read_bytes())) for name in NEEDED)
        browser = look.open_browser(str(work / "profile"))
        try:
            with loopback.serve(place) as address:
                browser.get(address)
                setting = Setting(options.profile, "brain")
                sizes = SIZES if options.profile != "smoke" else (setting.dataset.size,)
                rows = [
                    row(browser, place, setting, name, size, options.seconds)
                    for size in sizes
                    for name in ("student", "teacher")
                ]
            says = browser.capabilities
        finally:
            browser.quit()
    record = {
        "device": f"{says['browserName']} {says['browserVersion']}, {PACKAGE} {version}, one "
        f"thread of {describe(torch.device('cpu'))}",
        "torch": torch.__version__,
        "runtime": f"{load / 1e6:.1f} MB compressed",
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "rows": rows,
    }
    for one in rows:
        print("; ".join(f"{what} {value}" for what, value in one.items()))
    system.write_bytes(options.output, json.dumps(record, indent=1).encode())
    print(f"written to {options.output}; {record['device']}; the runtime is {record['runtime']}")


if __name__ == "__main__":
    main()
