"""Files are whole or not there: a full disk, damage, two processes, a kill between two writes."""

import subprocess
import sys
import time

import pytest

from sftkd_core import system


def test_home_follows_the_environment(home, monkeypatch):
    assert system.home() == home
    monkeypatch.delenv("SFTKD_HOME")
    assert system.home().parts[-2:] == (".cache", "sftkd_core")


def test_writing_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "file.bin"
    system.write_bytes(path, b"one")
    system.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_full_disk_is_named_and_leaves_no_half_file(tmp_path):
    code = """
import resource, sys
from sftkd_core import system
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    system.write_bytes(sys.argv[1], bytes(1_000_000))
except system.StorageError as error:
    print(error)
"""
    path = tmp_path / "big.bin"
    path.write_bytes(b"what was there")
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert "no room" in run.stdout, run
    assert "1.0 MB" in run.stdout
    assert "SFTKD_HOME" in run.stdout
    assert path.read_bytes() == b"what was there"
    assert [p.name for p in tmp_path.iterdir()] == ["big.bin"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(system.StorageError, match=r"cannot write .*file"):
        system.write_bytes(tmp_path / "file" / "below", b"x")


def test_set_aside_keeps_what_it_moves_and_warns(tmp_path):
    for number in (1, 2):
        (tmp_path / "entry").mkdir()
        (tmp_path / "entry" / "x").write_text(str(number))
        with pytest.warns(UserWarning, match=f"damaged-{number}.*broken"):
            system.set_aside(tmp_path / "entry", "broken")
    assert (tmp_path / "entry.damaged-2" / "x").read_text() == "2"


def test_a_lock_is_held_by_one_process_and_freed_by_its_death(tmp_path):
    code = """
import sys, time
from sftkd_core import system
with system.lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "thing"
    holder = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    waiter = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    try:
        time.sleep(1.0)
        assert waiter.poll() is None
        holder.kill()
        assert waiter.stdout.readline() == b"held\n"
    finally:
        for process in (holder, waiter):
            process.kill()
            process.communicate()
