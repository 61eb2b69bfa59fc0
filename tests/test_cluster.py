"""The profile for SLURM: what jobs ask for. ``make test-cluster`` runs a matrix on two nodes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from chapters import ROOT

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"
SNAKEFILE = (ROOT / "workflow/Snakefile").read_text()


def test_the_profile_goes_on_where_a_node_dies_and_has_the_triggers_of_make():
    profile = yaml.safe_load(PROFILE.read_text())
    assert profile["executor"] == "slurm"
    assert profile["retries"] >= 1
    assert profile["rerun-incomplete"]
    assert profile["latency-wait"] >= 30
    assert (
        f"--rerun-triggers {' '.join(profile['rerun-triggers'])}" in (ROOT / "Makefile").read_text()
    )
    assert {"slurm_account", "slurm_partition", "mem_mb", "runtime"} == set(
        profile["default-resources"]
    )


def test_what_takes_seconds_is_no_job_of_a_cluster():
    block = SNAKEFILE.partition("localrules:")[2].partition("rule site:")[0]
    for rule in ("site", "chapters", "table", "stage", "build_site"):
        assert f"    {rule},\n" in block


def test_a_failing_line_of_progress_fails_no_training():
    line = next(row for row in SNAKEFILE.splitlines() if "remaining.py" in row)
    assert "|| true" in line


def test_the_graph_is_found_from_any_folder(tmp_path, environment):
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", ROOT / "workflow/Snakefile", "--cores", "1",
         "--dry-run", "--nolock", "--config", "profile=smoke", "--", "chapters"],
        cwd=tmp_path, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("profile", "asked"), [
    ("paper", ["--gpus=1", "--mem 32000", "-t 1440", "--cpus-per-gpu=4"]),
    ("smoke", ["--mem 3000", "-t 20", "--cpus-per-task=1"]),
])  # fmt: skip
def test_a_job_asks_for_what_it_needs(profile, asked, tmp_path, environment):
    """By the words that reach ``sbatch``: one that writes them down and refuses."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra [cluster]")
    said = tmp_path / "said"
    fake = tmp_path / "bin/sbatch"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {said}\nexit 1\n')
    fake.chmod(0o755)
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    matrix = tmp_path / "rerun.yaml"
    matrix.write_text("runs: [{chapters: book/foundations/masks}]")
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", ROOT / "workflow/rerun.smk", "--nolock",
         "--profile", PROFILE.parent, "--jobs", "1", "--retries", "0",
         "--config", f"profile={profile}", f"matrix={matrix}", f"output={tmp_path / 'out'}"],
        cwd=ROOT, capture_output=True, text=True, env={**environment, "PATH": path}, timeout=300,
    )  # fmt: skip
    assert run.returncode != 0
    assert said.exists(), run.stderr[-2000:]
    words = said.read_text()
    for word in (*asked, "your-account", "-p gpu"):
        assert word in words, words
    assert ("--gpus" in words) == (profile == "paper")
    assert Path(tmp_path / "out/index.html").exists()  # says what became of it, also then
