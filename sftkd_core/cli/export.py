"""``export``: a network as ONNX, checked against PyTorch on the spot; and an int8 variant.

The file takes three float32 inputs and gives one:

zero_filled  (b, 1, h, w)  |ifft2(k-space)|, the magnitude; each slice over its maximum
aliased      (b, 1, h, w)  Re ifft2(k-space), over the same maximum
projector    (h, h)        ``consistency.line_projector(mask)``, so that one file serves any mask
image        (b, 1, h, w)  the reconstruction

b is free, h and w are fixed. Nothing in it is complex: the Fourier transform of whole lines is the
projector's matrix product. So networks for another pattern than lines, or for images with phase,
are refused.
"""

import argparse
import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from sftkd_core import metrics, system
from sftkd_core.cli import check_packages, setting_of
from sftkd_core.cli.models import check_model, find_or_train
from sftkd_core.consistency import Measurement, measure
from sftkd_core.experiments.experiment import Sampling
from sftkd_core.system import InputError

TOLERANCE = 1e-4  # of images in [0, 1]
CALIBRATION = 24  # slices that set the ranges of the int8 variant
TESTED = 40  # slices that the variant's loss is measured on
INPUTS = ("zero_filled", "aliased", "projector")


def export(options: argparse.Namespace) -> None:
    """Write a network as ONNX, checked against PyTorch; with --int8 a quantised one too."""
    path = system.check_output(options.output, (".onnx",))
    check_packages("export", "onnx", "onnxruntime", "onnxscript")
    setting = setting_of(options)
    _check_sampling(options.model, check_model(setting, options.model))
    if options.size:
        _check_size(*options.size)  # before anything is trained
    trained = find_or_train(setting, options.model)
    height, width = options.size or [trained.size or setting.dataset.size] * 2
    _check_size(height, width)
    mask = setting.sampling.mask(height)
    model = trained.model.cpu()
    targets = resized(setting.dataset.load("test").images, height, width, TESTED)
    tested = measure(targets, mask)
    payload = onnx_payload(model, tested[:2])
    error = largest_difference(payload, model, targets, mask)
    payloads = {path: payload}
    print(f"{path}: {len(payload) / 1e3:.0f} kB, differs from PyTorch by at most {error:.1e}")
    if options.int8:
        name = path.with_name(f"{path.stem}-int8.onnx")
        learnt = resized(setting.dataset.load("validation").images, height, width, CALIBRATION)
        payloads[name] = quantised_payload(payload, measure(learnt, mask))
        before, after = (quality(each, tested, targets) for each in payloads.values())
        print(
            f"{name}: {len(payloads[name]) / 1e3:.0f} kB, loses {before - after:.2f} dB on "
            f"{len(targets)} test slices ({before:.2f} dB as float32, {after:.2f} dB as int8)"
        )
    for name, contents in payloads.items():
        system.write_bytes(name, contents)
    print("written: " + ", ".join(str(name) for name in payloads))


class Exportable(nn.Module):
    """A network as a function of tensors."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, zero_filled: Tensor, aliased: Tensor, projector: Tensor) -> Tensor:
        """See the module's docstring."""
        # what else a measurement holds is of no use to these networks: one that asks for it fails
        measurement = Measurement(None, None, zero_filled, aliased, projector)  # type: ignore[arg-type]
        return self.network(measurement)


def inputs_of(measurement: Measurement) -> dict[str, Tensor]:
    """What the ONNX file takes."""
    return {name: getattr(measurement, name).float().contiguous() for name in INPUTS}


