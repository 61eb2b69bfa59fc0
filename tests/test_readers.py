"""Each format's reader: what it finds in a folder, and that no image is turned or mirrored."""

from itertools import product
from pathlib import Path

import miniatures
import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from sftkd_core.data.formats import kspace, volume
from sftkd_core.data.layouts import acdc, calgary, fastmri, kdmri, mrbrains, nifti_folder
from sftkd_core.data.slices import centre, middle, scale_slices
from sftkd_core.system import InputError, files

REAL = Path(__file__).parents[2] / "shared" / "data" / "real_t1_head.nii.gz"


def upright(values: np.ndarray) -> np.ndarray:
    """(x, y, z) with x to the right and y to the front -> planes (z, rows, columns)."""
    return values[:, ::-1].transpose(2, 1, 0)


# NIfTI layouts


def test_acdc_reads_both_frames_and_nothing_else(tmp_path):
    found = acdc.find(miniatures.acdc(tmp_path))
    assert [s.subject for s in found.sources] == [
        "patient001", "patient002", "patient003", "patient101", "patient102",
    ]  # fmt: skip
    assert [s.split for s in found.sources] == ["train"] * 3 + ["test"] * 2
    planes = found.sources[1].read()
    frames = [miniatures.volume(1000 * frame + 2, (170, 140, 4)) for frame in (1, 12)]
    np.testing.assert_array_equal(planes, np.concatenate([upright(frame) for frame in frames]))
    assert not np.array_equal(planes, planes[..., ::-1])


def test_acdc_slices_run_along_the_acquired_axis_however_oblique(tmp_path):
    # a short axis tilted so far that its normal is nearest to left-right
    affine = np.array([[0, 0, 8, 0], [1.5, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 0, 1.0]])
    values = miniatures.volume(3, (40, 36, 5))
    path = miniatures.write_nifti(tmp_path / "v.nii", values, affine)
    planes = volume.planes(volume.read_nifti(path), 2)
    assert planes.shape == (5, 36, 40)
    # x runs to the front and y upwards: rows run down, columns to the back
    np.testing.assert_array_equal(planes, values[::-1, ::-1].transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ("ED: 1\nGroup: DCM\n", "says ES: ''"),
        ("ED: one\nES: 12\n", "says ED: 'one'"),
        ("ED: 1\nES: ../../../../etc/passwd\n", "no frame number"),
        ("ED: 1\nES: 7\n", "lacks patient002_frame07"),
        ("\0\xff" * 9, "says ED"),
    ],
)
def test_acdc_names_a_patient_whose_note_is_wrong(note, message, tmp_path):
    folder = miniatures.acdc(tmp_path)
    (folder / "training" / "patient002" / "Info.cfg").write_text(note, encoding="latin1")
    found = acdc.find(folder)
    assert len(found.sources) == 4
    ((subject, reason),) = found.skipped
    assert subject == "patient002"
    assert message in reason


def test_acdc_without_its_two_folders_splits_by_number(tmp_path):
    miniatures.acdc(tmp_path / "two")
    flat = tmp_path / "flat"
    flat.mkdir()
    for side in ("training", "testing"):
        for patient in (tmp_path / "two" / side).iterdir():
            patient.rename(flat / patient.name)
    assert [s.split for s in acdc.find(flat).sources] == ["train"] * 3 + ["test"] * 2


def test_mrbrains_of_both_years(tmp_path):
    found = mrbrains.find(miniatures.mrbrains_2018(tmp_path / "a"))
    assert [s.subject for s in found.sources] == [
        f"subject-{n}" for n in ("1", "4", "5", "7", "14", "070", "148")
    ]
    assert {s.split for s in found.sources} == {None}
    assert {s.files[0].parent.name for s in found.sources} == {"pre"}
    assert len(found.skipped) == 7  # the scans of orig/
    np.testing.assert_array_equal(
        found.sources[4].read(), upright(miniatures.volume(14, (240, 240, 6)))
    )
    found = mrbrains.find(miniatures.mrbrains_2013(tmp_path / "b"))
    assert [s.split for s in found.sources].count("train") == 5
    assert [s.split for s in found.sources].count("test") == 3
    assert {s.files[0].name for s in found.sources} == {"T1.nii"}


