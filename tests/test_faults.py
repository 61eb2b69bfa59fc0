"""Files that once gave a wrong image without a word, each with what is right."""

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

from sftkd_core import data, metrics, system
from sftkd_core.__main__ import main
from sftkd_core.data import SPLITS, Dataset, prepared
from sftkd_core.data.layouts import kdmri
from sftkd_core.system import InputError

y, x = np.mgrid[-1:1:64j, -1:1:64j]
HEAD = (
    ((x / 0.7) ** 2 + (y / 0.85) ** 2 < 1) * 100.0
    + (((x - 0.1) / 0.3) ** 2 + ((y + 0.1) / 0.3) ** 2 < 1) * 60
    + ((x - 0.3) ** 2 + (y - 0.4) ** 2 < 0.02) * 50
)
VOLUME = np.stack([HEAD * f for f in (0.9, 1, 0.95, 0.8)])
LINES = np.zeros(64, bool)  # the zero frequency in the centre
LINES[28:36] = LINES[[2, 9, 13, 18, 23, 40, 45, 51]] = True


def centred(image):
    shifted = np.fft.fft2(np.fft.ifftshift(image, (1, 2)), norm="ortho")
    return np.fft.fftshift(shifted, (1, 2)).astype(np.complex64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with a student and a complex one, trained for a moment."""
    return home_with(tmp_path_factory, "student", "phase-student") / "store"


@pytest.fixture
def run(trained, home, tmp_path, capsys, monkeypatch):
    """Run a command in an empty folder; what it printed, or its one line of error."""
    shutil.copytree(trained, home / "store")
    monkeypatch.chdir(tmp_path)

    def call(*words):
        smoke = [] if words[0] == "prepare" else ["--profile", "smoke"]
        status = main([*words, *smoke])
        printed = capsys.readouterr()
        if status:
            assert len(printed.err.splitlines()) == 1
            assert printed.err.startswith("error: ")
            return printed.err
        return printed.out

    return call


def error_of(image, truth=VOLUME):
    return np.linalg.norm(image - truth) / np.linalg.norm(truth)


# ---- F2: a mask with its zero frequency in the middle


def test_a_centred_mask_is_turned_and_said_so(run):
    np.save("v.npy", VOLUME)
    np.save("centred.npy", LINES)
    np.save("corner.npy", np.fft.ifftshift(LINES))
    printed = run("reconstruct", "v.npy", "a.npy", "--mask", "centred.npy")
    assert "the mask's zero frequency in the centre" in printed
    assert "zero frequency" not in run("reconstruct", "v.npy", "b.npy", "--mask", "corner.npy")
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    run("reconstruct", "v.npy", "c.npy", "--mask", "centred.npy", "--order", "centre")
    np.testing.assert_array_equal(np.load("c.npy"), np.load("b.npy"))


def test_a_mask_of_measured_kspace_is_taken_in_the_order_that_covers_its_lines(run):
    np.save("k.npy", centred(VOLUME) * LINES[None, :, None])
    more = LINES.copy()
    more[60] = True  # a line that was measured as zero
    for name, mask in (("centred.npy", more), ("corner.npy", np.fft.ifftshift(more))):
        np.save("m.npy", mask)
        assert "17 of 64" in run("reconstruct", "k.npy", name, "--mask", "m.npy")
    np.testing.assert_array_equal(np.load("centred.npy"), np.load("corner.npy"))


def test_a_mask_without_the_zero_frequency_is_refused(run):
    np.save("v.npy", VOLUME)
    np.save("m.npy", np.arange(64) % 4 == 1)
    assert "leaves out the zero frequency" in run(
        "reconstruct", "v.npy", "o.npy", "--mask", "m.npy"
    )


# ---- F3: the origin of the image


@pytest.mark.parametrize("kspace_centred", [False, True])
@pytest.mark.parametrize("image_centred", [False, True])
def test_every_usual_convention_gives_the_image_upright(kspace_centred, image_centred, run):
    image = np.fft.ifftshift(VOLUME, (1, 2)) if image_centred else VOLUME
    kspace = np.fft.fft2(image, norm="ortho")
    kspace = np.fft.fftshift(kspace, (1, 2)) if kspace_centred else kspace
    np.save("k.npy", kspace.astype(np.complex64))
    printed = run("reconstruct", "k.npy", "o.npy", "--acceleration", "1")
    assert error_of(np.load("o.npy")) < 1e-4
    assert ("origin of the image" in printed) == (kspace_centred != image_centred)


@pytest.mark.parametrize("beside", ["left", "right"])
def test_an_object_beside_the_middle_is_left_where_it_is(beside, run):
    """What fills one side only has no clear place; the usual conventions then hold."""
    image = np.roll(VOLUME * (np.abs(x) < 0.3), -20 if beside == "left" else 20, 2)
    np.save("k.npy", centred(image))
    run("reconstruct", "k.npy", "o.npy", "--acceleration", "1")
    assert error_of(np.load("o.npy"), image) < 1e-4


# ---- F11: real numbers as k-space


def test_real_numbers_are_no_kspace(run):
    with h5py.File("k.h5", "w") as file:
        file["kspace"] = np.abs(centred(VOLUME))
    printed = run("reconstruct", "k.h5", "o.h5")
    assert "holds real numbers (float32) as kspace, but k-space is complex" in printed


# ---- F1: phase


def test_a_peak_beside_the_centre_makes_no_difference(run):
    kspace = centred(VOLUME) * LINES[None, :, None]
    np.save("k.npy", kspace)
    np.save("rolled.npy", np.roll(kspace, 1, 1))
    run("reconstruct", "k.npy", "a.npy")
    printed = run("reconstruct", "rolled.npy", "b.npy")
    assert "the peak 1 line off the zero frequency" in printed
    assert "phase: 0.0%" in printed
    np.testing.assert_allclose(np.load("b.npy"), np.load("a.npy"), atol=1e-2)
    np.save("m.npy", np.roll(LINES, 1))
    run("reconstruct", "rolled.npy", "c.npy", "--mask", "m.npy")
    np.testing.assert_array_equal(np.load("c.npy"), np.load("b.npy"))


def test_what_stays_imaginary_goes_to_a_complex_network(run):
    image = VOLUME * np.exp(2j * np.cos(2 * y))
    np.save("k.npy", centred(image) * LINES[None, :, None])
    printed = run("reconstruct", "k.npy", "o.npy")
    assert "so the complex network phase-student is taken" in printed
    assert "the network sees both parts" in printed
    zero_filled = np.abs(np.fft.ifft2(np.fft.ifftshift(np.load("k.npy"), (1, 2)), norm="ortho"))
    zero_filled = np.fft.fftshift(zero_filled, (1, 2))
    assert error_of(np.load("o.npy")) < 1.1 * error_of(zero_filled)
    printed = run("reconstruct", "k.npy", "o.npy", "--model", "student")
    assert "the network sees the real part only" in printed


# ---- F12: worse than its input


def test_a_network_worse_than_its_input_is_said_to_be(run, monkeypatch):
    from sftkd_core import experiments

    np.save("v.npy", VOLUME)
    warning = "student is worse than what it was given"
    assert warning not in run("reconstruct", "v.npy", "o.npy", "--acceleration", "4")
    monkeypatch.setattr(experiments, "reconstruct", lambda model, m: 0.5 * m.zero_filled)
    assert warning in run("reconstruct", "v.npy", "o.npy")


# ---- F5: a border of zeros


@pytest.mark.parametrize("axis", [1, 2])
def test_a_border_of_zeros_is_padding(axis, run):
    kspace = centred(VOLUME)
    border = [slice(None)] * 3
    for border[axis] in (slice(0, 5), slice(-7, None)):
        kspace[tuple(border)] = 0
    truth = np.abs(np.fft.ifft2(np.fft.ifftshift(kspace, (1, 2)), norm="ortho"))
    truth = np.fft.fftshift(truth, (1, 2))
    np.save("k.npy", kspace)
    printed = run("reconstruct", "k.npy", "o.npy", "--acceleration", "1")
    assert f"border of zeros (12 of 64 {'rows' if axis == 1 else 'columns'})" in printed
    assert error_of(np.load("o.npy"), truth) < 1e-4
    printed = run("reconstruct", "k.npy", "o.npy", "--acceleration", "4")
    assert "measured again with 16 of 64" in printed
    assert "PSNR" in printed
    np.save("m.npy", LINES)
    assert "16 of 64" in run("reconstruct", "k.npy", "o.npy", "--mask", "m.npy")


def test_a_border_along_the_other_axis_does_not_hide_the_lines(run):
    kspace = centred(VOLUME) * LINES[None, :, None]
    kspace[:, :, :10] = 0
    np.save("k.npy", kspace)
    printed = run("reconstruct", "k.npy", "o.npy")
    assert "(10 of 64 columns)" in printed
    assert "16 of 64 rows measured" in printed


def test_fastmri_leaves_out_columns_and_is_cropped_to_its_reconstruction(run):
    with h5py.File("f.h5", "w") as file:
        file["kspace"] = centred(np.pad(VOLUME, ((0, 0), (32, 32), (0, 0))))
        file["reconstruction_esc"] = VOLUME[:, :, 2:-2].astype(np.float32)
    printed = run("reconstruct", "f.h5", "o.h5")
    assert "measured again with 16 of 64" in printed  # of 64 columns, not of 128 rows
    run("reconstruct", "f.h5", "o.h5", "--acceleration", "1")
    with h5py.File("o.h5") as file:
        assert error_of(file["reconstruction"][...], VOLUME[:, :, 2:-2]) < 1e-4


@pytest.mark.parametrize(("options", "message"), [
    (["--acceleration", "8"], "k.npy fixes the lines, 16 of 64 (4.0x); leave --acceleration 8"),
    (["--dataset", "kspace"], "no HDF5 file"),
])  # fmt: skip
def test_options_without_effect_are_errors_before_anything_is_trained(options, message, run):
    np.save("k.npy", centred(VOLUME) * LINES[None, :, None])
    printed = run("reconstruct", "k.npy", "o.npy", *options, "--model", "teacher")
    assert message in printed


def test_an_order_of_images_is_an_error(run):
    nibabel.save(nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), np.eye(4)), "v.nii")
    assert "leave --order out" in run("reconstruct", "v.nii", "o.nii", "--order", "centre")


# ---- F6, F10: planes


CORONAL = np.array([[1.4, 0, 0, 0], [0, 0, 8, 0], [0, -1.4, 0, 0], [0, 0, 0, 1.0]])


def coronal(path, slices=20):
    nibabel.save(
        nibabel.Nifti1Image(np.repeat(HEAD[:, :, None], slices, 2).astype("i2"), CORONAL), path
    )
    return path


@pytest.mark.parametrize("slices", [10, 20])
def test_thick_slices_are_cut_as_they_were_acquired(slices, run):
    coronal("cor.nii", slices)
    printed = run("reconstruct", "cor.nii", "o.nii", "--acceleration", "1")
    assert f"{slices} coronal slices; 64 x 64 pixels" in printed
    np.testing.assert_array_equal(
        nibabel.load("o.nii").get_fdata(), nibabel.load("cor.nii").get_fdata()
    )
    assert "coronal" not in run("reconstruct", "cor.nii", "o.nii", "--plane", "sagittal")


def test_the_header_s_slice_direction_is_followed(run):
    image = nibabel.Nifti1Image(VOLUME.repeat(5, 0).astype("f4"), np.eye(4))
    image.header.set_dim_info(slice=0)
    nibabel.save(image, "v.nii")
    assert "20 sagittal slices; 64 x 64" in run("reconstruct", "v.nii", "o.nii")
    assert "64 axial slices; 64 x 20" in run("reconstruct", "v.nii", "o.nii", "--plane", "axial")
    np.save("v.npy", VOLUME)
    printed = run("reconstruct", "v.npy", "o.npy", "--plane", "coronal")
    assert "leave --plane coronal out" in printed


@pytest.mark.parametrize("shape", [(64, 64, 1), (64, 1, 64), (64, 64)])
def test_one_slice_is_enough(shape, run):
    nibabel.save(nibabel.Nifti1Image(HEAD.reshape(shape).astype("f4"), np.eye(4)), "one.nii")
    printed = run("reconstruct", "one.nii", "o.nii", "--panel", "p.png", "--acceleration", "1")
    assert "64 x 64 pixels" in printed
    assert nibabel.load("o.nii").shape == shape
    assert error_of(nibabel.load("o.nii").get_fdata(), HEAD.reshape(shape)) < 1e-5
    assert "student" in run("evaluate", "--data", "one.nii")


def test_planes_are_prepared_as_they_were_acquired_or_as_asked(run, tmp_path):
    (tmp_path / "raw").mkdir()
    for number in range(3):
        coronal(f"raw/{number}.nii", 18 + number)
    run("prepare", "nifti", "raw", "--output", "out")
    shapes = {np.load(path).shape[1:] for path in (tmp_path / "out").glob("*.npy")}
    assert shapes == {(64, 64)}
    run("prepare", "nifti", "raw", "--output", "other", "--plane", "sagittal")
    shapes = {np.load(path).shape[1:] for path in (tmp_path / "other").glob("*.npy")}
    assert shapes == {(64, 18), (64, 19), (64, 20)}
    assert "has planes of its own" in run("prepare", "acdc", "raw", "--plane", "axial")


# ---- F4: one person, one split


def bids(folder, people=4):
    for person in range(1, people + 1):
        for session in (1, 2):
            place = folder / f"sub-{person}/ses-{session}/anat"
            place.mkdir(parents=True)
            name = f"sub-{person}_ses-{session}_T1w"
            image = nibabel.Nifti1Image((VOLUME.T * person).astype("f4"), np.eye(4))
            nibabel.save(image, place / f"{name}.nii.gz")
            nibabel.save(image, place / f"{name}_dseg.nii.gz")
            (folder / "derivatives").mkdir(exist_ok=True)
            nibabel.save(image, folder / "derivatives" / f"{name}.nii.gz")
    return folder


def splits_of(pairs):
    """The splits that each person is in."""
    found = {}
    for subject, split in pairs:
        found.setdefault(subject[: len("sub-1")], set()).add(split)
    return found


def test_a_person_of_several_sessions_is_in_one_split(run, tmp_path):
    bids(tmp_path / "bids")
    printed = run("prepare", "nifti", "bids", "--output", "out")
    assert "8 subjects of nifti" in printed
    assert "of 4 people, each in one split" in printed
    assert "_dseg.nii.gz: named as a segmentation or mask" in printed
    assert "8 files in derivatives/: computed from scans" in printed
    entries = prepared.read_manifest("out")["subjects"]
    assert len(entries) == 8
    pairs = splits_of((e["subject"], e["split"]) for e in entries)
    assert all(len(splits) == 1 for splits in pairs.values())
    assert set().union(*pairs.values()) == {"train", "validation", "test"}


def test_a_folder_to_train_on_keeps_persons_apart_and_skips_what_is_damaged(tmp_path):
    bids(tmp_path / "bids", 5)
    damaged = tmp_path / "bids/sub-3/ses-2/anat/sub-3_ses-2_T1w.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    dataset = Dataset(str(tmp_path / "bids"), 64, 4, 99, 99, 99)
    assert "10 volumes of 5 people" in dataset.describe()
    with pytest.warns(UserWarning, match=r"skipped sub-3-ses-2-anat-sub-3_ses-2_T1w: .*unpack"):
        pairs = [(s, split) for split in SPLITS for s in dataset.load(split).subjects]
    assert len({subject for subject, _ in pairs}) == 9
    assert all(len(splits) == 1 for splits in splits_of(pairs).values())
    for path in (tmp_path / "bids").rglob("*_T1w.nii.gz"):
        path.write_bytes(b"nothing")
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(InputError, match=r"no readable .* unpacking"),
    ):
        dataset.load("test")


# ---- F8: links


def test_links_that_are_not_followed_are_named(run, tmp_path):
    bids(tmp_path / "bids", 2)
    (tmp_path / "lk/s1").mkdir(parents=True)
    (tmp_path / "lk/s1/a.nii.gz").symlink_to("/gone/a.nii.gz")
    (tmp_path / "lk/s2").symlink_to(tmp_path / "bids/sub-1")
    printed = run("prepare", "nifti", "lk", "--output", "out")
    assert "s1/a.nii.gz: a link whose file is not here; fetch it (datalad get)" in printed
    bids(tmp_path / "lk/all", 2)
    printed = run("prepare", "nifti", "lk", "--output", "out")
    assert "skipped s1/a.nii.gz: a link whose file is not here" in printed
    assert "skipped s2: a linked folder; pass it itself" in printed


# ---- F7: the chapter asks the library for the file


def test_the_file_of_the_first_subject_to_test_on(run, tmp_path, home):
    (tmp_path / "one.NII.GZ").write_bytes(b"")
    assert Dataset(str(tmp_path / "one.NII.GZ")).test_file == tmp_path / "one.NII.GZ"
    bids(tmp_path / "bids")
    dataset = Dataset(str(tmp_path / "bids"), 64, 4, 99, 99, 99)
    name = dataset.test_file.relative_to(tmp_path / "bids").as_posix().replace("/", "-")
    assert name == f"{dataset.load('test').subjects[0]}.nii.gz"
    run("prepare", "nifti", "bids", "--output", "out")
    assert Dataset(str(tmp_path / "out")).test_file is None
    assert Dataset("brain").test_file is None


# ---- F9: surroundings


def test_without_a_home_folder_one_line_names_sftkd_home(monkeypatch, capsys):
    monkeypatch.delenv("SFTKD_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # no HOME, no such user
    assert main(["models"]) == 2
    assert "set SFTKD_HOME" in capsys.readouterr().err


def test_a_home_may_be_written_with_a_tilde(monkeypatch):
    monkeypatch.setenv("SFTKD_HOME", "~/x")
    assert system.home() == Path.home() / "x"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_a_console_cannot_spell_are_no_failure(encoding, environment, tmp_path):
    code = "import sys; from sftkd_core.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "reconstruct", str(tmp_path / "Ω.nii.gz"), "o.nii.gz"]
    environment |= {"PYTHONIOENCODING": encoding}
    done = subprocess.run(words, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 2
    assert rb"\u03a9.nii.gz does not exist" in done.stderr
    assert b"Traceback" not in done.stderr


# ---- F13: evaluate


def test_small_and_flat_slices_do_not_stop_an_evaluation(run):
    values = np.random.default_rng(0).uniform(1, 9, (24, 50, 6)).astype(np.float32)
    values[..., 3] = 5  # flat: nothing is lost of it
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), "v.nii")
    printed = run("evaluate", "--data", "v.nii")
    assert "vif: nan, for it needs 41 a side, not 50 x 24 pixels" in printed
    assert "hfn: 1 flat slice left out of its mean" in printed
    row = next(line for line in printed.splitlines() if line.startswith("zero-filled "))
    assert 0 < float(row.split()[1]) < 60
    assert row.split()[-1] == "nan"


def test_tables_say_nan_where_a_slice_is_too_small():
    images = torch.rand(2, 1, 20, 50)
    table = metrics.table(images, 0.9 * images)
    assert table["vif"].isna().all()
    assert table["ssim"].notna().all()
    assert metrics.by_volume(images, 0.9 * images, ["a", "b"])["vif"].isna().all()


# ---- F14: smaller


def test_numbers_of_one(run):
    np.save("v.npy", VOLUME[:1])
    printed = run("reconstruct", "v.npy", "o.npy")
    assert "1 slice;" in printed
    assert "1 slice, measured again" in printed


def test_what_is_no_image_is_named(run):
    labels = nibabel.Nifti1Image((VOLUME > 50).astype("u1"), np.eye(4))
    labels.header.set_intent("label")
    nibabel.save(labels, "l.nii")
    assert "holds labels (intent code 1002)" in run("reconstruct", "l.nii", "o.nii")
    with h5py.File("c.h5", "w") as file:
        file.create_group("deep")["kspace"] = np.zeros((2, 64, 64))
    assert "holds no deep/image" in run("reconstruct", "c.h5", "o.h5", "--dataset", "deep/image")


def test_nibabel_says_nothing_of_odd_headers(environment, tmp_path):
    odd = bytearray(nibabel.Nifti1Image(VOLUME.T.astype("f4"), np.eye(4)).to_bytes())
    odd[80:84] = np.float32(-1).tobytes()  # pixdim[1]
    (tmp_path / "odd.nii").write_bytes(odd)
    code = "from sftkd_core import data; data.load_nifti('odd.nii')"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_output_elsewhere_is_not_cured_by_our_own_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="choose another place"):
        system.write_bytes(tmp_path / "file" / "o.npy", b"")
    (system.home() / "store").write_text("in the way")
    with pytest.raises(OSError, match="set SFTKD_HOME"):
        system.write_bytes(system.home() / "store" / "o.npy", b"")


def test_lines_left_out_of_an_export_are_plain_zeros(tmp_path):
    kdmri.write_file(tmp_path / "1.h5", VOLUME.astype(np.float32), LINES, "4x")
    with h5py.File(tmp_path / "1.h5") as file:
        left_out = file["kspace_volus_4x"][~LINES]
    assert not np.signbit(left_out.real).any()
    assert not np.signbit(left_out.imag).any()


@pytest.mark.parametrize("name", ["v.mgz", "v.mgh"])
def test_volumes_of_freesurfer_are_read_everywhere(name, run, tmp_path):
    nibabel.save(nibabel.MGHImage(VOLUME.T.astype(">f4"), np.eye(4)), name)
    stack = data.load_nifti(name)
    data.write_nifti(stack.restore(stack.images), "v.nii.gz")
    np.testing.assert_allclose(nibabel.load("v.nii.gz").get_fdata(), VOLUME.T, rtol=1e-6)
    assert "student" in run("evaluate", "--data", name)
