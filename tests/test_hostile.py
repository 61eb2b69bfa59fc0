"""Broken and hostile files: one clear error, and no crash, hang, memory, stray write or code run.

Some 35,000 mutated files over all readers, in processes of their own: a crash of a C library, a
file that takes longer than seconds, or memory beyond the limit is seen, and an audit hook forbids
processes, connections, unpickling and writing elsewhere. Set SFTKD_MUTATIONS to multiply them.
"""

import faulthandler
import gzip
import io
import json
import os
import pickle
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zlib
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import h5py
import miniatures
import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkd_core import masks, system
from sftkd_core.book.setting import Setting
from sftkd_core.cli.lines import mask_of
from sftkd_core.data import Dataset, prepared
from sftkd_core.data.formats import Reading, open_scan, volume
from sftkd_core.data.layouts import acdc, calgary, fastmri, kdmri, mrd
from sftkd_core.data.layouts.source import files_in
from sftkd_core.data.prepare import prepare
from sftkd_core.experiments import store
from sftkd_core.system import InputError

BLOCK = 500  # files a test
SECONDS = 5  # a file may take at most
MEMORY = 2 << 30  # bytes that a block may add to what the process has
SAMPLES = Path(nibabel.__file__).parent / "tests" / "data"
FACTOR = int(os.environ.get("SFTKD_MUTATIONS", "1"))
RESOURCES = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")


# seed files: small, whole, and readable


def nifti_file(kind="<i2", version=1) -> bytes:
    values = miniatures.volume(0, (18, 16, 4)).astype(kind)
    make = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    return make(values, np.diag([1, 1, 2, 1.0])).to_bytes()


def npy_file(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def kspace_file() -> bytes:
    return npy_file(
        miniatures.interleaved(np.fft.fft2(miniatures.complex_object(1, (2, 16, 16))[:, None]))
    )


def hdf5_file(arrays: dict, **options) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=options.pop("libver", "earliest")) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False, **options)
        file.attrs["patient_id"] = "abc"
    return buffer.getvalue()


def kdmri_file(**options) -> bytes:
    target = np.moveaxis(np.abs(miniatures.complex_object(1, (2, 16, 16))), 0, 2)
    return hdf5_file({"volfs": target / target.max()}, **options)


def fastmri_file() -> bytes:
    return hdf5_file({"kspace": miniatures.complex_object(1, (2, 16, 16))}, chunks=(1, 16, 16))


def coils_of(shape=(2, 3, 16, 16)) -> np.ndarray:
    images = miniatures.complex_object(1, (shape[0], *shape[2:]))[:, None]
    return np.fft.fft2(images * miniatures.sensitivities(*shape[1:])).astype(np.complex64)


def matlab_file() -> bytes:
    values = coils_of()[None]
    pairs = np.empty(values.shape, [("real", "f4"), ("imag", "f4")])
    pairs["real"], pairs["imag"] = values.real, values.imag
    return hdf5_file({"kspace_full": pairs})


def bart_header() -> bytes:
    return b"# Dimensions\n16 16 1 3 1 1 1 1 1 1 1 1 1 2 1 1 \n# Command\nphantom x\n"


def bart_values() -> bytes:
    return coils_of().transpose(3, 2, 1, 0).ravel("F").tobytes()


def pair_of(kind, part: str) -> bytes:
    """The header or the image of a pair of files, as bytes."""
    values = miniatures.volume(0, (18, 16, 4)).astype("<i2")
    image = kind(values, np.diag([1, 1, 2, 1.0]))
    files = {name: nibabel.FileHolder(fileobj=io.BytesIO()) for name in ("header", "image")}
    image.to_file_map(files)
    return files[part].fileobj.getvalue()


