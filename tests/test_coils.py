"""Several coils: the operator, sensitivities, the network on them, and scans of theirs."""

import subprocess
import sys

import h5py
import miniatures
import numpy as np
import pytest
import torch
from trained import home_with

from sftkd_core import consistency, data, masks, models
from sftkd_core.__main__ import main
from sftkd_core.consistency import coils, sensitivities
from sftkd_core.data.formats import Reading, open_scan
from sftkd_core.data.phantoms.coils import birdcage, coil_kspace, smooth_phase
from sftkd_core.models.coils import OfCoils
from sftkd_core.system import InputError


def drawn(*shape, seed=0):
    """Complex numbers in double precision."""
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn((*shape, 2), generator=generator, dtype=torch.float64)
    return torch.view_as_complex(parts)


def maps_of(count, height, width):
    return torch.from_numpy(birdcage(count, height, width))[None].to(torch.complex128)


def lines_of(height, acceleration=3.0):
    return masks.cartesian_mask(height, acceleration, 1, 8)


def points_of(mask):
    return torch.from_numpy(mask.reshape(len(mask), -1))


# ---- the operator


@pytest.mark.parametrize("points", [False, True])
def test_the_adjoint_is_one(points):
    mask = masks.central_mask(24, 20, 2) if points else lines_of(24)
    maps, measured = drawn(2, 5, 24, 20, seed=1), points_of(mask)
    x, y = drawn(2, 1, 24, 20, seed=2), drawn(2, 5, 24, 20, seed=3)
    left = (coils.forward(x, maps, measured).conj() * y).sum()
    right = (x.conj() * coils.adjoint(y, maps, measured)).sum()
    torch.testing.assert_close(left, right)


def test_the_operator_shortens_and_full_sampling_gives_the_image_back():
    maps, image = maps_of(6, 24, 20), drawn(1, 1, 24, 20)
    torch.testing.assert_close(
        maps.abs().square().sum(1), torch.ones(1, 24, 20, dtype=torch.float64), rtol=1e-5, atol=1e-5
    )
    everything = torch.ones(24, 1, dtype=torch.bool)
    back = coils.adjoint(coils.forward(image, maps, everything), maps, everything)
    torch.testing.assert_close(back, image, rtol=1e-5, atol=1e-5)
    some = coils.forward(image, maps, points_of(lines_of(24)))
    assert some.abs().square().sum() <= image.abs().square().sum() * 1.00001


def test_one_coil_that_sees_alike_is_the_consistency_of_one():
    image, guess = drawn(2, 1, 24, 20), drawn(2, 1, 24, 20, seed=5)
    alike = torch.ones(2, 1, 24, 20, dtype=torch.complex128)
    one = consistency.measure(image, lines_of(24))
    several = coils.measure(image, alike, lines_of(24))
    torch.testing.assert_close(several.combined, torch.fft.ifft2(one.kspace, norm="ortho"))
    expected = consistency.data_consistency(guess, one, form="fft")
    torch.testing.assert_close(coils.coil_consistency(guess, several), expected)


@pytest.mark.parametrize(("count", "acceleration"), [(1, 3), (6, 1)])
def test_a_second_step_changes_nothing_where_one_is_enough(count, acceleration):
    mask = lines_of(24, acceleration) if acceleration > 1 else np.ones(24, bool)
    several = coils.measure(drawn(1, 1, 24, 20), maps_of(count, 24, 20), mask)
    once = coils.coil_consistency(drawn(1, 1, 24, 20, seed=6), several)
    torch.testing.assert_close(coils.coil_consistency(once, several), once, rtol=1e-5, atol=1e-5)


def test_each_step_comes_nearer_to_what_was_measured():
    several = coils.measure(drawn(1, 1, 24, 20), maps_of(6, 24, 20), lines_of(24))
    image, left = drawn(1, 1, 24, 20, seed=6), []
    for _ in range(4):
        missing = several.kspace - coils.forward(image, several.maps, several.mask)
        left.append(missing.abs().square().sum().item())
        image = coils.coil_consistency(image, several)
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.5 * left[0]


