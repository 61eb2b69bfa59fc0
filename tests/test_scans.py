"""Scans as they come: several in a call, series, other formats, masks, and two files compared."""

import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from trained import home_with

from sftkd_core import data, masks, metrics
from sftkd_core.__main__ import main
from sftkd_core.data.formats import Reading, foreign, open_scan
from sftkd_core.system import InputError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return home_with(tmp_path_factory, "student")


@pytest.fixture
def run(trained, monkeypatch, tmp_path, capsys):
    """Run a command in an empty folder; what it printed, or its one line of error."""
    monkeypatch.setenv("SFTKD_HOME", str(trained))
    monkeypatch.chdir(tmp_path)

    def call(*words, status=0):
        assert main([*map(str, words), "--profile", "smoke"]) == status
        printed = capsys.readouterr()
        if status == 2:
            assert len(printed.err.splitlines()) == 1
        return printed.err if status == 2 else printed.out

    return call


@pytest.fixture(scope="module")
def phantom():
    return data.brain_phantom(70, 48, 4).slices


def volume(images, dtype=np.float32):
    """(n, h, w) as a volume in RAS."""
    turned = np.ascontiguousarray((images * 500)[:, ::-1].transpose(2, 1, 0))
    return nibabel.Nifti1Image(turned.astype(dtype), np.diag([-1.0, 1, 2, 1]))


# ---- several scans in a call


def test_a_folder_is_one_table_that_a_bad_file_does_not_stop(phantom, run, tmp_path):
    (tmp_path / "in" / "b").mkdir(parents=True)
    nibabel.save(volume(phantom), "in/a.nii.gz")
    np.save("in/b/c.npy", phantom)
    (tmp_path / "in" / "bad.nii").write_text("no volume")
    nibabel.save(volume(phantom > 0.5), "in/a_seg.nii.gz")
    printed = run("reconstruct", "in", "out", "--table", "t.csv", status=1)
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == [
        "a.nii.gz", "c.npy",
    ]  # fmt: skip
    assert printed.count("failed in/bad.nii: in/bad.nii cannot be read") == 1
    assert "skipped a_seg.nii.gz" in printed
    assert "2 scans of 3 reconstructed into out" in printed
    table = pd.read_csv("t.csv").set_index("scan")
    assert table.loc["in/a.nii.gz", "slices"] == 4
    assert table.loc["in/bad.nii", "failed"].startswith("in/bad.nii cannot be read")
    run("reconstruct", "in/b/c.npy", "alone.npy")
    np.testing.assert_array_equal(np.load("alone.npy"), np.load("out/b/c.npy"))


def test_several_files_go_into_a_folder(phantom, run, tmp_path):
    np.save("a.npy", phantom)
    np.save("b.npy", phantom[:2])
    assert "2 scans of 2" in run("reconstruct", "a.npy", "b.npy", "out")
    assert np.load("out/b.npy").shape == phantom[:2].shape
    (tmp_path / "other").mkdir()
    shutil.copy("a.npy", "other/a.npy")
    for words, message in (
        (("a.npy", "other/a.npy", "out"), "would both become"),
        (("a.npy", "b.npy", "c.npy"), "name a folder"),
        (("a.npy", "b.npy", "out", "--panel", "p.png"), "one scan"),
        ((".", "out"), "choose a folder elsewhere"),
        (("out", "o.npy"), "folder without DICOM"),
    ):
        assert message in run("reconstruct", *words, status=2)
    (tmp_path / "empty").mkdir()
    assert "holds no scans" in run("reconstruct", "empty", "out2", status=2)


# ---- series of volumes


