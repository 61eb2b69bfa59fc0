"""Images that come by pip with nibabel and dipy: every command ends in a right image or a line.

What is right is what nibabel or numpy read. From all of k-space a reconstruction is the scan, so at
acceleration 1 the output shows whether slices were cut, scaled and put back as they should.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from trained import home_with

from sftkd_core.__main__ import main
from sftkd_core.data.formats import KINDS, ending, foreign, output_ending
from sftkd_core.experiments import store

pytestmark = [  # nibabel leaves the data file of a Philips pair open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
PLACES = {"nibabel": ("tests", "data"), "dipy": ("data", "files")}  # inside the packages


def folder_of(package: str) -> Path | None:
    """Where a package keeps its samples; the package itself is not imported."""
    spec = find_spec(package)
    place = Path(spec.origin).parent.joinpath(*PLACES[package]) if spec and spec.origin else None
    return place if place and place.is_dir() else None


def samples(package: str) -> list:
    place = folder_of(package)
    if place is None:
        reason = f"{package} or its samples are not installed here"
        return [pytest.param(Path(package), marks=pytest.mark.skip(reason=reason), id=package)]
    found = sorted(path for path in place.iterdir() if ending(path) in KINDS.split())
    return [pytest.param(path, id=path.name) for path in found]


ALL = [*samples("nibabel"), *samples("dipy")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return home_with(tmp_path_factory, "student")


@pytest.fixture
def run(trained, monkeypatch, tmp_path, capsys):
    """Run a command in an empty folder: its status and all that it printed; an error is a line."""
    monkeypatch.setenv("SFTKD_HOME", str(trained))
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = main([*map(str, words)])
        printed = capsys.readouterr()
        assert status in (0, 1, 2)
        # what else is there shows progress
        errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == (status == 2)
        assert len("".join(errors)) < 600
        return status, printed.out + printed.err

    return call


def as_others_read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of a file, in its units, and its affine."""
    if ending(path) == ".npy":
        return np.load(path).astype(float), None
    with foreign.silent():
        image = nibabel.load(path)
        return image.get_fdata(), image.affine


@pytest.mark.parametrize("path", ALL)
def test_reconstruct_gives_the_scan_or_a_line(path, run):
    entry = next((store.folder("any").parent).glob("*")).name
    output = f"o{output_ending(path)}"
    words = ("--volume", "all", "--acceleration", 1, "--model", entry, "--nan-as-zero")
    status, printed = run("reconstruct", path, output, *words)
    if status == 2:
        assert not Path(output).exists()
        return
    assert "written" in printed
    expected, affine = as_others_read(path)
    result, same = as_others_read(Path(output))
    expected = np.clip(np.nan_to_num(expected), 0, None)
    assert result.shape == expected.shape
    # integers are rounded, and a planes' floats are half as precise as those of their Fourier sums
    step = 0.6 * float(np.diff(np.unique(expected)[:2])[0] if "int" in printed else 0)
    np.testing.assert_allclose(
        np.clip(result, 0, None), expected, atol=step + 2e-5 * expected.max()
    )
    if affine is not None:
        np.testing.assert_allclose(same, affine, atol=1e-4)


@pytest.mark.parametrize("path", ALL)
def test_other_commands_end_in_numbers_or_a_line(path, run):
    status, printed = run("evaluate", path, path, "--volume", "all")
    if status == 0:
        assert "the two are equal" in printed
    status, printed = run("evaluate", "student", "--data", path, "--profile", "smoke")
    assert "zero-filled" in printed if status == 0 else path.name.split(".")[0] in printed


@pytest.mark.parametrize("package", PLACES)
def test_a_whole_folder(package, run, tmp_path):
    place = folder_of(package)
    if place is None:
        pytest.skip(f"{package} or its samples are not installed here")
    words = ("--volume", "all", "--table", "t.csv", "--profile", "smoke")
    status, printed = run("reconstruct", place, "out", *words)
    assert status == 1  # for some are no scans
    table = pd.read_csv("t.csv")
    done = table[table["slices"].notna()]
    assert 0 < len(done) < len(table)
    assert len([p for p in (tmp_path / "out").rglob("*") if p.is_file()]) == len(done)
    assert (table["failed"].notna() ^ table["slices"].notna()).all()
    status, printed = run("prepare", "nifti", place, "--output", "prepared")
    assert "skipped" in printed
    if status == 0:
        assert "train on it with" in printed


def test_a_dicom_sample_is_its_folder(run, tmp_path):
    pytest.importorskip("pydicom")
    place = folder_of("nibabel")
    if place is None or not (place / "0.dcm").exists():
        pytest.skip("nibabel's samples are not installed here")
    assert "pass the folder" in run("reconstruct", place / "0.dcm", "o.nii")[1]
    (tmp_path / "series").mkdir()
    for name in ("0.dcm", "1.dcm"):
        shutil.copy(place / name, tmp_path / "series")
    assert run("reconstruct", "series", "o.nii", "--profile", "smoke")[0] == 0
    assert nibabel.load("o.nii").shape == (256, 256, 2)
