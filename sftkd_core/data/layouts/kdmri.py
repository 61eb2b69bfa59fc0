"""The HDF5 form of KD-MRI and SFT-KD-Recon, both ways.

One file a volume: ``volfs`` (h, w, slices) in [0, 1], ``img_volus_4x`` its zero-filled magnitude,
``kspace_volus_4x`` the masked k-space. Folders ``cardiac/cartesian/train/acc_4x/1.h5`` and
``.../validation/...``; KD-MRI has no ``cartesian``. Masks, as SFT-KD-Recon loads them:
``us_masks/cardiac/cartesian/mask_4x.npy`` (h, w).
"""

from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import files, hdf5
from sftkd_core.data.layouts.source import Found, Source, files_in, natural, plain_name
from sftkd_core.system import InputError

SPLITS = {"train": "train", "validation": "test"}  # its validation set is also its test set


def find(folder: Path) -> Found:
    """The volumes below ``folder``, of the first acceleration and kind of mask that is there."""
    places: dict[str, dict[Path, list[Path]]] = {split: {} for split in SPLITS}
    skipped = []
    for path in files_in(folder, (".h5", ".hdf5")):
        parts = (folder.name, *path.relative_to(folder).parts[:-1])
        split = next((part for part in reversed(parts) if part in SPLITS), None)
        if split is None:
            skipped.append((str(path.relative_to(folder)), "neither in train/ nor in validation/"))
        else:
            places[split].setdefault(path.parent, []).append(path)
    _check_one_dataset(folder, places)
    sources = []
    for split, by_place in places.items():
        ordered = sorted(by_place, key=natural)
        for path in by_place[ordered[0]] if ordered else []:
            name = f"{split}-{plain_name(path.stem)}"
            sources.append(Source(name, SPLITS[split], (path,), partial(read_file, path), name))
        for place in ordered[1:]:
            why = f"the same volumes as in {ordered[0].name}, sampled otherwise"
            skipped.append((str(place.relative_to(folder)), why))
    return Found(sources, skipped)


def read_file(path: Path) -> np.ndarray:
    """The targets as planes (n, h, w)."""
    with hdf5.opened(path) as file:
        target = hdf5.array_of(file, "volfs", 3)
        planes = np.moveaxis(target[...], 2, 0)
    files.check_finite(planes, path)
    if planes.min() < 0:
        raise InputError(f"{path} holds values down to {planes.min():g}; targets are magnitudes")
    return planes


def write_file(path: Path, images: np.ndarray, mask: np.ndarray, level: str) -> None:
    """Write a volume: images (n, h, w) float32 in [0, 1] or complex64, mask (lines,) or (h, w).

    ``level`` is "4x" or the like. The target is the magnitude; k-space keeps the phase.
    """
    if mask.ndim == 1:
        mask = np.broadcast_to(mask[:, None], images.shape[1:])
    kspace = (np.fft.fft2(images, norm="ortho") * mask).astype(np.complex64)
    zero_filled = np.abs(np.fft.ifft2(kspace, norm="ortho")).astype(np.float32)
    arrays = {"volfs": np.abs(images), f"img_volus_{level}": zero_filled}
    arrays[f"kspace_volus_{level}"] = kspace
    hdf5.write(path, {name: np.moveaxis(array, 0, 2) for name, array in arrays.items()})


def _check_one_dataset(folder: Path, places: dict[str, dict[Path, list[Path]]]) -> None:
    """Raise ``InputError`` where several data sets lie side by side."""
    roots = set()
    for split, by_place in places.items():
        for place in by_place:
            parts = place.relative_to(folder).parts
            if split in parts:
                roots.add(parts[: parts.index(split)][:1])
    if len(roots) > 1:
        names = " and ".join(sorted("/".join(root) or "." for root in roots))
        raise InputError(f"{folder} holds several data sets ({names}); pass the folder of one")
