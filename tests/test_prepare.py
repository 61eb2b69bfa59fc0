"""From a folder as downloaded to a prepared data set, and on to experiments and to KD-MRI."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import h5py
import miniatures
import numpy as np
import pytest
import torch

from sftkd_core import masks
from sftkd_core.book.setting import Setting
from sftkd_core.data import SHORT_NAMES, Dataset, prepared
from sftkd_core.data.layouts import kdmri
from sftkd_core.data.layouts.kdmri import export_kdmri
from sftkd_core.data.layouts.source import Found, Source
from sftkd_core.data.prepare import FORMAT, prepare
from sftkd_core.system import InputError, files

REAL = Path(__file__).parents[2] / "shared" / "data" / "real_t1_head.nii.gz"
WRITERS = {
    "acdc": (miniatures.acdc, {}, 150),
    "mrbrains": (miniatures.mrbrains_2018, {}, 240),
    "calgary": (miniatures.calgary_scans, {}, 256),
    "kdmri": (miniatures.kdmri, {}, None),
    "fastmri": (miniatures.fastmri, {}, 320),
    "ismrmrd": (miniatures.ismrmrd, {}, None),
}


def quiet(line):
    pass


@pytest.fixture
def raw(tmp_path):
    """A miniature ACDC of five patients."""
    return miniatures.acdc(tmp_path / "raw", shape=(40, 36, 3))


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_layout_becomes_a_data_set_of_that_name(name, tmp_path, home):
    write, options, size = WRITERS[name]
    folder = write(tmp_path / "raw", **options)
    lines = []
    manifest = prepare(name, folder, report=lines.append)
    assert (home / "datasets" / name / "manifest.json").is_file()
    dataset = Dataset(name, None, 10**6, 10**6, 10**6, 10**6)
    loaded = {split: dataset.load(split) for split in ("train", "validation", "test")}
    subjects = [set(s.subjects) for s in loaded.values()]
    assert not subjects[0] & subjects[1]
    assert not (subjects[0] | subjects[1]) & subjects[2]
    assert {s: len(part) for s, part in loaded.items()} == manifest["counts"]
    for part in loaded.values():
        assert part.images.dtype == torch.float32
        assert part.images.min() >= 0
        torch.testing.assert_close(part.images.amax(dim=(1, 2, 3)), torch.ones(len(part)))
        assert size is None or part.images.shape[2:] == (size, size)
    assert f"to test on: {len(loaded['test'])} slices" in "\n".join(lines)
    for entry in manifest["subjects"]:
        (source,) = {Path(p).name for p in folder.rglob(entry["sources"][0]["path"])}
        assert source == entry["sources"][0]["path"]
    digests = {hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}
    assert {s["sha256"] for e in manifest["subjects"] for s in e["sources"]} <= digests


def test_the_paper_s_counts_stand_beside_ours(raw, tmp_path):
    lines = []
    manifest = prepare("acdc", raw, tmp_path / "out", held_out=0, report=lines.append)
    assert manifest["counts"] == {"train": 18, "validation": 0, "test": 12}
    text = "\n".join(lines)
    assert "to train on: 18 slices of 3 subjects (paper: 1841 of 100)" in text
    assert "to test on: 12 slices of 2 subjects (paper: 1076 of 50)" in text
    # as the paper: the test set is also what chooses the epoch, and is said to be
    dataset = Dataset(str(tmp_path / "out"), None, 48, 9, 9, 9)
    assert torch.equal(dataset.load("validation").images, dataset.load("test").images)
    assert "test subjects choosing the epoch" in dataset.describe()


def test_more_subjects_than_the_paper_s_are_left_out_and_said_so(tmp_path):
    lines = []
    folder = miniatures.mrbrains_2013(tmp_path / "raw", (32, 32, 3))
    manifest = prepare("mrbrains", folder, tmp_path / "out", report=lines.append)
    assert [e["split"] for e in manifest["subjects"]] == ["train"] * 4 + ["validation"] + [
        "test"
    ] * 2
    assert sum("beyond the paper's 2 subjects to test" in line for line in lines) == 1


def test_shares_follow_the_seed_where_the_folder_says_nothing(tmp_path):
    folder = miniatures.mrbrains_2018(tmp_path / "raw", (32, 32, 2))
    tested = []
    for seed in (0, 0, 1, 2):
        manifest = prepare("mrbrains", folder, tmp_path / "out", seed=seed, report=quiet)
        splits = [e["split"] for e in manifest["subjects"]]
        assert [splits.count(s) for s in ("train", "validation", "test")] == [4, 1, 2]
        tested.append(frozenset(e["subject"] for e in manifest["subjects"] if e["split"] == "test"))
    assert tested[0] == tested[1]
    assert len(set(tested)) > 1


def test_files_of_one_patient_stay_in_one_split(tmp_path):
    folder = miniatures.fastmri(tmp_path / "raw", (2, 340, 330), (6, 0))
    for seed in range(4):
        manifest = prepare("fastmri", folder, tmp_path / "out", seed=seed, report=quiet)
        split = {e["subject"]: e["split"] for e in manifest["subjects"]}
        assert split["file1train0"] == split["file1train1"]
        assert set(split.values()) == {"train", "validation", "test"}


def test_a_second_run_writes_nothing_and_other_options_touch_nothing(raw, tmp_path):
    out = tmp_path / "out"
    first = prepare("acdc", raw, out, report=quiet)
    times = {path: path.stat().st_mtime_ns for path in out.glob("patient*")}
    assert len(times) == 10
    lines = []
    assert prepare("acdc", raw, out, report=lines.append) == first
    assert {path: path.stat().st_mtime_ns for path in out.glob("patient*")} == times
    assert "5 subjects were prepared already" in lines
    by_volume = prepare("acdc", raw, tmp_path / "volume", scaling="volume", report=quiet)
    assert {e["key"] for e in by_volume["subjects"]}.isdisjoint(e["key"] for e in first["subjects"])
    # the same folder with other options: the earlier files go only once the new ones are there
    prepare("acdc", raw, out, scaling="volume", report=quiet)
    assert len(list(out.glob("patient*"))) == 10
    assert not set(times) & set(out.glob("patient*"))


def test_scaling_by_volume_keeps_the_ratio_of_slices(raw, tmp_path):
    prepare("acdc", raw, tmp_path / "out", scaling="volume", report=quiet)
    images = Dataset(str(tmp_path / "out"), None, 99, 1, 0, 0).load("train").images
    highest = images.amax(dim=(1, 2, 3))
    assert highest.max() == 1
    assert highest.min() < 0.95
    resampled = Dataset(str(tmp_path / "out"), 64, 99, 1, 0, 0).load("train").images
    torch.testing.assert_close(resampled.amax(dim=(1, 2, 3)), highest)


def test_a_changed_source_or_a_damaged_result_is_made_again(raw, tmp_path):
    out = tmp_path / "out"
    first = prepare("acdc", raw, out, report=quiet)
    victim = out / first["subjects"][0]["file"]
    payload = bytearray(victim.read_bytes())
    payload[-1] ^= 1
    victim.write_bytes(payload)
    with pytest.raises(InputError, match="checksum differs"):
        Dataset(str(out), None).load(first["subjects"][0]["split"])
    assert prepare("acdc", raw, out, report=quiet) == first
    before = Dataset(str(out)).fingerprint()
    frame = raw / "training" / "patient001" / "patient001_frame01.nii.gz"
    miniatures.write_nifti(frame, miniatures.volume(77, (40, 36, 3)))
    changed = prepare("acdc", raw, out, report=quiet)
    different = [
        e["subject"]
        for e, f in zip(changed["subjects"], first["subjects"], strict=True)
        if e["crc32"] != f["crc32"]
    ]
    assert different == ["patient001"]
    assert Dataset(str(out)).fingerprint() != before


def test_jobs_give_the_same_bytes(raw, tmp_path):
    one = prepare("acdc", raw, tmp_path / "one", report=quiet)
    two = prepare("acdc", raw, tmp_path / "two", jobs=2, report=quiet)
    assert one == two
    for entry in one["subjects"]:
        name = entry["file"]
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_and_started_again_it_goes_on(jobs, tmp_path, environment):
    raw = miniatures.acdc(tmp_path / "raw", tuple(range(1, 20)) + (101, 102), (90, 90, 8))
    out = tmp_path / "out"
    code = f"""
