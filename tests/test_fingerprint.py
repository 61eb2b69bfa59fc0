"""Seals: tidying leaves every shipped result fresh, a change of what is learnt makes it stale."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from test_training import experiment

from sftkd_core import consistency, distillation, experiments, masks, models, sft, system
from sftkd_core.data import Dataset
from sftkd_core.data.phantoms import brain
from sftkd_core.distillation import (
    CONSISTENT,
    METHODS,
    attention,
    correlation,
    factors,
    flow,
    hints,
    images,
    probabilities,
    products,
    selectivity,
    similarity,
    teacher,
)
from sftkd_core.distillation.attention import released_distance
from sftkd_core.experiments import Experiment, fingerprint, objectives
from sftkd_core.system import write_bytes

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(sys.modules["sftkd_core"].__file__).parent
TEACHER = experiment(model="D3C5")
AT = experiment(objective="distil", teacher=TEACHER, method="at")

sys.path.insert(0, str(ROOT / "workflow"))

import reseal  # noqa: E402
import reseal_tables  # noqa: E402


def file_of(thing) -> Path:
    return Path(sys.modules[thing.__module__].__file__)


@pytest.fixture
def edit(monkeypatch):
    """Change the text of the module of a definition, as if the library had been imported so."""

    def change(thing, old: str, new: str) -> None:
        path = file_of(thing)
        source = fingerprint._IMPORTED[path]
        assert old in source, f"{path.name} does not hold {old!r}"
        monkeypatch.setitem(fingerprint._IMPORTED, path, source.replace(old, new))
        fingerprint.forget()

    yield change
    monkeypatch.undo()
    fingerprint.forget()


# Shipped results under the changes that people make.


def shipped() -> dict[str, dict]:
    paths = sorted((ROOT / "results").glob("*/result.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def everything(described: dict) -> list[dict]:
    """An experiment as its record has it, and all that it builds on."""
    earlier = [described[role] for role in ("teacher", "initial") if described[role]]
    return [described, *(one for e in earlier for one in everything(e))]


def distils(described: dict) -> bool:
    return any(one["objective"] == "distil" for one in everything(described))


def starts(described: dict) -> bool:
    return any(one["initial"] for one in everything(described))


def reformatted(package: Path) -> None:
    command = [sys.executable, "-m", "ruff", "format", "--quiet", "--line-length", "88", package]
    subprocess.run(command, check=True)


def replaced(thing, old: str, new: str) -> Callable[[Path], None]:
    inside = file_of(thing).relative_to(PACKAGE)

    def change(package: Path) -> None:
        source = (package / inside).read_text()
        assert old in source, f"{inside} does not hold {old!r}"
        (package / inside).write_text(source.replace(old, new))

    return change


def renamed(package: Path) -> None:
    """A module of losses under another name, with all that import it."""
    (package / "distillation" / "products.py").rename(package / "distillation" / "inner.py")
    for path in package.rglob("*.py"):
        text = path.read_text()
        path.write_text(text.replace("distillation.products import", "distillation.inner import"))


TIDY = {
    "reformatted to 88 columns": reformatted,
    "another word in an error": replaced(
        masks.cartesian_mask, "is empty; ask for", "is empty; demand"
    ),
    "another annotation": replaced(experiments.fit, "-> list[dict]:", "-> list:"),
    "a module renamed": renamed,
    "another docstring": replaced(sft.loss, '"""Equations (3)-(5)', '"""The equations (3)-(5)'),
}
ALTERED = {
    "the KD weight doubled": (
        replaced(objectives.learn, "method, weight, norm=norm", "method, 2 * weight, norm=norm"),
        distils,
    ),
    "SFT weights never loaded": (
        replaced(
            objectives.start, "target.load_state_dict(source.state_dict())", "target.state_dict()"
        ),
        starts,
    ),
    "seeds share their subjects": (
        replaced(Dataset, "1000 * self.seed + k", "k"),
        lambda described: True,
    ),
}


def stale_after(change, tmp_path: Path) -> set[str]:
    """The shipped results that a changed copy of the library calls stale."""
    package = tmp_path / "sftkd_core"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    change(package)
    records = shipped()
    described = {name: record["provenance"]["experiment"] for name, record in records.items()}
    now = reseal.seals(tmp_path, described)
    return {name for name, record in records.items() if record["code"] != now[name]}


@pytest.mark.parametrize("change", TIDY)
def test_tidying_leaves_all_results_fresh(change, tmp_path):
    assert stale_after(TIDY[change], tmp_path) == set()


@pytest.mark.parametrize("change", ALTERED)
def test_another_training_makes_the_right_results_stale(change, tmp_path):
    altered, touches = ALTERED[change]
    described = {name: r["provenance"]["experiment"] for name, r in shipped().items()}
    right = {name for name, one in described.items() if touches(one)}
    assert right
    assert stale_after(altered, tmp_path) == right


# What a seal rests on, definition by definition.

EVERY = set(METHODS)
RESTS_ON = [  # a definition, a line of it, another one, and the methods whose results it decides
    (attention.attention_distance, "dim=1).mean()", "dim=1).sum()", {"at"}),
    (hints.hint_distance, ".mean() / 2", ".mean() / 3", {"fitnets"}),
    (similarity.similarity_distance, "len(difference) ** 2", "len(difference)", {"sp"}),
    (flow.flow_matrix, "/ pixels", "* pixels", {"fsp"}),
    (correlation.rbf_correlation, "exp(-2 * GAMMA)", "exp(-3 * GAMMA)", {"cc"}),
    (correlation.cosines, "GAMMA, ORDER = 0.4, 2", "GAMMA, ORDER = 0.4, 2  # so", set()),
    (probabilities.divergence, "teacher.log()", "teacher.log2()", {"pkt"}),
    (factors.translator, "(student_channels, factor", "(student_channels + 1, factor", {"ft"}),
    (selectivity.maximum_mean_discrepancy, "- 2 *", "- 3 *", {"nst"}),
    (images.image_distance, ".abs().mean()", ".abs().sum()", {"output", "stages"}),
    (CONSISTENT["output"], "[(images[-1],)]", "[(images[-2],)]", {"output"}),
    (CONSISTENT["consistent images"], "in images]", "in images[1:]]", {"stages"}),
    (products.slice_products, "_pixels(rows)", "_pixels(columns)", {"sp", "cc", "pkt"}),
    (teacher.Memory, "recall: Callable", "recall: object", set()),
    (consistency.measure, "noise", "noise_", EVERY),
    (models.CascadeStage, "kernel_size=3", "kernel_size=5", EVERY),
    (brain.brain_phantom, "0.05 * smooth", "0.06 * smooth", EVERY),
    (sft.loss, "released:", "released_:", set()),
    (system.autocast, "dtype=torch.bfloat16", "dtype=torch.float16", EVERY),
    (write_bytes, "os.replace(part, path)", "os.rename(part, path)", set()),
]


@pytest.mark.parametrize(("thing", "old", "new", "methods"), RESTS_ON, ids=range(len(RESTS_ON)))
def test_a_result_rests_on_the_definitions_of_its_own_method(thing, old, new, methods, edit):
    before = {name: replace(AT, method=name).code for name in METHODS}
    edit(thing, old, new)
    after = {name: replace(AT, method=name).code for name in METHODS}
    assert {name for name in METHODS if before[name] != after[name]} == methods


@pytest.mark.parametrize("change", [
    {"share": 0.2}, {"mean": True}, {"taps": "images"}, {"distance": released_distance},
    {"spatial": False},
])  # fmt: skip
def test_a_result_rests_on_the_row_of_its_method(change, monkeypatch):
    before, other = AT.code, replace(AT, method="sp").code
    row = METHODS["at"]["cited"]
    monkeypatch.setitem(METHODS["at"], "cited", replace(row, why="In other words."))
    assert AT.code == before
    monkeypatch.setitem(METHODS["at"], "cited", replace(row, **change))
    assert AT.code != before
    assert replace(AT, method="sp").code == other
    assert replace(AT, variant="released").code != before


def test_what_an_experiment_builds_on_is_in_its_seal(edit):
    friendly = experiment(objective="sft", model="D3C5", student="D2C5")
    wanted = replace(AT, teacher=friendly), experiment(initial=AT), AT
    before = [e.code for e in wanted]
    edit(sft.loss, "imitation_term / target", "imitation_term * target")
    assert [a == e.code for a, e in zip(before, wanted, strict=True)] == [False, True, True]
    edit(attention.attention_distance, "dim=1).mean()", "dim=1).sum()")
    assert [a == e.code for a, e in zip(before, wanted, strict=True)] == [False, False, False]


def test_what_is_edited_after_the_import_does_not_count(monkeypatch):
    before = experiment().code
    fingerprint.forget()
    read_text = Path.read_text
    edited = lambda path, **words: read_text(path, **words) + "\nADDED = 1\n"  # noqa: E731
    monkeypatch.setattr(Path, "read_text", edited)
    assert experiment().code == before


@pytest.mark.parametrize("name", models.NAMES)
def test_a_network_rests_on_every_class_of_its_modules(name):
    assert {type(part) for part in models.build(name, 0).modules()} == set(models.definitions(name))


def test_every_objective_and_method_has_roots_that_can_be_read():
    for row in experiments.OBJECTIVES.values():
        assert all(map(fingerprint._node_of, (row.network, row.task)))
    for rows in METHODS.values():
        for row in rows.values():
            roots = (row.summary, row.distance, row.student_part, row.teacher_part)
            own = [root for root in roots if fingerprint._is_own(root)]
            assert own
            assert all(map(fingerprint._node_of, own))
    assert all(map(fingerprint._node_of, (distillation.TAPS | CONSISTENT).values()))


STRANGE = '''
LEVEL = 3

def f(a, *b: int, c="d", **e) -> str:
    """What."""
    (x, y), z = b, None
    return f"{a!r:>{x}} {', '.join(c)}" + 'it is' + "it's" + f'{{}}' if not e else 1e3 * LEVEL
'''


def test_a_seal_is_the_same_in_every_python(monkeypatch, tmp_path):
    """What versions of ``ast`` write differently, and the hash that all must find."""
    path = tmp_path / "strange.py"
    path.write_text(STRANGE)
    monkeypatch.syspath_prepend(tmp_path)
    import strange

    monkeypatch.setitem(fingerprint._IMPORTED, path, STRANGE)
    monkeypatch.setattr(fingerprint, "_is_own", lambda thing: thing is strange.f)
    digest = fingerprint.shape_of(strange.f)
    assert digest == "d89d42eba67e24a7"
    monkeypatch.setattr(strange, "LEVEL", 4)
    assert fingerprint.shape_of.__wrapped__(strange.f) != digest


def test_a_method_named_otherwise_computes_the_same(edit):
    before = AT.code
    edit(attention.activity, '(features: Float[Tensor, "b c h w"]) -> ', "(features: Tensor) -> ")
    assert AT.code == before


# The tool that seals again.


def test_a_stale_entry_is_not_sealed_again(tmp_path):
    for name, code in (("fresh", "old"), ("stale", "older"), ("done", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps({"code": code, "kept": 1}))
    names = ("fresh", "stale", "done")
    refused = reseal.reseal(tmp_path, dict.fromkeys(names, "old"), dict.fromkeys(names, "new"))
    assert refused == ["stale"]
    sealed = [json.loads((tmp_path / name / "result.json").read_text()) for name in names]
    assert sealed == [{"code": code, "kept": 1} for code in ("new", "older", "new")]
    assert sorted(path.name for path in (tmp_path / "fresh").iterdir()) == ["result.json"]


def test_an_experiment_is_what_its_record_describes():
    described = json.loads(json.dumps(asdict(AT)))
    assert Experiment.from_record(described) == AT


def test_tables_get_todays_names_once_and_no_other_is_touched(tmp_path):
    for name in ("shared", "first", "kept"):
        (tmp_path / f"{name}.csv").write_text(name)
    before = {"a": ["shared.csv", "first.csv"], "b": ["shared.csv", "gone.csv"], "c": ["kept.csv"]}
    now = {"a": ["SHARED.csv", "1.csv"], "b": ["SHARED.csv", "2.csv"], "c": ["kept.csv"], "d": []}
    assert reseal_tables.move(before, now, tmp_path) == 2
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "SHARED.csv": "shared", "1.csv": "first", "kept.csv": "kept",
    }  # fmt: skip


def test_tables_of_this_very_code_have_todays_names(monkeypatch):
    """The names that ``reseal_tables`` asks another tree for are those that are shipped."""
    monkeypatch.setenv("SFTKD_SHIPPED", "yes")
    found = reseal.told(ROOT, reseal_tables.NAMES, None)
    shipped = {path.name for path in reseal_tables.evaluations.SHIPPED.glob("*.csv")}
    assert {name for names in found.values() for name in names} == shipped
