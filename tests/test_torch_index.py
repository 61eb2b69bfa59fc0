"""make takes torch's build for processors where there is no NVIDIA device, and never overrides."""

import os
import shutil
import subprocess
import sys

import pytest
from chapters import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import torch_index

CPU = ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]


@pytest.fixture
def bare(monkeypatch):
    """Linux without NVIDIA, without settings of pip, with an index that answers."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(torch_index, "has_nvidia", lambda: False)
    monkeypatch.setattr(torch_index, "set_by_user", list)
    monkeypatch.setattr(torch_index, "answers", lambda url: True)
    return monkeypatch


def test_a_processor_takes_the_processor_build(bare, capsys):
    assert torch_index.options("auto") == CPU
    assert "make TORCH=pypi" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [
    ("has_nvidia", lambda: True),
    ("set_by_user", lambda: ["index-url"]),
    ("answers", lambda url: False),
])  # fmt: skip
def test_otherwise_pip_looks_by_itself(name, value, bare):
    bare.setattr(torch_index, name, value)
    assert torch_index.options("auto") == []


def test_other_systems_have_small_builds_on_pypi(bare):
    bare.setattr(sys, "platform", "darwin")
    assert torch_index.options("auto") == []


def test_a_choice_is_a_choice(bare):
    bare.setattr(torch_index, "answers", lambda url: False)
    bare.setattr(torch_index, "has_nvidia", lambda: True)
    assert torch_index.options("pypi") == []
    assert torch_index.options("cpu") == CPU
    assert torch_index.options("cu126")[1].endswith("/whl/cu126")
    with pytest.raises(SystemExit, match='TORCH is "CUDA 12"; say auto'):
        torch_index.options("CUDA 12")


@pytest.mark.parametrize("path", ["dev/nvidia0", "dev/nvidiactl", "dev/dxg", "proc/driver/nvidia"])
def test_devices_of_nvidia_are_seen(path, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not torch_index.has_nvidia(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    assert torch_index.has_nvidia(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert torch_index.has_nvidia(tmp_path / "nothing")


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"])
def test_settings_in_variables_are_seen(variable, monkeypatch):
    unset(monkeypatch)
    assert torch_index.set_by_user() == []
    monkeypatch.setenv(variable, "https://packages.example/simple")
    assert torch_index.set_by_user() == [variable[4:].lower().replace("_", "-")]


def test_settings_in_files_are_seen(tmp_path, monkeypatch):
    unset(monkeypatch)
    (tmp_path / "pip.conf").write_text("[global]\nextra-index-url = https://packages.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert torch_index.set_by_user() == ["extra-index-url"]


def unset(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def test_an_index_that_cannot_be_reached_does_not_answer():
    assert not torch_index.answers("http://127.0.0.1:9/whl/cpu/")


PYTHON = """\
#!/usr/bin/env bash
if [[ $1 == workflow/torch_index.py ]]; then exec {python} "$@"; else echo "$@" >> {log}; fi
"""


@pytest.mark.parametrize(("word", "said"), [
    ("auto", "--disable-pip-version-check --constraint"),  # an index is named in the variables
    ("cu126", "--extra-index-url https://download.pytorch.org/whl/cu126 --constraint"),
    ("what?", None),
])  # fmt: skip
def test_make_asks_for_it(word, said, tmp_path):
    """The rule of the Makefile, in an environment whose Python writes down what it is told."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    log = tmp_path / "log"
    (tmp_path / "bin").mkdir()
    for name in ("python", "pip"):
        (tmp_path / "bin" / name).write_text(PYTHON.format(python=sys.executable, log=log))
        (tmp_path / "bin" / name).chmod(0o755)
    settings = [f"VENV={tmp_path}", f"TORCH={word}", f"PYTHON={sys.executable}"]
    run = subprocess.run(
        ["make", f"{tmp_path}/ready", *settings],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PIP_INDEX_URL": "https://packages.example/simple"},
    )  # fmt: skip
    if said is None:
        assert run.returncode != 0
        assert 'TORCH is "what?"' in run.stderr
        assert not log.exists()
    else:
        assert run.returncode == 0, run.stderr
        assert said in log.read_text().splitlines()[0]
