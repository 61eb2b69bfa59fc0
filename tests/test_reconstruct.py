"""Reconstructing scans of every kind from the command line."""

import dataclasses
import gzip
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch
from trained import home_with

from sftkd_core import data, experiments, masks, metrics, models
from sftkd_core.__main__ import main
from sftkd_core.book.setting import Setting
from sftkd_core.consistency import from_kspace, measure
from sftkd_core.data.formats.kspace import remove_phase
from sftkd_core.experiments import store

SMOKE = ["--profile", "smoke"]
SHARED = Path(__file__).parents[2] / "shared" / "data"
AFFINES = {
    "RAS": np.diag([1.0, 1, 1, 1]),
    "LAS": np.array([[-1.5, 0, 0, 40], [0, 1.4, 0.1, -50], [0, -0.1, 3, 7], [0, 0, 0, 1.0]]),
    "PIR": np.array([[0, 0, 1.0, 3], [-1.0, 0, 0, 4], [0, -2.0, 0, 5], [0, 0, 0, 1]]),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with one student, trained for a moment."""
    return home_with(tmp_path_factory, "student") / "store"


@pytest.fixture(autouse=True)
def student(trained, home):
    """The network of that store, which the test's own store holds too."""
    shutil.copytree(trained, home / "store")
    return Setting("smoke").run("student", quiet=True).model


@pytest.fixture(scope="module")
def phantom():
    return data.brain_phantom(50, 64, 6).slices


@pytest.fixture
def images(phantom):
    """(6, 48, 64) float32: nothing square, nothing symmetric."""
    return phantom[:, 8:56].copy()


@pytest.fixture(scope="module")
def hostile_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    hostile(folder)
    return folder


@pytest.fixture
def run(tmp_path, capsys):
    """Run ``reconstruct``, expecting success; what it printed."""

    def call(source, output, *options):
        status = main(["reconstruct", str(source), str(output), *SMOKE, *options])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return printed.out

    return call


def volume(images, axes="RAS", dtype=np.int16, scale=800):
    """Images as a volume whose axes run like AFFINES[axes]."""
    ras = np.ascontiguousarray((images * scale)[:, ::-1].transpose(2, 1, 0))  # x right, y front
    there = nibabel.orientations.axcodes2ornt(axes)
    turned = nibabel.orientations.apply_orientation(
        ras,
        nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), there),
    )
    return nibabel.Nifti1Image(np.round(turned).astype(dtype), AFFINES[axes])


def psnr_of(printed):
    rows = [line.split() for line in printed.splitlines() if " PSNR " in line]
    return {row[0]: float(row[2]) for row in rows}


def directly(student, images, mask, scales):
    """What the network gives for scaled images or k-space, (n, h, w), in their units."""
    scaled = torch.from_numpy(images / scales)[:, None]
    measurement = from_kspace(scaled, mask) if scaled.is_complex() else measure(scaled, mask)
    return experiments.reconstruct(student, measurement).clamp(min=0)[:, 0].numpy() * scales


# ---- volumes


@pytest.mark.parametrize("axes", AFFINES)
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz"])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f4"])
def test_at_acceleration_one_a_volume_comes_back_as_it_was(
    axes, name, dtype, images, run, tmp_path
):
    image = volume(images, axes, dtype, scale=200)
    if name.endswith(".mgz"):
        image = nibabel.MGHImage(image.get_fdata().astype(np.dtype(dtype).newbyteorder(">")),
                                 image.affine)  # fmt: skip
    nibabel.save(image, tmp_path / name)
    run(tmp_path / name, tmp_path / f"out-{name}", "--acceleration", "1")
    before, after = nibabel.load(tmp_path / name), nibabel.load(tmp_path / f"out-{name}")
    assert after.get_data_dtype() == before.get_data_dtype()
    assert after.header == before.header
    np.testing.assert_array_equal(after.affine, before.affine)
    difference = np.abs(after.get_fdata() - before.get_fdata()).max()
    assert difference <= (1e-3 if dtype == "<f4" else 0)


