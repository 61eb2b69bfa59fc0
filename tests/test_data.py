"""Phantoms, data sets and NIfTI volumes."""

import gzip
import signal
import subprocess
import sys
import time
from itertools import combinations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

from sftkd_core import data, system
from sftkd_core.data import Dataset
from sftkd_core.data.formats import volume
from sftkd_core.system import InputError

REAL = Path(__file__).parents[2] / "shared" / "data" / "real_t1_head.nii.gz"


@pytest.mark.parametrize("kind", list(data.PHANTOMS))
def test_phantoms_follow_from_their_seed(kind):
    phantom = data.PHANTOMS[kind]
    first, again, other = phantom(3, 32, 4), phantom(3, 32, 4), phantom(4, 32, 4)
    assert first.slices.shape == (4, 32, 32)
    assert first.slices.dtype == np.float32
    assert first.synthetic
    assert "synthetic" in first.name
    assert first.slices.min() >= 0
    assert (first.slices.max(axis=(1, 2)) == 1).all()
    assert np.array_equal(first.slices, again.slices)
    assert np.abs(first.slices - other.slices).mean() > 0.01


@pytest.mark.parametrize("arguments", [(0, 8, 4), (0, 32, 0)])
@pytest.mark.parametrize("kind", list(data.PHANTOMS))
def test_impossible_phantoms_are_refused(kind, arguments):
    with pytest.raises(InputError, match="use >= 1 and >= 16"):
        data.PHANTOMS[kind](*arguments)


def test_a_brain_looks_the_same_at_every_size():
    small, large = data.brain_phantom(1, 48, 3), data.brain_phantom(1, 96, 3)
    halved = torch.nn.functional.avg_pool2d(torch.from_numpy(large.slices), 2).numpy()
    for one, two in zip(small.slices, halved, strict=True):
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.98


def test_splits_share_no_subject_and_seeds_share_none_either():
    subjects = {
        (seed, split): set(Dataset("brain", 32, 2, 2, 1, 2, seed).load(split).subjects)
        for seed in (0, 1)
        for split in ("train", "validation", "test")
    }
    assert [len(s) for s in subjects.values()] == [2, 1, 2] * 2
    for one, two in combinations(subjects.values(), 2):
        assert not one & two


def test_synthetic_data_say_so():
    for name in data.PHANTOMS:
        dataset = Dataset(name, 32, 2, 1, 1, 1)
        assert "synthetic" in dataset.describe()
        assert dataset.load("test").synthetic
        assert "synthetic" in dataset.load("test").name


def test_a_damaged_phantom_is_set_aside_and_made_again(home):
    dataset = Dataset("brain", 32, 2, 1, 0, 0)
    before = dataset.load("train").images
    path = next((home / "phantoms").glob("*.npy"))
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 1
    path.write_bytes(payload)
    with pytest.warns(UserWarning, match="checksum"):
        after = dataset.load("train").images
    assert torch.equal(before, after)
    assert list((home / "phantoms").glob("*.damaged-1"))


def test_killed_while_making_phantoms_the_next_run_has_the_same(home, environment):
    code = "from sftkd_core.data import Dataset\nDataset('brain', 48, 8, 12, 0, 0).load('train')"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    while process.poll() is None and len(list(home.glob("phantoms/*.json"))) < 2:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = {path: path.stat().st_mtime_ns for path in home.glob("phantoms/*.json")}
    assert 2 <= len(made) <= 12
    images = Dataset("brain", 48, 8, 12, 0, 0).load("train").images
    for path, written in made.items():  # what was finished was not repeated
        assert path.stat().st_mtime_ns == written
    again = np.concatenate([data.brain_phantom(k, 48, 8).slices for k in range(12)])
    assert np.array_equal(images[:, 0].numpy(), again)


# NIfTI


def write(path, values, affine=None, **header):
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    if header:
        image.header.set_slope_inter(*header["slope"])
    path.write_bytes(image.to_bytes())
    return path


@pytest.fixture
def values():
    return np.random.default_rng(0).uniform(1, 900, (20, 24, 18)).astype(np.float32)


CODES = ["".join(c) for c in product("RL", "AP", "SI")] + ["PSR", "SAL", "IRP"]


