"""The command line's words: a parser for each command, and what an error looks like."""

import argparse
import os
import sys
from collections.abc import Callable

import torch

from sftkd_core import __version__
from sftkd_core.book.setting import ALIASES, PLAN, PROFILES, Setting
from sftkd_core.cli.compare import RANGES
from sftkd_core.cli.evaluate import evaluate
from sftkd_core.cli.export import export
from sftkd_core.cli.lines import NAMED
from sftkd_core.cli.models import models
from sftkd_core.cli.prepare import prepare
from sftkd_core.cli.reconstruct import reconstruct
from sftkd_core.cli.train import train
from sftkd_core.consistency.sensitivities import METHODS
from sftkd_core.data.formats import KINDS, ORDERS
from sftkd_core.data.formats.volume import PLANES
from sftkd_core.data.prepare import FORMATS, SCALINGS
from sftkd_core.system import InputError


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong word is one line, without the usage above it."""

    def error(self, message: str):
        """Raise ``InputError``."""
        raise InputError(f'{message}; see "{self.prog} --help"')


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 on success, 2 with one line on standard error for a wrong input.

    1 where of several scans some could not be reconstructed.
    """
    for stream in (sys.stdout, sys.stderr):  # a name that the console cannot spell is no failure
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
        return options.command(options) or 0  # most commands have nothing to return
    except BrokenPipeError:  # who read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (InputError, OSError) as error:  # an OSError is a disk or a permission
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        print(
            "error: not enough memory; pass a smaller scan, --size or --profile, or, where a GPU "
            "ran out of it, --device cpu",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "stopped; no output is half-written, and the same command goes on training from the "
            "last finished epoch",
            file=sys.stderr,
        )
        return 130


def _is_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of the processor or of a GPU."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    # torch has no class of its own for the processor's, and words that differ between systems
    said = str(error).lower()
    return any(words in said for words in ("allocate memory", "not enough memory", "out of memory"))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m sftkd_core",
        description="Student-friendly knowledge distillation for MRI reconstruction.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sftkd_core {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    plan = _listed("experiments", PLAN)
    _add(commands, prepare, PREPARE, _listed("datasets", FORMATS))
    _add(commands, train, [*SETTING, DATA, *TRAIN], plan)
    _add(commands, evaluate, [*SETTING, DATA, *EVALUATE], plan)
    # an acceleration that is not asked for need not have an effect
    _add(commands, reconstruct, [*SETTING, *RECONSTRUCT], plan, acceleration=None)
    _add(commands, export, [*SETTING, DATA, *EXPORT], plan)
    _add(commands, models, [])
    return parser


def _add(commands, function: Callable, arguments: list, epilog: str = "", **defaults) -> None:
    """A command named like its function, with the function's docstring as its help."""
    text = function.__doc__
    parser = commands.add_parser(
        function.__name__,
        help=text,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=epilog,
        allow_abbrev=False,
    )
    for names, how in arguments:
        parser.add_argument(*names, **how)
    parser.set_defaults(command=function, **defaults)


def _listed(title: str, entries: dict[str, str]) -> str:
    return f"{title}:\n" + "\n".join(f"  {name:15} {what}" for name, what in entries.items())


def _argument(*names: str, **how) -> tuple[tuple[str, ...], dict]:
    """What ``add_argument`` takes."""
    return names, how