@pytest.mark.parametrize("axes", AFFINES)
def test_left_stays_left(axes, images, run, tmp_path):
    images[:, 20:30, 8:18] = 1  # a lesion on the subject's left: low columns
    nibabel.save(volume(images, axes), tmp_path / "in.nii.gz")
    printed = run(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz")
    assert f"axes {axes}" in printed
    upright = nibabel.as_closest_canonical(nibabel.load(tmp_path / "out.nii.gz")).get_fdata()
    truth = nibabel.as_closest_canonical(nibabel.load(tmp_path / "in.nii.gz")).get_fdata()
    error = np.abs(upright - truth).mean()
    for axis in range(3):  # a flip along any axis, or of any slice, would be nearer otherwise
        assert error < 0.7 * np.abs(np.flip(upright, axis) - truth).mean()
    left, right = upright[8:18, 18:28].mean(), upright[-18:-8, 18:28].mean()
    assert left > 1.5 * right


def test_slope_and_intercept_stay_and_values_are_rounded_to_them(images, run, tmp_path):
    image = volume(images)
    image = nibabel.Nifti1Image(np.maximum(np.asarray(image.dataobj), 12), image.affine)
    image.header.set_slope_inter(0.25, -3)
    nibabel.save(image, tmp_path / "in.nii.gz")
    assert nibabel.load(tmp_path / "in.nii.gz").dataobj.slope == 0.25
    run(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz", "--acceleration", "1")
    before, after = (nibabel.load(tmp_path / name) for name in ("in.nii.gz", "out.nii.gz"))
    assert (after.dataobj.slope, after.dataobj.inter) == (0.25, -3)
    np.testing.assert_array_equal(after.get_fdata(), before.get_fdata())


def test_large_values_are_clipped_and_do_not_wrap_round(images, run, tmp_path):
    nibabel.save(volume(images, dtype=np.uint8, scale=255), tmp_path / "in.nii")
    run(tmp_path / "in.nii", tmp_path / "out.nii")
    truth, image = (nibabel.load(tmp_path / n).get_fdata() for n in ("in.nii", "out.nii"))
    assert np.abs(image - truth)[truth > 230].max() < 180  # 256 would have become 0
    assert np.abs(image - truth).mean() < 20


def test_empty_planes_and_a_fourth_axis_of_one_stay(images, run, tmp_path):
    images[[0, 3]] = 0
    image = volume(images)
    image = nibabel.Nifti1Image(np.asarray(image.dataobj)[..., None], image.affine)
    nibabel.save(image, tmp_path / "in.nii.gz")
    assert "4 slices" in run(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz")
    after = nibabel.load(tmp_path / "out.nii.gz")
    assert after.shape == image.shape
    empty = (after.get_fdata() == 0).all((0, 1))[:, 0]
    np.testing.assert_array_equal(np.flatnonzero(empty), [0, 3])


# ---- arrays


@pytest.mark.parametrize("dtype", ["f4", "f8", "u2", "i4"])
def test_images_keep_type_and_shape_and_metrics_are_those_of_the_file(
    dtype, images, student, run, tmp_path
):
    scan = (images * 1000).astype(dtype)
    np.save(tmp_path / "in.npy", scan)
    printed = run(tmp_path / "in.npy", tmp_path / "out.npy")
    result = np.load(tmp_path / "out.npy")
    assert (result.dtype, result.shape) == (scan.dtype, scan.shape)
    scales = scan.max((1, 2), keepdims=True).astype(np.float32)
    expected = directly(student, scan.astype(np.float32), Setting().sampling.mask(48), scales)
    step = 0.51 if scan.dtype.kind in "iu" else 1e-2
    np.testing.assert_allclose(result, expected, atol=step)
    pair = [torch.from_numpy(np.float32(x / scales))[:, None] for x in (expected, scan)]
    assert psnr_of(printed)["student"] == pytest.approx(metrics.psnr(*pair).item(), abs=6e-3)
    ssim = float(re.search(r"student .* SSIM (\S+)", printed).group(1))
    assert ssim == pytest.approx(metrics.ssim(*pair).item(), abs=6e-5)
    assert "time:" in printed


def test_one_slice_and_a_mask_of_its_own(images, student, run, tmp_path):
    mask = masks.equispaced_mask(48, 3, 6)
    np.save(tmp_path / "in.npy", images[2])
    np.save(tmp_path / "mask.npy", mask.astype(float))
    printed = run(tmp_path / "in.npy", tmp_path / "out.npy", "--mask", str(tmp_path / "mask.npy"))
    assert "16 of 48 lines" in printed
    scales = images[2:3].max((1, 2), keepdims=True)
    expected = directly(student, images[2:3], mask, scales)[0]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)


@pytest.mark.parametrize("order", ["corner", "centre"])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_full_kspace_is_measured_again_from_its_magnitude(
    order, dtype, images, student, run, tmp_path
):
    phase = np.exp(1j * np.linspace(0, 3, 64))[None, None] * np.exp(0.5j)
    image = images[:, :47] * phase  # an odd number of rows: shifts forth and back differ
    kspace = to_kspace(image, order).astype(dtype)
    np.save(tmp_path / "in.npy", kspace)
    printed = run(tmp_path / "in.npy", tmp_path / "out.npy")
    assert f"zero frequency in the {order}" in printed
    assert "measured again with 11 of 47" in printed
    assert "phase: left out" in printed
    result = np.load(tmp_path / "out.npy")
    assert result.dtype == np.zeros(0, dtype).real.dtype
    scales = images[:, :47].max((1, 2), keepdims=True)
    expected = directly(student, images[:, :47], Setting().sampling.mask(47), scales)
    np.testing.assert_allclose(result, expected, atol=2e-5)


def to_kspace(image, order):
    if order == "corner":
        return np.fft.fft2(image, norm="ortho")
    shifted = np.fft.fft2(np.fft.ifftshift(image, (1, 2)), norm="ortho")
    return np.fft.fftshift(shifted, (1, 2))


@pytest.mark.parametrize("order", ["corner", "centre"])
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("phase", ["none", "constant", "each column"])
def test_measured_kspace_is_reconstructed_as_it_is(
    order, by_columns, phase, images, student, run, tmp_path
):
    images = images[:, :47]
    mask = masks.cartesian_mask(47, 3, 1, 8)
    kspace = np.fft.fft2(images, norm="ortho") * mask[:, None]
    scales = np.abs(np.fft.ifft2(kspace, norm="ortho")).max((1, 2), keepdims=True)
    expected = directly(student, kspace.astype(np.complex64), mask, scales.astype(np.float32))
    angles = {"none": 0, "constant": 2.5, "each column": np.linspace(-3, 9, 64)}[phase]
    image = images * np.exp(1j * angles)
    if by_columns:
        image, expected = image.swapaxes(1, 2), expected.swapaxes(1, 2)
    measured = np.fft.fftshift(mask) if order == "centre" else mask
    kspace = to_kspace(image, order) * (measured[None] if by_columns else measured[:, None])
    np.save(tmp_path / "in.npy", kspace.astype(np.complex64))
    printed = run(tmp_path / "in.npy", tmp_path / "out.npy")
    kind = "columns" if by_columns else "rows"
    assert f"15 of 47 {kind} measured" in printed
    assert "no target" in printed
    assert "PSNR" not in printed
    assert "phase: 0.0%" in printed
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=3e-4)


def test_a_phase_along_the_missing_lines_is_owned_up_to(images):
    mask = masks.cartesian_mask(48, 3, 1, 10)
    image = images * np.exp(1j * np.linspace(0, 2, 48))[:, None]
    for each, low, high in ((images, 0, 1e-12), (image, 0.05, 0.5)):
        kspace = np.fft.fft2(each, norm="ortho") * mask[:, None]
        rotated, imaginary, energy = remove_phase(kspace, mask)
        assert low <= imaginary / energy <= high
        assert not rotated[:, ~mask].any()
        # rotating columns changes no magnitude
        before, after = (np.abs(np.fft.ifft2(k, norm="ortho")) for k in (kspace, rotated))
        np.testing.assert_allclose(after, before, atol=1e-6)


def test_hdf5_of_kdmri_is_compared_with_its_target(images, run, tmp_path):
    mask = masks.cartesian_mask(48, 4, 0, 6)
    kspace = (np.fft.fft2(images, norm="ortho") * mask[:, None]).astype(np.complex64)
    with h5py.File(tmp_path / "1.h5", "w") as file:
        file["volfs"] = np.moveaxis(images, 0, 2)
        file["kspace_volus_4x"] = np.moveaxis(kspace, 0, 2)
    printed = run(tmp_path / "1.h5", tmp_path / "out.h5")
    quality = psnr_of(printed)
    peaks = images.max((1, 2), keepdims=True)
    zero_filled = np.abs(np.fft.ifft2(kspace, norm="ortho"))
    pair = [
        torch.from_numpy((x / peaks).astype(np.float32))[:, None] for x in (zero_filled, images)
    ]
    assert quality["zero-filled"] == pytest.approx(metrics.psnr(*pair).item(), abs=6e-3)
    assert quality["student"] > quality["zero-filled"]
    with h5py.File(tmp_path / "out.h5") as file:
        result = file["reconstruction"][...]
    assert (result.shape, result.dtype) == ((48, 64, 6), np.float32)
    assert np.abs(result - np.moveaxis(images, 0, 2)).mean() < 0.1


def test_hdf5_of_fastmri_and_a_data_set_by_name(images, run, tmp_path):
    mask = np.fft.fftshift(masks.cartesian_mask(64, 3, 0, 8))
    with h5py.File(tmp_path / "file1.h5", "w") as file:
        file["kspace"] = (to_kspace(images, "centre") * mask).astype(np.complex64)
        file["others"] = images
    assert "21 of 64 columns measured" in run(tmp_path / "file1.h5", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.abs(file["reconstruction"][...] - images).mean() < 0.1
    printed = run(tmp_path / "file1.h5", tmp_path / "out.npy", "--dataset", "others")
    assert psnr_of(printed)["student"] > psnr_of(printed)["zero-filled"]


def test_a_mask_says_which_zero_lines_were_measured(images, tmp_path, run, capsys):
    mask = masks.cartesian_mask(48, 3, 0, 8)
    kspace = np.fft.fft2(images, norm="ortho") * mask[:, None]
    last = np.flatnonzero(mask)[-1]
    np.save(tmp_path / "in.npy", kspace.astype(np.complex64))
    more = mask.copy()
    more[np.flatnonzero(~mask)[0]] = True
    np.save(tmp_path / "more.npy", more)
    options = ["--mask", str(tmp_path / "more.npy")]
    assert "as measured 17 of 48" in run(tmp_path / "in.npy", tmp_path / "out.npy", *options)
    fewer = mask.copy()
    fewer[last] = False
    np.save(tmp_path / "fewer.npy", fewer)
    arguments = ["reconstruct", str(tmp_path / "in.npy"), str(tmp_path / "o.npy"), *SMOKE]
    assert main([*arguments, "--mask", str(tmp_path / "fewer.npy")]) == 2
    assert "1 lines that" in capsys.readouterr().err


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("order", ["corner", "centre"])
def test_kspace_that_lacks_lines_along_both_axes_is_refused(
    by_columns, order, images, tmp_path, capsys
):
    mask = masks.cartesian_mask(48, 3, 1, 8)
    measured = mask[:, None] & (np.abs(np.fft.fftfreq(64, 1 / 64)) % 3 < 2)
    image, measured = images, np.fft.fftshift(measured) if order == "centre" else measured
    if by_columns:
        image, measured = image.swapaxes(1, 2), measured.T
    np.save(tmp_path / "in.npy", (to_kspace(image, order) * measured).astype(np.complex64))
    arguments = ["reconstruct", str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), *SMOKE]
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    kinds = ("columns", "rows") if by_columns else ("rows", "columns")
    for count, kind in zip(("32 of 48", "21 of 64"), kinds, strict=True):
        assert f"{count} {kind}" in errors
    assert "which are no border" in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("by_columns", [False, True])
def test_a_single_zero_line_of_the_full_axis_counts_as_measured(by_columns, images, run, tmp_path):
    kspace = np.fft.fft2(images, norm="ortho")
    kspace[:, :, 32] = 0  # the Nyquist frequency
    kspace[:, ~masks.cartesian_mask(48, 3, 1, 8)] = 0
    if by_columns:
        kspace = kspace.swapaxes(1, 2)
    np.save(tmp_path / "in.npy", kspace.astype(np.complex64))
    kind = "columns" if by_columns else "rows"
    assert f"16 of 48 {kind} measured" in run(tmp_path / "in.npy", tmp_path / "out.npy")


# ---- models, panel


def test_stored_networks_by_name_and_by_beginning(images, run, tmp_path, capsys):
    np.save(tmp_path / "in.npy", images)
    experiment = Setting("smoke").experiment("student")
    entry = experiment.name
    run(tmp_path / "in.npy", tmp_path / "planned.npy")
    for name in (entry, entry[:8]):
        run(tmp_path / "in.npy", tmp_path / "stored.npy", "--model", name)
        assert (tmp_path / "stored.npy").read_bytes() == (tmp_path / "planned.npy").read_bytes()
    found = store.find(entry, experiment.code)
    described = {**found[1]["provenance"]["experiment"], "model": "D5C5", "objective": "sft"}
    weights = {f"student.{k}": v for k, v in found[0].items()}
    teacher = models.build("D5C5", 1)
    weights |= {f"teacher.{k}": v for k, v in teacher.state_dict().items()}
    store.put("D5C5-joint", weights, {**found[1], "provenance": {"experiment": described}}, "code")
    run(tmp_path / "in.npy", tmp_path / "joint.npy", "--model", "D5C5-j")
    scales = images.max((1, 2), keepdims=True)
    expected = directly(teacher.eval(), images, Setting().sampling.mask(48), scales)
    np.testing.assert_allclose(np.load(tmp_path / "joint.npy"), expected, atol=1e-5)
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert entry in listed
    assert "D5C5-joint" in listed
    # a distilled student is stored with what distils it
    distilled = {**found[1]["provenance"]["experiment"], "objective": "distil"}
    weights = {k: v for k, v in weights.items() if k.startswith("student.")}
    weights["summaries.0.weight"] = torch.ones(2)
    store.put("D3C5-at", weights, {**found[1], "provenance": {"experiment": distilled}}, "code")
    run(tmp_path / "in.npy", tmp_path / "distilled.npy", "--model", "D3C5-at")
    assert (tmp_path / "distilled.npy").read_bytes() == (tmp_path / "planned.npy").read_bytes()
    store.put("D5C5-other", *found, "code")
    arguments = ["reconstruct", str(tmp_path / "in.npy"), str(tmp_path / "o.npy"), *SMOKE]
    assert main([*arguments, "--model", "D5C5-"]) == 2
    assert "beginning of 2 entries" in capsys.readouterr().err


def stored(name, experiment):
    """Put an untrained network for a planned experiment into the store."""
    planned = Setting("smoke").experiment(experiment)
    record = {"provenance": {"experiment": dataclasses.asdict(planned)}, "history": []}
    store.put(name, models.build(planned.model, 0).state_dict(), record, "code")


@pytest.mark.parametrize("name", ["sr-teacher", "stored"])
def test_a_network_of_another_pattern_is_refused_before_it_is_trained(
    name, images, tmp_path, capsys
):
    stored("stored", "sr-teacher")
    np.save(tmp_path / "in.npy", images)
    arguments = ["reconstruct", str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), *SMOKE]
    assert main([*arguments, "--model", name]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {name} learnt on another part of k-space")
    assert "pattern 'centre'" in printed.err
    assert "--model, such as student" in printed.err
    assert "training" not in printed.out + printed.err
    assert not (tmp_path / "out.npy").exists()


def test_a_complex_network_is_said_to_see_both_parts(images, run, tmp_path):
    stored("complex", "phase-student")
    image = images * np.exp(1j * np.linspace(0, 2, 48))[:, None]
    kspace = np.fft.fft2(image, norm="ortho") * masks.cartesian_mask(48, 3, 1, 10)[:, None]
    np.save(tmp_path / "in.npy", kspace.astype(np.complex64))
    printed = run(tmp_path / "in.npy", tmp_path / "out.npy", "--model", "complex")
    assert "the network sees both parts" in printed
    printed = run(tmp_path / "in.npy", tmp_path / "out.npy", "--model", "student")
    assert "the network sees the real part only" in printed


@pytest.mark.parametrize("measured", [False, True])
def test_a_panel_shows_what_there_is(measured, images, run, tmp_path):
    import matplotlib.image

    kspace = np.fft.fft2(images, norm="ortho") * masks.cartesian_mask(48, 3, 0, 8)[:, None]
    np.save(tmp_path / "in.npy", kspace.astype(np.complex64) if measured else images)
    run(tmp_path / "in.npy", tmp_path / "out.npy", "--panel", str(tmp_path / "panel.png"))
    picture = matplotlib.image.imread(tmp_path / "panel.png")[..., :3]
    height, width = picture.shape[:2]
    # images only are grey; the error map is in colours
    assert ((picture.max(-1) - picture.min(-1) > 0.3).mean() > 0.02) == (not measured)
    assert width / height > (1.5 if not measured else 0.7)


# ---- wrong input


def hostile(folder):
    """Files that are no scans, by name."""
    good = volume(data.brain_phantom(50, 64, 4).slices)
    nibabel.save(good, folder / "good.nii.gz")
    content = (folder / "good.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    (folder / "text.nii").write_text("not a volume")
    (folder / "empty.mgz").write_bytes(b"")
    (folder / "noise.mgz").write_bytes(gzip.compress(os.urandom(3000)))
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 20, 4, 3)), np.eye(4)), folder / "series.nii")
    nibabel.save(nibabel.Nifti1Image(np.full((20, 20, 4), np.nan), np.eye(4)), folder / "nan.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((20, 20, 4)), np.eye(4)), folder / "flat.nii")
    nibabel.save(nibabel.Nifti1Image(np.eye(20)[..., None] - [0, 1], np.eye(4)), folder / "neg.nii")
    np.save(folder / "pickle.npy", np.array([Bomb(folder)], dtype=object), allow_pickle=True)
    (folder / "raw.npy").write_bytes(pickle.dumps(Bomb(folder)))
    np.save(folder / "words.npy", np.array(["a", "b"]))
    np.save(folder / "coils.npy", np.ones((2, 3, 20, 20), complex))
    np.save(folder / "tiny.npy", np.eye(5))
    np.save(folder / "zero.npy", np.zeros((2, 20, 20), np.complex64))
    np.save(folder / "inf.npy", np.full((2, 20, 20), np.inf + 0j))
    (folder / "no.h5").write_bytes(b"\x89HDF\r\n\x1a\n and nothing else")
    with h5py.File(folder / "other.h5", "w") as file:
        file["something"] = np.ones(3)


class Bomb:
    """What runs when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "pwned"),)


@pytest.mark.parametrize(("name", "message"), [
    ("cut.nii.gz", "cannot be read"),
    ("text.nii", "cannot be read"),
    ("empty.mgz", "cannot be read"),
    ("noise.mgz", "cannot be read"),
    ("series.nii", "three dimensions"),
    ("nan.nii", "NaN"),
    ("flat.nii", "everywhere"),
    ("neg.nii", "below 0"),
    ("pickle.npy", "pickle"),
    ("raw.npy", "plain .npy"),
    ("words.npy", "words.npy"),
    ("coils.npy", "--order"),
    ("tiny.npy", "16 x 16"),
    ("zero.npy", "0 everywhere"),
    ("inf.npy", "infinite"),
    ("no.h5", "cannot be read"),
    ("other.h5", "--dataset"),
    ("nowhere.npy", "does not exist"),
    (".", "folder"),
    ("$(touch pwned).npy", "does not exist"),
    ("__import__('os').mkdir('pwned').npy", "does not exist"),
])  # fmt: skip
def test_a_wrong_scan_is_one_line_and_leaves_earlier_output(
    name, message, hostile_files, tmp_path, capfd
):
    shutil.copytree(hostile_files, tmp_path, dirs_exist_ok=True)
    output = tmp_path / f"out{''.join(Path(name).suffixes[-2:]) if '(' not in name else '.npy'}"
    output.write_bytes(b"earlier")
    before = sorted(path.name for path in tmp_path.iterdir())
    os.chdir(tmp_path)
    assert main(["reconstruct", name, str(output), *SMOKE]) == 2
    printed = capfd.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert output.read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == before  # nothing left
    assert not (hostile_files / "pwned").exists()  # nothing ran


@pytest.mark.parametrize(("options", "message"), [
    (["out.png"], "is not named"),
    (["out.npy"], "is not named"),
    (["good.nii.gz"], "is the input"),
    (["out.nii", "--panel", "out.jpg"], ".png"),
    (["out.nii", "--mask", "good.nii.gz"], "mask file"),
    (["out.nii", "--dataset", "kspace"], "no HDF5 file"),
    (["out.nii", "--model", "__import__('os')"], "unknown experiment"),
    (["out.nii", "--model", ""], "unknown experiment"),
    (["out.nii", "--acceleration", "nan"], "acceleration"),
    (["out.nii", "--acceleration", "2**2"], "invalid float"),
    (["out.nii", "--seed", "1.5"], "invalid int"),
    (["out.nii", "--order", "both"], "invalid choice"),
    (["out.nii", "--nonsense"], "unrecognized"),
    ([], "required: output"),
])  # fmt: skip
def test_a_wrong_option_is_one_line(options, message, hostile_files, tmp_path, capfd, monkeypatch):
    shutil.copytree(hostile_files, tmp_path, dirs_exist_ok=True)
    (tmp_path / "out.nii").write_bytes(b"earlier")
    monkeypatch.chdir(tmp_path)
    assert main(["reconstruct", "good.nii.gz", *options, *SMOKE]) == 2
    errors = capfd.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert (tmp_path / "out.nii").read_bytes() == b"earlier"


def test_output_that_cannot_be_written_is_one_line(images, tmp_path, capfd):
    np.save(tmp_path / "in.npy", images)
    (tmp_path / "file").write_text("in the way")
    assert main(["reconstruct", f"{tmp_path}/in.npy", f"{tmp_path}/file/out.npy", *SMOKE]) == 2
    *progress, line = capfd.readouterr().err.splitlines()
    assert line.startswith("error: cannot write")
    assert all(line.startswith("reconstructing:") for line in progress)


# ---- memory and time


def measured_run(arguments, environment):
    """Run in a process of its own: output, peak memory in bytes, processor time in seconds.

    On Linux the peak comes from /proc: ``ru_maxrss`` begins with that of the process that forked.
    """
    code = (
        "import pathlib, re, resource, sys, warnings; warnings.simplefilter('ignore')\n"
        "from sftkd_core.__main__ import main\n"
        "status = main(sys.argv[1:])\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "proc = pathlib.Path('/proc/self/status')\n"
        "found = re.search(r'VmHWM:\\s*(\\d+)', proc.read_text()) if proc.exists() else None\n"
        "peak = int(found[1]) if found else used.ru_maxrss\n"
        "print('usage', peak, used.ru_utime + used.ru_stime); sys.exit(status)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    peak, seconds = run.stdout.splitlines()[-1].split()[1:]
    unit = 1 if sys.platform == "darwin" else 1024
    return run.stdout, int(peak) * unit, float(seconds)


def test_a_volume_of_256_cubed_takes_less_than_a_gigabyte(environment, tmp_path):
    slices = data.brain_phantom(3, 256, 16).slices
    volume = np.repeat(slices, 16, axis=0).transpose(2, 1, 0)
    affine = AFFINES["RAS"]
    nibabel.save(nibabel.Nifti1Image((volume * 900).astype(np.float32), affine), tmp_path / "v.nii")
    del volume
    # the smallest network: its layers are as wide as all others', and sooner done
    described = Setting("smoke").run("student", quiet=True).provenance["experiment"]
    record = {"provenance": {"experiment": {**described, "model": "D2C5"}}, "history": []}
    store.put("D2C5-small", models.build("D2C5", 0).state_dict(), record, "code")
    arguments = ["reconstruct", f"{tmp_path}/v.nii", f"{tmp_path}/out.nii.gz"]
    arguments += ["--model", "D2C5-small", "--panel", f"{tmp_path}/p.png"]
    printed, peak, _ = measured_run(arguments, environment)
    assert "256 slices" in printed
    assert peak < 1e9, f"{peak / 1e9:.2f} GB"


def test_the_real_head_with_the_shipped_student(environment, tmp_path):
    head = SHARED / "real_t1_head.nii.gz"
    results = Path(__file__).parents[1] / "results"
    name = min(p.name for p in results.iterdir() if re.fullmatch("D3C5-[0-9a-f]{16}", p.name))
    if not head.exists():
        pytest.skip(f"{head} is absent")
    environment = {**environment, "SFTKD_SHIPPED": "yes", "SFTKD_HOME": str(tmp_path / "home")}
    arguments = ["reconstruct", str(head), f"{tmp_path}/out.nii.gz", "--model", name]
    printed, peak, seconds = measured_run(arguments, environment)
    quality = psnr_of(printed)
    assert quality[name] > quality["zero-filled"] + 4
    before, after = nibabel.load(head), nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(after.affine, before.affine)
    assert after.get_data_dtype() == before.get_data_dtype() == np.uint8
    truth, image = (np.asarray(x.dataobj).astype(float) for x in (before, after))
    assert np.abs(image - truth).mean() < 0.5 * np.abs(image[::-1] - truth).mean()
    assert peak < 1e9
    assert seconds < 120, "60 s on two cores"