def test_conjugate_gradients_solve_the_normal_equations():
    maps, truth = maps_of(4, 8, 6), drawn(1, 1, 8, 6)
    several = coils.measure(truth, maps, masks.cartesian_mask(8, 2, 0, 2))
    columns = []
    for k in range(48):
        unit = torch.zeros(48, dtype=torch.complex128)
        unit[k] = 1
        column = coils.forward(unit.reshape(1, 1, 8, 6), maps, several.mask)
        columns.append(column.flatten())
    matrix = torch.stack(columns, 1)
    normal = matrix.conj().T @ matrix + 0.1 * torch.eye(48)
    expected = torch.linalg.solve(normal, matrix.conj().T @ several.kspace.flatten())
    found = coils.sense(several, iterations=60, weight=0.1)
    torch.testing.assert_close(found.flatten(), expected)


def test_noise_is_of_each_coil_and_only_where_it_is_measured():
    zero = torch.zeros(1, 1, 32, 32, dtype=torch.complex128)
    noisy = coils.measure(zero, maps_of(4, 32, 32), lines_of(32), noise=0.1, seed=3)
    there = noisy.kspace[:, :, lines_of(32)]
    assert there.real.std().item() == pytest.approx(0.1, rel=0.1)
    assert not noisy.kspace[:, :, ~lines_of(32)].any()
    assert abs(np.corrcoef(there[0, 0].real.flatten(), there[0, 1].real.flatten())[0, 1]) < 0.15
    with pytest.raises(InputError, match="31 columns"):
        coils.from_kspace(noisy.kspace, noisy.maps, np.ones((32, 31), bool))


# ---- sensitivities


def scan_of(slices=2, size=64, count=6, noise=0.0):
    """Magnitudes (n, h, w), and the coils' k-space of all lines."""
    images = data.brain_phantom(60, size, slices).slices
    return images, coil_kspace(images, count, phase=0.7, noise=noise)


@pytest.mark.parametrize("method", sensitivities.METHODS)
def test_estimated_sensitivities_combine_the_coils_to_a_nearly_real_image(method):
    if method == "espirit":
        pytest.importorskip("sigpy")
    images, kspace = scan_of()
    maps = sensitivities.estimate(kspace[0], np.ones(64, bool), method)
    inside = images[0] > 0.1
    seen = (np.abs(maps) ** 2).sum(0)
    np.testing.assert_allclose(seen[inside], 1, atol=0.02)
    true = birdcage(6, 64, 64)
    # but for a common phase they are the true ones
    alike = np.abs((maps.conj() * true).sum(0))[inside]
    assert alike.mean() > 0.99
    combined = (maps.conj() * np.fft.ifft2(kspace[0], norm="ortho")).sum(0)
    assert np.abs(np.abs(combined) - images[0])[inside].mean() < 0.02
    assert (combined.imag[inside] ** 2).sum() < 0.02 * (np.abs(combined[inside]) ** 2).sum()


