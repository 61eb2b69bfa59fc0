"""Small data sets, written as those that are downloaded are laid out.

Each subject's object tells left from right, up from down, and one slice from another.
"""

import gzip
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest


def volume(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """(x, y, z) uint16: a blob with a bright corner towards large x and y, other in each z."""
    generator = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    blob = 600 * np.exp(-4 * (x**2 + 1.5 * y**2))
    corner = 400 * np.exp(-30 * ((x - 0.5) ** 2 + (y - 0.4) ** 2))
    noise = generator.uniform(1, 30, shape)
    return (blob * (1.2 + 0.3 * z) + corner + noise).astype(np.uint16)


def write_nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """A NIfTI file, compressed where its name says so."""
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    payload = image.to_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(payload, 1) if path.name.endswith(".gz") else payload)
    return path


def acdc(folder: Path, patients=(1, 2, 3, 101, 102), shape=(170, 140, 4)) -> Path:
    """``training/patient001/`` and ``testing/patient101/``, with series, frames, labels, notes."""
    for number in patients:
        name = f"patient{number:03d}"
        place = folder / ("training" if number <= 100 else "testing") / name
        for frame in (1, 12):
            values = volume(1000 * frame + number, shape)
            write_nifti(place / f"{name}_frame{frame:02d}.nii.gz", values)
            labels = (values > 500).astype(np.uint8)
            write_nifti(place / f"{name}_frame{frame:02d}_gt.nii.gz", labels)
        write_nifti(place / f"{name}_4d.nii.gz", np.stack([values[:8, :8]] * 3, -1))
        note = "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
        (place / "Info.cfg").write_text(note)
    return folder


def mrbrains_2018(folder: Path, shape=(240, 240, 6)) -> Path:
    """``training/070/pre/reg_T1.nii.gz`` and its like."""
    for name in ("1", "4", "5", "7", "14", "070", "148"):
        place = folder / "training" / name
        for variant in ("pre", "orig"):
            values = volume(int(name) + (variant == "orig"), shape)
            for scan in ("reg_T1", "reg_IR", "FLAIR"):
                write_nifti(place / variant / f"{scan}.nii.gz", values)
        write_nifti(place / "segm.nii.gz", (values > 300).astype(np.uint8))
    return folder


def mrbrains_2013(folder: Path, shape=(240, 240, 6)) -> Path:
    """``TrainingData/1/T1.nii`` and ``TestData/1/T1.nii``."""
    for side, count in (("TrainingData", 5), ("TestData", 3)):
        for number in range(1, count + 1):
            place = folder / side / str(number)
            for scan in ("T1", "T1_1mm", "T1_IR", "T2_FLAIR"):
                write_nifti(place / f"{scan}.nii", volume(number + len(side), shape))
    return folder


def calgary_scans(folder: Path, subjects=7, shape=(8, 256, 256)) -> Path:
    """``Reconstructed/CC0001_philips_15_55_M.nii.gz``: sagittal planes along the first axis."""
    for number in range(1, subjects + 1):
        values = np.moveaxis(volume(number, (shape[1], shape[2], shape[0])), 2, 0)
        write_nifti(folder / "Reconstructed" / f"CC{number:04d}_philips_15_55_M.nii.gz", values)
    return folder


def complex_object(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """(n, h, w) complex64 with a smooth phase."""
    values = np.moveaxis(volume(seed, (shape[1], shape[2], shape[0])), 2, 0).astype(np.float32)
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[1:]), indexing="ij")
    return (values * np.exp(1j * (0.8 * rows - 0.5 * columns**2 + 0.3))).astype(np.complex64)


def interleaved(coils: np.ndarray) -> np.ndarray:
    """(n, c, h, w) complex -> (n, h, w, 2 c) float32, real and imaginary parts in turn."""
    coils = np.moveaxis(coils, 1, -1)
    return np.stack([coils.real, coils.imag], -1).reshape(*coils.shape[:-1], -1).astype(np.float32)


