"""Several scans in one call: a table that one bad file does not stop."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from sftkd_core import system
from sftkd_core.data.formats import KINDS, check_input, ending, output_ending
from sftkd_core.data.formats.dicom import is_dicom
from sftkd_core.data.layouts.nifti_folder import is_scan
from sftkd_core.data.layouts.source import files_in, links_in
from sftkd_core.system import InputError, counted, files


def is_several(inputs: list[Path], output: Path) -> bool:
    """Whether a call is of several scans: of several inputs, or of a folder into a folder."""
    return len(inputs) > 1 or (inputs[0].is_dir() and ending(output) not in KINDS.split())


def each_of(
    inputs: list[Path],
    output: Path,
    options: argparse.Namespace,
    work: Callable[[Path, Path], dict],
) -> int:
    """Do ``work`` (source, output) for each scan, print the rows that it returns as a table.

    What goes wrong with one scan is one line, and its row. Returns 0, or 1 if that happened.
    """
    if options.panel:
        raise InputError(f"--panel {options.panel} draws one scan; leave it out for several")
    table = system.check_output(options.table, (".csv",), "table") if options.table else None
    if output.is_file() or ending(output) in KINDS.split():
        raise InputError(f"output {output} is no folder, which several scans need; name a folder")
    pairs = _pairs(inputs, output)
    rows, failures = [], 0
    for source, name in pairs:
        row: dict = {"scan": str(source)}
        try:
            check_input(source)
            row |= work(source, output / name)
        except (InputError, OSError) as error:
            failures += 1
            row["failed"] = " ".join(str(error).split())
            print(f"failed {source}: {row['failed']}", flush=True)
        rows.append(row)
    frame = pd.DataFrame(rows)
    print(_in_words(frame))
    if table:
        system.write_bytes(table, frame.to_csv(index=False).encode())
    done = len(rows) - failures
    print(f"{counted(done, 'scan')} of {len(rows)} reconstructed into {output}")
    return 1 if failures else 0


def _pairs(inputs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """Each scan with the name of its output inside the output's folder."""
    found: dict[str, tuple[Path, Path]] = {}
    for given in inputs:
        if given.is_dir() and given.resolve() in (output.resolve(), *output.resolve().parents):
            raise InputError(f"output {output} lies in {given}; choose a folder elsewhere")
        for source, name in _inside(given) if given.is_dir() else [(given, Path(given.name))]:
            place = name.with_name(_stem(source) + output_ending(source))
            earlier = found.setdefault(str(place).lower(), (source, place))[0]
            if earlier is not source:
                raise InputError(f"{earlier} and {source} would both become {place}; rename one")
    if not found:
        raise InputError(f"{inputs[0]} holds no scans ({KINDS}, or folders of DICOM slices)")
    return list(found.values())


def _inside(folder: Path) -> list[tuple[Path, Path]]:
    """The scans of a folder with their names in it; what is left out is said."""
    for label, why in links_in(folder):
        print(f"skipped {label}: {why}")
    scans: list[tuple[Path, Path]] = []
    dicom = set()
    for path in files_in(folder, ("",)):
        name = path.relative_to(folder)
        if is_dicom(path):
            dicom.add(path.parent)
        elif ending(path) not in KINDS.split():
            continue
        elif is_scan(name):
            scans.append((path, name))
        else:
            print(f"skipped {name}: named as a segmentation or mask, or computed from scans")
    series = [(place, place.relative_to(folder)) for place in sorted(dicom)]
    return scans + [
        (place, name if name.name else Path(folder.resolve().name)) for place, name in series
    ]


def _stem(source: Path) -> str:
    return source.resolve().name if source.is_dir() else files.stem(source)


def _in_words(frame: pd.DataFrame) -> str:
    """The table in columns; numbers with two digits, scans by their names."""
    shown = frame.drop(columns="failed", errors="ignore").copy()
    if "slices" in shown:
        shown["slices"] = shown["slices"].map(lambda n: "failed" if pd.isna(n) else f"{n:.0f}")
    return shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.3f}")