def test_what_no_sensitivities_can_be_estimated_from_is_refused(monkeypatch):
    kspace = scan_of(1)[1][0]
    lonely = np.zeros(64, bool)
    lonely[0] = True
    with pytest.raises(InputError, match="measured 0 lines wide"):
        sensitivities.estimate(kspace, lonely)
    with pytest.raises(InputError, match="choose one of centre, espirit"):
        sensitivities.estimate(kspace, lonely, "magic")
    for name in ("sigpy", "sigpy.mri", "sigpy.mri.app"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pip install sigpy"):
        sensitivities.estimate(kspace, np.ones(64, bool), "espirit")


@pytest.mark.parametrize(("lines", "width"), [((63, 0, 1), 2), ((62, 63, 0, 1), 4), ((1, 2), 0)])
def test_the_centre_is_as_wide_as_its_lines(lines, width):
    mask = np.zeros(64, bool)
    mask[list(lines)] = True
    assert sensitivities.centre_width(np.broadcast_to(mask[:, None], (64, 64))) == width


# ---- the network


def test_one_coil_gives_what_the_network_gives():
    network = models.build("D3C5-complex", 0).eval()
    image = torch.rand(2, 1, 32, 24) * torch.exp(1j * torch.rand(2, 1, 1, 1))
    alike = torch.ones(2, 1, 32, 24, dtype=torch.complex64)
    with torch.inference_mode():
        one = network(consistency.measure(image, lines_of(32)))
        several = OfCoils(network, steps=1)(coils.measure(image, alike, lines_of(32)))
    torch.testing.assert_close(several, one, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="phase-student"):
        OfCoils(models.build("D3C5", 0))


def test_the_phantom_is_smooth_and_its_own():
    maps = birdcage(8, 48, 40)
    assert maps.shape == (8, 48, 40)
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(0), 1, rtol=1e-5)
    inside = maps[:, 6:-6, 5:-5]  # what is nearer to the ring than a head is
    assert np.abs(np.diff(inside, axis=1)).max() < 0.1
    assert np.abs(np.diff(inside, axis=2)).max() < 0.1
    assert smooth_phase(48, 40, 1, 0.5).std() == pytest.approx(0.5, rel=1e-4)
    assert not np.allclose(smooth_phase(48, 40, 1), smooth_phase(48, 40, 2))


# ---- files


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return home_with(tmp_path_factory, "phase-student")