def test_calgary_scans_are_cut_where_planes_are_256_square(tmp_path):
    folder = miniatures.calgary_scans(tmp_path)
    miniatures.write_nifti(folder / "CC0001_philips_15_55_M_staple.nii.gz", np.ones((4, 4, 4)))
    found = calgary.find(folder)
    assert len(found.sources) == 7
    assert found.skipped[0][1] == "a segmentation"
    planes = found.sources[0].read()
    values = np.moveaxis(miniatures.volume(1, (256, 256, 8)), 2, 0)  # (x, y, z)
    # sagittal: rows run down (z reversed), columns to the back (y reversed)
    np.testing.assert_array_equal(planes, values[:, ::-1, ::-1].transpose(0, 2, 1))


@pytest.mark.parametrize("codes", ["".join(c) for c in product("RL", "AP", "SI")] + ["PSR", "IRP"])
def test_planes_of_an_axis_look_the_same_however_it_is_stored(codes):
    # volume[x, y, z] of right, front, up, stored along other axes: the plane of z is the same
    values = miniatures.volume(1, (20, 24, 18))
    there = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(codes)))
    stored = apply_orientation(values, there)
    image = nibabel.Nifti1Image(stored, inv_ornt_aff(there, values.shape))
    axis = next(k for k, code in enumerate(codes) if code in "SI")
    planes = volume.planes(image, axis)
    expected = upright(values)
    np.testing.assert_array_equal(planes, expected if "S" in codes else expected[::-1])


@pytest.mark.skipif(not REAL.exists(), reason="the real head scan is not beside the clone")
def test_the_real_head_as_a_folder(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / REAL.name).symlink_to(REAL)
    (source,) = nifti_folder.find(tmp_path).sources
    assert source.subject == "one-real_t1_head"
    original = np.asarray(nibabel.load(REAL).dataobj)
    np.testing.assert_array_equal(source.read(), upright(original))


# k-space


@pytest.mark.parametrize("order", [(False, False), (True, False), (True, True), (False, True)])
def test_kspace_of_every_order_gives_the_same_image(order):
    images = miniatures.complex_object(2, (3, 48, 40))
    stored = np.fft.ifftshift(images, (-2, -1)) if order[1] else images
    values = np.fft.fft2(stored, norm="ortho")
    values = np.fft.fftshift(values, (-2, -1)) if order[0] else values
    assert kspace.order_of(values) == order
    np.testing.assert_allclose(kspace.image_of(values, order), images, atol=1e-3)


def test_calgary_kspace_of_one_coil_is_the_complex_image(tmp_path):
    found = calgary.find(miniatures.calgary_kspace(tmp_path))
    assert [s.split for s in found.sources] == ["train"] * 3 + ["test"] * 2
    assert "undersampled" in found.skipped[0][1]
    images = found.sources[0].read()
    assert images.dtype == np.complex64
    expected = miniatures.complex_object(50, (6, 64, 64)) * 64  # fft2 is not orthonormal
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=0.5)


def test_twelve_coils_become_one_with_the_object_s_magnitude_and_phase():
    truth = miniatures.complex_object(1, (1, 96, 96))[0]
    coils = miniatures.sensitivities(12, 96, 96)
    combined = kspace.combine(coils * truth)
    # the ideal combination: root of the sum of squares, and the strongest coil's phase
    expected = np.abs(truth) * np.sqrt((np.abs(coils) ** 2).sum(axis=0))
    inside = np.abs(truth) > 0.2 * np.abs(truth).max()
    assert np.abs(np.abs(combined) / expected - 1)[inside].max() < 0.05
    residual = np.angle(combined / truth)[inside]
    residual = np.angle(np.exp(1j * (residual - residual.mean())))
    assert residual.std() < 0.05
    assert np.corrcoef(np.abs(combined).ravel(), np.abs(truth)[:, ::-1].ravel())[0, 1] < 0.97