def onnx_payload(model: nn.Module, measurement: Measurement) -> bytes:
    """The network as ONNX for images of this size; any number of them.

    Raises ``InputError`` where it cannot be expressed.
    """
    batch = torch.export.Dim("batch")
    shapes = {"zero_filled": {0: batch}, "aliased": {0: batch}, "projector": None}
    with _quietly():
        try:
            program = torch.onnx.export(
                Exportable(model).eval(),
                tuple(inputs_of(measurement).values()),
                input_names=list(INPUTS),
                output_names=["image"],
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # the exporter has many kinds, with pages of text
            raise InputError(
                f"{type(model).__name__} cannot be expressed in ONNX for images of "
                f"{tuple(measurement.zero_filled.shape[2:])} ({type(error).__name__}); another "
                "--size, or a newer torch, may help"
            ) from None
    assert program is not None  # which an export by dynamo gives
    return program.model_proto.SerializeToString()


def run_onnx(payload: bytes, measurement: Measurement) -> np.ndarray:
    """Reconstruct with onnxruntime on the CPU, (b, 1, h, w) float32."""
    import onnxruntime

    session = onnxruntime.InferenceSession(payload, providers=["CPUExecutionProvider"])
    taken = {item.name for item in session.get_inputs()}
    images = []
    for first in range(0, len(measurement), 4):
        given = inputs_of(measurement[first : first + 4])
        images += session.run(None, {name: given[name].numpy() for name in taken})
    return np.concatenate(images)


def largest_difference(payload: bytes, model: nn.Module, images: Tensor, mask: np.ndarray) -> float:
    """Between ONNX and PyTorch, for several numbers of slices and two masks.

    Raises ``InputError`` where it is above ``TOLERANCE``.
    """
    largest = 0.0
    for count, lines in ((4, mask), (1, mask), (3, np.roll(mask, 1))):
        measurement = measure(images[:count], lines)
        with torch.inference_mode():
            expected = model(measurement).numpy()
        largest = max(largest, float(np.abs(run_onnx(payload, measurement) - expected).max()))
    if not largest <= TOLERANCE:
        raise InputError(
            f"the ONNX network differs from PyTorch's by {largest:.1e}, more than {TOLERANCE:g}; "
            "nothing was written; another version of onnxruntime or torch may help"
        )
    return largest


def quantised_payload(payload: bytes, calibration: Measurement) -> bytes:
    """The same network with its convolutions in int8; data consistency stays in float32.

    Ranges of activations come from the calibration slices; weights have one scale a channel.
    """
    from onnxruntime import quantization

    slices = (calibration[index] for index in range(len(calibration)))
    given = ({n: value.numpy() for n, value in inputs_of(part).items()} for part in slices)
    # onnxruntime asks for one slice at a time, until it gets None
    reader = SimpleNamespace(get_next=lambda: next(given, None))
    with tempfile.TemporaryDirectory() as folder, _quietly():
        float_path, int8_path = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        float_path.write_bytes(payload)
        quantization.quantize_static(
            float_path,
            int8_path,
            reader,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return int8_path.read_bytes()


def quality(payload: bytes, tested: Measurement, targets: Tensor) -> float:
    """Mean PSNR over slices in dB."""
    image = torch.from_numpy(run_onnx(payload, tested)).clamp(min=0)
    return float(metrics.psnr(image, targets))


def resized(images: Tensor, height: int, width: int, count: int) -> Tensor:
    """Evenly spaced slices at another size, maxima 1 again, (count, 1, height, width)."""
    chosen = images[np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)]
    if chosen.shape[-2:] != (height, width):
        chosen = interpolate(chosen, size=(height, width), mode="bilinear", antialias=True)
    return (chosen / chosen.amax(dim=(2, 3), keepdim=True)).contiguous()


def _check_sampling(name: str, sampling: Sampling) -> None:
    """Raise ``InputError`` for a network that the file's inputs do not suit."""
    if sampling.pattern != "lines":
        what = f"another part of k-space (pattern {sampling.pattern!r}) than lines"
    elif sampling.phase:
        what = f"images with phase ({sampling.phase:g} rad)"
    else:
        return
    raise InputError(
        f"{name} learnt on {what}, which an ONNX file cannot be checked on here; choose a network "
        "of lines and real images, such as student, or use this one from Python"
    )


def _check_size(height: int, width: int) -> None:
    if not (min(height, width) >= 16 and max(height, width) <= 1024):
        raise InputError(f"size is {height} x {width}; choose between 16 and 1024 pixels a side")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporters' remarks on parts that nobody asked about."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
