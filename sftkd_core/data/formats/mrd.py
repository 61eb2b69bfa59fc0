"""ISMRMRD files: a scanner's readouts, each with its place, sorted into k-space of slices.

Taken are Cartesian scans of slices (Inati et al., 2017). The library ismrmrd knows the readouts and
their header; it is an extra, ``pip install "sftkd-core[ismrmrd]"``.
"""

from importlib.util import find_spec
from math import prod
from pathlib import Path

import h5py
import numpy as np

from sftkd_core.data.formats import hdf5
from sftkd_core.system import InputError, files

_FIELDS = ("head", "traj", "data")  # of a readout
_MOST = 1 << 19  # readouts
_AT_ONCE = 64  # of these in memory
_SPARSE = 64  # times more places than samples: no scan
_HEADER = 1 << 20  # bytes of XML
_VOLUMES = ("repetition", "contrast", "phase", "set")  # what tells the volumes of a series apart


def group_of(file: h5py.File, name: str | None) -> str | None:
    """The group that holds readouts, None where there is none; ``name`` chooses of several."""
    found = []
    for key in list(file)[:100] if name is None else [name]:
        place = _hard(file, key)
        data = _hard(place, "data") if isinstance(place, h5py.Group) else None
        if isinstance(data, h5py.Dataset) and data.dtype.names == _FIELDS:
            found.append(key)
    if len(found) > 1:
        raise InputError(f"{file.filename} holds {', '.join(found[:8])}; choose one with --dataset")
    return found[0] if found else None


def read(file: h5py.File, group: str) -> tuple[np.ndarray, tuple[int, int] | None]:
    """k-space (volumes, slices, coils, h, w) complex64, its zero frequency in the centre; the size.

    Rows are phase-encoding lines; those that were not measured are zero, averages are their mean.
    Noise, navigators, and calibrations that are no part of the image are left out. The second is
    (h, w) of the middle part that the scanner shows, where the field of view is larger.

    Raises ``InputError`` where the library is missing, and for what is no Cartesian scan of slices.
    """
    path = file.filename
    _check_installed(path)
    hdf5.check_heaps(path)
    readouts = file[group]["data"]
    stored = readouts.id.get_storage_size()
    if readouts.ndim != 1 or not 0 < readouts.size <= min(_MOST, stored):
        raise InputError(f"{path} says it holds {readouts.size} readouts; is it damaged?")
    if _overlap(readouts.dtype):
        raise InputError(f"{path} has readouts whose fields overlap; is it damaged?")
    _check_lengths(path, readouts)
    encoding = _encoding(path, file, group)
    heads = readouts.fields("head")[...]
    kept = _of_image(heads, encoding)
    if not len(kept):
        raise InputError(f"{path} holds readouts, but none of an image")
    heads = heads[kept]
    _check_slices(path, heads, encoding)
    y, x = int(encoding.encodedSpace.matrixSize.y), int(encoding.encodedSpace.matrixSize.x)
    rows = _rows(path, heads, encoding, y)
    columns = _columns(path, heads, x)
    index = heads["idx"]
    steps = np.stack([index[name] for name in _VOLUMES], 1)
    volumes, volume = np.unique(steps, axis=0, return_inverse=True)
    planes, plane = np.unique(index["slice"], return_inverse=True)
    coils = int(heads["active_channels"][0])
    shape = (len(volumes), len(planes), coils, y, x)
    _check_size(path, shape, heads)
    values, times = np.zeros(shape, np.complex64), np.zeros((*shape[:2], y))
    place = np.stack([volume.ravel(), plane.ravel(), rows], 1)
    for number, data in _samples(readouts, kept):
        t, n, row = place[number]
        first = columns[number]
        if _has(heads["flags"][number], "ACQ_IS_REVERSE"):
            data = data[:, ::-1]
        values[t, n, :, row, first : first + data.shape[1]] += data
        times[t, n, row] += 1
    values /= np.maximum(times, 1)[:, :, None, :, None].astype(np.float32)
    return values, _size(encoding, y, x)


def _hard(place: h5py.Group, key: str) -> h5py.Group | h5py.Dataset | None:
    """What a group holds itself; None for what it lacks, or what lies elsewhere."""
    link = place.get(key, getlink=True)
    return place[key] if isinstance(link, h5py.HardLink) else None


def _check_installed(path: str) -> None:
    if find_spec("ismrmrd") is None:
        raise InputError(
            f"{path} is an ISMRMRD file, which needs ismrmrd, not installed here; "
            "python -m pip install ismrmrd"
        )


def _overlap(dtype: np.dtype) -> bool:
    """Whether fields of a type lie in one another, or leave it: HDF5 would write beyond them."""
    end = 0
    for kind, offset, *_ in sorted((dtype.fields or {}).values(), key=lambda field: field[1]):
        if offset < end or _overlap(kind.base):
            return True
        end = offset + kind.itemsize
    return end > dtype.itemsize


def _check_lengths(path: str, readouts: h5py.Dataset) -> None:
    """Raise ``InputError`` for a readout that claims more than the file has bytes.

    The library would ask for that memory. A readout's last 32 bytes are two lengths with their
    places; packed ones are not looked at.
    """
    if readouts.chunks is None or readouts.id.get_create_plist().get_nfilters():
        return
    size, most = readouts.id.get_type().get_size(), Path(path).stat().st_size // 4
    for first in range(0, readouts.size, readouts.chunks[0]):
        raw = np.frombuffer(readouts.id.read_direct_chunk((first,))[1], np.uint8)
        lengths = raw.reshape(-1, size)[:, -32:].copy().view("<u4")[:, [0, 4]]
        if (lengths > most).any():
            raise InputError(f"{path} has a readout of {lengths.max()} numbers; is it damaged?")


def _encoding(path: str, file: h5py.File, group: str):
    """The first encoding that the header describes."""
    from ismrmrd import xsd

    xml = _hard(file[group], "xml")
    if not isinstance(xml, h5py.Dataset) or xml.shape != (1,):
        raise InputError(f"{path} has readouts without a header (xml); export it again")
    text = xml[0]
    text = text if isinstance(text, bytes) else str(text).encode()
    # entities of a document type can stand for more than memory holds
    if len(text) > _HEADER or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError(f"{path} has a header that is no plain ISMRMRD header of up to 1 MB")
    try:
        encoding = xsd.CreateFromDocument(text).encoding[0]
        assert encoding.encodedSpace.matrixSize.x > 0
        assert encoding.encodedSpace.matrixSize.y > 0
        kind = str(encoding.trajectory.value)
    except Exception as error:  # of the parser, of many kinds
        raise InputError(
            f"{path} has a header that cannot be read as ISMRMRD's ({files.first_line(error)})"
        ) from None
    if kind != "cartesian":
        raise InputError(
            f"{path} is measured along a trajectory that is {kind}; only lines of a grid "
            "(cartesian) are taken here, so grid it first"
        )
    return encoding


def _has(flags, name: str):
    """Whether readouts have a flag, which ISMRMRD counts from 1."""
    import ismrmrd

    return (flags >> np.uint64(getattr(ismrmrd, name) - 1)) & np.uint64(1) == 1


def _of_image(heads: np.ndarray, encoding) -> np.ndarray:
    """The indices of readouts that belong to images."""
    flags = heads["flags"].astype(np.uint64)
    parallel = encoding.parallelImaging
    embedded = parallel is not None and str(getattr(parallel.calibrationMode, "value", "")) in (
        "embedded",
        "interleaved",
    )
    others = [
        "NOISE_MEASUREMENT", "NAVIGATION_DATA", "PHASECORR_DATA", "HPFEEDBACK_DATA",
        "DUMMYSCAN_DATA", "RTFEEDBACK_DATA", "SURFACECOILCORRECTIONSCAN_DATA",
    ]  # fmt: skip
    others += [] if embedded else ["PARALLEL_CALIBRATION"]
    left_out = np.zeros(len(heads), bool)
    for name in others:
        left_out |= _has(flags, f"ACQ_IS_{name}")
    return np.flatnonzero(~left_out & (heads["encoding_space_ref"] == 0))


