"""Many experiments: order, sharing, what is missing, and how long it may take."""

import re
from dataclasses import replace

import pytest
from test_training import SHORT, experiment

from sftkd_core import experiments, models
from sftkd_core.book.setting import PLAN, Setting
from sftkd_core.experiments import running

TEACHER = experiment(model="D3C5")
FT = experiment(objective="distil", teacher=TEACHER, method="ft")
SFT = experiment(objective="sft", model="D3C5", student="D2C5")
CONTINUED = experiment(initial=SFT)


def keys(several):
    return [e.key for e in several]


def test_what_comes_earlier_comes_first_and_once():
    wanted = [FT, CONTINUED, experiment(), FT, replace(FT, share=0.3)]
    ordered = experiments.with_earlier(wanted)
    assert len(set(keys(ordered))) == len(ordered)
    assert set(keys(ordered)) == set(
        keys([*wanted, TEACHER, SFT, FT.paraphraser])
    )  # the two factor transfers share teacher and paraphraser
    place = {e.key: i for i, e in enumerate(ordered)}
    for e in ordered:
        assert all(place[earlier.key] < place[e.key] for earlier in e.earlier)
    assert place[TEACHER.key] < place[FT.paraphraser.key] < place[FT.key]
    assert experiments.with_earlier([]) == []


def test_the_whole_plan_has_an_order():
    setting = Setting("smoke")
    wanted = [setting.experiment(name) for name in PLAN]
    ordered = experiments.with_earlier(wanted[::-1])
    place = {e.key: i for i, e in enumerate(ordered)}
    assert set(keys(wanted)) <= set(place)
    extra = [e for e in ordered if e.key not in set(keys(wanted))]
    # four paraphrasers (one a teacher), and attention's phase of features, which two share
    assert sorted(e.objective for e in extra) == ["distil", *["paraphrase"] * 4]
    for e in ordered:
        assert all(place[earlier.key] < place[e.key] for earlier in e.earlier)


def test_each_is_trained_once_and_results_keep_the_order(monkeypatch):
    trained = []
    real = running._train
    monkeypatch.setattr(running, "_train", lambda e, *a: trained.append(e.key) or real(e, *a))
    wanted = [FT, experiment(), replace(FT, share=0.3), experiment()]
    assert keys(experiments.missing(wanted)) == keys(experiments.with_earlier(wanted))
    results = experiments.run_all(wanted, quiet=True)
    assert [r.experiment for r in results] == wanted
    assert trained == keys(experiments.with_earlier(wanted))
    assert experiments.missing(wanted) == []
    assert keys(experiments.missing([*wanted, CONTINUED])) == keys([SFT, CONTINUED])
    experiments.run_all(wanted, quiet=True)
    assert len(trained) == 5


def test_what_is_stopped_goes_on_where_it_was(monkeypatch):
    real = running._train

    def stop(e, *arguments):
        if e == FT:
            raise KeyboardInterrupt
        return real(e, *arguments)

    monkeypatch.setattr(running, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        experiments.run_all([FT], quiet=True)
    assert keys(experiments.missing([FT])) == [FT.key]


def test_progress_says_how_many_are_left_and_for_how_long(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 60))  # every training takes a minute
    monkeypatch.setattr(running.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(running, "Line", lambda label, quiet: Shown(shown))
    monkeypatch.setattr(running, "run", lambda *a, **k: None)
    monkeypatch.setattr(running, "find", lambda *a, **k: None)
    shown = []
    twice = experiment(schedule=replace(SHORT, epochs=6))
    experiments.run_all([experiment(), twice, experiment(seed=1)])
    assert shown == [
        "0 of 3 done; now D2C5",
        "1 of 3 done, about 3 min 0 s left; now D2C5",  # two and one of what took a minute
        "2 of 3 done, about 40 s left; now D2C5",
        "3 done in 3 min 0 s",
    ]
    assert capsys.readouterr().err == ""


class Shown:
    def __init__(self, texts):
        self.show = self.close = texts.append


def test_progress_in_a_log_and_none_where_nothing_is_done(capfd):
    experiments.run_all([experiment()])
    first = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"trainings: 0 of 1 done; now D2C5", first[0])
    assert re.fullmatch(r"trainings: 1 done in \d+ s", first[-1])
    experiments.run_all([experiment()])
    assert capfd.readouterr().err == ""


def test_cost_is_positive_and_grows_with_length_and_size():
    for name in PLAN:
        assert experiments.cost(Setting("smoke").experiment(name)) > 0
    one = experiments.cost(experiment())
    assert experiments.cost(experiment(schedule=replace(SHORT, epochs=6))) == pytest.approx(2 * one)
    small, student = (models.multiply_adds(models.build(n, 0), 64, 64) for n in ("D2C5", "D3C5"))
    assert experiments.cost(experiment(model="D5C5")) > experiments.cost(TEACHER) > one == 3 * small
    assert experiments.cost(SFT) == pytest.approx(
        3 * (student + 10 / 5 * small)
    )  # ten branch stages
    assert experiments.cost(replace(SFT, branches=(4,))) == pytest.approx(
        3 * (student + 1 / 5 * small)
    )
    # weights that are shared compute more than once
    assert experiments.cost(experiment(model="DC-RDN")) > 2 * experiments.cost(
        experiment(model="D5C5")
    )