def test_a_volume_of_a_series_by_its_number_and_all_of_them(phantom, run):
    series = np.stack([np.asarray(volume(phantom * f).dataobj) for f in (1, 0.5)], -1)
    nibabel.save(nibabel.Nifti1Image(series, volume(phantom).affine), "s.nii.gz")
    nibabel.save(volume(phantom * 0.5), "second.nii.gz")
    assert "choose one with --volume 1 to 2" in run("reconstruct", "s.nii.gz", "o.nii", status=2)
    assert "volume 3 is not in" in run(
        "reconstruct", "s.nii.gz", "o.nii", "--volume", "3", status=2
    )
    assert "no series" in run("reconstruct", "second.nii.gz", "o.nii", "--volume", "1", status=2)
    assert "volume 2 of 2" in run("reconstruct", "s.nii.gz", "o.nii.gz", "--volume", "2")
    run("reconstruct", "second.nii.gz", "alone.nii.gz")
    run("reconstruct", "s.nii.gz", "all.nii.gz", "--volume", "all")
    one, alone, both = (
        nibabel.load(n).get_fdata() for n in ("o.nii.gz", "alone.nii.gz", "all.nii.gz")
    )
    np.testing.assert_array_equal(one, alone)
    np.testing.assert_array_equal(both[..., 1], alone)
    assert both.shape == series.shape
    np.save("s.npy", np.stack([phantom, phantom / 2]))
    run("reconstruct", "s.npy", "all.npy", "--volume", "all")
    run("reconstruct", "s.npy", "two.npy", "--volume", "2")
    np.testing.assert_allclose(np.load("all.npy")[1], np.load("two.npy"), rtol=1e-5)


@pytest.mark.parametrize("leading", [(1, 4), (4, 1)])
def test_a_batch_of_one_keeps_its_form(leading, phantom, run):
    np.save("v.npy", phantom)
    np.save("b.npy", phantom.reshape(*leading, 48, 48))
    run("reconstruct", "v.npy", "v-out.npy")
    run("reconstruct", "b.npy", "b-out.npy")
    assert np.load("b-out.npy").shape == (*leading, 48, 48)
    np.testing.assert_array_equal(np.load("b-out.npy").reshape(4, 48, 48), np.load("v-out.npy"))


def test_pairs_of_real_and_imaginary_parts_are_complex_numbers(phantom, run):
    kspace = np.fft.fft2(phantom, norm="ortho").astype(np.complex64)
    np.save("k.npy", kspace)
    np.save("pairs.npy", np.stack([kspace.real, kspace.imag], -1))
    pairs = np.empty(kspace.shape, [("real", "f4"), ("imag", "f4")])
    pairs["real"], pairs["imag"] = kspace.real, kspace.imag
    for place in ("deep/values", "deep/kspace", "kspace"):
        with h5py.File(f"{place.replace('/', '-')}.h5", "w") as file:
            file[place] = pairs
    run("reconstruct", "k.npy", "k-out.npy")
    run("reconstruct", "pairs.npy", "p-out.npy")
    run("reconstruct", "deep-values.h5", "v-out.npy", "--dataset", "deep/values")
    for name in ("p-out.npy", "v-out.npy"):
        np.testing.assert_allclose(np.load(name), np.load("k-out.npy"), rtol=1e-4, atol=1e-5)
    # by this name as in fastMRI's files, whose lines run along columns, in a group or not
    run("reconstruct", "deep-kspace.h5", "d-out.npy")
    run("reconstruct", "kspace.h5", "f-out.npy")
    np.testing.assert_array_equal(np.load("d-out.npy"), np.load("f-out.npy"))
    assert not np.allclose(np.load("d-out.npy"), np.load("k-out.npy"), rtol=1e-2)


# ---- NaN, masks


