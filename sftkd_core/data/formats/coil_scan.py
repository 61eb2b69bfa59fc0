"""k-space of several coils: read from its file a few slices at a time, never all at once.

The arrays that are taken, with c coils:

(n, c, h, w)      complex, as in fastMRI's multi-coil files, or (real, imag) pairs, as in MATLAB's
(n, h, w, 2 c)    real and imaginary parts in turn, as in the Calgary-Campinas raw data
(t, n, c, h, w)   complex, a series, as in CMRxRecon's, or as ``mrd`` sorts ISMRMRD's readouts
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkd_core.data.formats import hdf5
from sftkd_core.data.formats.array_output import ArrayOutput
from sftkd_core.data.formats.kspace import image_of
from sftkd_core.data.formats.scan import Reading, check_size, chosen_volume, fill
from sftkd_core.data.formats.survey import survey
from sftkd_core.system import InputError, files

COILS = 128  # at most
Read = Callable[[tuple], np.ndarray]  # indices of the file's array -> its values


@dataclass(kw_only=True)
class CoilScan(ArrayOutput):
    """Slices of k-space that several coils measured.

    read   first index, one beyond the last -> (b, coils, h, w) complex64 as in the file
    order  of k-space and its image, as ``kspace.order_of`` gives it
    """

    read: Callable[[int, int], np.ndarray]
    order: tuple[bool, bool]

    def images(self, first: int, last: int) -> np.ndarray:
        """Root sum of squares over the coils, (b, h, w) float32."""
        with np.errstate(all="ignore"):  # of a damaged file; what is not finite is told later
            coils = image_of(self.read(first, last), self.order)
            return self.turned(np.sqrt((np.abs(coils) ** 2).sum(1))).astype(np.float32)

    def kspace(self, first: int, last: int) -> np.ndarray:
        # of images the right way round, so that a shift of these does not come with it
        images = self.turned(image_of(self.read(first, last), self.order))
        kspace = np.fft.fft2(images, norm="ortho").astype(np.complex64)
        return kspace if self.measured is None else kspace * self.measured[:, None]


def form_of(shape: tuple[int, ...], dtype: np.dtype, name: str, how: Reading) -> str:
    """How several coils are stored: "nchw", "nhwc", "tnchw"; "" for one coil, or images.

    name  of the data set: CMRxRecon's ``kspace_single_*`` have no axis of coils
    """
    if dtype.kind == "c" and not name.startswith("kspace_single"):
        if len(shape) == 4 and shape[1] > 1:
            return "nchw"
        return "tnchw" if len(shape) == 5 else ""
    kspace = name == "" or name.startswith("kspace")
    if dtype.kind in "iuf" and kspace and how.volume is None and is_interleaved(shape):
        return "nhwc" if shape[3] > 2 else ""
    return ""


def is_interleaved(shape: tuple[int, ...]) -> bool:
    """Whether the last axis of (n, h, w, 2 c) can be real and imaginary parts in turn."""
    return len(shape) == 4 and shape[3] % 2 == 0 and shape[3] < min(shape[1:3])


def from_array(values: np.ndarray) -> Read:
    """What reads of an array in memory, or mapped there."""
    return lambda place: np.asarray(values[place])


def from_hdf5(path: Path, name: str) -> Read:
    """What reads of an HDF5 file; it is open for that long only."""

    def read(place: tuple) -> np.ndarray:
        with hdf5.opened(path) as file:
            return hdf5.numbers(hdf5.array_of(file, name, (4, 5), "iufc")[place])

    return read


def open_coils(
    path: Path,
    read: Read,
    shape: tuple[int, ...],
    form: str,
    how: Reading,
    name: str = "",
    size: tuple[int, int] | None = None,
) -> CoilScan:
    """Survey the values, a few slices at a time.

    shape  of the file's array, of ``form_of``
    size   (h, w) of the middle part that is written
    """
    words, leading = "", shape[:1]
    if form == "tnchw":
        chosen, words = chosen_volume(path, shape[0], how.volume)
        leading = shape[1:2] if how.volume not in (None, "all") else shape[:2]
        start, words = chosen.start or 0, f", volume{words}" if words else ""
    elif how.volume not in (None, "all"):
        raise InputError(f"{path} is no series of volumes; leave --volume {how.volume} out")
    coils, height, width = (
        (shape[3] // 2, *shape[1:3]) if form == "nhwc" else shape[-3:]
    )  # fmt: skip
    count = int(np.prod(leading))
    if not 1 <= coils <= COILS:
        raise InputError(f"{path} says it holds {coils} coils; up to {COILS} are taken here")
    check_size(path, count, height, width)
    files.check_volume((count, height, width), path)
    files.check_slice((height, width), path)

    def slices(first: int, last: int) -> np.ndarray:
        if form == "nhwc":
            pairs = np.moveaxis(read((slice(first, last),)).astype(np.float32), 3, 1)
            values = pairs[:, 0::2] + 1j * pairs[:, 1::2]
        elif form == "tnchw":
            places = [divmod(i, shape[1]) for i in range(first, last)]
            values = np.stack([read((start + t, i)) for t, i in places])
        else:
            values = read((slice(first, last),))
        values = np.array(values, np.complex64)
        if how.nan_as_zero:
            fill(values)
        return values

    what = f"{name} of {coils} coils{words}".strip()
    found = survey(path, count, slices, what, how.order, name)
    result = np.zeros((count, height, width), np.float32)
    height, width = (width, height) if found.by_columns else (height, width)
    return CoilScan(
        path=path, count=count, height=height, width=width, note=found.note, has_phase=True,
        coils=coils, measured=found.measured, peak=found.peak, result=result, leading=leading,
        by_columns=found.by_columns, size=size, read=slices, order=found.order,
    )  # fmt: skip
