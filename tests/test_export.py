"""ONNX files that give what PyTorch gives; tables of metrics."""

import re
import sys

import jaxtyping
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from sftkd_core import consistency, experiments, masks, metrics
from sftkd_core.__main__ import main
from sftkd_core.book.setting import Setting
from sftkd_core.cli import export as command

SMOKE = ["--profile", "smoke"]


@pytest.fixture(autouse=True)
def _no_shapes_while_traced(monkeypatch):
    """An exported network is traced without k-space and mask, of which it makes no use."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def given(images, mask):
    """The three inputs, from nothing but the docstring's formulas in double precision."""
    kspace = np.fft.fft2(images.astype(np.float64), norm="ortho") * mask[:, None]
    aliased = np.fft.ifft2(kspace, norm="ortho")
    dft = np.fft.fft(np.eye(len(mask)), norm="ortho")
    projector = (dft.conj().T @ np.diag(mask.astype(float)) @ dft).real
    arrays = {"zero_filled": np.abs(aliased), "aliased": aliased.real, "projector": projector}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.mark.parametrize(("name", "size"), [("student", None), ("D5C5", (48, 80))])
def test_onnx_gives_what_pytorch_gives(name, size, tmp_path, capsys):
    output = tmp_path / "new" / "network.onnx"
    options = ["--size", *map(str, size)] if size else []
    assert main(["export", name, str(output), *SMOKE, *options]) == 0
    printed = capsys.readouterr().out
    assert float(re.search(r"at most (\S+)", printed).group(1)) <= 1e-4
    onnx.checker.check_model(onnx.load(output), full_check=True)
    assert list(output.parent.iterdir()) == [output]  # weights lie in the file itself
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == ["zero_filled", "aliased", "projector"]
    height, width = size or (64, 64)
    model = Setting("smoke").run(name, quiet=True).model
    generator = np.random.default_rng(0)
    for slices, acceleration in ((1, 4), (3, 4), (7, 5)):  # any number, and any mask
        images = generator.random((slices, 1, height, width), np.float32)
        mask = masks.cartesian_mask(height, acceleration, slices, 6)
        (image,) = session.run(None, given(images, mask))
        measurement = consistency.measure(torch.from_numpy(images), mask)
        expected = experiments.reconstruct(model, measurement).numpy()
        assert image.shape == expected.shape
        np.testing.assert_allclose(image, expected, atol=1e-4)


def test_int8_is_smaller_and_its_loss_is_what_is_said(tmp_path, capsys):
    output = tmp_path / "network.onnx"
    assert main(["export", "student", str(output), *SMOKE, "--int8"]) == 0
    printed = capsys.readouterr().out
    small = tmp_path / "network-int8.onnx"
    assert small.stat().st_size < 0.75 * output.stat().st_size
    kinds = {node.op_type for node in onnx.load(small).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv", "MatMul"} <= kinds
    weights = [w for w in onnx.load(small).graph.initializer if len(w.dims) == 4]
    assert len(weights) == 15
    assert {w.data_type for w in weights} == {onnx.TensorProto.INT8}
    setting = Setting("smoke")
    targets, inputs = setting.test_set.images, given(setting.test_set.images.numpy(), setting.mask)
    quality = {}
    for path in (output, small):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        image = torch.from_numpy(session.run(None, inputs)[0]).clamp(min=0)
        quality[path] = metrics.psnr(image, targets).item()
    loss = quality[output] - quality[small]
    assert float(re.search(r"loses (\S+) dB", printed).group(1)) == pytest.approx(loss, abs=0.02)
    assert abs(loss) < 1


def test_a_file_that_differs_is_not_written(tmp_path, capsys, monkeypatch):
    output = tmp_path / "network.onnx"
    output.write_bytes(b"earlier")
    honest = command.run_onnx
    monkeypatch.setattr(command, "run_onnx", lambda *given: honest(*given) + 2e-4)
    assert main(["export", "student", str(output), *SMOKE]) == 2
    assert "differs from PyTorch" in capsys.readouterr().err.splitlines()[-1]
    assert output.read_bytes() == b"earlier"


@pytest.mark.parametrize(("arguments", "message"), [
    (["student", "network.pt"], "not named .onnx"),
    (["nonsense", "network.onnx"], "unknown experiment"),
    (["sr-student", "network.onnx"], "sr-student learnt on another part of k-space"),
    (["phase-student", "network.onnx"], "phase-student learnt on images with phase (1 rad)"),
    (["phase-student-real", "network.onnx"], "such as student"),
    (["student", "network.onnx", "--size", "8", "8"], "between 16 and 1024"),
    (["student", "network.onnx", "--size", "8*8", "8"], "invalid int"),
    (["student"], "required: output"),
])  # fmt: skip
def test_a_wrong_export_is_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments, *SMOKE]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "package"), [
    (["export", "student", "network.onnx"], "onnxruntime"),
    (["evaluate", "--output", "table.parquet"], "pyarrow"),
])  # fmt: skip
def test_a_missing_package_is_one_line_with_the_remedy(
    arguments, package, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)  # importing it now fails
    assert main([*arguments, *SMOKE]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"python -m pip install {package}" in line
    assert not list(tmp_path.iterdir())


def test_evaluate_writes_slices_and_volumes_as_csv_and_parquet(tmp_path, capsys):
    tables = {}
    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        output = tmp_path / f"metrics.{kind}"
        assert main(["evaluate", "student", *SMOKE, "--output", str(output)]) == 0
        volumes = tmp_path / f"metrics-volumes.{kind}"
        assert f"{output}; volume by volume: {volumes}" in capsys.readouterr().out
        tables[kind] = read(output), read(volumes)
    setting = Setting("smoke")
    for first, second in zip(*tables.values(), strict=True):
        pd.testing.assert_frame_equal(first, second, check_dtype=False)
    slices, volumes = tables["csv"]
    assert len(slices) == 2 * len(setting.test_set)
    assert len(volumes) == 2 * len(set(setting.test_set.subjects))
    assert set(slices["method"]) == set(volumes["method"]) == {"zero-filled", "student"}
    # of slices of one size, the volume's mean squared error is the mean of theirs
    groups = ["method", "subject"]
    means = slices.groupby(groups)["mse"].mean()
    pd.testing.assert_series_equal(volumes.set_index(groups)["mse"].sort_index(), means)
    expected = setting.evaluate("student")["psnr"]
    np.testing.assert_allclose(slices[slices["method"] == "student"]["psnr"], expected, rtol=1e-6)


def test_a_table_of_another_kind_is_refused_at_once(tmp_path, capsys):
    assert main(["evaluate", *SMOKE, "--output", str(tmp_path / "metrics.xlsx")]) == 2
    assert "not named .csv or .parquet" in capsys.readouterr().err
