"""How well a network that learnt on phantoms reconstructs real scans that it has never seen.

    python benchmarks/transfer.py [--data head] [--noise 0.005] [--seeds 0 1] FOLDER

Trains D3C5 as profile "quick" does, on phantoms of one kind, and prints PSNR and SSIM of its
images and of the zero-filled ones: per scan, and the mean of the gains, at 96 x 96 pixels and at
the scan's own size. ``--data shipped`` takes the students that come with the book instead. FOLDER
holds NIfTI files; ``--collect`` writes there what comes with matplotlib, nibabel and dipy
(``pip install --target PLACE --no-deps dipy`` and name PLACE/dipy/data/files).

Measured on seven scans (those and a T1 head), gain in dB at 96 x 96 / own size, seeds 0, 1, 2:

    shipped student          4.61 / 4.66    5.75 / 5.05    4.98 / 4.56
    brain, clean target      4.70 / 4.56    (the old phantom without its noise, noise 0.005)
    head, noise 0.005        6.10 / 6.08    6.85 / 5.89    6.04 / 5.92
    head, noise 0            5.93 / 5.80
    head, without skull      5.64 / 5.70    (noise 0.005, as below)
    head, without cortex     6.06 / 5.91
    head, T1 contrast only   5.80 / 5.76

Fields of view and the share of stripped brains were chosen by seeds 0 and 1 of these scans; seed 2
and the T1 head's coronal and sagittal planes were not looked at before. On those planes the gains
are 2.82 / 3.62, 3.75 / 2.81 and 3.68 / 3.69 of the shipped students; 5.54 / 5.39 of a head's
(seed 2), 4.90 / 4.68 without noise (seed 0), and 3.14 / 3.29 without skull (seed 0).
"""

import argparse
import gzip
import tempfile
import time
from functools import partial
from importlib.resources import files
from pathlib import Path

import nibabel
import numpy as np
import torch

from sftkd_core import metrics, models
from sftkd_core.book import Setting
from sftkd_core.book.setting import PROFILES
from sftkd_core.data import PHANTOMS, Dataset
from sftkd_core.data.phantoms.head import INGREDIENTS, head_phantom
from sftkd_core.data.slices import stack
from sftkd_core.experiments import Examples, Sampling, training
from sftkd_core.experiments.losses import reconstruction, validate_image

QUICK = PROFILES["quick"]
KINDS = PHANTOMS


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="head", choices=[*KINDS, "shipped"])
    parser.add_argument("--noise", type=float, default=0.005)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--without", nargs="*", default=[], choices=INGREDIENTS)
    parser.add_argument("--collect", type=Path, metavar="DIPY_FILES")
    options = parser.parse_args()
    if options.collect:
        collect(options.folder, options.collect)
    phantom = KINDS.get(options.data)
    if options.without:
        kept = tuple(name for name in INGREDIENTS if name not in options.without)
        phantom = partial(head_phantom, ingredients=kept)
    for seed in options.seeds:
        started = time.perf_counter()
        if options.data == "shipped":
            network = Setting("quick", seed=seed).run("student").model
        else:
            network = trained(phantom, seed, options.noise)
        print(f"{options.data}, seed {seed}: {time.perf_counter() - started:.0f} s to train")
        report(network, options.folder, seed)


def collect(folder: Path, dipy: Path) -> None:
    """Write the real scans that come with Python packages as NIfTI volumes."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = files("nibabel") / "tests" / "data"
    paths = {"epi": samples / "example4d.nii.gz", "b0": dipy / "S0_10slices.nii.gz"}
    paths |= {"dwi": dipy / "aniso_vox.nii.gz", "dwi-noisy": dipy / "test_piesno.nii.gz"}
    for name, path in paths.items():
        image = nibabel.load(str(path))
        values = np.asarray(image.dataobj, dtype=np.float32)
        values = values[..., 0] if values.ndim == 4 else values
        nibabel.save(nibabel.Nifti1Image(values, image.affine), folder / f"{name}.nii.gz")
    sagittal = files("matplotlib") / "mpl-data" / "sample_data" / "s1045.ima.gz"
    planes = {"t1-coronal": np.load(dipy / "t1_coronal_slice.npy")}
    planes["sagittal"] = np.frombuffer(gzip.decompress(sagittal.read_bytes()), "uint16")
    for name, plane in planes.items():  # the only slice twice: a volume has three axes
        plane = plane.reshape(256, 256)[::-1].T.astype(np.float32)
        volume = np.stack([plane, plane], axis=2)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / f"{name}.nii.gz")


def trained(phantom, seed: int, noise: float, model: str = "D3C5"):
    """A network that learnt as profile "quick" does, on phantoms of one kind."""
    sampling = Sampling(4, seed, noise=noise)
    counts = {"train": (0, QUICK.train), "validation": (QUICK.train, QUICK.validation)}
    parts = {}
    for split, (first, count) in counts.items():
        subjects = range(1000 * seed + first, 1000 * seed + first + count)
        images = stack([phantom(k, QUICK.size, QUICK.slices) for k in subjects], split).images
        parts[split] = Examples(sampling.measure(images, split), images)
    network = models.build(model, seed)
    with tempfile.TemporaryDirectory() as folder:
        training.fit(
            network,
            reconstruction(parts["train"]),
            validate_image(parts["validation"]),
            len(parts["train"].targets),
            QUICK.schedule,
            Path(folder),
            seed,
        )
    return network


def scores(network, path: Path, seed: int, size: int | None) -> np.ndarray:
    """PSNR and SSIM of zero-filled and reconstructed slices of a scan: their four means."""
    images = Dataset(str(path), size, slices=16).load("test").images
    measurement = Sampling(4, seed).measure(images)
    found = training.reconstruct(network, measurement)
    pairs = [
        (kind, x) for kind in (metrics.psnr, metrics.ssim) for x in (measurement.zero_filled, found)
    ]
    return np.array([float(kind(x, images)) for kind, x in pairs])


def report(network, folder: Path, seed: int) -> dict[str, list[float]]:
    """Print the table of all scans; returns the gains in dB at both sizes by scan."""
    gains = {}
    print(f"{'':14}" + f"{'96 x 96: PSNR':>17}{'SSIM':>15}{'gain':>8}" + f"{'own: gain':>14}")
    for path in sorted(folder.glob("*.nii.gz")):
        small, own = (scores(network, path, seed, size) for size in (QUICK.size, None))
        name = path.name.split(".")[0]
        gains[name] = [small[1] - small[0], own[1] - own[0]]
        print(
            f"{name:14}{small[0]:8.2f} ->{small[1]:6.2f}{small[2]:7.3f} ->{small[3]:6.3f}"
            f"{gains[name][0]:8.2f}{gains[name][1]:14.2f}"
        )
    mean = np.mean(list(gains.values()), axis=0)
    print(f"{'mean':46}{mean[0]:8.2f}{mean[1]:14.2f}", flush=True)
    return gains


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
