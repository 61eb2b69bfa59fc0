"""The HDF5 form of KD-MRI and SFT-KD-Recon, both ways.

One file a volume: ``volfs`` (h, w, slices) in [0, 1], ``img_volus_4x`` its zero-filled magnitude,
``kspace_volus_4x`` the masked k-space. Folders ``cardiac/cartesian/train/acc_4x/1.h5`` and
``.../validation/...``; KD-MRI has no ``cartesian``. Masks, as SFT-KD-Recon loads them:
``us_masks/cardiac/cartesian/mask_4x.npy`` (h, w).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from sftkd_core import masks
from sftkd_core.data import prepared
from sftkd_core.data.formats import hdf5
from sftkd_core.data.layouts.source import Found, Source, files_in, natural, plain_name
from sftkd_core.system import InputError, files

SPLITS = {"train": "train", "validation": "test"}  # its validation set is also its test set
NAMES = {"acdc": "cardiac", "mrbrains": "mrbrain"}  # of its folders


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
    # where, and no product: that would leave -0.0
    kspace = np.where(mask, np.fft.fft2(images, norm="ortho"), 0).astype(np.complex64)
    zero_filled = np.abs(np.fft.ifft2(kspace, norm="ortho")).astype(np.float32)
    arrays = {"volfs": np.abs(images), f"img_volus_{level}": zero_filled}
    arrays[f"kspace_volus_{level}"] = kspace
    hdf5.write(path, {name: np.moveaxis(array, 0, 2) for name, array in arrays.items()})


def export_kdmri(
    data: str | Path,
    folder: str | Path,
    acceleration: float = 4,
    seed: int = 0,
    mask: np.ndarray | str | Path | None = None,
    dataset: str | None = None,
    report: Callable[[str], None] = print,
) -> list[Path]:
    """Write a prepared data set in KD-MRI's form, so that its code can train on it.

    data     a prepared folder, or the short name of one
    mask     (lines,), (h, w), or the path of a published ``.npy``; None draws one by acceleration
             and seed, with ten central lines (fewer where fewer than twenty are measured)
    dataset  the name of its folder; None is the name that the published code knows

    The folder of the sampling is named by the mask's acceleration: ``acc_4x`` for 37 of 150 lines.

    Subjects to train on and those held out go to ``train``, the others to ``validation``: the
    paper's validation set is also its test set. Returns the paths of the files.

    An earlier export is replaced file by file. Volumes of it that would stay are never removed, for
    they may be somebody's own: beside them one subject could be both trained on and tested on, so
    ``InputError`` is raised before anything is written.
    """
    place = Path(data).expanduser()
    if not prepared.is_prepared(place):
        place = prepared.place_of(str(data))
    if not prepared.is_prepared(place):
        raise InputError(f"data {data} is not prepared; run: python -m sftkd_core prepare")
    manifest = prepared.read_manifest(place)
    dataset = dataset or NAMES.get(manifest["name"], manifest["name"])
    if plain_name(dataset) != dataset:
        raise InputError(f"data set name {dataset!r} is no folder name; use letters and dashes")
    shapes = {tuple(entry["shape"][1:]) for entry in manifest["subjects"]}
    if len(shapes) > 1:
        raise InputError(f"volumes of {place} differ in size {sorted(shapes)}; one mask fits one")
    (shape,) = shapes
    chosen = _mask(mask, shape, acceleration, seed)
    factor = acceleration if mask is None else chosen.size / chosen.sum()
    factor = round(factor) if abs(factor - round(factor)) < 0.1 else round(factor, 1)
    level = f"{factor:g}x"
    root = Path(folder).expanduser()
    paths = _paths(root / dataset / "cartesian", manifest["subjects"], level)
    mask_path = root / "us_masks" / dataset / "cartesian" / f"mask_{level}.npy"
    mask_path.unlink(missing_ok=True)  # written last: nobody trains on an export that broke off
    for path, entry in zip(paths, manifest["subjects"], strict=True):
        write_file(path, prepared.read_subject(place, entry), chosen, level)
    full = np.broadcast_to(chosen[:, None] if chosen.ndim == 1 else chosen, shape)
    prepared.write_subject(mask_path, full.astype(np.float64))
    report(f"written: {len(paths)} volumes in {root / dataset}, their mask in {mask_path}")
    return paths


def _paths(root: Path, entries: list[dict], level: str) -> list[Path]:
    """A file for each entry; raises ``InputError`` where other volumes lie beside them."""
    folders = {split: root / split / f"acc_{level}" for split in ("train", "validation")}
    numbers, paths = dict.fromkeys(folders, 0), []
    for entry in entries:
        split = "validation" if entry["split"] == "test" else "train"
        numbers[split] += 1
        paths.append(folders[split] / f"{numbers[split]}.h5")
    for folder in folders.values():
        there = {*folder.glob("*.h5"), *folder.glob("*.hdf5")}
        others = sorted(path.name for path in there.difference(paths))
        if others:
            more = ", ..." if len(others) > 3 else ""
            raise InputError(
                f"{folder} holds volumes that are not of this export ({', '.join(others[:3])}"
                f"{more}), and would be mixed with it; remove them, or choose another folder"
            )
    return paths


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


def _mask(mask, shape: tuple[int, int], acceleration: float, seed: int) -> np.ndarray:
    if mask is None:
        most = masks.line_count(shape[0], acceleration) // 2
        return masks.cartesian_mask(shape[0], acceleration, seed, min(10, max(1, most)))
    mask = masks.load_mask(mask) if isinstance(mask, str | Path) else mask
    mask = masks.check_mask(mask, shape[0])
    if mask.ndim == 2 and mask.shape != shape:
        raise InputError(f"mask has shape {mask.shape} but the images have {shape}; make them fit")
    return mask
