"""ISMRMRD files, written by the library itself, and HDF5 files whose arrays lie in groups."""

import h5py
import miniatures
import numpy as np
import pytest
from miniatures import ismrmrd_header as header
from miniatures import write_ismrmrd as write
from test_coils import centred, coil_kspace, run, scan_of, trained  # noqa: F401 - fixtures

from sftkd_core import data, masks
from sftkd_core.data.formats import Reading, mrd, open_scan
from sftkd_core.data.layouts import mrd as mrd_layout
from sftkd_core.data.prepare import prepare
from sftkd_core.system import InputError

ismrmrd = pytest.importorskip("ismrmrd")


@pytest.mark.parametrize("measured", [False, True])
def test_readouts_of_several_coils_come_out_upright(measured, run, tmp_path):  # noqa: F811
    images, kspace = scan_of()
    lines = np.flatnonzero(np.fft.fftshift(masks.cartesian_mask(64, 3, 1, 10)))
    write("s.h5", centred(kspace), header(64, 64), lines if measured else None)
    printed = run("s.h5", "o.h5")
    assert "of 6 coils" in printed
    assert ("21 of 64 rows measured" in printed) == measured
    result = h5py.File("o.h5")["reconstruction"][...]
    assert result.shape == images.shape
    error = np.linalg.norm(result - images) / np.linalg.norm(images)
    assert error < 0.35
    for axis in (1, 2):
        assert error < 0.8 * np.linalg.norm(np.flip(result, axis) - images) / np.linalg.norm(images)


def test_the_values_are_those_that_were_written(tmp_path):
    kspace = centred(scan_of(2)[1])
    path = write(tmp_path / "s.mrd", kspace, header(64, 64))
    with h5py.File(path) as file:
        values, size = mrd.read(file, "dataset")
    np.testing.assert_array_equal(values[0], kspace)
    assert size is None


def test_an_oversampled_readout_is_cropped_to_what_the_scanner_shows(run):  # noqa: F811
    images, _ = scan_of(2)
    wide = np.pad(images, ((0, 0), (0, 0), (32, 32)))
    write("s.h5", centred(coil_kspace(wide, 6)), header(64, 64, 2))
    run("s.h5", "o.h5")
    result = h5py.File("o.h5")["reconstruction"][...]
    assert result.shape == images.shape
    assert np.corrcoef(result.ravel(), images.ravel())[0, 1] > 0.9


def test_averages_partial_echoes_and_series(tmp_path):
    kspace = centred(scan_of(1)[1])
    path = write(tmp_path / "s.h5", kspace, header(64, 64), series=2)
    with pytest.raises(InputError, match="series of 2 volumes"):
        open_scan(path)
    second = open_scan(path, Reading(volume="2"))
    assert (second.count, second.coils) == (1, 6)
    path = write(tmp_path / "e.h5", kspace[..., 16:], header(64, 64), center_sample=16)
    with h5py.File(path) as file:
        values, _ = mrd.read(file, "dataset")
    np.testing.assert_array_equal(values[0, ..., 16:], kspace[..., 16:])
    assert not values[..., :16].any()
    # two averages of one volume, the second three times the first
    file = ismrmrd.Dataset(str(tmp_path / "a.h5"), "dataset", mode="w")
    file.write_xml_header(header(64, 64))
    for factor in (1, 3):
        for row in range(64):
            readout = ismrmrd.Acquisition.from_array(factor * kspace[0, :, row])
            readout.center_sample, readout.idx.kspace_encode_step_1 = 32, row
            readout.idx.average = factor
            file.append_acquisition(readout)
    file.close()
    with h5py.File(tmp_path / "a.h5") as opened:
        np.testing.assert_allclose(mrd.read(opened, "dataset")[0][0], 2 * kspace, rtol=1e-6)


def test_one_coil_is_k_space_of_one(tmp_path):
    kspace = centred(coil_kspace(scan_of(2)[0], 1))
    scan = open_scan(write(tmp_path / "s.h5", kspace, header(64, 64)))
    assert (scan.coils, scan.count, scan.has_phase) == (0, 2, True)
    images = np.abs(np.fft.ifft2(np.fft.ifftshift(kspace[:, 0], (1, 2)), norm="ortho"))
    np.testing.assert_allclose(
        scan.images(0, 2), np.fft.fftshift(images, (1, 2)), atol=1e-3 * images.max()
    )


@pytest.mark.parametrize("kind", ["radial", "spiral", "epi"])
def test_what_is_no_grid_is_one_line(kind, tmp_path):
    path = write(tmp_path / "s.h5", scan_of(1)[1], header(64, 64, trajectory=kind))
    with pytest.raises(InputError, match=f"trajectory that is {kind}"):
        open_scan(path)


