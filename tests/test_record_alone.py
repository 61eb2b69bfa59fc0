"""Of some networks the book ships a record and a table of metrics, and no weights."""

import json
import shutil
import sys

import pytest
from chapters import ROOT
from trained import home_with

from sftkd_core import experiments
from sftkd_core.book import Setting, comparisons
from sftkd_core.experiments import published, store

sys.path.insert(0, str(ROOT / "workflow"))

import ship
import study
import wheel_index

SMALL = Setting("smoke", device="cpu")
PAIR = "teacher", "student"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with two networks, their tables, and what these say."""
    folder = home_with(tmp_path_factory, *PAIR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFTKD_HOME", str(folder))
        patch.setenv("SFTKD_SHIPPED", "no")
        tables = {name: SMALL.evaluate(name) for name in PAIR}
    return folder, tables


@pytest.fixture
def shipped(made, tmp_path, home, monkeypatch):
    """A folder of results in which the teacher is a record alone; your own store is empty."""
    results = tmp_path / "results"
    shutil.copytree(made[0] / "store", results)
    shutil.copytree(made[0] / store.EVALUATIONS, results / store.EVALUATIONS)
    monkeypatch.setattr(store, "PACKAGE", tmp_path / "sftkd_core")
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    monkeypatch.setattr(ship, "reconstructs", lambda experiment: experiment.model != "D5C5")
    monkeypatch.setattr(ship, "setting_of", lambda experiment: SMALL)
    for place in sorted(record.parent for record in results.glob("*/result.json")):
        said = ship.strip(place)
        assert said == ("record alone" if place.name.startswith("D5C5") else "")
    return results


def test_it_is_compared_and_nothing_is_trained(shipped, made, monkeypatch, recwarn):
    monkeypatch.setattr(experiments, "run", None)
    assert SMALL.has("teacher")
    assert SMALL.evaluate("teacher").equals(made[1]["teacher"])
    found = comparisons.over_seeds(SMALL, *PAIR, seeds=[0])
    expected = made[1]["teacher"]["psnr"] - made[1]["student"]["psnr"]
    assert found.mean == pytest.approx(expected.mean())
    assert not [w for w in recwarn.list if "damaged" in str(w.message)]


def test_it_has_a_history_and_no_network(shipped):
    teacher = SMALL.experiment("teacher")
    assert experiments.history(teacher)["epoch"].tolist() == [
        *range(1, 1 + teacher.schedule.epochs)
    ]
    assert experiments.find(teacher) is None
    assert not experiments.exists(teacher)
    assert experiments.history(SMALL.experiment("kd")) is None


def test_it_is_trained_where_its_images_are_wanted(shipped, made, home):
    images = SMALL.reconstruct("teacher")
    assert images.shape == SMALL.test_set.images.shape
    assert store.is_there(SMALL.experiment("teacher").name)
    again = SMALL.evaluate("teacher")["psnr"]  # from here on its own
    assert again.tolist() == pytest.approx(made[1]["teacher"]["psnr"].tolist(), abs=1e-3)


def test_without_its_table_it_is_not_there(shipped, made):
    given, words = SMALL.deciding("teacher", SMALL.sampling)
    (shipped / store.EVALUATIONS / store.table_name(given, words)).unlink()
    assert not SMALL.has("teacher")
    assert comparisons.over_seeds(SMALL, *PAIR, seeds=[0]) is None
    table = SMALL.evaluate("teacher")  # asked for by name, it is trained
    assert store.is_there(SMALL.experiment("teacher").name)
    assert table["psnr"].tolist() == pytest.approx(made[1]["teacher"]["psnr"].tolist(), abs=1e-3)


def test_one_of_other_code_is_not_there(shipped):
    record = shipped / SMALL.experiment("teacher").name / "result.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"code": "of another day"}))
    assert not SMALL.has("teacher")
    assert experiments.history(SMALL.experiment("teacher")) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"network": 1}'])
def test_a_damaged_record_is_none(text, shipped):
    (shipped / SMALL.experiment("teacher").name / "result.json").write_bytes(text)
    with pytest.warns(UserWarning, match="is damaged"):
        assert experiments.history(SMALL.experiment("teacher")) is None


def test_a_wheel_brings_the_record(shipped, tmp_path, monkeypatch):
    (tmp_path / "index.json").write_text(json.dumps(wheel_index.index_of(shipped)))
    monkeypatch.setattr(published, "INDEX", tmp_path / "index.json")
    published.index.cache_clear()
    asked = []

    def read(source, file):
        asked.append(file)
        return (tmp_path / "elsewhere" / file).read_bytes()

    monkeypatch.setattr(published, "_read", read)
    monkeypatch.setenv("SFTKD_RESULTS_URL", "https://example.org")
    shipped.rename(tmp_path / "elsewhere")
    assert SMALL.has("teacher")
    name = SMALL.experiment("teacher").name
    assert asked[0] == f"{name}/result.json"
    assert asked[1].startswith(f"{store.EVALUATIONS}/")
    assert len(asked) == 2
    published.index.cache_clear()


def test_a_network_without_its_table_keeps_its_weights(shipped, monkeypatch):
    monkeypatch.setattr(ship, "reconstructs", lambda experiment: False)
    shutil.rmtree(shipped / store.EVALUATIONS)
    place = shipped / SMALL.experiment("student").name
    assert ship.strip(place).startswith("has no table")
    assert (place / "weights.safetensors").exists()


def test_what_pages_take_is_whole():
    """Seed 0 of everything, and students of every seed; what was searched for is a record."""
    of = {seed: Setting("study", "cardiac", seed=seed) for seed in (0, 3, study.TUNING)}
    assert all(ship.reconstructs(of[0].experiment(n)) for n in ("sft-teacher", "student", "kd"))
    assert all(ship.reconstructs(of[3].experiment(n)) for n in ("teacher", "student", "sft-kd"))
    assert not ship.reconstructs(of[3].experiment("sft-teacher"))
    assert not ship.reconstructs(of[study.TUNING].experiment("kd"))
    assert ship.reconstructs(Setting("quick", seed=3).experiment("sft-teacher"))
    assert not ship.reconstructs(Setting("quick", seed=3).experiment("sft-teacher-released"))


def test_what_is_known_is_not_trained_for_the_study(shipped, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(study, "wanted", lambda stage: [SMALL.experiment(n) for n in (*PAIR, "kd")])
    monkeypatch.setattr(
        study, "run", lambda todo, workers, by_rounding=False: asked.extend(e.name for e in todo)
    )
    monkeypatch.setattr(sys, "argv", ["study.py", "spine"])
    study.main()
    assert "1 of 3 are missing" in capsys.readouterr().out
    kd, teacher = SMALL.experiment("kd"), SMALL.experiment("teacher")
    assert asked == [teacher.name, kd.name]  # the teacher is built on
