"""Where the reconstruction of an array goes: an array of the same form, as .npy or HDF5."""

import io
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from sftkd_core.data.formats.scan import Scan, as_dtype
from sftkd_core.system import files


@dataclass(kw_only=True)
class ArrayOutput(Scan):
    """A scan whose slices are put into an array.

    result      (n, h, w), the reconstruction
    leading     the axes that stand before (h, w) in the file, whose product is n
    last        whether the file has its slices last, (h, w, n)
    by_columns  the missing lines are columns: rows and columns are exchanged
    size        (h, w) of the middle part that is written, None for all of it
    """

    result: np.ndarray
    leading: tuple[int, ...]
    last: bool = False
    by_columns: bool = False
    size: tuple[int, int] | None = None

    def put(self, indices: np.ndarray, images: np.ndarray) -> None:
        self.result[indices] = as_dtype(self.turned(images), self.result.dtype)

    def payload(self, path: Path) -> bytes:
        buffer = io.BytesIO()
        result = self.cropped(self.result)
        result = result.reshape(*self.leading, *result.shape[1:])
        result = np.moveaxis(result, 0, 2) if self.last else result
        if files.ending(path) == ".npy":
            np.save(buffer, result, allow_pickle=False)
        else:
            with h5py.File(buffer, "w") as file:
                file["reconstruction"] = result
        return buffer.getvalue()

    def cropped(self, images: np.ndarray) -> np.ndarray:
        """Of images (..., h, w) as in the file the part that is written."""
        if self.size is None:
            return images
        top, left = ((n - m) // 2 for n, m in zip(images.shape[-2:], self.size, strict=True))
        return images[..., top : top + self.size[0], left : left + self.size[1]]

    def turned(self, images: np.ndarray) -> np.ndarray:
        """Slices (..., h, w) of the file as the network sees them, and back."""
        return images.swapaxes(-1, -2) if self.by_columns else images
