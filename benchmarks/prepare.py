"""Time preparing a NIfTI volume on one worker, beside the machine's raw gunzip and write.

python benchmarks/prepare.py [SCAN.nii.gz]   (without one: a noisy volume made here, int16)

Raw is what no preparation can avoid: unpacking the file with zlib, and writing to disk (with fsync,
as prepare does) as many bytes as the prepared subject has. A second line counts only the unpacked
bytes as written. Prepare also reads and hashes the source, checks and scales all values, turns the
planes upright, and hashes and writes the result with its note.
"""

import gzip
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import nibabel
import numpy as np

from sftkd_core.data.layouts import nifti_folder
from sftkd_core.data.layouts.source import Source
from sftkd_core.data.prepare import prepare_one

ROUNDS = 15


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        scan = Path(sys.argv[1]) if len(sys.argv) > 1 else made(folder / "made.nii.gz")
        unpacked = gzip.decompress(scan.read_bytes())
        rows = {"raw": [], "raw, unpacked bytes": [], "prepare": []}
        for round_ in range(ROUNDS):  # in turns, so that all see the same machine
            output = folder / f"out{round_}"
            output.mkdir()
            rows["prepare"].append(seconds(partial(prepare_scan, scan, output)))
            size = next(output.glob("*.npy")).stat().st_size
            filler = np.random.default_rng(0).bytes(size)
            rows["raw"].append(seconds(partial(raw, scan, filler, folder / "raw")))
            rows["raw, unpacked bytes"].append(seconds(partial(raw, scan, None, folder / "raw")))
            for path in output.iterdir():
                path.unlink()
        print(f"{scan.name}: {len(unpacked) / 1e6:.1f} MB unpacked, {size / 1e6:.1f} MB prepared")
        for name, times in rows.items():
            rate = len(unpacked) / 1e6 / np.median(times)
            print(
                f"{name:20} {min(times):.3f} to {max(times):.3f} s, median {np.median(times):.3f} s"
                f" = {rate:.0f} MB/s unpacked"
            )
        for name in ("raw", "raw, unpacked bytes"):
            shares = np.divide(rows[name], rows["prepare"])  # of the same round
            low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75])
            print(f"prepare runs at {middle:.0%} ({low:.0%} to {high:.0%}) of {name}")


def prepare_scan(scan: Path, output: Path) -> None:
    read = partial(nifti_folder.read_file, scan)
    entry = prepare_one(Source("scan", None, (scan,), read, "scan"), output, None, "slice")
    assert entry["made"]


def raw(scan: Path, payload: bytes | None, target: Path) -> None:
    unpacked = gzip.decompress(scan.read_bytes())
    with open(target, "wb") as file:
        file.write(unpacked if payload is None else payload)
        file.flush()
        os.fsync(file.fileno())


def seconds(action) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def made(path: Path) -> Path:
    """A blob with noise, 192 x 256 x 192 int16, compressed as scanners' tools do."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (192, 256, 192)), indexing="ij")
    inside = x**2 + y**2 + z**2 < 0.6
    noise = np.random.default_rng(0).normal(0, 12, inside.shape)
    values = np.clip(inside * (300 + 100 * np.sin(9 * x) * np.cos(7 * y) + noise), 0, None)
    image = nibabel.Nifti1Image(values.astype(np.int16), np.eye(4))
    path.write_bytes(gzip.compress(image.to_bytes(), 6))
    return path


if __name__ == "__main__":
    main()
