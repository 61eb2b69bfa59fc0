"""``benchmarks/browser.py``: what it asks of a runtime, and a whole run where one lies here."""

import base64
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from chapters import ROOT

from sftkd_core import masks
from sftkd_core.consistency import measure

sys.path.insert(0, str(ROOT / "benchmarks"))

import browser  # isort: skip


def test_inputs_reach_the_page_bit_for_bit():
    given = measure(torch.rand(2, 1, 16, 16), masks.cartesian_mask(16, 4, centre_lines=4))
    for name, sent in browser.sent(given).items():
        back = np.frombuffer(base64.b64decode(sent["data"]), np.float32).reshape(sent["shape"])
        assert np.array_equal(back, getattr(given, name).float().numpy())


def test_a_folder_that_is_no_runtime_is_named(tmp_path):
    with pytest.raises(SystemExit, match="is it onnxruntime-web"):
        browser.runtime(tmp_path, tmp_path)


def test_without_npm_it_says_what_to_pass(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="no npm; unpack the package onnxruntime-web"):
        browser.runtime(None, tmp_path)


def test_a_browser_gives_the_image_that_pytorch_gives(tmp_path):
    folder = os.environ.get("SFTKD_ORT_WEB", "")
    if not folder:
        pytest.skip("SFTKD_ORT_WEB names no folder with the npm package onnxruntime-web")
    output = tmp_path / "browser.json"
    command = [
        sys.executable, ROOT / "benchmarks" / "browser.py", "--runtime", folder, "--output", output,
        "--profile", "smoke", "--seconds", "0",
    ]  # fmt: skip
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = json.loads(output.read_text())["rows"]
    assert [row["network"] for row in rows] == ["student", "teacher"]