@pytest.mark.parametrize("name", ["v.nii", "v.npy", "v.h5"])
def test_nan_as_zero_by_option(name, phantom, run):
    hole = phantom.copy()
    hole[1, 20:24, 20:24] = np.nan
    zero = np.nan_to_num(hole)
    for values, place in ((hole, name), (zero, f"zero-{name}")):
        if name == "v.nii":
            nibabel.save(volume(values), place)
        elif name == "v.npy":
            np.save(place, values)
        else:
            with h5py.File(place, "w") as file:
                file["reconstruction"] = values
    end = name[1:]
    assert "NaN" in run("reconstruct", name, f"o{end}", status=2)
    assert "16 NaNs as zero" in run("reconstruct", name, f"o{end}", "--nan-as-zero")
    run("reconstruct", f"zero-{name}", f"z{end}")
    ours, expected = (open_scan(Path(n), images_first=True) for n in (f"o{end}", f"z{end}"))
    np.testing.assert_array_equal(ours.images(0, 4), expected.images(0, 4))


def test_masks_by_name_and_of_two_dimensions(phantom, run):
    np.save("v.npy", phantom)
    run("reconstruct", "v.npy", "default.npy")
    run("reconstruct", "v.npy", "named.npy", "--mask", "cartesian")
    np.testing.assert_array_equal(np.load("default.npy"), np.load("named.npy"))
    comb = masks.equispaced_mask(48, 3, 8)
    np.save("comb.npy", comb)
    assert "16 of 48 lines" in run("reconstruct", "v.npy", "a.npy", "--mask", "comb.npy")
    printed = run("reconstruct", "v.npy", "b.npy", "--mask", "equispaced", "--acceleration", "3")
    assert "16 of 48 lines" in printed
    printed = run("reconstruct", "v.npy", "c.npy", "--mask", "centre", "--acceleration", "2")
    assert "576 of 2304 points" in printed
    assert "learnt on lines; this mask is of points" in printed
    points = masks.central_mask(48, 48, 2)
    np.save("points.npy", points)
    np.save("centred.npy", np.fft.fftshift(points))
    run("reconstruct", "v.npy", "d.npy", "--mask", "points.npy")
    assert "in the centre" in run("reconstruct", "v.npy", "e.npy", "--mask", "centred.npy")
    np.testing.assert_array_equal(np.load("d.npy"), np.load("e.npy"))
    np.save("small.npy", points[:40])
    assert "40 x 48 points" in run("reconstruct", "v.npy", "f.npy", "--mask", "small.npy", status=2)
    kspace = np.fft.fft2(phantom, norm="ortho") * comb[:, None]
    np.save("k.npy", kspace.astype(np.complex64))
    for mask in ("points.npy", "equispaced"):
        assert "as it was measured" in run(
            "reconstruct", "k.npy", "g.npy", "--mask", mask, status=2
        )


# ---- two files


def test_two_files_are_compared_slice_by_slice_or_as_fastmri_does(phantom, run):
    worse = (phantom * 0.9 + 0.02).astype(np.float32)
    np.save("i.npy", worse * 300)
    np.save("t.npy", phantom * 300)
    printed = run("evaluate", "i.npy", "t.npy", "--output", "m.csv")
    assert "means over 4 slices" in printed
    peak = phantom.max((1, 2), keepdims=True)
    ours, true = (torch.from_numpy(x / peak)[:, None] for x in (worse, phantom))
    expected = metrics.table(ours, true)["psnr"]
    np.testing.assert_allclose(pd.read_csv("m.csv")["psnr"], expected, atol=1e-4)
    printed = run("evaluate", "i.npy", "t.npy", "--data-range", "volume")
    row = dict(zip(*(line.split() for line in printed.splitlines()[-2:]), strict=True))
    error = ((worse - phantom) ** 2).mean()
    fastmri = 10 * np.log10(phantom.max() ** 2 / error)  # over the volume as a whole
    assert float(row["psnr"]) == pytest.approx(fastmri, abs=0.01)
    nmse = ((worse - phantom) ** 2).sum() / (phantom**2).sum()
    assert float(row["nmse"]) == pytest.approx(nmse, rel=1e-3)
    pairs = (x[:, None].astype(np.float64) for x in (worse, phantom))
    ours, true = map(torch.from_numpy, pairs)
    ssim = metrics.ssim(ours, true, float(phantom.max()))
    assert float(row["ssim"]) == pytest.approx(float(ssim), abs=1e-3)


