"""The command line, as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from sftkd_core import data
from sftkd_core.__main__ import main

SMOKE = ["--profile", "smoke"]


@pytest.fixture
def head(tmp_path):
    """A volume with an affine of its own, empty planes and large intensities."""
    phantom = data.brain_phantom(50, 64, 6).slices * 800
    volume = np.zeros((64, 64, 8), np.int16)
    volume[..., 1:7] = phantom.transpose(2, 1, 0)[:, ::-1].astype(np.int16)
    affine = np.array([[-1.5, 0, 0, 40], [0, 1.4, 0.1, -50], [0, -0.1, 3, 7], [0, 0, 0, 1.0]])
    path = tmp_path / "head.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume, affine), path)
    return path


def test_help_names_every_command():
    run = subprocess.run(
        [sys.executable, "-m", "sftkd_core", "--help"], capture_output=True, text=True
    )
    assert run.returncode == 0
    for command in ("prepare", "train", "evaluate", "reconstruct", "export", "models"):
        assert command in run.stdout


def test_reconstruct_trains_first_and_keeps_affine_and_intensities(head, tmp_path, capsys):
    target = tmp_path / "out.nii.gz"
    arguments = ["reconstruct", str(head), str(target), *SMOKE, "--model", "D3C5"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "training it first, on synthetic brains" in first
    assert main(arguments) == 0
    second = capsys.readouterr().out
    assert "training" not in second
    psnr = {
        line.split()[0]: float(line.split()[2]) for line in second.splitlines() if "PSNR" in line
    }
    assert psnr["D3C5"] > psnr["zero-filled"]
    before, after = nibabel.load(head), nibabel.load(target)
    np.testing.assert_array_equal(before.affine, after.affine)
    assert after.shape == before.shape
    truth, image = before.get_fdata(), after.get_fdata()
    assert (image[..., [0, 7]] == 0).all()
    assert np.abs(image - truth).mean() < 0.1 * truth.max()
    assert image.max() == pytest.approx(truth.max(), rel=0.4)


def test_at_acceleration_one_nothing_is_lost(head, tmp_path):
    target = tmp_path / "out.nii"
    assert main(["reconstruct", str(head), str(target), *SMOKE, "--acceleration", "1"]) == 0
    truth = nibabel.load(head).get_fdata()
    assert np.abs(nibabel.load(target).get_fdata() - truth).max() < 1e-2


def test_train_writes_a_receipt(tmp_path, capsys):
    receipt = tmp_path / "new" / "receipt.json"
    assert main(["train", "student", *SMOKE, "--receipt", str(receipt)]) == 0
    written = json.loads(receipt.read_text())
    assert written["name"] == "student"
    assert "synthetic" in written["provenance"]["data"]
    assert written["entry"] in capsys.readouterr().out


def test_prepare_makes_data_to_train_on(tmp_path, capsys):
    folder, prepared = tmp_path / "downloaded", tmp_path / "prepared"
    folder.mkdir()
    for subject in range(4):
        slices = data.brain_phantom(subject, 64, 6).slices
        image = nibabel.Nifti1Image(slices.transpose(2, 1, 0), np.eye(4))
        nibabel.save(image, folder / f"subject{subject}.nii.gz")
    options = ["--output", str(prepared), "--kdmri", str(tmp_path / "kdmri")]
    assert main(["prepare", "nifti", str(folder), *options]) == 0
    assert f"--data {prepared}" in capsys.readouterr().out
    assert len(list((tmp_path / "kdmri").rglob("*.h5"))) == 4
    assert main(["evaluate", "zero-filled", "--data", str(prepared), *SMOKE]) == 0
    assert "zero-filled" in capsys.readouterr().out


def test_evaluate_prints_and_writes_every_slice(tmp_path, capsys):
    table = tmp_path / "table.csv"
    assert main(["evaluate", "student", *SMOKE, "--csv", str(table)]) == 0
    output = capsys.readouterr().out
    assert "synthetic" in output
    assert "zero-filled" in output
    lines = table.read_text().splitlines()
    assert len(lines) == 1 + 2 * 8
    assert "psnr" in lines[0]


@pytest.mark.parametrize(("arguments", "message"), [
    (["train", "nonsense"], "unknown experiment"),
    (["train"], "required: name"),
    (["train", "student", "--seed", "1+1"], "invalid int"),
    (["train", "student", "--data", "__import__('os').getcwd()"], "neither"),
    (["prepare", "nonsense", "."], "unknown data set"),
    (["prepare", "nifti", "nowhere"], "nowhere"),
    (["prepare", "nifti", ".", "--jobs", "0"], "jobs"),
    (["prepare", "nifti", "."], "at least 2"),
    (["train", "student", "--acceleration", "0.2"], ">= 1"),
    (["evaluate", "nonsense"], "unknown experiment"),
    (["evaluate", "--data", "nowhere.nii"], "nowhere.nii"),
    (["reconstruct", "nowhere.nii", "out.nii"], "does not exist"),
    (["reconstruct", "HEAD", "out.png"], "not named"),
    (["reconstruct", "HEAD", "HEAD"], "is the input"),
    (["reconstruct", "HEAD", "out.nii", "--model", "D9"], "unknown experiment"),
    (["reconstruct", "HEAD", "out.nii", "--device", "abacus"], "abacus"),
])  # fmt: skip
def test_wrong_input_is_one_line(arguments, message, head, capsys, monkeypatch):
    monkeypatch.chdir(head.parent)
    arguments = [str(head) if word == "HEAD" else word for word in arguments]
    profile = [] if arguments[0] == "prepare" else SMOKE
    assert main([arguments[0], *profile, *arguments[1:]]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not Path("out.nii").exists()
