"""A volume, or a series of volumes, as a scan: slices are read and put back in place."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from sftkd_core.data.formats import volume
from sftkd_core.data.formats.scan import Reading, Scan, as_dtype, check_size, chosen_volume, fill
from sftkd_core.system import counted, files


@dataclass(kw_only=True)
class VolumeScan(Scan):
    """Magnitude volumes as slices, one volume after the other.

    They are held once, as the numbers that the file stores: a slice is scaled when it is
    read and rounded when it is put, so affine, orientation, header and data type stay.
    """

    image: volume.Image  # of the numbers stored
    planes: np.ndarray  # a view of these, (t, n, h, w)
    slope: float
    intercept: float

    def images(self, first: int, last: int) -> np.ndarray:
        return np.clip(self.values(first, last), 0, None)

    def values(self, first: int, last: int) -> np.ndarray:
        """Intensities as they are, (b, h, w) float32."""
        planes = self.planes[self._place(np.arange(first, last))]
        return volume.in_units(planes, self.slope, self.intercept).astype(np.float32)

    def put(self, indices: np.ndarray, images: np.ndarray) -> None:
        values = (images.astype(np.float64) - self.intercept) / self.slope
        self.planes[self._place(np.asarray(indices))] = as_dtype(values, self.planes.dtype)

    def payload(self, path: Path) -> bytes:
        if isinstance(self.image, nibabel.Nifti1Image):
            # a new image has forgotten it; stored numbers then go out as they are
            self.image.header.set_slope_inter(self.slope, self.intercept)
        return volume.payload_of(self.image, path)

    def _place(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.divmod(indices, self.planes.shape[1])


def open_volume(path: Path, how: Reading) -> VolumeScan:
    """The volume in a file or DICOM folder, checked plane by plane and not copied.

    Of a series the volumes that ``how.volume`` names.
    """
    image, slope, intercept = volume.stored(path, series=True, choice=how.dataset)
    values = np.asanyarray(image.dataobj)
    shape = (*values.shape, 1)[:3]
    series = values.reshape(*shape, -1, order="F")
    chosen, words = chosen_volume(path, series.shape[3], how.volume)
    if chosen != slice(None):
        series = series[..., chosen]
        image = type(image)(series[..., 0], image.affine, image.header)
    nans = fill(np.moveaxis(series, -1, 0), -intercept / slope) if how.nan_as_zero else 0
    cut = volume.Cut(image, how.plane)
    planes = cut.series(series)
    check_size(path, *planes.shape[1:])
    volumes, count, height, width = planes.shape
    codes = "".join(nibabel.aff2axcodes(image.affine))
    slices = counted(volumes * count, f"{cut.plane} slice")
    note = f"{volume.kind_of(path)} volume{words}, axes {codes}, {planes.dtype.name}: {slices}"
    note += f", {counted(nans, 'NaN')} as zero" if nans else ""
    scan = VolumeScan(
        path=path, count=volumes * count, height=height, width=width, note=note,
        aspect=cut.aspect, plane=cut.plane, image=image, planes=planes, slope=slope,
        intercept=intercept,
    )  # fmt: skip
    files.check_magnitudes((scan.values(*some) for some in scan.batches()), path)
    return scan