def test_a_reconstruction_is_compared_with_its_scan(phantom, run):
    nibabel.save(volume(phantom), "v.nii.gz")
    printed = run("reconstruct", "v.nii.gz", "o.nii.gz")
    said = next(line for line in printed.splitlines() if line.startswith("student")).split()[2]
    row = run("evaluate", "o.nii.gz", "v.nii.gz").splitlines()[-1].split()
    assert float(row[0]) == pytest.approx(float(said), abs=0.02)
    kspace = np.fft.fft2(phantom, norm="ortho").astype(np.complex64)
    with h5py.File("k.h5", "w") as file:
        file["kspace"], file["reconstruction_rss"] = kspace, phantom
    run("reconstruct", "k.h5", "o.h5")
    assert "ssim" in run("evaluate", "o.h5", "k.h5")


def test_what_cannot_be_compared_is_one_line(phantom, run):
    np.save("a.npy", phantom)
    np.save("b.npy", phantom[:2])
    np.save("far.npy", phantom * 900)
    np.save("k.npy", np.fft.fft2(phantom) * (np.arange(48) % 3 == 0)[:, None])
    assert "is its scale right" in run("evaluate", "far.npy", "a.npy")
    for words, message in (
        (("a.npy", "b.npy"), "pass two files of one scan"),
        (("a.npy", "k.npy"), "missing lines"),
        (("a.npy", "nowhere.npy"), "does not exist"),
        (("a.npy",), "pass two files"),
        (("student", "--data-range", "volume"), "leave it out"),
    ):
        assert message in run("evaluate", *words, status=2)


# ---- other formats


def write_dicom(folder, images, spacing=3.0, series="1", shuffled=True):
    """A series of axial slices (n, h, w), from the feet up, in DICOM's axes."""
    pydicom = pytest.importorskip("pydicom")
    folder.mkdir(exist_ok=True, parents=True)
    order = np.random.default_rng(0).permutation(len(images)) if shuffled else range(len(images))
    for file, index in enumerate(order):
        found = pydicom.Dataset()
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        found.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        found.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        found.SOPClassUID, found.Modality = pydicom.uid.MRImageStorage, "MR"
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID
        found.SeriesInstanceUID, found.SeriesNumber = f"1.2.{series}", series
        found.SeriesDescription, found.InstanceNumber = f"t{series}", int(index) + 1
        found.Rows, found.Columns = images.shape[1:]
        found.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        found.ImagePositionPatient = [-20, -30, spacing * float(index)]
        found.PixelSpacing, found.SliceThickness = [1.5, 1.2], spacing
        found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
        found.BitsAllocated, found.BitsStored, found.HighBit = 16, 16, 15
        found.PixelRepresentation = 0
        found.RescaleSlope, found.RescaleIntercept = 2, 0
        found.PixelData = np.round(images[index] * 1000).astype("<u2").tobytes()
        found.save_as(folder / f"{series}-{file}.dcm", enforce_file_format=True)


def test_a_dicom_series_is_a_volume_with_its_slice_direction(phantom, run, tmp_path):
    write_dicom(tmp_path / "dicom", phantom)
    image = data.read_nifti(tmp_path / "dicom")
    assert image.shape == (48, 48, 4)
    np.testing.assert_allclose(nibabel.affines.voxel_sizes(image.affine), [1.2, 1.5, 3])
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    np.testing.assert_allclose(image.affine[:3, 3], [20, 30, 0])
    np.testing.assert_array_equal(
        image.get_fdata(), np.round(phantom * 1000).transpose(2, 1, 0) * 2
    )
    stack = data.load_nifti(tmp_path / "dicom")
    assert stack.plane == "axial"
    printed = run("reconstruct", "dicom", "o.nii.gz")
    assert "DICOM volume" in printed
    assert "4 axial slices" in printed
    np.testing.assert_allclose(nibabel.load("o.nii.gz").affine, image.affine)
    assert "not named" in run("reconstruct", "dicom", "o.npy", status=2)
    write_dicom(tmp_path / "two", phantom, series="1")
    write_dicom(tmp_path / "two", phantom, series="7")
    assert "1 (t1), 7 (t7)" in run("reconstruct", "two", "o.nii.gz", status=2)
    run("reconstruct", "two", "o.nii.gz", "--dataset", "7")