def test_calgary_kspace_of_twelve_coils(tmp_path):
    found = calgary.find(miniatures.calgary_kspace(tmp_path, coils=12, slices=2))
    images = found.sources[0].read()
    truth = np.abs(miniatures.complex_object(50, (2, 64, 64)))
    assert images.shape == truth.shape
    assert np.corrcoef(np.abs(images).ravel(), truth.ravel())[0, 1] > 0.95


def test_fastmri_gives_the_central_320_pixels_and_knows_patients(tmp_path):
    found = fastmri.find(miniatures.fastmri(tmp_path))
    assert [s.split for s in found.sources] == ["train"] * 4 + ["test"] * 2
    assert [s.group for s in found.sources][:4] == ["train0", "train0", "train1", "train2"]
    images = found.sources[0].read()
    expected = miniatures.complex_object(100, (3, 400, 336))[:, 40:360, 8:328]
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=0.05)


def test_kdmri_volumes_come_as_planes_once(tmp_path):
    found = kdmri.find(miniatures.kdmri(tmp_path))
    assert [s.subject for s in found.sources] == [
        "train-1", "train-2", "train-3", "train-4", "validation-1", "validation-2",
    ]  # fmt: skip
    assert [s.split for s in found.sources] == ["train"] * 4 + ["test"] * 2
    assert len(found.skipped) == 2  # acc_5x of both
    target = miniatures.volume(2 + 250, (30, 24, 3)).astype(float)
    expected = np.moveaxis(target / target.max(axis=(0, 1)), 2, 0)
    np.testing.assert_array_equal(found.sources[1].read(), expected)


def test_several_data_sets_side_by_side_are_refused(tmp_path):
    miniatures.kdmri(tmp_path)
    (tmp_path / "mrbrain").mkdir()
    (tmp_path / "cardiac" / "cartesian").rename(tmp_path / "mrbrain" / "cartesian")
    miniatures.kdmri(tmp_path)
    with pytest.raises(InputError, match="cardiac and mrbrain"):
        kdmri.find(tmp_path)


# the pieces


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_cropping_and_padding_keep_the_middle(height, width, size):
    planes = np.arange(1, 1 + 2 * height * width).reshape(2, height, width)
    result = centre(planes, size)
    assert result.shape == (2, size, size)
    # what is padded can be cropped again, exactly
    if size >= max(height, width):
        top, left = (size - height) // 2, (size - width) // 2
        np.testing.assert_array_equal(result[:, top : top + height, left : left + width], planes)
        assert result.sum() == planes.sum()
    else:
        assert set(result.ravel()) <= {0, *planes.ravel()}


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint32", "float32", "float64", "complex64"])
def test_scaling_by_slice_and_by_volume(kind):
    planes = np.random.default_rng(0).uniform(0, 200, (4, 9, 7)).astype(kind)
    planes[2] = 0
    planes[3] *= 0.5 if kind[0] in "fc" else 1
    images, scales, indices = scale_slices(planes)
    assert list(indices) == [0, 1, 3]
    assert images.dtype == (np.complex64 if kind == "complex64" else np.float32)
    np.testing.assert_allclose(np.abs(images).max(axis=(1, 2)), 1, rtol=1e-6)
    np.testing.assert_allclose(images * scales[:, None, None], planes[indices], rtol=1e-6)
    images, scales, _ = scale_slices(planes, "volume")
    assert len(set(scales)) == 1
    np.testing.assert_allclose(images * scales[0], planes[indices], rtol=1e-6)


def test_the_middle_slices():
    assert list(middle(np.arange(7), 3)) == [2, 3, 4]
    assert list(middle(np.arange(170), 110)) == list(range(30, 140))
    assert list(middle(np.arange(3), 110)) == [0, 1, 2]


@settings(max_examples=40)
@given(
    st.sampled_from(["<f4", ">f8", "<i2", "|u1", "<c8", "|b1"]),
    st.lists(st.integers(1, 5), max_size=4),
    st.booleans(),
)
def test_npy_files_are_read_as_numpy_reads_them(tmp_path_factory, kind, shape, fortran):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    values = (np.arange(np.prod(shape, dtype=int)) % 2).reshape(shape).astype(kind)
    np.save(path, np.asfortranarray(values) if fortran else values)
    read = files.open_npy(path)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype
