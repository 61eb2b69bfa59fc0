"""Student-friendly knowledge distillation for MRI reconstruction: the core of the book.

The data flow one way, from a file to a number:

    slices = data.Dataset("brain", 96).load("test").images      # (n, 1, h, w), in [0, 1]
    line_mask = masks.cartesian_mask(lines=96, acceleration=4)  # (h,) bool
    measurement = consistency.measure(slices, line_mask)        # k-space, aliased images
    image = models.build("D3C5")(measurement)                   # (n, 1, h, w)
    psnr = metrics.psnr(image, slices)                          # in dB

and the networks come from trainings, each of them a value:

    experiment = experiments.Experiment("reconstruct", "D3C5", data.Dataset("brain", 96))
    model = experiments.run(experiment).model

The rooms, and the names of each that a script starts from:

    masks         which k-space lines are measured: ``cartesian_mask``, ``equispaced_mask``,
                  ``central_mask``, ``load_mask``
    consistency   ``measure`` makes a ``Measurement`` of images, ``from_kspace`` of k-space;
                  ``data_consistency`` puts it back into an image; ``consistency.coils`` the
                  same of several coils, ``consistency.sensitivities`` how each of them sees
    metrics       ``psnr``, ``ssim``, ``mse``, ``nmse``, ``hfn``, ``vif``; ``table`` and ``compare``
    models        ``build`` makes any of ``NAMES``, a ``Staged`` network; ``parameter_count``
    sft           ``StudentFriendlyTeacher``: a teacher with its student's branches; ``loss``
    distillation  ``LOSSES`` and ``METHODS``: what else a student shares with a frozen teacher
    data          ``Dataset``: synthetic subjects or scans; ``prepare``, ``load_nifti``
    experiments   ``Experiment``, ``run``, ``find``: trainings and their remembered results
    book          ``Setting``, ``plots``, ``paper``: what the chapters share

``python -m sftkd_core --help`` is the command line. Nothing is imported before it is used.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

__all__ = [
    "__version__", "book", "consistency", "data", "distillation", "experiments", "masks",
    "metrics", "models", "sft",
]  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """A room, imported at its first use."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