def sensitivities(coils: int, height: int, width: int) -> np.ndarray:
    """(c, h, w) complex64: smooth, from coils around the object, each with a phase of its own."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (height, width)), indexing="ij")
    angles = 2 * np.pi * np.arange(coils) / coils
    return np.stack(
        [
            np.exp(-0.5 * ((y - 1.3 * np.sin(a)) ** 2 + (x - 1.3 * np.cos(a)) ** 2) + 1j * a)
            for a in angles
        ]
    ).astype(np.complex64)


def calgary_kspace(folder: Path, coils=1, size=64, slices=6, counts=(3, 2, 1)) -> Path:
    """``Train/e13991s3_P01536.7.npy`` and the like; ``Test`` holds some as well."""
    for side, count in zip(("Train", "Val", "Test"), counts, strict=True):
        for number in range(count):
            images = complex_object(10 * len(side) + number, (slices, size, size))[:, None]
            if coils > 1:
                images = images * sensitivities(coils, size, size)
            path = folder / side / f"e{side}{number}s3_P01536.7.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, interleaved(np.fft.fft2(images)))
    return folder


def kdmri(folder: Path, counts=(4, 2), shape=(30, 24, 3), levels=("4x", "5x")) -> Path:
    """``cardiac/cartesian/train/acc_4x/1.h5``."""
    for level in levels:
        for split, count in zip(("train", "validation"), counts, strict=True):
            for number in range(1, count + 1):
                target = volume(number + 50 * len(split), shape).astype(np.float64)
                target /= target.max(axis=(0, 1))
                kspace = np.fft.fft2(target, axes=(0, 1), norm="ortho")
                kspace[5:-5] = 0
                place = folder / "cardiac" / "cartesian" / split / f"acc_{level}"
                place.mkdir(parents=True, exist_ok=True)
                with h5py.File(place / f"{number}.h5", "w") as file:
                    file["volfs"] = target
                    zero_filled = np.abs(np.fft.ifft2(kspace, axes=(0, 1), norm="ortho"))
                    file[f"img_volus_{level}"] = zero_filled
                    file[f"kspace_volus_{level}"] = kspace
    return folder


def fastmri(folder: Path, shape=(3, 400, 336), counts=(4, 2)) -> Path:
    """``singlecoil_train/file1000001.h5``; the first two files are of one patient."""
    for side, count in zip(("train", "val"), counts, strict=True):
        for number in range(count):
            images = complex_object(number + 20 * len(side), shape)
            shifted = np.fft.ifftshift(images, (-2, -1))
            kspace = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), (-2, -1))
            place = folder / f"singlecoil_{side}"
            place.mkdir(parents=True, exist_ok=True)
            with h5py.File(place / f"file1{side}{number}.h5", "w") as file:
                file["kspace"] = kspace.astype(np.complex64)
                file["reconstruction_esc"] = np.abs(images[:, 40:360, 8:328])
                file["ismrmrd_header"] = "<ismrmrdHeader/>"
                file.attrs["patient_id"] = f"{side}{max(0, number - 1)}"
                file.attrs["acquisition"] = "CORPD_FBK"
    return folder


def ismrmrd_header(height, width, oversampled=1, trajectory="cartesian", partitions=1) -> bytes:
    """The XML of a scan of slices, its readout's field of view so many times the one shown."""
    xsd = pytest.importorskip("ismrmrd.xsd")

    def space(columns):
        return xsd.encodingSpaceType(
            matrixSize=xsd.matrixSizeType(x=columns, y=height, z=partitions),
            fieldOfView_mm=xsd.fieldOfViewMm(x=2.0 * columns, y=2.0 * height, z=5.0),
        )

    limits = xsd.encodingLimitsType(
        kspace_encoding_step_1=xsd.limitType(minimum=0, maximum=height - 1, center=height // 2)
    )
    encoding = xsd.encodingType(
        encodedSpace=space(width * oversampled),
        reconSpace=space(width),
        encodingLimits=limits,
        trajectory=xsd.trajectoryType(trajectory),
    )
    conditions = xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63_500_000)
    return xsd.ToXML(xsd.ismrmrdHeader(experimentalConditions=conditions, encoding=[encoding]))


def write_ismrmrd(path, kspace, xml, lines=None, series=1, noise=True, **fields) -> Path:
    """k-space (n, c, h, w), its zero frequency in the middle, as readouts in a random order."""
    ismrmrd = pytest.importorskip("ismrmrd")
    kspace = kspace.astype(np.complex64)
    file = ismrmrd.Dataset(str(path), "dataset", mode="w")
    file.write_xml_header(xml)
    if noise:  # comes first, and is no line
        extra = ismrmrd.Acquisition.from_array(1e6 * np.ones_like(kspace[0, :, 0]))
        extra.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        file.append_acquisition(extra)
    count, _, height, width = kspace.shape
    lines = np.arange(height) if lines is None else lines
    places = [(t, n, row) for t in range(series) for n in range(count) for row in lines]
    for t, n, row in np.random.default_rng(0).permutation(places):
        readout = ismrmrd.Acquisition.from_array(kspace[n, :, row] * (t + 1))
        readout.center_sample = width // 2
        readout.idx.kspace_encode_step_1, readout.idx.slice = int(row), int(n)
        readout.idx.repetition = int(t)
        for name, value in fields.items():
            setattr(readout, name, value)
        file.append_acquisition(readout)
    file.close()
    return path


def ismrmrd(folder: Path, subjects=4, shape=(3, 48, 40), coils=4, oversampled=2, **options) -> Path:
    """``0.h5``, ``1.mrd`` and so on; the first three hold several coils, the others one."""
    _, height, width = shape
    wide = (width * (oversampled - 1)) // 2
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(subjects):
        images = complex_object(number, shape)[:, None]
        if number < 3:
            images = images * sensitivities(coils, height, width)
        images = np.pad(images, [(0, 0)] * 3 + [(wide, wide)])
        shifted = np.fft.ifftshift(images, (-2, -1))
        kspace = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), (-2, -1))
        xml = ismrmrd_header(height, width, oversampled)
        path = folder / f"{number}.{'mrd' if number % 2 else 'h5'}"
        write_ismrmrd(path, kspace, xml, **options)
    return folder