def dicom_file(index: int) -> bytes:
    """A slice of a series of three; hand-made, as DICOM's simplest transfer syntax has it."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += b" " * (len(value) % 2) if kind not in (b"UI", b"OW") else b"\0" * (len(value) % 2)
        tag = group.to_bytes(2, "little") + number.to_bytes(2, "little") + kind
        size = len(value)
        return (
            tag
            + (
                b"\0\0" + size.to_bytes(4, "little")
                if kind == b"OW"
                else size.to_bytes(2, "little")
            )
            + value
        )

    pixels = np.moveaxis(miniatures.volume(1, (16, 18, 3)), 2, 0)[index].astype("<u2")
    short = lambda n: int(n).to_bytes(2, "little")  # noqa: E731
    meta = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1")
    start = b"\0" * 128 + b"DICM" + element(2, 0, b"UL", len(meta).to_bytes(4, "little")) + meta
    return start + b"".join([
        element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.4"),
        element(8, 0x18, b"UI", b"1.2.3.%d" % index),
        element(0x18, 0x50, b"DS", b"2"),
        element(0x20, 0x0E, b"UI", b"1.2.3"),
        element(0x20, 0x11, b"IS", b"1"),
        element(0x20, 0x13, b"IS", b"%d" % (index + 1)),
        element(0x20, 0x32, b"DS", b"-8\\-9\\%d" % (2 * index)),
        element(0x20, 0x37, b"DS", b"1\\0\\0\\0\\1\\0"),
        element(0x28, 2, b"US", short(1)),
        element(0x28, 4, b"CS", b"MONOCHROME2"),
        element(0x28, 0x10, b"US", short(16)),
        element(0x28, 0x11, b"US", short(18)),
        element(0x28, 0x30, b"DS", b"1\\1"),
        element(0x28, 0x100, b"US", short(16)),
        element(0x28, 0x101, b"US", short(16)),
        element(0x28, 0x102, b"US", short(15)),
        element(0x28, 0x103, b"US", short(0)),
        element(0x7FE0, 0x10, b"OW", pixels.tobytes()),
    ])  # fmt: skip


def mrd_file() -> bytes:
    """Four readouts of each of two slices, as ISMRMRD's library writes them."""
    from miniatures import ismrmrd_header as header
    from miniatures import write_ismrmrd as write

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "s.h5", coils_of(), header(16, 16), noise=False)
        return path.read_bytes()


def sample(name: str) -> bytes:
    """A file that comes with nibabel."""
    return (SAMPLES / name).read_bytes()


def images_file() -> bytes:
    return hdf5_file({"scan/reconstruction_rss": np.abs(coils_of()[:, 0])})


def read_points(folder: Path) -> np.ndarray:
    """A mask of points over images of its size, as the command line takes it."""
    scan = open_scan(folder / "k.npy")
    return mask_of(scan, Setting("smoke"), str(folder / "m.npy"), "auto")[0]


def weights() -> dict:
    """The same in each call, so that a record and its weights belong together."""
    draw = torch.Generator().manual_seed(0)
    return {"a.weight": torch.randn(2, 1, 3, 3, generator=draw), "a.bias": torch.zeros(2)}


def prepared_files() -> tuple[bytes, bytes]:
    images = np.random.default_rng(0).random((2, 16, 16), np.float32)
    entry = {
        "subject": "a", "file": "a.npy", "key": "k", "crc32": prepared.checksum(images),
        "shape": [2, 16, 16], "dtype": "float32", "scaling": "slice", "split": "test",
    }  # fmt: skip
    manifest = {"version": 1, "name": "acdc", "subjects": [entry]}
    return json.dumps(manifest).encode(), npy_file(images)


def store_files() -> tuple[bytes, bytes]:
    store.put("entry", weights(), {"history": [], "provenance": {}}, "code")
    place = system.home() / "store" / "entry"
    return (place / "result.json").read_bytes(), (place / "weights.safetensors").read_bytes()


# readers: what is done with a mutated file, in a folder of its own


def read_prepared(folder: Path) -> None:
    for entry in prepared.read_manifest(folder)["subjects"]:
        prepared.read_subject(folder, entry)
    dataset = Dataset(str(folder), 24)
    dataset.fingerprint()
    dataset.load("test")


def read_acdc(folder: Path) -> list:
    return [source.read() for source in acdc.find(folder).sources]


def read_fastmri(folder: Path) -> list:
    return [source.read() for source in fastmri.find(folder).sources]


def read_mrd(folder: Path) -> list:
    return [source.read() for source in mrd.find(folder).sources]


def read_scan(folder: Path, name: str) -> np.ndarray:
    return open_scan(folder / name if name else folder).images(0, 2)


def read_store(folder: Path) -> tuple | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = store.find("entry", "code")
    assert found is None or isinstance(found[0], dict)
    return found