@pytest.mark.parametrize("codes", CODES)
def test_slices_are_axial_whatever_the_orientation_and_go_back_exactly(codes, values, tmp_path):
    # a volume whose value tells left from right, front from back, feet from head
    right, anterior, superior = np.meshgrid(*(np.arange(n) for n in (20, 24, 18)), indexing="ij")
    ras = (1 + right + 100 * anterior + 10000 * superior).astype(np.float32)
    ornt = axcodes2ornt(tuple(codes))
    native = nibabel.orientations.apply_orientation(
        ras, nibabel.orientations.ornt_transform(axcodes2ornt("RAS"), ornt)
    )
    affine = inv_ornt_aff(nibabel.orientations.ornt_transform(axcodes2ornt("RAS"), ornt), ras.shape)
    path = write(tmp_path / "v.nii", native, affine)
    stack = data.load_nifti(path)
    assert stack.images.shape == (18, 1, 24, 20)
    plane = stack.images[5, 0].numpy() * stack.scales[5]
    # feet first; rows from front to back; columns from the subject's left to right
    np.testing.assert_allclose(plane, ras[:, ::-1, 5].T, rtol=1e-6)
    back = stack.restore(stack.images)
    np.testing.assert_allclose(back.get_fdata(), native, rtol=1e-6)
    np.testing.assert_array_equal(back.affine, affine)


def test_empty_planes_and_scale_factors_survive(tmp_path):
    values = np.random.default_rng(0).integers(1, 200, (16, 16, 6)).astype(np.uint8)
    values[..., [0, 3]] = 0
    path = write(tmp_path / "v.nii", values, slope=(2.5, 0.0))
    stack = data.load_nifti(path)
    assert list(stack.indices) == [1, 2, 4, 5]
    assert (stack.images.amax(dim=(1, 2, 3)) == 1).all()
    target = tmp_path / "out.nii.gz"
    data.write_nifti(stack.restore(stack.images), target)
    again = nibabel.load(target)
    assert again.get_data_dtype() == np.float32
    np.testing.assert_allclose(again.get_fdata(), 2.5 * values, rtol=1e-6)


def test_a_fourth_axis_of_one_is_a_volume(values, tmp_path):
    stack = data.load_nifti(write(tmp_path / "v.nii", values[..., None]))
    assert stack.restore(stack.images).shape == (20, 24, 18, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: np.stack([v, v], -1), "shape .*one time point"),
        (lambda v: v[:, 0, 0], "three dimensions"),
        (lambda v: np.where(v > 800, np.nan, v), "NaN or infinite"),
        (lambda v: np.where(v > 800, np.inf, v), "NaN or infinite"),
        (lambda v: np.full_like(v, 7), "7 everywhere"),
        (lambda v: v - 450, "magnitude image"),
        (lambda v: v.astype(np.complex64), "complex64"),
    ],
)
def test_unusable_volumes_are_named(change, message, values, tmp_path):
    path = write(tmp_path / "v.nii", change(values))
    with pytest.raises(InputError, match=message) as error:
        data.read_nifti(path)
    assert "v.nii" in str(error.value)


def test_unreadable_files_are_named(values, tmp_path):
    whole = write(tmp_path / "whole.nii", values).read_bytes()
    cases = {
        "truncated.nii": whole[:2000],
        "truncated.nii.gz": gzip.compress(whole)[:20000],
        "text.nii.gz": b"this is no volume",
        "text.nii": b"this is no volume",
        "empty.nii.gz": b"",
        "name.xyz": whole,
    }
    for name, payload in cases.items():
        (tmp_path / name).write_bytes(payload)
        with pytest.raises(InputError, match=name):
            data.read_nifti(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        data.read_nifti(tmp_path / "nowhere.nii")
    with pytest.raises(InputError, match="folder"):
        data.read_nifti(tmp_path)


def test_outputs_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "d.nii").mkdir()
    for path in (tmp_path / "out.png", tmp_path / "d.nii"):
        with pytest.raises(InputError, match="output"):
            system.check_output(path, volume.NIFTI)


def test_a_folder_is_split_by_subject(tmp_path):
    generator = np.random.default_rng(0)
    for subject in range(10):
        shape = (20, 24 + subject, 12)
        write(tmp_path / f"s{subject}.nii", generator.uniform(0.1, 1, shape).astype(np.float32))
    dataset = Dataset(str(tmp_path), 32, 4, 99, 99, 99)
    loaded = {split: dataset.load(split) for split in ("train", "validation", "test")}
    assert [len(set(s.subjects)) for s in loaded.values()] == [6, 2, 2]
    assert len({name for s in loaded.values() for name in s.subjects}) == 10
    assert loaded["train"].images.shape == (24, 1, 32, 32)
    assert not loaded["train"].synthetic
    with pytest.raises(InputError, match="differ in size"):
        Dataset(str(tmp_path), None, 4, 99, 99, 99).load("train")


def subjects_of(folder):
    dataset = Dataset(str(folder), None, 4, 99, 99, 99)
    splits = ("train", "validation", "test")
    return {name: list(dict.fromkeys(dataset.load(name).subjects)) for name in splits}


