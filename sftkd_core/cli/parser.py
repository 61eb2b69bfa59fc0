"""The command line's words: a parser for each command, and what an error looks like."""

import argparse
import os
import sys
from collections.abc import Callable

import torch

from sftkd_core import __version__
from sftkd_core.book.setting import ALIASES, PLAN, PROFILES, Setting
from sftkd_core.cli.evaluate import evaluate
from sftkd_core.cli.export import export
from sftkd_core.cli.models import models
from sftkd_core.cli.prepare import prepare
from sftkd_core.cli.reconstruct import reconstruct
from sftkd_core.cli.train import train
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
    """Run a command; 0 on success, 2 with one line on standard error for a wrong input."""
    for stream in (sys.stdout, sys.stderr):  # a name that the console cannot spell is no failure
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
        options.command(options)
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
    return 0


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
    _add_prepare(_command(commands, prepare, _listed("datasets", FORMATS)))
    _add_train(_command(commands, train, plan))
    _add_evaluate(_command(commands, evaluate, plan))
    _add_reconstruct(_command(commands, reconstruct, plan))
    _add_export(_command(commands, export, plan))
    _command(commands, models)
    return parser


def _add_prepare(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="which dataset it is, one of those below")
    parser.add_argument("folder", help="the folder as downloaded and unpacked")
    parser.add_argument("--output", metavar="FOLDER", help="where to (default: found by NAME)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument(
        "--scaling", choices=SCALINGS, default=SCALINGS[0],
        help="over whose maximum (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the split by subject")
    parser.add_argument(
        "--held-out", type=int, metavar="N",
        help="training subjects set apart to choose the epoch by (default: 10 %%; 0: none, as in "
        "the paper, which chooses by its test set)",
    )  # fmt: skip
    _add_plane(parser)
    parser.add_argument("--kdmri", metavar="FOLDER", help="write KD-MRI's HDF5 files there as well")
    parser.add_argument(
        "--acceleration", type=float, default=4, metavar="R", help="of these (default: %(default)s)"
    )


def _add_train(parser: Parser) -> None:
    _add_setting(parser)
    parser.add_argument("name", help="experiment of the plan")
    parser.add_argument("--receipt", metavar="JSON", help="write what was done to this file")


def _add_evaluate(parser: Parser) -> None:
    _add_setting(parser)
    parser.add_argument(
        "names", nargs="*", help="experiments of the plan, or entries (default: student)"
    )
    parser.add_argument(
        "--output", "--csv", metavar="TABLE",
        help="write every slice's metrics to this .csv or .parquet file, and every volume's to "
        "TABLE-volumes beside it",
    )  # fmt: skip


def _add_reconstruct(parser: Parser) -> None:
    _add_setting(parser, data=False)
    parser.set_defaults(acceleration=None)  # what is not asked for need not have an effect
    parser.add_argument("input", help=f"the scan ({KINDS}): volume, images or k-space")
    parser.add_argument("output", help="where the reconstruction goes, a file of the same kind")
    _add_model(parser)
    parser.add_argument(
        "--mask",
        metavar="NPY",
        help="lines that are measured (default: k-space's own, or by the acceleration)",
    )
    parser.add_argument("--dataset", metavar="NAME", help="of an HDF5 file")
    parser.add_argument(
        "--order", choices=ORDERS, default="auto",
        help="where k-space and a mask have their zero frequency (default: look)",
    )  # fmt: skip
    _add_plane(parser)
    parser.add_argument("--panel", metavar="PNG", help="draw three slices to this file")


def _add_export(parser: Parser) -> None:
    _add_setting(parser)
    parser.add_argument("model", help="experiment of the plan, or an entry")
    parser.add_argument("output", help="the network's file (.onnx)")
    parser.add_argument(
        "--size", nargs=2, type=int, metavar=("H", "W"),
        help="pixels of the images (default: those it learnt on)",
    )  # fmt: skip
    parser.add_argument(
        "--int8", action="store_true",
        help="write OUTPUT-int8.onnx as well, and measure what it loses",
    )  # fmt: skip


def _add_plane(parser: Parser) -> None:
    parser.add_argument(
        "--plane", choices=("auto", *PLANES), default="auto",
        help="how a volume is cut (default: as it was acquired, where the file tells, else axial)",
    )  # fmt: skip


def _listed(title: str, entries: dict[str, str]) -> str:
    return f"{title}:\n" + "\n".join(f"  {name:15} {what}" for name, what in entries.items())


def _command(commands, function: Callable, epilog: str = "") -> Parser:
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
    parser.set_defaults(command=function)
    return parser


def _add_setting(parser: Parser, data: bool = True) -> None:
    """The options that all chapters share."""
    default = Setting()
    parser.add_argument("--profile", choices=list(PROFILES), default=default.profile)
    parser.add_argument(
        "--acceleration", type=float, default=default.acceleration, metavar="R",
        help=f"lines of k-space over measured lines (default: {default.acceleration:g})",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--device", default=default.device, help="auto, cpu, cuda, ...")
    if data:
        parser.add_argument(
            "--data", default=default.data,
            help="brain, cardiac, or the path of a NIfTI volume or folder",
        )  # fmt: skip


def _add_model(parser: Parser) -> None:
    parser.add_argument(
        "--model",
        help=f"experiment of the plan, {', '.join(ALIASES)}, or an entry that the command models "
        "lists, by its name or the beginning of it (default: student; phase-student, a complex "
        "network, for measured k-space whose image has a phase along the missing lines)",
    )  # fmt: skip
