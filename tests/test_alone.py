"""Each chapter, alone in an empty folder, with the library from its wheel and no repository."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from chapters import CHAPTERS, ROOT, a_tenth, name, run_chapter, smoke_home


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """A second environment: the wheel, and this environment's libraries but not its project."""
    place = tmp_path_factory.mktemp("elsewhere")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = place.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    packages = packages.stdout.strip()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages]
    subprocess.run([*install, wheel], check=True)
    # a path added this way brings packages, but not the editable project, whose .pth is not read
    with open(f"{packages}/libraries.pth", "w") as file:
        file.write(sysconfig.get_paths()["purelib"])
    return place, python, wheel


def test_the_wheel_is_small_and_knows_the_results_by_their_checksums(elsewhere):
    _, _, wheel = elsewhere
    assert wheel.stat().st_size <= 2e6
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("py", "json", "html"):
        for path in (ROOT / "sftkd_core").rglob(f"*.{kind}"):
            assert str(path.relative_to(ROOT)) in names
    assert "sftkd_core/py.typed" in names  # annotations are for others, too
    assert not [n for n in names if n.startswith(("tests/", "book/", "workflow/", "results/"))]
    assert not [n for n in names if n.endswith(".safetensors")]
    index = json.loads(zipfile.ZipFile(wheel).read("sftkd_core/shipped/index.json"))
    for record in (ROOT / "results").glob("*/result.json"):
        told = json.loads(record.read_text())
        known = index["files"].get(f"{record.parent.name}/weights.safetensors")
        assert known == (None if told.get("stored") == "record alone" else told["sha256"])
        assert f"{record.parent.name}/result.json" in index["files"]
    tables = {n for n in index["files"] if n.startswith("evaluations/")}
    assert len(tables) == len(list((ROOT / "results" / "evaluations").glob("*.csv")))


def test_the_library_comes_from_the_wheel(elsewhere):
    place, python, _ = elsewhere
    code = "import sftkd_core; print(sftkd_core.__file__)"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=place)
    assert run.stdout.startswith(str(place)), run


# nothing that a chapter asserts may hold for one setting only: `make test` ran them at the defaults
VARIANTS = [
    {"data": "cardiac", "acceleration": 3, "seed": 1},
    {"acceleration": 2.5, "seed": 2},
]


@pytest.mark.parametrize("path", a_tenth(CHAPTERS), ids=name)
def test_a_chapter_runs_alone_and_with_other_parameters(path, elsewhere, tmp_path):
    _, python, _ = elsewhere
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"SFTKD_HOME": str(smoke_home("alone")), "OMP_NUM_THREADS": "1"}
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PATH": f"{sys.prefix}/share/jupyter"}
    command = [python, "-m", "papermill", "--no-progress-bar", path.name, "../out.ipynb"]
    parameters = {"profile": "smoke", **VARIANTS[CHAPTERS.index(path) % len(VARIANTS)]}
    words = [word for k, v in parameters.items() for word in ("-p", k, str(v))]
    run = subprocess.run(
        [*command, *words, "--execution-timeout", "300"],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert [p.name for p in folder.iterdir()] == [path.name]
    run_chapter.check_order(run_chapter.read(tmp_path / "out.ipynb"), path)
