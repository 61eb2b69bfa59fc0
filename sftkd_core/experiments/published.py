"""Results of the edition that the library belongs to, brought one by one when asked for.

A wheel holds no networks. It holds ``shipped/index.json``: the SHA-256 of each file of
``results/``, and the address where the edition is published. What was brought lies in
``published/`` of your home.
"""

import hashlib
import json
import os
import urllib.request
import warnings
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlparse

from sftkd_core import system

INDEX = Path(__file__).parents[1] / "shipped" / "index.json"
SECONDS = 30  # that the server has for an answer
LIMIT = 2**28  # bytes of one file: a quarter of a gibibyte
_UNREACHED: set[str] = set()  # addresses that did not answer: asked once a process
ENTRY = ("weights.safetensors", "result.json")  # the record last: it says that the entry is whole


def place() -> Path:
    """The folder of your home that keeps what was brought."""
    return system.home() / "published"


def bring_entry(name: str) -> None:
    """Have an entry in ``place()``, if this edition has one of that name and it can be read.

    What cannot be brought is told as a warning, once, and stays away.
    """
    if all(f"{name}/{file}" in index()["files"] for file in ENTRY):
        all(bring(f"{name}/{file}") for file in ENTRY)


def bring_record(name: str) -> None:
    """Have the record of an entry whose weights are not published."""
    if f"{name}/{ENTRY[0]}" not in index()["files"]:
        bring(f"{name}/{ENTRY[1]}")


def bring(file: str) -> bool:
    """Have a file in ``place()``, such as ``evaluations/0a1b.csv``; whether it is, and whole."""
    wanted = index()["files"].get(file)
    if wanted is None:
        return False
    target = place() / file
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == wanted:
        return True
    source = address()
    if not source:
        _tell("no address of this edition's results is known; set SFTKD_RESULTS_URL")
        return False
    payload = _read(source, file)
    if payload is None:
        return False
    if hashlib.sha256(payload).hexdigest() != wanted:
        _tell(f"{source}/{file} is not the file of this edition: its checksum differs")
        return False
    with system.lock(target):
        system.write_bytes(target, payload)
    return True


@lru_cache(maxsize=1)
def index() -> dict:
    """``files`` with their checksums, and the ``address``; both empty in a clone."""
    try:
        return json.loads(INDEX.read_bytes())
    except FileNotFoundError:
        return {"address": "", "files": {}}


def address() -> str:
    """Where the edition is published: SFTKD_RESULTS_URL, or what the wheel was built with.

    Raises ``InputError`` where that is no address of the web.
    """
    known = (os.environ.get("SFTKD_RESULTS_URL") or index()["address"]).rstrip("/")
    if known and urlparse(known).scheme not in ("http", "https"):
        raise system.InputError(
            f"SFTKD_RESULTS_URL is {known!r}; it has to begin with https:// or http://"
        )
    return known


def _read(source: str, file: str) -> bytes | None:
    if source in _UNREACHED:
        return None
    try:
        with urllib.request.urlopen(f"{source}/{quote(file)}", timeout=SECONDS) as answer:
            payload = answer.read(LIMIT + 1)
    except HTTPError as error:
        _tell(f"{source}/{file} cannot be had ({error.code} {error.reason})")
        return None
    except (OSError, HTTPException, ValueError) as error:
        _UNREACHED.add(source)
        reason = getattr(error, "reason", error)
        _tell(f"{source} cannot be reached ({reason}): is there a network?")
        return None
    if len(payload) > LIMIT:
        _tell(f"{source}/{file} has more than {LIMIT >> 20} MiB, which no result has")
        return None
    return payload


@lru_cache(maxsize=64)
def _tell(sentence: str) -> None:
    warnings.warn(f"{sentence}. What is missing is trained or computed here instead.")
