"""The chapter *Your own volume* takes what ``--data`` takes, of every format that is prepared."""

import json
import re
import shlex
import subprocess
import sys

import miniatures
import nibabel
import numpy as np
import papermill
import pytest
from chapters import CHAPTERS, ROOT, a_tenth

from sftkd_core import data
from sftkd_core.data import Dataset
from sftkd_core.data.prepare import prepare

CHAPTER = ROOT / "book" / "practice" / "your_volume.ipynb"
TRAINS = ROOT / "book" / "student_friendly_teacher" / "sft_training.ipynb"
PREPARED = {  # data set -> its miniature in a folder
    "acdc": lambda folder: miniatures.acdc(folder, (1, 2, 3, 101), (64, 64, 3)),
    "mrbrains": lambda folder: miniatures.mrbrains_2013(folder, (48, 40, 4)),
    "calgary": lambda folder: miniatures.calgary_kspace(folder, size=64, slices=4),
    "kdmri": lambda folder: miniatures.kdmri(folder, levels=("4x",)) / "cardiac" / "cartesian",
    "fastmri": lambda folder: miniatures.fastmri(folder, (2, 64, 64), (3, 1)),
    "ismrmrd": lambda folder: miniatures.ismrmrd(folder),
    "nifti": lambda folder: nifti(folder),
}


def nifti(folder, ending=".NII.GZ"):
    for number in range(4):
        values = miniatures.volume(number, (40, 48, 6))
        payload = miniatures.write_nifti(folder / f"{number}.nii.gz", values)
        payload.rename(folder / f"{number}{ending}")
    return folder


def run(tmp_path, value, chapter=CHAPTER):
    """Run a chapter at smoke on some data; its printed words."""
    output = tmp_path / "out.ipynb"
    parameters = {"profile": "smoke", "data": value}
    notebook = papermill.execute_notebook(
        chapter, output, parameters, kernel_name="python3", progress_bar=False, cwd=str(tmp_path)
    )
    return str(notebook.cells)


@pytest.fixture
def environment_of_kernels(environment, monkeypatch):
    """The kernel that papermill starts finds this library and this test's store."""
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:{environment.get('PATH', '')}")


def test_each_short_name_has_a_miniature():
    assert set(PREPARED) == set(data.SHORT_NAMES)


@pytest.mark.parametrize("name", a_tenth(PREPARED))
def test_a_prepared_set_of_each_format(name, tmp_path, environment_of_kernels):
    raw = PREPARED[name](tmp_path / "raw")
    prepare(name, raw, report=lambda line: None)
    assert "Written" in run(tmp_path, name)


@pytest.mark.parametrize("name", a_tenth(PREPARED))
def test_a_chapter_that_trains_takes_each_prepared_set(name, tmp_path, environment_of_kernels):
    prepare(name, PREPARED[name](tmp_path / "raw"), report=lambda line: None)
    assert "scanned" in run(tmp_path, name, TRAINS)


# ---- `make book CONFIG="data=FOLDER"`


def planned(folder, profile, environment):
    """The commands that `make book` would run on a folder, in which nothing is found done."""
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", "workflow/Snakefile", "--cores", "1",
         "--dry-run", "--nolock", "--rerun-incomplete", "--forceall", "--printshellcmds",
         "--config", f"profile={profile}", f"data={folder}", "--", "chapters"],
        cwd=ROOT, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    return re.findall(r"^Shell command: (.*)$", run.stdout + run.stderr, re.M)


@pytest.mark.parametrize("name", a_tenth(PREPARED))
def test_make_book_hands_a_prepared_folder_to_chapters_and_trainings(name, tmp_path, environment):
    folder = tmp_path / "prepared"
    prepare(name, PREPARED[name](tmp_path / "raw"), folder, report=lambda line: None)
    commands = planned(folder, "quick", environment)
    chapters = [command for command in commands if "run_chapter.py" in command]
    trainings = [command for command in commands if "sftkd_core train" in command]
    assert len(chapters) == len(CHAPTERS)
    assert all(f"-p data {folder} " in command for command in chapters)
    assert len(trainings) > 10
    assert all(f"--data {folder} " in command for command in trainings)


def test_a_chapter_of_make_book_runs_on_a_prepared_folder(tmp_path, environment_of_kernels):
    """With the words of the plan, but for where the executed chapter goes."""
    folder, target = tmp_path / "prepared", tmp_path / "executed.ipynb"
    prepare("calgary", PREPARED["calgary"](tmp_path / "raw"), folder, report=lambda line: None)
    place = str(TRAINS.relative_to(ROOT))
    (command,) = [c for c in planned(folder, "smoke", None) if f"run_chapter.py {place} " in c]
    _, _, script, source, _, *flags = shlex.split(command.partition(" > ")[0])
    words = [sys.executable, script, source, target, *flags]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(target.with_suffix(".json").read_text())["parameters"]["data"] == str(folder)
    assert "prepared data calgary" in target.read_text()


@pytest.mark.parametrize("kind", a_tenth(["folder", "tilde", "pair"]))
def test_files_and_folders(kind, tmp_path, environment_of_kernels, monkeypatch):
    values = miniatures.volume(0, (40, 48, 6))
    if kind == "folder":
        place = str(nifti(tmp_path / "raw"))
    elif kind == "tilde":
        monkeypatch.setenv("HOME", str(tmp_path))
        miniatures.write_nifti(tmp_path / "scan.nii.gz", values)
        place = "~/scan.nii.gz"
    else:
        nibabel.save(nibabel.Nifti1Pair(values, np.eye(4)), tmp_path / "scan.img")
        place = str(tmp_path / "scan.img")
    assert "Written" in run(tmp_path, place)


def test_a_dicom_folder_is_one_volume(tmp_path):
    pytest.importorskip("pydicom")
    from test_hostile import dicom_file

    for number in range(3):
        (tmp_path / f"{number}").write_bytes(dicom_file(number))
    found = Dataset(str(tmp_path), size=None, slices=3)
    assert found.is_volume
    assert found.test_file == tmp_path
    assert found.load("test").images.shape == (3, 1, 16, 18)
    assert len(found.fingerprint()) == 16
    assert data.load_nifti(tmp_path).plane == "axial"