from sftkd_core.data.prepare import prepare
if __name__ == "__main__":
    prepare("acdc", {str(raw)!r}, {str(out)!r}, jobs={jobs})
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, script], env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and len(list(out.glob("patient*.json"))) < 3:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    made = {path: path.stat().st_mtime_ns for path in out.glob("patient*.json")}
    assert 3 <= len(made) < 21
    assert not (out / "manifest.json").exists()
    with pytest.raises(InputError, match=r"volumes|holds"):
        Dataset(str(out), None).load("train")  # not finished, not taken for a data set
    manifest = prepare("acdc", raw, out, report=quiet)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert manifest == prepare("acdc", raw, tmp_path / "fresh", report=quiet)


def test_a_broken_subject_is_named_and_the_others_are_prepared(raw, tmp_path):
    frame = raw / "training" / "patient002" / "patient002_frame01.nii.gz"
    frame.write_bytes(frame.read_bytes()[:-200])
    lines = []
    manifest = prepare("acdc", raw, tmp_path / "out", report=lines.append)
    assert len(manifest["subjects"]) == 4
    (line,) = [line for line in lines if line.startswith("skipped patient002")]
    assert "patient002_frame01.nii.gz" in line
    assert "\n" not in line


def test_earlier_output_survives_a_run_that_fails(raw, tmp_path):
    out = tmp_path / "out"
    prepare("acdc", raw, out, report=quiet)
    before = {path: path.read_bytes() for path in out.glob("*") if path.suffix != ".lock"}
    for frame in raw.rglob("*frame*"):
        frame.write_bytes(b"broken")
    with pytest.raises(InputError, match="5 could not be read"):
        prepare("acdc", raw, out, report=quiet)
    assert {path: path.read_bytes() for path in out.glob("*") if path.suffix != ".lock"} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw, out: prepare("adcd", raw, out), "unknown data set 'adcd'.*acdc, mrbrains"),
        (lambda raw, out: prepare("acdc", raw / "nowhere", out), "does not exist"),
        (lambda raw, out: prepare("acdc", raw, raw / "out"), "lies in the data set itself"),
        (lambda raw, out: prepare("acdc", raw, out, jobs=0), "jobs is 0"),
        (lambda raw, out: prepare("acdc", raw, out, scaling="max"), "unknown scaling 'max'"),
        (lambda raw, out: prepare("acdc", raw, out, held_out=3), "held_out is 3, but there are 3"),
        (lambda raw, out: prepare("mrbrains", raw, out), "holds nothing of mrbrains"),
        (lambda raw, out: prepare("fastmri", raw, out), "holds nothing of fastmri"),
        (lambda raw, out: prepare("acdc", next(raw.rglob("*4d*")), out), "a file, not a folder"),
    ],
)
def test_what_cannot_be_prepared_is_said_in_one_line(change, message, raw, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        change(raw, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").glob("*.npy"))


def test_subjects_that_are_there_twice_are_refused(raw, tmp_path):
    miniatures.acdc(raw / "copy", (2,), (40, 36, 3))
    with pytest.raises(InputError, match="patient002 is there twice"):
        prepare("acdc", raw, tmp_path / "out", report=quiet)


def test_unreadable_files_are_named(raw, tmp_path, monkeypatch):
    frame = raw / "training" / "patient002" / "patient002_frame01.nii.gz"
    real_open = open

    def refusing(path, *arguments, **options):  # the superuser of a container may read everything
        if Path(path) == frame:
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refusing)
    lines = []
    prepare("acdc", raw, tmp_path / "out", report=lines.append)
    assert any("frame01.nii.gz cannot be read (Permission denied)" in line for line in lines)


def test_a_worker_that_dies_is_one_clear_line(raw, tmp_path, monkeypatch):
    frame = next(raw.rglob("*frame01.nii.gz"))
    dying = [Source(name, None, (frame,), partial(os._exit, 9), name) for name in ("a", "b")]
    found = Found(dying, [])
    broken = dataclasses.replace(FORMAT["nifti"], find=lambda folder: found)
    monkeypatch.setitem(FORMAT, "nifti", broken)
    with pytest.raises(InputError, match=r"a worker was killed while reading one of [ab]"):
        prepare("nifti", raw, tmp_path / "out", jobs=2, report=quiet)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read as Linux tells it")
def test_memory_is_that_of_one_volume(tmp_path, environment):
    for number in range(8):
        values = miniatures.volume(number, (200, 200, 200))  # 16 MB, 32 MB as float32
        miniatures.write_nifti(tmp_path / "raw" / f"{number}.nii", values)
    code = f"""
from pathlib import Path
from sftkd_core.data.prepare import prepare
def now(field):
    status = Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0]) / 1024
before = now("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
prepare("nifti", {str(tmp_path / "raw")!r}, {str(tmp_path / "out")!r}, report=lambda line: None)
print(now("VmHWM") - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 120  # MB; all eight volumes are 384


def test_archives_are_to_be_unpacked(tmp_path):
    (tmp_path / "acdc.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="unpack it"):
        prepare("acdc", tmp_path / "acdc.zip", tmp_path / "out")


# Dataset


def test_short_names_say_how_to_prepare():
    for name in SHORT_NAMES:
        with pytest.raises(
            InputError, match=f"prepare it first: python -m sftkd_core prepare {name}"
        ):
            Dataset(name)


def test_settings_take_prepared_data(tmp_path):
    raw = miniatures.acdc(tmp_path / "raw", shape=(170, 140, 4))
    prepare("acdc", raw, report=quiet)
    smoke = Setting("smoke", "acdc")
    assert not smoke.is_volume
    assert smoke.test_set.images.shape == (8, 1, 64, 64)
    paper = Setting("paper", "acdc")
    assert paper.dataset.size == 150
    assert paper.test_set.images.shape == (16, 1, 150, 150)
    assert len(paper.dataset.load("train")) == 16


def test_complex_data_load_as_magnitudes_or_as_they_are(tmp_path):
    raw = miniatures.calgary_kspace(tmp_path / "raw")
    prepare("calgary", raw, tmp_path / "out", report=quiet)
    dataset = Dataset(str(tmp_path / "out"), None)
    images = dataset.load("test", complex_valued=True).images
    assert images.dtype == torch.complex64
    torch.testing.assert_close(images.abs(), dataset.load("test").images)
    assert images.angle().std() > 0.1
    truth = miniatures.complex_object(30, (6, 64, 64))
    kept = images[:6, 0, 96:160, 96:160].numpy()  # padded from 64 to 256
    np.testing.assert_allclose(np.angle(kept * truth.conj())[np.abs(truth) > 200], 0, atol=1e-3)
    small = Dataset(str(tmp_path / "out"), 64).load("test", complex_valued=True).images
    torch.testing.assert_close(small.abs().amax(dim=(2, 3)), torch.ones(len(small), 1))


def test_a_folder_of_kdmri_volumes_is_data_as_it_is(tmp_path):
    folder = miniatures.kdmri(tmp_path)
    dataset = Dataset(str(folder), None, 99, 99, 99, 99)
    loaded = {split: set(dataset.load(split).subjects) for split in ("train", "validation", "test")}
    assert loaded == {
        "train": {"train-1", "train-2", "train-3"},
        "validation": {"train-4"},
        "test": {"validation-1", "validation-2"},
    }
    before = dataset.fingerprint()
    path = next(folder.rglob("validation/acc_4x/1.h5"))
    with h5py.File(path, "r+") as file:
        file["volfs"][0, 0, 0] = 0.5
    assert dataset.fingerprint() != before


def test_a_fingerprint_reads_unchanged_files_once(tmp_path, monkeypatch):
    for number in range(3):
        path = tmp_path / f"s{number}.nii"
        miniatures.write_nifti(path, miniatures.volume(number, (20, 20, 4)))
    first = Dataset(str(tmp_path)).fingerprint()
    monkeypatch.setattr(files, "sha256", lambda path: pytest.fail("read again"))
    assert Dataset(str(tmp_path)).fingerprint() == first


# KD-MRI's form


def test_what_we_write_reads_as_their_code_reads_it(raw, tmp_path):
    prepare("acdc", raw, report=quiet)
    paths = export_kdmri("acdc", tmp_path / "base", report=quiet)
    base = tmp_path / "base"
    assert len(paths) == 5
    place = base / "cardiac" / "cartesian"
    assert sorted(p.name for p in (place / "train" / "acc_4x").iterdir()) == [
        "1.h5", "2.h5", "3.h5",
    ]  # fmt: skip
    mask = np.load(base / "us_masks" / "cardiac" / "cartesian" / "mask_4x.npy")
    assert mask.shape == (150, 150)
    assert mask[:, 0].sum() == 37
    with h5py.File(place / "validation" / "acc_4x" / "1.h5") as file:
        target, zero_filled = file["volfs"][:, :, 1], file["img_volus_4x"][:, :, 1]
        kspace = file["kspace_volus_4x"][:, :, 1]
    expected = Dataset("acdc", None, 99, 1, 1, 1).load("test").images[1, 0].numpy()
    np.testing.assert_array_equal(target, expected)
    np.testing.assert_allclose(kspace, mask * np.fft.fft2(target, norm="ortho"), atol=1e-5)
    np.testing.assert_allclose(zero_filled, np.abs(np.fft.ifft2(kspace, norm="ortho")), atol=1e-6)


def test_kdmri_s_form_round_trips_with_a_published_mask(raw, tmp_path):
    first = prepare("acdc", raw, tmp_path / "out", report=quiet)
    mask = np.tile(masks.cartesian_mask(150, 5, 3)[:, None], 150).astype(float)
    np.save(tmp_path / "mask_5x.npy", mask)
    export_kdmri(tmp_path / "out", tmp_path / "base", mask=tmp_path / "mask_5x.npy", report=quiet)
    again = prepare("kdmri", tmp_path / "base" / "cardiac", tmp_path / "again", report=quiet)
    test = [
        [prepared.read_subject(tmp_path / place, e) for e in m["subjects"] if e["split"] == "test"]
        for place, m in (("out", first), ("again", again))
    ]
    for one, two in zip(*test, strict=True):
        np.testing.assert_array_equal(one, two)
    saved = np.load(tmp_path / "base" / "us_masks" / "cardiac" / "cartesian" / "mask_5x.npy")
    np.testing.assert_array_equal(saved, mask)


def test_a_mask_names_the_folder_by_its_acceleration(raw, tmp_path):
    prepare("acdc", raw, report=quiet)
    for count, level in ((37, "4x"), (30, "5x"), (60, "2.5x")):
        mask = np.arange(150) < count
        paths = export_kdmri("acdc", tmp_path / level, mask=mask, report=quiet)
        assert paths[0].parent.name == f"acc_{level}"


def test_volumes_of_an_earlier_export_are_never_mixed_with_another(raw, tmp_path):
    prepare("acdc", raw, tmp_path / "out", report=quiet)
    base = tmp_path / "base"
    paths = export_kdmri(tmp_path / "out", base, report=quiet)
    assert export_kdmri(tmp_path / "out", base, report=quiet) == paths  # once more is no other
    fewer = miniatures.acdc(tmp_path / "fewer", patients=(1, 2, 101), shape=(40, 36, 3))
    prepare("acdc", fewer, tmp_path / "small", report=quiet)
    before = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"acc_4x holds volumes .* \(3.h5\).*another folder"):
        export_kdmri(tmp_path / "small", base, report=quiet)
    assert {path: path.read_bytes() for path in base.rglob("*") if path.is_file()} == before
    export_kdmri(tmp_path / "small", base, acceleration=5, report=quiet)  # lies elsewhere
    for path in (paths[2], paths[4]):
        path.unlink()
    assert len(export_kdmri(tmp_path / "small", base, report=quiet)) == 3


def test_exports_that_cannot_be_are_refused(raw, tmp_path):
    with pytest.raises(InputError, match="is not prepared"):
        export_kdmri("acdc", tmp_path / "base")
    prepare("acdc", raw, report=quiet)
    with pytest.raises(InputError, match="mask has 240 lines but the images have 150 rows"):
        export_kdmri("acdc", tmp_path / "base", mask=np.ones(240))
    with pytest.raises(InputError, match="no folder name"):
        export_kdmri("acdc", tmp_path / "base", dataset="../elsewhere")


@pytest.mark.skipif(not REAL.exists(), reason="the real head scan is not beside the clone")
def test_the_real_head_is_prepared(tmp_path):
    folder = tmp_path / "heads"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.nii.gz").symlink_to(REAL)
    manifest = prepare("nifti", folder, tmp_path / "out", report=quiet)
    assert {tuple(e["shape"]) for e in manifest["subjects"]} == {
        (187, 256, 188)
    }  # three of 190 are empty
    expected = hashlib.sha256(REAL.read_bytes()).hexdigest()
    assert {s["sha256"] for e in manifest["subjects"] for s in e["sources"]} == {expected}
    from_scan = Dataset(str(REAL), None, 20).load("test").images
    from_prepared = Dataset(str(tmp_path / "out"), None, 20).load("test").images
    torch.testing.assert_close(from_prepared, from_scan, rtol=0, atol=1e-6)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest


def test_hdf5_files_of_another_kind_are_named(tmp_path):
    folder = miniatures.fastmri(tmp_path)
    with pytest.raises(InputError, match="none in train/ or validation/"):
        Dataset(str(folder), 24).load("train")


def test_an_export_that_breaks_off_has_no_mask(tmp_path, monkeypatch):
    miniatures.acdc(tmp_path / "raw")
    prepare("acdc", tmp_path / "raw", tmp_path / "out", report=quiet)
    paths = export_kdmri(tmp_path / "out", tmp_path / "base", report=quiet)
    (mask,) = (tmp_path / "base").rglob("mask_*.npy")
    write_file = kdmri.write_file

    def killed(path, *arguments):
        if path == paths[1]:
            raise KeyboardInterrupt
        write_file(path, *arguments)

    monkeypatch.setattr(kdmri, "write_file", killed)
    with pytest.raises(KeyboardInterrupt):
        export_kdmri(tmp_path / "out", tmp_path / "base", report=quiet)
    assert not mask.exists()


def test_at_paper_all_of_prepared_data_is_used_whatever_its_shape(tmp_path):
    for number in range(8):
        values = miniatures.volume(number, (40, 30, 5))
        miniatures.write_nifti(tmp_path / "raw" / f"s{number}.nii.gz", values)
    prepare("nifti", tmp_path / "raw", tmp_path / "out", report=quiet)
    dataset = Setting("paper", str(tmp_path / "out")).dataset
    assert dataset.train > 1000
    assert dataset.size == 240