@pytest.fixture
def run(trained, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SFTKD_HOME", str(trained))
    monkeypatch.chdir(tmp_path)

    def call(*words, status=0):
        assert main(["reconstruct", *map(str, words), "--profile", "smoke"]) == status
        printed = capsys.readouterr()
        return printed.err if status == 2 else printed.out

    return call


def centred(kspace):
    """The same with both origins in the middle, as fastMRI's files have them."""
    image = np.fft.ifft2(kspace, norm="ortho")
    shifted = np.fft.fft2(np.fft.ifftshift(image, (-2, -1)), norm="ortho")
    there = np.fft.fftshift(kspace, (-2, -1)) != 0  # rounding leaves no exact zeros
    return (np.fft.fftshift(shifted, (-2, -1)) * there).astype(np.complex64)


def write(kind, kspace):
    """A file of a kind with this k-space (n, c, h, w)."""
    if kind == "complex.npy":
        np.save(kind, kspace)
    elif kind == "calgary.npy":
        np.save(kind, miniatures.interleaved(kspace))
    elif kind == "calgary.h5":
        with h5py.File(kind, "w") as file:
            file["kspace"] = miniatures.interleaved(kspace)
    elif kind == "fastmri.h5":
        with h5py.File(kind, "w") as file:
            file["kspace"] = centred(kspace)
    elif kind == "cmrx.mat":
        pairs = np.empty((1, *kspace.shape), [("real", "f4"), ("imag", "f4")])
        pairs["real"], pairs["imag"] = kspace.real, kspace.imag
        with h5py.File(kind, "w", userblock_size=512) as file:
            file["kspace_full"] = pairs
    else:
        bart(kind, kspace)
    return kind


def bart(name, kspace):
    shape = [1] * 16
    shape[0], shape[1], shape[3], shape[13] = (kspace.shape[axis] for axis in (3, 2, 1, 0))
    kspace.transpose(3, 2, 1, 0).astype(np.complex64).ravel("F").tofile(name)
    with open(name.replace(".cfl", ".hdr"), "w") as file:
        file.write("# Dimensions\n" + " ".join(map(str, shape)) + "\n")


KINDS = ("complex.npy", "calgary.npy", "calgary.h5", "fastmri.h5", "cmrx.mat", "scan.cfl")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measured", [False, True])
def test_coils_of_every_kind_of_file_come_out_upright(kind, measured, run):
    images, kspace = scan_of()
    if measured:  # fastMRI leaves out columns, others rows
        mask = masks.cartesian_mask(64, 3, 1, 10)
        kspace = kspace * (mask if kind == "fastmri.h5" else mask[:, None])
    source = write(kind, kspace)
    output = "out.npy" if kind.endswith(("npy", "cfl")) else "out.h5"
    printed = run(source, output)
    assert "of 6 coils" in printed
    assert ("21 of 64" in printed) == measured
    result = np.load(output) if output == "out.npy" else h5py.File(output)["reconstruction"][...]
    assert result.shape == ((1, *images.shape) if kind == "cmrx.mat" else images.shape)
    result = result.reshape(images.shape)
    error = np.linalg.norm(result - images) / np.linalg.norm(images)
    assert error < 0.35
    for axis in (1, 2):
        assert error < 0.8 * np.linalg.norm(np.flip(result, axis) - images) / np.linalg.norm(images)
    assert "learnt on one coil" in printed
    assert ("coils alone" in printed) != measured  # which is compared where a target is known


def test_a_series_of_coils_by_number_and_all(run):
    _, kspace = scan_of(1)
    with h5py.File("s.mat", "w") as file:
        file["kspace_full"] = np.stack([kspace, 2 * kspace])
    assert "series of 2 volumes" in run("s.mat", "o.h5", status=2)
    run("s.mat", "second.h5", "--volume", "2")
    run("s.mat", "both.h5", "--volume", "all")
    second, both = (h5py.File(n)["reconstruction"][...] for n in ("second.h5", "both.h5"))
    assert (second.shape, both.shape) == ((1, 64, 64), (2, 1, 64, 64))
    np.testing.assert_allclose(both[1], second, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both[1], 2 * both[0], rtol=1e-3, atol=1e-3)


def test_options_of_coils(run):
    _, kspace = scan_of(1)
    write("complex.npy", kspace)
    np.save("images.npy", np.abs(kspace[0, :2]) + 1)
    assert "not of several coils" in run("images.npy", "o.npy", "--maps", "centre", status=2)
    kspace[0, 0, 3, 3] = np.nan
    write("complex.npy", kspace)
    assert "NaN" in run("complex.npy", "o.npy", status=2)
    run("complex.npy", "o.npy", "--nan-as-zero")
    assert np.isfinite(np.load("o.npy")).all()


def test_wrong_bart_files_are_one_line(tmp_path):
    _, kspace = scan_of(1)
    bart(str(tmp_path / "a.cfl"), kspace)
    header = tmp_path / "a.hdr"
    for text, message in (
        ("# Dimensions\n64 64 9 6\n", "axis 2"),
        ("# Dimensions\n64 64 1 7\n", "may be truncated"),
        ("# Dimensions\n64 -1\n", "expected up to 16"),
        ("64 64\n", "no header of BART's"),
    ):
        header.write_text(text)
        with pytest.raises(InputError, match=message):
            open_scan(tmp_path / "a.cfl", Reading())


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read as Linux writes them")
def test_eight_coils_of_256_stay_below_one_and_a_half_gigabytes(tmp_path, environment, trained):
    images = np.repeat(data.brain_phantom(3, 256, 4).slices, 8, axis=0)
    np.save(tmp_path / "k.npy", coil_kspace(images, 8))
    code = (
        "import re, sys, warnings; warnings.simplefilter('ignore')\n"
        "from sftkd_core.__main__ import main\n"
        "status = main(sys.argv[1:])\n"
        "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        "sys.exit(status)"
    )
    words = ["reconstruct", "k.npy", "o.npy", "--profile", "smoke"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path,
        env={**environment, "SFTKD_HOME": str(trained)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak = 1024 * int(done.stdout.split()[-1])
    assert peak < 1.5e9, f"{peak / 1e9:.2f} GB"