INFO = b"ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
# reader -> (number of files, name of the mutated file, seeds, other files, what reads the folder)
READERS = {
    "nifti": (
        4000, "v.nii", lambda: [nifti_file(), nifti_file(">f4"), nifti_file("<u1")], {},
        lambda f: volume.load_nifti(f / "v.nii"),
    ),
    "nifti-2": (
        1000, "v.nii", lambda: [nifti_file(version=2)], {}, lambda f: volume.load_nifti(f / "v.nii")
    ),
    "nifti-packed": (
        3000, "v.nii.gz", lambda: [gzip.compress(nifti_file())], {},
        lambda f: volume.load_nifti(f / "v.nii.gz"),
    ),
    "acdc-note": (
        1000, "patient001/Info.cfg", lambda: [INFO],
        {f"patient001/patient001_frame{n}.nii": nifti_file for n in ("01", "12")}, read_acdc,
    ),
    "kspace": (
        3000, "k.npy", lambda: [kspace_file()], {}, lambda f: calgary.read_kspace(f / "k.npy")
    ),
    "mask": (
        2000, "m.npy",
        lambda: [npy_file(masks.cartesian_mask(24, 2)), npy_file(np.ones((9, 9)))], {},
        lambda f: masks.load_mask(f / "m.npy"),
    ),
    "kdmri": (
        3000, "v.h5",
        lambda: [
            kdmri_file(), kdmri_file(chunks=(8, 8, 1), compression="gzip", shuffle=True),
            kdmri_file(libver="latest"),
        ],
        {}, lambda f: kdmri.read_file(f / "v.h5"),
    ),
    "fastmri": (2000, "v.h5", lambda: [fastmri_file()], {}, read_fastmri),
    "manifest": (
        1500, "manifest.json", lambda: [prepared_files()[0]],
        {"a.npy": lambda: prepared_files()[1]}, read_prepared,
    ),
    "prepared": (
        1000, "a.npy", lambda: [prepared_files()[1]],
        {"manifest.json": lambda: prepared_files()[0]}, read_prepared,
    ),
    "store-record": (
        1000, "store/entry/result.json", lambda: [store_files()[0]],
        {"store/entry/weights.safetensors": lambda: store_files()[1]}, read_store,
    ),
    "store-weights": (
        1000, "store/entry/weights.safetensors", lambda: [store_files()[1]],
        {"store/entry/result.json": lambda: store_files()[0]}, read_store,
    ),
    "coils": (1500, "k.npy", lambda: [npy_file(coils_of())], {}, lambda f: read_scan(f, "k.npy")),
    "matlab": (2000, "k.mat", lambda: [matlab_file()], {}, lambda f: read_scan(f, "k.mat")),
    "bart": (
        1500, "k.hdr", lambda: [bart_header()], {"k.cfl": bart_values},
        lambda f: read_scan(f, "k.cfl"),
    ),
    "pair": (
        2000, "v.hdr",
        lambda: [pair_of(kind, "header") for kind in (nibabel.Nifti1Pair, nibabel.AnalyzeImage)],
        {"v.img": lambda: pair_of(nibabel.Nifti1Pair, "image")}, lambda f: read_scan(f, "v.img"),
    ),
}  # fmt: skip
READERS |= {
    "hdf5-coils": (
        1000, "k.h5",
        lambda: [hdf5_file({name: coils_of()}) for name in ("kspace", "a/kspace")], {},
        lambda f: read_scan(f, "k.h5"),
    ),
    "hdf5-images": (
        500, "k.h5", lambda: [images_file()], {}, lambda f: read_scan(f, "k.h5"),
    ),
    "points": (
        1000, "m.npy", lambda: [npy_file(masks.central_mask(16, 16, 2))],
        {"k.npy": lambda: npy_file(np.abs(coils_of()[:, 0]))}, read_points,
    ),
    "bart-values": (
        500, "k.cfl", lambda: [bart_values()], {"k.hdr": bart_header},
        lambda f: read_scan(f, "k.cfl"),
    ),
}  # fmt: skip
for name, ours, other in (
    ("small.mnc", "v.mnc", None), ("minc2_1_scale.mnc", "v.mnc", None),
    ("phantom_EPI_asc_CLEAR_2_1.PAR", "v.PAR", "phantom_EPI_asc_CLEAR_2_1.REC"),
    ("scaled+tlrc.HEAD", "v+tlrc.HEAD", "scaled+tlrc.BRIK"),
):  # fmt: skip
    if all((SAMPLES / each).exists() for each in filter(None, (name, other))):
        READERS[name] = (
            500, ours, lambda name=name: [sample(name)],
            {} if other is None else {
                str(Path(ours).with_suffix(Path(other).suffix)): partial(sample, other)
            },
            lambda f, ours=ours: open_scan(f / ours, Reading(volume="all")).images(0, 2),
        )  # fmt: skip