def test_subjects_of_a_nested_folder_are_named_by_it(tmp_path, values):
    for number in range(5):
        for session in ("a", "b"):
            (tmp_path / f"s{number}" / session).mkdir(parents=True)
            write(tmp_path / f"s{number}" / session / "T1.nii", values)
    names = [name for part in subjects_of(tmp_path).values() for name in part]
    assert sorted(names) == [f"s{n}-{s}-T1" for n in range(5) for s in "ab"]


def test_volumes_of_a_flat_folder_are_named_by_their_files(tmp_path, values):
    """These names, their order and the split are those that results were made with."""
    for name in ("s1", "s2", "s10", "my scan", "s-3.left"):
        write(tmp_path / f"{name}.nii", values)
    assert subjects_of(tmp_path) == {
        "train": ["s1", "s10", "s2"], "validation": ["my scan"], "test": ["s-3.left"],
    }  # fmt: skip
    assert set(Dataset(str(tmp_path / "s1.nii"), None).load("test").subjects) == {"s1"}


def test_a_folder_from_a_mac_or_with_loud_names_is_read(tmp_path, values):
    for number in range(3):
        write(tmp_path / f"s{number}.nii", values)
    (tmp_path / "s2.nii").rename(tmp_path / "s2.NII")
    before = Dataset(str(tmp_path)).fingerprint()
    (tmp_path / "._s0.nii").write_bytes(b"Mac OS X")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "s1.nii.gz").write_bytes(b"Mac OS X")
    assert sorted(name for part in subjects_of(tmp_path).values() for name in part) == [
        "s0", "s1", "s2",
    ]  # fmt: skip
    assert Dataset(str(tmp_path)).fingerprint() == before


def test_two_volumes_of_one_name_are_refused(tmp_path, values):
    """Else one subject would be trained on and tested on."""
    for number in range(3):
        write(tmp_path / f"s{number}.nii", values)
    (tmp_path / "s1.nii.gz").write_bytes(gzip.compress((tmp_path / "s1.nii").read_bytes()))
    with pytest.raises(InputError, match="subject s1 is there twice"):
        Dataset(str(tmp_path)).load("train")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_synthetic_split_without_subjects_is_named(split):
    with pytest.raises(InputError, match=f"no subject to {split}; ask for at least 1"):
        Dataset("brain", 32, 2, 0, 0, 0).load(split)


def test_the_content_of_a_folder_counts(tmp_path, values):
    for subject in range(3):
        write(tmp_path / f"s{subject}.nii", values)
    before = Dataset(str(tmp_path)).fingerprint()
    write(tmp_path / "s1.nii", values + 1)
    assert Dataset(str(tmp_path)).fingerprint() != before


def test_the_folders_that_name_subjects_count(tmp_path, values):
    """The same files under other subjects are another split."""
    places = [tmp_path / f"s{number}" / "T1.nii" for number in range(3)]
    for number, place in enumerate(places):
        place.parent.mkdir()
        write(place, values + number)
    before = Dataset(str(tmp_path)).fingerprint()
    places[1].parent.rename(tmp_path / "s1-again")
    assert Dataset(str(tmp_path)).fingerprint() != before


def test_too_few_volumes_and_strange_names_are_refused(tmp_path, values):
    write(tmp_path / "only.nii", values)
    with pytest.raises(InputError, match="holds 1 NIfTI"):
        Dataset(str(tmp_path)).load("test")
    with pytest.raises(InputError, match="not trained on"):
        Dataset(str(tmp_path / "only.nii"), None).load("train")
    with pytest.raises(InputError, match="unknown split"):
        Dataset("brain").load("testing")
    with pytest.raises(InputError, match='"bran" is neither'):
        Dataset("bran")


def test_slices_of_a_long_volume_come_from_its_middle(tmp_path):
    values = np.ones((16, 16, 40), np.float32) * 0.5
    values[8, 8] = np.arange(1, 41)  # the maximum of a plane tells its number
    path = write(tmp_path / "v.nii", values)
    dataset = Dataset(str(path), None, 5)
    number = np.round(0.5 / dataset.load("test").images.amin(dim=(1, 2, 3)).numpy()).astype(int)
    assert list(number) == sorted(number)
    assert len(set(number)) == 5
    assert number.min() >= 10
    assert number.max() <= 31


@pytest.mark.skipif(not REAL.exists(), reason="the real head scan is not beside the clone")
def test_the_real_head():
    stack = data.load_nifti(REAL)
    assert stack.images.shape[2:] == (256, 188)
    back = stack.restore(stack.images)
    original = nibabel.load(REAL)
    np.testing.assert_allclose(back.get_fdata(), original.get_fdata(), atol=1e-3)
    np.testing.assert_array_equal(back.affine, original.affine)
    assert not Dataset(str(REAL), None).load("test").synthetic