SETTING = [  # what all chapters share
    _argument("--profile", choices=list(PROFILES), default=Setting.profile),
    _argument(
        "--acceleration", type=float, default=Setting.acceleration, metavar="R",
        help=f"lines of k-space over measured lines (default: {Setting.acceleration:g})",
    ),
    _argument("--seed", type=int, default=Setting.seed),
    _argument("--device", default=Setting.device, help="auto, cpu, cuda, ..."),
]  # fmt: skip
DATA = _argument(
    "--data",
    default=Setting.data,
    help="brain, cardiac, or the path of a NIfTI volume or folder",
)
PLANE = _argument(
    "--plane",
    choices=("auto", *PLANES),
    default="auto",
    help="how a volume is cut (default: as it was acquired, where the file tells, else axial)",
)
PREPARE = [
    _argument("name", metavar="NAME", help="which dataset it is, one of those below"),
    _argument("folder", help="the folder as downloaded and unpacked"),
    _argument("--output", metavar="FOLDER", help="where to (default: found by NAME)"),
    _argument("--jobs", type=int, default=1, help="processes (default: %(default)s)"),
    _argument(
        "--scaling", choices=SCALINGS, default=SCALINGS[0],
        help="over whose maximum (default: %(default)s)",
    ),
    _argument("--seed", type=int, default=0, help="of the split by subject"),
    _argument(
        "--held-out", type=int, metavar="N",
        help="training subjects set apart to choose the epoch by (default: 10 %%; 0: none, as in "
        "the paper, which chooses by its test set)",
    ),
    PLANE,
    _argument("--kdmri", metavar="FOLDER", help="write KD-MRI's HDF5 files there as well"),
    _argument(
        "--acceleration", type=float, default=4, metavar="R", help="of these (default: %(default)s)"
    ),
]  # fmt: skip
TRAIN = [
    _argument("name", help="experiment of the plan"),
    _argument("--receipt", metavar="JSON", help="write what was done to this file"),
]
READING = [  # what a file leaves open
    _argument(
        "--dataset", metavar="NAME", help="of an HDF5 file; the number of a DICOM folder's series"
    ),
    _argument(
        "--volume", metavar="N", help="of a series of volumes: a number from 1, or all, in a row"
    ),
    PLANE,
    _argument("--nan-as-zero", action="store_true", help="take values that are not a number for 0"),
]
EVALUATE = [
    _argument(
        "names", nargs="*",
        help="experiments of the plan, or entries (default: student); or two files, a "
        "reconstruction and its target",
    ),
    _argument(
        "--data-range", choices=RANGES,
        help="of two files: slice, each over its target's maximum (default), or volume, the "
        "target volume's maximum, as fastMRI's evaluation",
    ),
    *READING,
    _argument(
        "--output", "--csv", metavar="TABLE",
        help="write every slice's metrics to this .csv or .parquet file, and every volume's to "
        "TABLE-volumes beside it",
    ),
]  # fmt: skip
RECONSTRUCT = [
    _argument(
        "input", nargs="+",
        help=f"a scan ({KINDS}, or a folder of DICOM slices): volume, images or k-space of one "
        "coil or several; or several scans, or a folder of them",
    ),
    _argument(
        "output", help="where the reconstruction goes, a file of the same kind; or a folder"
    ),
    _argument(
        "--model",
        help=f"experiment of the plan, {', '.join(ALIASES)}, or an entry that the command models "
        "lists, by its name or the beginning of it (default: student; phase-student, a complex "
        "network, for measured k-space whose image has a phase along the missing lines, and for "
        "several coils: it learnt on one, and is compared with the coils alone)",
    ),
    _argument(
        "--mask", metavar="MASK",
        help="what is measured, lines or points of a .npy file, or one of "
        f"{'; '.join(f'{name}: {what}' for name, what in NAMED.items())} (default: k-space's own "
        "lines, or lines by the acceleration)",
    ),
    *READING,
    _argument(
        "--maps", choices=METHODS,
        help="sensitivities of several coils: centre, low-resolution images over their root sum "
        "of squares (default), or espirit, which needs sigpy and a wider centre",
    ),
    _argument(
        "--order", choices=ORDERS, default="auto",
        help="where k-space and a mask have their zero frequency (default: look)",
    ),
    _argument("--panel", metavar="PNG", help="draw three slices to this file"),
    _argument("--table", metavar="CSV", help="of several scans: write the table of results there"),
]  # fmt: skip
EXPORT = [
    _argument("model", help="experiment of the plan, or an entry"),
    _argument("output", help="the network's file (.onnx)"),
    _argument(
        "--size", nargs=2, type=int, metavar=("H", "W"),
        help="pixels of the images (default: those it learnt on)",
    ),
    _argument(
        "--int8", action="store_true",
        help="write OUTPUT-int8.onnx as well, and measure what it loses",
    ),
]  # fmt: skip