def _check_slices(path: str, heads: np.ndarray, encoding) -> None:
    """Raise ``InputError`` unless readouts are of slices, and of the same coils."""
    partitions = max(int(encoding.encodedSpace.matrixSize.z or 1), 1)
    if partitions > 1 or heads["idx"]["kspace_encode_step_2"].any():
        raise InputError(
            f"{path} is a 3-D scan of {partitions} partitions; only slices are taken here, so "
            "transform it along these first"
        )
    if len(np.unique(heads["active_channels"])) > 1 or not heads["active_channels"].all():
        raise InputError(f"{path} has readouts of different numbers of coils; is it damaged?")


def _rows(path: str, heads: np.ndarray, encoding, y: int) -> np.ndarray:
    """The line of each readout, the zero frequency in the middle."""
    limits = encoding.encodingLimits and encoding.encodingLimits.kspace_encoding_step_1
    centre = y // 2 if limits is None else int(limits.center)
    rows = heads["idx"]["kspace_encode_step_1"].astype(int) - centre + y // 2
    if rows.min() < 0 or rows.max() >= y:
        raise InputError(
            f"{path} has lines {rows.min()} to {rows.max()} of {y}; its encodingLimits do not fit"
        )
    return rows


def _columns(path: str, heads: np.ndarray, x: int) -> np.ndarray:
    """Where each readout begins in its line, so that its centre is the zero frequency."""
    count, centre = heads["number_of_samples"].astype(int), heads["center_sample"].astype(int)
    centre = np.where(_has(heads["flags"], "ACQ_IS_REVERSE"), count - 1 - centre, centre)
    # some programs leave the centre out
    centre = np.where((heads["center_sample"] == 0) & (count == x), x // 2, centre)
    first = x // 2 - centre
    if first.min() < 0 or (first + count).max() > x or not count.all():
        raise InputError(
            f"{path} has readouts of {count.min()} to {count.max()} samples, which do not fit "
            f"lines of {x}; is its encodedSpace right?"
        )
    return first


def _check_size(path: str, shape: tuple[int, ...], heads: np.ndarray) -> None:
    files.check_volume(shape, path)
    files.check_slice((shape[3], shape[4]), path)
    held = int((heads["number_of_samples"].astype(int) * shape[2]).sum())
    if prod(shape) > _SPARSE * held:
        raise InputError(f"{path} says it has {prod(shape)} places, but holds {held} samples")


def _samples(readouts: h5py.Dataset, kept: np.ndarray):
    """Number among those kept, and samples (coils, w) complex64, of each readout."""
    from ismrmrd.file import Acquisitions

    read = Acquisitions(readouts)
    numbers = {int(place): number for number, place in enumerate(kept)}
    for first in range(0, len(read), _AT_ONCE):
        some = range(first, min(first + _AT_ONCE, len(read)))
        if not any(place in numbers for place in some):
            continue
        for place, readout in zip(some, read[first : some.stop], strict=True):
            if place in numbers:
                yield numbers[place], readout.data


def _size(encoding, y: int, x: int) -> tuple[int, int] | None:
    """What the scanner shows of (y, x), by the two fields of view."""
    shown, whole = encoding.reconSpace.fieldOfView_mm, encoding.encodedSpace.fieldOfView_mm
    sizes = []
    for extent, part, all_of_it in ((y, shown.y, whole.y), (x, shown.x, whole.x)):
        share = part / all_of_it if all_of_it and np.isfinite(part / all_of_it) else 1
        sizes.append(int(np.clip(round(extent * share), min(extent, 16), extent)))
    return None if sizes == [y, x] else (sizes[0], sizes[1])