if find_spec("ismrmrd"):
    import ismrmrd
    from miniatures import ismrmrd_header as header

    ismrmrd.xsd.CreateFromDocument(header(16, 16))  # what it loads when it is first asked
    READERS["mrd"] = (
        1500, "s.h5", lambda: [mrd_file()], {}, lambda f: read_scan(f, "s.h5"),
    )  # fmt: skip
    READERS["mrd-layout"] = (500, "s.h5", lambda: [mrd_file()], {}, read_mrd)
if find_spec("pydicom"):
    import pydicom  # noqa: F401 - before the harness forbids what imports may do

    others = {f"{n}.dcm": partial(dicom_file, n) for n in (0, 2)}
    READERS["dicom"] = (
        3000, "d.dcm", lambda: [dicom_file(1)], others, lambda f: read_scan(f, ""),
    )  # fmt: skip
BLOCKS = [
    (name, block)
    for name, (count, *_) in READERS.items()
    for block in range(-(-count * FACTOR // BLOCK))
]


def test_there_are_enough_of_them():
    assert len(BLOCKS) * BLOCK >= 20_000


# mutations


EXTREMES = [
    value.to_bytes(size, order, signed=True)
    for size in (1, 2, 4, 8)
    for order in ("little", "big")
    for value in (0, 1, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)), 2 ** (4 * size))
] + [
    np.array(v, kind).tobytes()
    for v in (np.nan, np.inf, -1e30, 0)
    for kind in ("<f4", ">f4", "<f8")
]
WORDS = [
    b"../../../escape", b"/etc/passwd", b"-1", b"0", b"99999999999999999999", b"1e999", b"NaN",
    b"null", b"[" * 5000, b'{"a":' * 3000, b"\xff\xfe", b"|O", b"<V8", b"(", b"True", b"\0",
]  # fmt: skip


def mutate(payload: bytes, generator: np.random.Generator) -> bytes:
    """A few changes of a file; headers, which lie at its beginning, are met more often."""
    data = bytearray(payload)
    for _ in range(int(generator.integers(1, 5))):
        whole = generator.random() < 0.4
        place = int(generator.integers(len(data) if whole else min(len(data), 400))) if data else 0
        kind = int(generator.integers(8))
        if kind == 0:
            data = data[: int(generator.integers(len(data) + 1))]
        elif kind == 1 and data:
            data[place] ^= 1 << int(generator.integers(8))
        elif kind == 2:
            count = int(generator.integers(1, 9))
            data[place : place + count] = bytes([int(generator.choice([0, 127, 255]))]) * count
        elif kind in (3, 4):
            value = EXTREMES[generator.integers(len(EXTREMES))]
            place -= place % len(value)
            data[place : place + len(value)] = value
        elif kind == 5:
            word = WORDS[generator.integers(len(WORDS))]
            numbers = list(re.finditer(rb"[0-9.]+|\"[a-z]*\"", bytes(data)))
            if numbers and generator.random() < 0.7:
                place, end = numbers[generator.integers(len(numbers))].span()
                data[place:end] = word
            else:
                data[place : place + len(word)] = word
        elif kind == 6:
            data[place:place] = data[place : place + int(generator.integers(1, 64))]
        else:
            del data[place : place + int(generator.integers(1, 64))]
    return bytes(data)


def mutants(name: str, block: int):
    """(number, content) of a block's files; packed ones are also packed anew after the change."""
    generator = np.random.default_rng([zlib.crc32(name.encode()), block])
    seeds = READERS[name][2]()
    for number in range(BLOCK):
        seed = seeds[generator.integers(len(seeds))]
        if name == "nifti-packed" and generator.random() < 0.6:
            yield number, gzip.compress(mutate(gzip.decompress(seed), generator), 1)
        else:
            yield number, mutate(seed, generator)


# the harness


