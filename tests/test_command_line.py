"""The command line, as a user calls it."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch

from sftkd_core import data, metrics
from sftkd_core.__main__ import main
from sftkd_core.book import setting
from sftkd_core.book.setting import Setting
from sftkd_core.cli import parser as command_line
from sftkd_core.experiments import Schedule, store

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
    assert written["found"] is False
    assert main(["train", "student", *SMOKE, "--receipt", str(receipt)]) == 0
    again = json.loads(receipt.read_text())
    assert again["found"] is True  # the time is that of finding it, not of its training
    assert again["provenance"] == written["provenance"]
    assert again["seconds"] < written["seconds"]


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


def test_prepare_expands_every_folder_and_names_it_in_full(tmp_path, capsys, monkeypatch):
    work, folder = tmp_path / "work", tmp_path / "downloaded"
    for place in (work, folder):
        place.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(work)
    for subject in range(3):
        slices = data.brain_phantom(subject, 64, 4).slices
        image = nibabel.Nifti1Image(slices.transpose(2, 1, 0), np.eye(4))
        nibabel.save(image, folder / f"subject{subject}.nii.gz")
    arguments = ["prepare", "nifti", "~/downloaded"]
    assert main([*arguments, "--output=~/out", "--kdmri=~/kdmri"]) == 0
    assert f"--data {tmp_path / 'out'}\n" in capsys.readouterr().out
    assert len(list((tmp_path / "kdmri").rglob("*.h5"))) == 3
    assert not list(work.iterdir())
    assert main([*arguments, "--output=here"]) == 0
    assert f"--data {work / 'here'}\n" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "--data nifti\n" in capsys.readouterr().out


def test_evaluate_prints_and_writes_every_slice(tmp_path, capsys):
    table = tmp_path / "table.csv"
    assert main(["evaluate", "student", *SMOKE, "--csv", str(table)]) == 0
    output = capsys.readouterr().out
    assert "synthetic" in output
    assert "zero-filled" in output
    lines = table.read_text().splitlines()
    assert len(lines) == 1 + 2 * 8
    assert "psnr" in lines[0]


def test_evaluate_measures_for_each_network_as_it_was_trained(tmp_path, capsys):
    setting = Setting("smoke")
    names = ["sr-student", "phase-student", "student"]
    results = {name: setting.run(name, quiet=True) for name in names}
    entries = [results[name].experiment.name for name in names]
    # an entry from before there were patterns, noise and phase
    old = results["student"]
    described = {**old.provenance["experiment"], "sampling": {"acceleration": 4, "seed": 0}}
    record = {"provenance": {"experiment": described}, "history": []}
    store.put("D3C5-old", old.model.state_dict(), record, "code")
    arguments = ["evaluate", *names, *entries, "D3C5-old", *SMOKE]
    assert main([*arguments, "--output", str(tmp_path / "table.csv")]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "table.csv").groupby("method", sort=False)["psnr"].mean()
    for name, entry in zip(names, entries, strict=True):
        expected = setting.evaluate(name)["psnr"].mean()
        assert table[name] == table[entry] == pytest.approx(expected, abs=1e-4)
        assert f"{expected:.4g}" in next(x for x in printed.splitlines() if x.startswith(name))
    assert table["D3C5-old"] == table["student"]
    own = {"zero-filled": "student", "zero-filled (centre)": "sr-student"}
    own["zero-filled (phase 1)"] = "phase-student"
    for label, name in own.items():
        zero_filled = setting.measured(setting.experiment(name).sampling).zero_filled
        expected = metrics.psnr(zero_filled, setting.test_set.images).item()
        assert table[label] == pytest.approx(expected, abs=1e-3)
    assert list(table.index[:4]) == [
        "zero-filled", "zero-filled (centre)", "sr-student", "zero-filled (phase 1)",
    ]  # fmt: skip
    assert len(table) == 3 + 3 + 3 + 1
    volumes = pd.read_csv(tmp_path / "table-volumes.csv")
    assert set(volumes["method"]) == set(table.index)


def test_what_is_wrong_with_a_planned_experiment_is_said(capsys, monkeypatch):
    short = replace(setting.PROFILES["smoke"], schedule=Schedule(epochs=1, batch=1))
    monkeypatch.setitem(setting.PROFILES, "smoke", short)
    assert main(["evaluate", "kd-sp", *SMOKE]) == 2
    errors = capsys.readouterr().err
    assert "compares slices with each other" in errors
    assert "unknown" not in errors


def test_a_damaged_entry_is_noticed_before_anything_is_trained(home, capsys):
    result = Setting("smoke").run("student", quiet=True)
    name = result.experiment.name
    (home / "store" / name / "weights.safetensors").write_bytes(b"cut")
    shutil.copytree(home / "store" / name, home / "store" / "D3C5-copy")
    capsys.readouterr()
    with pytest.warns(UserWarning, match="set aside"):
        assert main(["evaluate", "teacher", "D3C5-copy", *SMOKE]) == 2
    printed = capsys.readouterr()
    assert "entry D3C5-copy is damaged" in printed.err
    assert "training" not in printed.out + printed.err


def asks_for_too_much():
    torch.empty(10**16)


def raises(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize("command", [
    asks_for_too_much,  # as torch says it on this system
    raises(MemoryError()),
    raises(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
    raises(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.")),
    raises(RuntimeError("MPS backend out of memory (MPS allocated: 9.0 GB)")),
])  # fmt: skip
def test_too_little_memory_is_one_line(command, capsys, monkeypatch):
    def models(options):
        """Stands in for a command."""
        command()

    monkeypatch.setattr(command_line, "models", models)
    assert main(["models"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not enough memory; pass")


def test_other_errors_of_torch_are_not_taken_for_too_little_memory(monkeypatch):
    def models(options):
        """Stands in for a command."""
        torch.ones(2, 3) @ torch.ones(2, 3)

    monkeypatch.setattr(command_line, "models", models)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        main(["models"])


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
