"""From a data set as downloaded to one file a subject, split by subject, with a manifest.

A finished subject is a ``.npy`` file and a note (JSON, written last) whose name holds a hash of its
source files and of the options. So a second run skips it, a killed one loses no other, and other
options never touch it. The manifest is written at the end: an earlier one is valid until then.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from sftkd_core import system
from sftkd_core.data import prepared
from sftkd_core.data.layouts import acdc, calgary, fastmri, kdmri, mrbrains, mrd, nifti_folder
from sftkd_core.data.layouts.source import (
    Found,
    Source,
    by_group,
    check_distinct,
    check_folder,
    links_in,
    plain_name,
)  # fmt: skip
from sftkd_core.data.slices import SPLITS, centre, scale_slices
from sftkd_core.system import InputError, Line, clock, files


@dataclass(frozen=True)
class Format:
    """One kind of data set.

    find      folder -> what it holds
    size      pixels in plane after cropping or padding; None keeps a volume's own
    subjects  the paper's numbers to train and to test on, or the shares of a split made here
    slices    the paper's, likewise, whose number of subjects is then the limit; None: it has none
    """

    text: str
    find: Callable[..., Found]
    size: int | None
    subjects: tuple[int, int]
    slices: tuple[int, int] | None = None


FORMAT = {
    "acdc": Format(
        "ACDC cardiac cine: NIfTI, end-diastole and end-systole", acdc.find, 150, (100, 50),
        (1841, 1076),
    ),
    "mrbrains": Format("MRBrainS 2013 or 2018: T1, NIfTI", mrbrains.find, 240, (5, 2), (240, 96)),
    "calgary": Format(
        "Calgary-Campinas T1: NIfTI, or raw k-space (.npy) of 1 or 12 coils", calgary.find,
        calgary.SIZE, (25, 10), (2750, 1100),
    ),
    "kdmri": Format("KD-MRI's and SFT-KD-Recon's HDF5 volumes", kdmri.find, None, (2, 1)),
    "fastmri": Format("fastMRI single coil: HDF5, complex", fastmri.find, fastmri.SIZE, (4, 1)),
    "ismrmrd": Format(
        "a folder of ISMRMRD files: Cartesian, fully sampled, of one coil or several", mrd.find,
        None, (4, 1),
    ),
    "nifti": Format("a folder of NIfTI volumes", nifti_folder.find, None, (4, 1)),
}  # fmt: skip
FORMATS = {name: form.text for name, form in FORMAT.items()}
SCALINGS = ("slice", "volume")


def prepare(
    name: str,
    folder: str | Path,
    output: str | Path | None = None,
    jobs: int = 1,
    scaling: str = "slice",
    seed: int = 0,
    held_out: int | None = None,
    plane: str = "auto",
    report: Callable[[str], None] = print,
) -> dict:
    """Prepare the data set in ``folder``; what is done already is skipped. Returns the manifest.

    name      a key of ``FORMATS``
    output    the prepared folder; None is ``$SFTKD_HOME/datasets/<name>``, found as data ``name``
    jobs      worker processes; each holds one volume at a time
    scaling   "slice": each over its own maximum, as the paper; "volume": over the volume's
    seed      of the split by subject where the folder says none, and of the held-out subjects
    held_out  training subjects set apart to choose the epoch by; None is a tenth, at least one;
              with 0 the test subjects serve for this, as in the paper
    plane     of the slices of ``nifti``, as of ``volume.planes``; other data sets have their own
    report    takes each line of what was found, skipped and done

    Raises ``InputError`` where nothing can be prepared; a subject that cannot be read is reported
    and left out.
    """
    form = _checked(name, jobs, scaling, seed, held_out)
    folder = check_folder(folder).resolve()
    output = Path(output).expanduser() if output else prepared.place_of(name)
    _check_output(output, folder)
    if plane != "auto" and name != "nifti":
        raise InputError(f"{name} has planes of its own; leave --plane {plane} out")
    found = form.find(folder) if plane == "auto" else form.find(folder, plane)
    skipped = found.skipped + links_in(folder)
    check_distinct(found.sources)
    if not found.sources:
        why = "".join(f"; {label}: {reason}" for label, reason in skipped[:1])
        raise InputError(f"{folder} holds nothing of {name} ({form.text}){why}")
    splits, left_out = _split(found.sources, form, seed, held_out)
    sources = [source for source in found.sources if source.subject in splits]
    people = len(by_group(found.sources))
    of_people = "" if people == len(found.sources) else f", of {people} people, each in one split"
    report(f"{folder}: {len(found.sources)} subjects of {name} ({form.text}){of_people}")
    for label, reason in skipped + left_out:
        report(f"skipped {label}: {reason}")
    with system.lock(output / prepared.MANIFEST):
        entries, broken = _all(sources, output, form.size, scaling, jobs, report)
        for subject, reason in broken:
            report(f"skipped {subject}: {reason}")
        for entry in entries:
            entry["split"] = splits[entry["subject"]]
        held = {split: [e for e in entries if e["split"] == split] for split in SPLITS}
        for split in ("train", "test"):
            if not held[split]:
                raise InputError(
                    f"{folder} gives no readable subject to {split}; of {len(sources)} subjects "
                    f"{len(broken)} could not be read; take these away, or pass another --seed"
                )
        manifest = {
            "version": prepared.VERSION,
            "name": name,
            "options": {"scaling": scaling, "size": form.size, "seed": seed, "held_out": held_out},
            "counts": {split: sum(e["shape"][0] for e in held[split]) for split in SPLITS},
            "subjects": sorted(entries, key=lambda e: (SPLITS.index(e["split"]), e["subject"])),
            "skipped": [list(pair) for pair in skipped + left_out + broken],
        }
        _finish(output, manifest)
    for line in _counts(held, form):
        report(line)
    report(f"written: {output}")
    return manifest


def _checked(name, jobs, scaling, seed, held_out) -> Format:
    if name not in FORMAT:
        raise InputError(f"unknown data set {name!r}; choose one of {', '.join(FORMATS)}")
    if scaling not in SCALINGS:
        raise InputError(f"unknown scaling {scaling!r}; choose one of {', '.join(SCALINGS)}")
    held_out = 0 if held_out is None else held_out
    for what, value, least in (("jobs", jobs, 1), ("seed", seed, 0), ("held_out", held_out, 0)):
        if type(value) is not int or value < least:
            raise InputError(f"{what} is {value!r}; pass a whole number >= {least}")
    return FORMAT[name]


def _check_output(output: Path, folder: Path) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"output {output} is a file; name a folder")
    place = output.resolve()
    if place == folder or folder in place.parents:
        raise InputError(f"output {output} lies in the data set itself; choose a folder elsewhere")
    if (output / prepared.MANIFEST).exists():
        prepared.read_manifest(output)  # what is not ours is never replaced


def _split(
    sources: list[Source], form: Format, seed: int, held_out: int | None
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The split of each subject, by groups and never by slice, and which are left out."""
    groups = by_group(sources)
    if len(groups) < 2:
        raise InputError(
            f"the folder holds {len(groups)} subject ({sources[0].subject}); at least 2 are "
            "needed to train and to test on different ones"
        )
    generator = np.random.default_rng(seed)
    order = [list(groups)[i] for i in generator.permutation(len(groups))]
    said = {group: {s.split for s in members} for group, members in groups.items()}
    if all(len(s) == 1 for s in said.values()) and {"train", "test"} == set().union(*said.values()):
        parts = {split: [g for g in order if said[g] == {split}] for split in ("train", "test")}
    else:
        # the folder does not tell both: shares as the paper's, in an order that the seed decides
        to_test = round(len(order) * form.subjects[1] / sum(form.subjects))
        to_test = min(max(1, to_test), len(order) - 1)
        parts = {"train": order[to_test:], "test": order[:to_test]}
    left_out = []
    if form.slices:
        for split, most in zip(("train", "test"), form.subjects, strict=True):
            why = f"beyond the paper's {most} subjects to {split}"
            left_out += [(s.subject, why) for g in parts[split][most:] for s in groups[g]]
            parts[split] = parts[split][:most]
    count = max(1, round(len(parts["train"]) / 10)) if held_out is None else held_out
    if count >= len(parts["train"]):
        if held_out is not None:
            raise InputError(
                f"held_out is {held_out}, but there are {len(parts['train'])} subjects to train on"
            )
        count = 0
    parts["validation"] = [parts["train"].pop() for _ in range(count)]
    splits = {s.subject: split for split in parts for g in parts[split] for s in groups[g]}
    return splits, sorted(left_out)