def test_what_does_not_fit_is_one_line(tmp_path, monkeypatch):
    kspace = scan_of(1)[1]
    for xml, fields, message in (
        (header(64, 64, partitions=8), {}, "3-D scan of 8 partitions"),
        (header(32, 64), {}, "encodingLimits do not fit"),
        (header(64, 32), {}, "do not fit lines of 32"),
        (header(64, 64), {"center_sample": 3}, "do not fit lines"),
        (b"<ismrmrdHeader/>", {}, "cannot be read as ISMRMRD's"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", {}, "no plain ISMRMRD header"),
        (header(64, 64), {"encoding_space_ref": 1}, "none of an image"),
    ):
        path = write(tmp_path / "s.h5", kspace, xml, **fields)
        with pytest.raises(InputError, match=message):
            open_scan(path)
    monkeypatch.setattr(mrd, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install ismrmrd"):
        open_scan(path)


def test_a_damaged_heap_is_one_line_and_no_endless_loop(tmp_path):
    path = write(tmp_path / "s.h5", scan_of(1)[1], header(64, 64))
    content = bytearray(path.read_bytes())
    place = content.find(b"GCOL")
    content[place + 24 : place + 32] = bytes(8)  # the size of its first object
    content[place + 16 : place + 18] = bytes(2)  # which is said to be free space
    path.write_bytes(content)
    with pytest.raises(InputError, match="a damaged heap"):
        open_scan(path)


def test_fields_that_overlap_are_one_line_and_no_write_beyond_them(tmp_path):
    path = write(tmp_path / "s.h5", scan_of(1)[1], header(64, 64))
    content = path.read_bytes()
    # another bias of the exponent of `position`, which is then read as f8 where f4 has its place
    damaged = content.replace(b"\x7f\0\0\0read_dir", b"\x80\0\0\0read_dir")
    assert damaged != content
    path.write_bytes(damaged)
    for read in (open_scan, mrd_layout.read_file):
        with pytest.raises(InputError, match="fields overlap"):
            read(path)


# ---- a folder of them, prepared


def shown(planes, truth):
    """How well magnitudes agree, from -1 to 1."""
    return np.corrcoef(np.abs(planes).ravel(), np.abs(truth).ravel())[0, 1]


@pytest.mark.parametrize("oversampled", [1, 2])
def test_files_of_a_folder_are_subjects_upright_and_complex(oversampled, tmp_path):
    folder = miniatures.ismrmrd(tmp_path / "raw", oversampled=oversampled)
    found = mrd_layout.find(folder)
    assert [source.subject for source in found.sources] == ["0", "1", "2", "3"]
    assert not found.skipped
    for number, source in enumerate(found.sources):
        truth, planes = miniatures.complex_object(number, (3, 48, 40)), source.read()
        assert (planes.shape, planes.dtype) == (truth.shape, np.complex64)
        if number == 3:  # of one coil: as it is, its phase included
            np.testing.assert_allclose(planes, truth, atol=1e-3 * np.abs(truth).max())
            continue
        assert shown(planes, truth) > 0.97
        for axis in (0, 1, 2):
            assert shown(planes, truth) > 0.01 + shown(np.flip(planes, axis), truth)


def test_prepared_readouts_are_data(tmp_path, home):
    prepare("ismrmrd", miniatures.ismrmrd(tmp_path / "raw", 6), report=lambda line: None)
    dataset = data.Dataset("ismrmrd", None, 9, 9, 9, 9)
    loaded = [dataset.load(split, complex_valued=True) for split in data.SPLITS]
    assert [len(part) for part in loaded] == [12, 3, 3]
    assert all(part.images.is_complex() for part in loaded)
    assert all(part.images.shape[1:] == (1, 48, 40) for part in loaded)


def test_names_of_bids_tell_whose_a_file_is_and_others_are_left_out(tmp_path):
    kspace = centred(scan_of(1)[1])
    for name in ("sub-01_run-1.h5", "sub-01_run-2.mrd", "sub-02/a.h5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, kspace, header(64, 64))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kspace"] = kspace
    (tmp_path / "broken.mrd").write_bytes(b"no HDF5")
    found = mrd_layout.find(tmp_path)
    assert {source.subject: source.group for source in found.sources} == {
        "sub-01_run-1": "sub-01", "sub-01_run-2": "sub-01", "sub-02-a": "sub-02",
    }  # fmt: skip
    reasons = dict(found.skipped)
    assert reasons["other.h5"] == "holds no readouts of ISMRMRD"
    assert "cannot be read as HDF5" in reasons["broken.mrd"]


def test_a_scan_that_lacks_lines_is_not_prepared_and_a_series_is(tmp_path):
    kspace = centred(scan_of(1)[1])
    lines = np.flatnonzero(np.fft.fftshift(masks.cartesian_mask(64, 3, 1, 10)))
    path = write(tmp_path / "s.h5", kspace, header(64, 64), lines)
    with pytest.raises(InputError, match=r"undersampled \(21 of 64 lines\).*reconstruct takes"):
        mrd_layout.read_file(path)
    series = write(tmp_path / "t.h5", kspace, header(64, 64), series=3)
    planes = mrd_layout.read_file(series)
    assert planes.shape == (3, 64, 64)
    np.testing.assert_allclose(planes[2], 3 * planes[0], rtol=1e-3, atol=1e-3)


# ---- groups


def test_a_group_is_read_where_no_other_holds_the_same(tmp_path):
    kspace = centred(scan_of(2)[1])
    path = tmp_path / "g.h5"
    with h5py.File(path, "w") as file:
        file["scan/raw/kspace"] = kspace
        file["scan/raw/reconstruction_rss"] = np.ones((2, 48, 40), "f4")
        file["scan/about"] = 1
    scan = open_scan(path)
    assert (scan.coils, scan.count) == (6, 2)
    assert scan.size == (48, 40)
    with h5py.File(path, "a") as file:
        file["other/kspace"] = kspace
    with pytest.raises(InputError, match=r"holds .*other/kspace.*choose one with --dataset"):
        open_scan(path)
    assert open_scan(path, Reading(dataset="scan/raw/kspace")).size == (48, 40)


def test_groups_that_hold_each_other_end(tmp_path):
    with h5py.File(tmp_path / "g.h5", "w") as file:
        for name in "abc":
            file.create_group(name)
        for name in "abc":
            for other in "abc":
                file[f"{name}/{other}"] = file[other]
    with pytest.raises(InputError, match="in each other"):
        open_scan(tmp_path / "g.h5")