def run_apart(task, folder: Path) -> dict:
    """What ``task(report)`` reports from a forked process with limits; how it ended as well."""
    note = folder.parent / f"{folder.name}.report"
    child = os.fork()
    if child == 0:  # pragma: no cover - what happens here is reported in a file
        try:
            _confine(folder)
            report: dict = {"failures": []}
            note.write_text(json.dumps({"failures": [], "unfinished": True}))
            task(report)
            note.write_text(json.dumps(report))
        except BaseException:
            note.write_text(json.dumps({"failures": [traceback.format_exc()[-900:]]}))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return {**json.loads(note.read_text()), "status": status}


def _confine(folder: Path) -> None:
    """Limit memory, and forbid what no reader of data may do."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (300, 300))  # where a library hears no signal
    allowed = (str(folder), str(folder.parent), "/dev/null", str(system.home()))
    never = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect",
             "pickle.find_class", "ctypes.dlopen")  # fmt: skip

    def hook(event: str, arguments: tuple) -> None:
        if event in never:
            raise AssertionError(f"{event} {arguments!r:.100}")
        written = event == "open" and set(str(arguments[1])) & set("wax+")
        if written and not str(arguments[0]).startswith(allowed):
            raise AssertionError(f"writes {arguments[0]}")

    sys.addaudithook(hook)
    signal.signal(signal.SIGPROF, _too_slow)
    signal.signal(signal.SIGALRM, _too_slow)


def _watch(seconds: float) -> None:
    """Allow that much processor time, and much more time on the clock; 0 ends the watch."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds)


def _too_slow(signum, frame):
    raise AssertionError(f"takes longer than {SECONDS} s")


@RESOURCES
@pytest.mark.parametrize(("name", "block"), BLOCKS, ids=lambda value: str(value))
def test_mutated_files_give_a_result_or_one_clear_line(name, block, tmp_path, home, monkeypatch):
    monkeypatch.setattr(fastmri, "SIZE", 24)
    _, target, _, others, read = READERS[name]
    folder = home if name.startswith("store") else tmp_path / "folder"
    contents = list(mutants(name, block))
    rest = {path: make() for path, make in others.items()}

    def task(report):
        for number, content in contents:
            for aside in folder.glob("store/*.damaged-*"):
                shutil.rmtree(aside)
            for path, payload in {target: content, **rest}.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(payload)
            try:
                _watch(SECONDS)
                read(folder)
                report["read"] = report.get("read", 0) + 1
            except InputError as error:
                if "\n" in str(error) or len(str(error)) > 600:
                    report["failures"].append([number, f"no clear line: {str(error)[:200]}"])
            except BaseException as error:
                where = "".join(traceback.format_exc()[-600:])
                report["failures"].append([number, type(error).__name__, where])
            finally:
                _watch(0)

    report = run_apart(task, folder)
    assert report["status"] == 0, f"crashed: signal {report['status']}"
    assert "unfinished" not in report
    assert not report["failures"], report["failures"][:3]
    assert not list(tmp_path.parent.rglob("escape*"))


@RESOURCES
def test_the_harness_sees_what_it_is_for(tmp_path):
    def seen(action) -> dict:
        def task(report):
            try:
                _watch(0.1)
                action()
            except BaseException as error:
                report["failures"].append(repr(error))
            finally:
                _watch(0)

        return run_apart(task, tmp_path / "folder")

    def loop():
        while True:
            pass

    assert seen(lambda: os.kill(os.getpid(), signal.SIGSEGV))["status"] == signal.SIGSEGV
    assert "takes longer" in str(seen(loop)["failures"])
    assert "takes longer" in str(seen(signal.pause)["failures"])
    assert "MemoryError" in str(seen(lambda: bytes(MEMORY + 2**28))["failures"])
    assert "os.system" in str(seen(lambda: os.system("true"))["failures"])
    assert "find_class" in str(seen(lambda: pickle.loads(pickle.dumps(Path("x"))))["failures"])
    elsewhere = Path("/tmp/sftkd-stray-write")
    assert "writes" in str(seen(lambda: elsewhere.write_text("x"))["failures"])
    assert not elsewhere.exists()
    assert seen(lambda: None)["failures"] == []


# one file each of the known kinds of attack


class Pwned:
    """Unpickling this would run a command."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self):
        return os.system, (f"touch {self.place}",)


def refused(read, path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value)


def within(amount: int, task, folder: Path) -> None:
    """Assert that ``task()`` raises nothing in a process that may take ``amount`` bytes more."""

    def confined(report):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        try:
            task()
        except BaseException:
            report["failures"].append(traceback.format_exc()[-900:])
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        if used > amount:
            report["failures"].append(f"took {used} bytes")

    report = run_apart(confined, folder)
    assert report["status"] == 0
    assert not report["failures"], report["failures"]


@RESOURCES
def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.nii.gz"
    header = bytearray(nifti_file()[:352])
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(header)
        for _ in range(120):  # 1.2 GB of zeros in 1.2 MB
            file.write(bytes(10_000_000))
    assert path.stat().st_size < 2e6
    within(1600 << 20, lambda: refused(volume.read_nifti, path, "bytes when unpacked"), tmp_path)
    # a header that promises more than the file has is refused before memory is asked for
    header[40:56] = np.array([3, 8000, 8000, 8000, 1, 1, 1, 1], "<i2").tobytes()
    small = tmp_path / "promise.nii"
    small.write_bytes(header + bytes(1000))
    within(50 << 20, lambda: refused(volume.read_nifti, small, "numbers; a volume"), tmp_path)
    header[40:56] = np.array([3, 500, 500, 500, 1, 1, 1, 1], "<i2").tobytes()
    small.write_bytes(header + bytes(1000))
    within(50 << 20, lambda: refused(volume.read_nifti, small, "may be truncated"), tmp_path)


@RESOURCES
def test_arrays_that_promise_too_much_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    whole = npy_file(np.zeros((4, 4), np.float32))
    path.write_bytes(whole.replace(b"(4, 4), }      ", b"(400000, 40000)"[:15]))
    for shape in ("(99999, 99999)", "(0, 5)", "(-4, -4)", "(4, 4.0)", "(True, 16)", "()"):
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        within(50 << 20, lambda: refused(masks.load_mask, path, "mask file"), tmp_path)
    h5 = tmp_path / "a.h5"
    with h5py.File(h5, "w") as file:
        file.create_dataset("volfs", (30000, 30000, 100), "f4", chunks=(100, 100, 1))
    within(50 << 20, lambda: refused(kdmri.read_file, h5, "numbers; a volume"), tmp_path)
    with h5py.File(h5, "w") as file:
        file.create_dataset("volfs", (512, 512, 400), "f4", chunks=(64, 64, 1), compression="gzip")
    within(50 << 20, lambda: refused(kdmri.read_file, h5, "no values are stored"), tmp_path)


def test_pickles_are_never_run(tmp_path):
    sign = tmp_path / "pwned"
    path = tmp_path / "k.npy"
    np.save(path, np.array([Pwned(sign)], dtype=object), allow_pickle=True)
    refused(calgary.read_kspace, path, "could run code")
    refused(masks.load_mask, path, "could run code")
    path.write_bytes(pickle.dumps(Pwned(sign)))
    refused(masks.load_mask, path, "not a plain")
    assert not sign.exists()


def test_hdf5_that_points_elsewhere_is_refused(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(256)) * 64)
    other = tmp_path / "other.h5"
    other.write_bytes(kdmri_file())
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["volfs"] = h5py.ExternalLink(str(other), "volfs")
    refused(kdmri.read_file, path, "link to somewhere else")
    with h5py.File(path, "w") as file:
        file["volfs"] = h5py.SoftLink("/elsewhere")
    refused(kdmri.read_file, path, "link to somewhere else")
    with h5py.File(path, "w") as file:
        file.create_dataset("volfs", (16, 16, 16), "f4", external=[(str(secret), 0, 16384)])
    refused(kdmri.read_file, path, "in another file")
    layout = h5py.VirtualLayout((16, 16, 2), "f4")
    layout[:] = h5py.VirtualSource(other, "volfs", (16, 16, 2))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("volfs", layout)
    refused(kdmri.read_file, path, "in another file")
    with h5py.File(path, "w") as file:
        file.create_dataset("volfs", (3, 3, 3), h5py.special_dtype(vlen=np.float32))
    refused(kdmri.read_file, path, "values of type object")
    with h5py.File(path, "w") as file:
        file.create_group("volfs")
    refused(kdmri.read_file, path, "is a group")
    with h5py.File(path, "w") as file:
        file["other"] = 1
    refused(kdmri.read_file, path, "holds no volfs but other")


def test_pipes_devices_and_endless_folders_do_no_harm(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    refused(volume.read_nifti, tmp_path / "pipe.nii", "a pipe or a device")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    refused(masks.load_mask, tmp_path / "zero.npy", "a pipe or a device")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "loop").symlink_to(tmp_path)
    (tmp_path / "inner" / "dangling.nii").symlink_to(tmp_path / "nowhere")
    miniatures.write_nifti(tmp_path / "inner" / "v.nii", miniatures.volume(0, (18, 16, 4)))
    assert [path.name for path in files_in(tmp_path, (".nii",))] == ["v.nii"]


def test_a_manifest_cannot_point_outside(tmp_path):
    manifest, array = prepared_files()
    (tmp_path / "secret.npy").write_bytes(array)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("../secret.npy", str(tmp_path / "secret.npy"), "..\\secret.npy", "a/../b.npy"):
        changed = json.loads(manifest)
        changed["subjects"][0]["file"] = name
        (folder / "manifest.json").write_text(json.dumps(changed))
        refused(prepared.read_manifest, folder, "not the manifest")
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "a.npy").symlink_to(tmp_path / "secret.npy")
    refused(read_prepared, folder, "is a link")


def test_links_planted_in_the_output_are_not_followed(tmp_path):
    raw = miniatures.acdc(tmp_path / "raw", (1, 101), (40, 36, 2))
    out, victim = tmp_path / "out", tmp_path / "victim"
    manifest = prepare("acdc", raw, out, report=lambda line: None)
    victim.write_text("untouched")
    names = [entry["file"] for entry in manifest["subjects"]]
    names += [name.replace(".npy", ".json") for name in names]
    for name in [*names, "manifest.json"]:
        (out / name).unlink()
        (out / name).symlink_to(victim)
        (out / f".{name}.part").symlink_to(victim)
    (out / "manifest.json").unlink()
    assert prepare("acdc", raw, out, report=lambda line: None) == manifest
    assert victim.read_text() == "untouched"
    assert not [path for path in out.iterdir() if path.is_symlink()]


def test_names_of_subjects_stay_names(tmp_path):
    for number, name in enumerate(("a b;rm -rf x", "..", "-n", "ünïcode", "." * 5 + "x")):
        place = tmp_path / "raw" / f"{name}!" if name == ".." else tmp_path / "raw" / name
        miniatures.write_nifti(place / "v.nii", miniatures.volume(number, (18, 16, 3)))
    prepare("nifti", tmp_path / "raw", tmp_path / "out", report=lambda line: None)
    for path in (tmp_path / "out").glob("*.npy"):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.npy", path.name)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([".nii", ".nii.gz", ".npy", ".h5", ".json"]))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("any") / f"manifest{ending}"
    path.write_bytes(content)
    read = {
        ".nii": volume.read_nifti, ".nii.gz": volume.read_nifti, ".npy": masks.load_mask,
        ".h5": kdmri.read_file,
        ".json": lambda p: prepared.read_manifest(p.parent),
    }[ending]  # fmt: skip
    refused(read, path, "manifest")


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(-3, 40_000)] * 3),
    st.sampled_from([2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 1792, 2304, 0, 7, 99]),
    st.floats(width=32),
    st.floats(width=32),
    st.lists(st.floats(width=32), min_size=12, max_size=12),
)
def test_absurd_headers_are_refused_or_read(tmp_path_factory, shape, code, slope, offset, affine):
    path = tmp_path_factory.mktemp("header") / "v.nii"
    data = bytearray(nifti_file())
    data[42:48] = np.clip(shape, -(2**15), 2**15 - 1).astype("<i2").tobytes()
    data[70:72] = np.array(code, "<i2").tobytes()
    data[108:120] = np.array([offset, slope, offset], "<f4").tobytes()
    data[280:328] = np.array(affine, "<f4").tobytes()
    path.write_bytes(data)
    message, images = "", torch.zeros(1)
    try:
        images = volume.load_nifti(path).images
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert torch.isfinite(images).all()


@pytest.mark.parametrize("name", READERS)
def test_whole_seed_files_are_read(name, tmp_path, home, monkeypatch):
    """A reader that refuses everything would pass all of the above."""
    monkeypatch.setattr(fastmri, "SIZE", 24)
    _, target, seeds, others, read = READERS[name]
    folder = home if name.startswith("store") else tmp_path
    for content in seeds():
        rest = {path: make() for path, make in others.items()}
        for path, payload in {target: content, **rest}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(payload)
        found = read(folder)
        assert found is not None or read is read_prepared  # which returns nothing
        assert not isinstance(found, list) or found