def _all(sources, output, size, scaling, jobs, report) -> tuple[list[dict], list[tuple[str, str]]]:
    """The entries of all subjects, made now or found made, and those that cannot be read."""
    line, started = Line("preparing"), time.perf_counter()
    entries, broken = [], []
    work = partial(prepare_one, output=output, size=size, scaling=scaling)
    outcomes = ((s, work(s)) for s in sources) if jobs == 1 else _in_parallel(work, sources, jobs)
    for done, (source, outcome) in enumerate(outcomes, 1):
        if isinstance(outcome, str):
            broken.append((source.subject, outcome))
        else:
            entries.append(outcome)
        left = (time.perf_counter() - started) / done * (len(sources) - done)
        line.show(f"{done} of {len(sources)} subjects, {clock(left)} left")
    made = sum(entry.pop("made") for entry in entries)
    line.close(f"{made} subjects in {clock(time.perf_counter() - started)}")
    if made < len(entries):
        report(f"{len(entries) - made} subjects were prepared already")
    return entries, sorted(broken)


def _in_parallel(work, sources: list[Source], jobs: int) -> Iterator[tuple[Source, dict | str]]:
    """Each source with what ``work`` makes of it in a process; no more at once than workers."""
    waiting = list(sources)
    pending: dict[Future, Source] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            while waiting or pending:
                while waiting and len(pending) < jobs:
                    source = waiting.pop(0)
                    pending[pool.submit(work, source)] = source
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(future), future.result()
        except BrokenProcessPool:
            names = ", ".join(source.subject for source in pending.values())
            raise InputError(
                f"a worker was killed while reading one of {names}; too little memory, or a file "
                "that breaks its library: try again with one job"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def prepare_one(source: Source, output: Path, size: int | None, scaling: str) -> dict | str:
    """One subject: its entry ("made": whether now), or why it cannot be read."""
    try:
        originals = [{"path": p.name, "sha256": files.sha256(p)} for p in source.files]
        identity = [prepared.VERSION, source.subject, size, scaling, originals]
        identity += [source.option] if source.option else []
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
        stem = f"{plain_name(source.subject)}-{key}"
        note, path = output / f"{stem}.json", output / f"{stem}.npy"
        entry = prepared.read_note(note)
        if entry is not None and entry["file"] == path.name:
            return {**entry, "made": False}
        with np.errstate(all="ignore"):  # what overflows is noticed below
            planes = source.read()
            if size is not None:
                planes = centre(planes, size)
            images, scales, indices = scale_slices(planes, scaling)
        if not len(images):
            return "all of its slices are empty"
        if not np.isfinite(scales).all():
            return "its values are too large"
        if min(images.shape[1:]) < 16:
            return f"its slices have {images.shape[1]} x {images.shape[2]} pixels; at least 16 x 16"
    except InputError as error:
        return str(error)
    prepared.write_subject(path, images)
    entry = {
        "subject": source.subject,
        "file": path.name,
        "key": key,
        "crc32": prepared.checksum(images),
        "shape": list(images.shape),
        "dtype": str(images.dtype),
        "scaling": scaling,
        "scales": [float(scale) for scale in scales],
        "planes": [int(index) for index in indices],
        "empty": len(planes) - len(images),
        "sources": originals,
    }
    system.write_bytes(note, json.dumps(entry, indent=1).encode())
    return {**entry, "made": True}


def _finish(output: Path, manifest: dict) -> None:
    """Put the manifest in place, then remove what only an earlier one needed."""
    path = output / prepared.MANIFEST
    earlier = prepared.read_manifest(output)["subjects"] if path.exists() else []
    system.write_bytes(path, json.dumps(manifest, indent=1).encode())
    needed = {entry["file"] for entry in manifest["subjects"]}
    for entry in earlier:
        if entry["file"] not in needed:
            (output / entry["file"]).with_suffix(".json").unlink(missing_ok=True)
            (output / entry["file"]).unlink(missing_ok=True)


def _counts(held: dict[str, list[dict]], form: Format) -> list[str]:
    """Subjects and slices of each split, beside the paper's."""
    slices = {split: sum(e["shape"][0] for e in held[split]) for split in SPLITS}
    empty = sum(e["empty"] for entries in held.values() for e in entries)
    train = f"to train on: {slices['train']} slices of {len(held['train'])} subjects"
    if held["validation"]:
        total = slices["train"] + slices["validation"]
        train += f", to choose the epoch by: {slices['validation']} of {len(held['validation'])}"
        train += f"; together {total}"
    test = f"to test on: {slices['test']} slices of {len(held['test'])} subjects"
    if form.slices:
        train += f" (paper: {form.slices[0]} of {form.subjects[0]})"
        test += f" (paper: {form.slices[1]} of {form.subjects[1]})"
    return [train, test] + ([f"left out: {empty} empty slices"] if empty else [])
