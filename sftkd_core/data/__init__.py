"""Slices to learn from and to test on: synthetic subjects, or scans of your own.

``Dataset`` is the door. ``phantoms`` paint subjects, ``layouts`` find them in folders as they are
downloaded, ``formats`` read files of any origin, ``prepare`` turns folders into prepared data.

>>> slices = Dataset("brain", size=32, slices=2, train=1, test=3).load("test")
>>> slices.images.shape, len(set(slices.subjects)), slices.synthetic
(torch.Size([6, 1, 32, 32]), 3, True)
"""

from sftkd_core.data.dataset import SHORT_NAMES, Dataset
from sftkd_core.data.formats.volume import load_nifti, read_nifti, write_nifti
from sftkd_core.data.layouts.kdmri import export_kdmri
from sftkd_core.data.phantoms import PHANTOMS, brain_phantom, cardiac_phantom
from sftkd_core.data.prepare import FORMATS, prepare
from sftkd_core.data.slices import SPLITS, Slices, Volume

__all__ = [
    "FORMATS", "PHANTOMS", "SHORT_NAMES", "SPLITS", "Dataset", "Slices", "Volume", "brain_phantom",
    "cardiac_phantom", "export_kdmri", "load_nifti", "prepare", "read_nifti", "write_nifti",
]  # fmt: skip
