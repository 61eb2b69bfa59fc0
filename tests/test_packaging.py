"""What is installed: pyproject, constraints and the conda environment say the same."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import machine

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sftkd_core

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = {
    canonicalize_name(Requirement(line).name): Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
}
EXTRAS = PROJECT["optional-dependencies"]
REQUIRED = [Requirement(r) for r in PROJECT["dependencies"] + EXTRAS["book"] + EXTRAS["test"]]


@pytest.mark.parametrize("requirement", REQUIRED, ids=lambda r: r.name)
def test_every_requirement_has_a_lower_bound_and_an_exact_version_that_meets_it(requirement):
    operators = {specifier.operator for specifier in requirement.specifier}
    capped = {"jupyter-book", "packaging"}
    assert operators == ({">=", "<"} if requirement.name in capped else {">="})
    (pin,) = CONSTRAINTS[canonicalize_name(requirement.name)].specifier
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version)


def test_constraints_are_what_is_installed():
    if sys.version_info < (3, 11):
        pytest.skip("constraints are exact from Python 3.11 on")
    # the pins were written on such a machine, which needs all of them
    ours = sys.version_info[:2] == (3, 11) and (sys.platform, machine()) == ("linux", "x86_64")
    different = {}
    for name, requirement in CONSTRAINTS.items():
        (pin,) = requirement.specifier
        try:
            installed = version(name).split("+")[0]
        except PackageNotFoundError:
            if ours:
                different[name] = (pin.version, None)
            continue  # elsewhere it may be of no use; test_pip_check_is_clean sees what is
        if installed != pin.version:
            different[name] = (pin.version, installed)
    assert not different, "run: make constraints"


def test_torch_comes_plain_and_the_book_stays_below_2():
    assert str(CONSTRAINTS["torch"]) == "torch==2.13.0"
    assert "<2" in str(next(r for r in REQUIRED if r.name == "jupyter-book").specifier)


def test_conda_environment_installs_the_project_with_the_same_constraints():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert "python >=3.11" in plain  # the library takes 3.10, Snakemake does not
    assert "pip" in plain
    assert "--constraint constraints.txt" in pip
    assert "--editable .[book,test]" in pip


def test_pip_check_is_clean():
    run = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_the_library_needs_neither_jupyter_nor_the_workflow():
    code = (
        "import sys, sftkd_core.book, sftkd_core.__main__\n"
        "print([m for m in ('IPython', 'ipywidgets', 'papermill', 'snakemake', 'sphinx', 'pytest')"
        " if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run


LIGHT = """
import sys, time, torch
start = time.process_time()
import sftkd_core.distillation, sftkd_core.models, sftkd_core.sft
spent = time.process_time() - start
print([m for m in ("matplotlib", "nibabel", "h5py", "pandas", "scipy") if m in sys.modules], spent)
"""


def test_what_distils_your_own_network_is_light():
    """Without readers, tables and plots, and in little processor time beside torch's own."""
    run = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    heavy, _, spent = run.stdout.strip().rpartition(" ")
    assert heavy == "[]", run
    assert float(spent) < 1.5


def test_the_wheel_says_that_it_has_types():
    builder = WheelBuilder(str(ROOT))
    found = {file.distribution_path: Path(file.path) for file in builder.recurse_included_files()}
    assert found["sftkd_core/py.typed"].read_bytes() == b""


def test_what_only_chapters_and_tests_need_is_not_the_library_s():
    required = {Requirement(r).name for r in PROJECT["dependencies"]}
    assert not required & {"scikit-image", "jaxtyping", "beartype", "mypy", "pyarrow", "onnx"}
    code = "import sys; sys.modules['skimage'] = None; import sftkd_core.__main__"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    described = json.loads((ROOT / "codemeta.json").read_text())
    assert citation["version"] == described["version"] == sftkd_core.__version__
    (identifier,) = citation["identifiers"]
    assert described["identifier"] == f"https://doi.org/{identifier['value']}"
    assert described["license"].endswith(f"/{citation['license']}")
    assert citation["license"] == PROJECT["license"]
    for field in ("name", "description", "keywords"):
        assert described[field] == PROJECT[field]
    needed = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert set(described["softwareRequirements"]) <= needed


def test_readme_names_the_commands_that_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for command in re.findall(r"^make ([a-z]+)", readme, re.M):
        assert command in targets
    assert {"book", "test"} <= set(re.findall(r"^make ([a-z]+)", readme, re.M))


def test_code_and_chapters_are_in_style():
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout


def test_annotations_hold():
    run = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_spelling():
    run = subprocess.run(
        [sys.executable, "-m", "codespell_lib"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


def test_workflows_take_actions_by_commit_one_for_each():
    """A tag can be moved to other code; the comment says which version the commit was."""
    texts = [path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    used = set(re.findall(r"uses: (?!docker:)(\S+)(.*)", "\n".join(texts)))
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert len({action.split("@")[0] for action, _ in used}) == len(used)