def test_dicom_that_is_no_stack_is_one_line(phantom, tmp_path, monkeypatch):
    write_dicom(tmp_path / "gap", phantom, shuffled=False)
    (tmp_path / "gap" / "1-1.dcm").unlink()
    write_dicom(tmp_path / "sizes", phantom)
    write_dicom(tmp_path / "sizes", phantom[:1, :40])
    write_dicom(tmp_path / "cut", phantom, shuffled=False)
    whole = (tmp_path / "cut" / "1-2.dcm").read_bytes()
    (tmp_path / "cut" / "1-2.dcm").write_bytes(whole[: len(whole) - 900])
    for name, message in (
        ("gap", "mm apart"), ("sizes", "different sizes"), ("cut", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            data.read_nifti(tmp_path / name)


def test_without_pydicom_one_sentence_says_so(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"\0" * 128 + b"DICM")
    monkeypatch.setattr("sftkd_core.data.formats.dicom.find_spec", lambda name: None)
    with pytest.raises(InputError, match="python -m pip install pydicom"):
        open_scan(tmp_path / "d")


def test_what_else_nibabel_reads(phantom, run, tmp_path):
    values = np.asarray(volume(phantom, np.int16).dataobj)
    nibabel.save(nibabel.Nifti1Pair(values, volume(phantom).affine), "pair.img")
    nibabel.save(nibabel.AnalyzeImage(values, np.diag([-1.0, 1, 2, 1])), "old.img")
    nibabel.save(nibabel.Nifti1Image(values, volume(phantom).affine), "v.nii")
    assert "Analyze or NIfTI volume" in run("reconstruct", "pair.img", "p.nii")
    run("reconstruct", "v.nii", "o.nii")
    np.testing.assert_allclose(
        nibabel.load("p.nii").get_fdata(), nibabel.load("o.nii").get_fdata(), atol=0.51
    )
    assert "4 axial slices" in run("reconstruct", "old.img", "a.nii.gz")
    assert "not named" in run("reconstruct", "pair.img", "p.img", status=2)
    (tmp_path / "alone.img").write_bytes(b"12")
    assert "is one of a pair" in run("reconstruct", "alone.img", "p.nii", status=2)
    (tmp_path / "alone.HDR").write_bytes(b"12")
    assert "named alone.HDR; name it alone.hdr" in run(
        "reconstruct", "alone.img", "p.nii", status=2
    )
    whole = (tmp_path / "pair.img").read_bytes()
    (tmp_path / "pair.img").write_bytes(whole[:999])
    assert "truncated" in run("reconstruct", "pair.img", "p.nii", status=2)


# nibabel leaves the data file of a Philips pair open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", ["tiny.mnc", "small.mnc", "phantom_EPI_asc_CLEAR_2_1.PAR",
                                  "example4d+orig.HEAD"])  # fmt: skip
def test_nibabel_s_own_examples_are_read(name):
    place = Path(nibabel.__file__).parent / "tests" / "data" / name
    if not place.exists():
        pytest.skip(f"{name} is not installed")
    expected = nibabel.load(place).get_fdata()
    np.testing.assert_allclose(foreign.read(place).get_fdata(), expected, rtol=1e-4, atol=1e-3)


def test_a_link_inside_an_hdf5_volume_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.mnc", "w") as file:
        file["minc-2.0/image/0/image"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(InputError, match="link to somewhere else"):
        foreign.read(tmp_path / "a.mnc")


def test_reading_is_by_default_what_the_file_says():
    assert Reading() == Reading(None, "auto", "auto", None, False)
