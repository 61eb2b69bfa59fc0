"""Ways timed in turns, and the plain recipe that the library's speed is measured against."""

import json
import time

import pytest
import torch

from sftkd_core import distillation, models, sft
from sftkd_core.book import plain, timing
from sftkd_core.distillation import remember
from sftkd_core.experiments import objectives
from sftkd_core.models import cost
from sftkd_core.system import InputError

CPU = torch.device("cpu")


def gradients(loss, network):
    loss.backward()
    found = [p.grad for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    return found


def assert_same(losses, network):
    torch.testing.assert_close(*(loss.detach() for loss in losses), rtol=1e-5, atol=1e-6)
    first, second = (gradients(loss, network) for loss in losses)
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_the_plain_recipe_computes_what_the_library_does():
    measurement, images = plain.example(24, 3, CPU)
    given = plain.arguments(measurement, images)
    train, indices = objectives.Examples(measurement, images), torch.arange(3)
    joint = sft.StudentFriendlyTeacher(models.build("D5C5", 0), models.build("D3C5", 0))
    ours = objectives.student_friendly(train)(joint, indices)
    assert_same([ours, plain.sft_loss(joint.teacher, joint.student, *given)], joint)

    method, teacher = distillation.method("at"), models.build("D5C5", 1).requires_grad_(False)
    student = distillation.Distiller(models.build("D3C5", 0))
    memory = remember(teacher, measurement, method)
    ours = objectives.distillation(train, memory, method, plain.KD_WEIGHT)(student, indices)
    assert_same([ours, plain.kd_loss(student.student, teacher, *given)], student)


def test_ways_take_turns_and_the_first_round_does_not_count():
    calls = []

    def way(name, seconds):
        return lambda: calls.append(name) or (100.0 if calls.count(name) == 1 else seconds)

    times = timing.in_turns({"a": way("a", 2.0), "b": way("b", 1.0)}, 0, least=4)
    assert times.to_dict("list") == {"a": [2.0] * 4, "b": [1.0] * 4}
    assert calls[:6] == ["a", "b", "b", "a", "a", "b"]
    (row,) = timing.faster(times, "a").itertuples()
    assert (row.Index, row.times, row.low, row.high) == ("b", 2, 2, 2)
    with pytest.raises(InputError, match="no ways are given"):
        timing.in_turns({}, 1)


def test_a_ratio_is_taken_within_a_round():
    """A round in which everything takes ten times as long says what the others say."""
    seconds = iter([1, 1, 2, 1, 20, 10, 2, 1])  # a, b | a, b, in whatever order they are asked
    pairs = [dict(zip("ab", (next(seconds), next(seconds)), strict=True)) for _ in range(4)]
    rounds = {"a": [p["a"] for p in pairs], "b": [p["b"] for p in pairs]}
    ways = {name: map(float, row).__next__ for name, row in rounds.items()}
    found = timing.faster(timing.in_turns(ways, 0), "a").loc["b"]
    assert (found["low"], found["times"], found["high"]) == (2, 2, 2)


@pytest.mark.parametrize(("low", "high", "expected"), [
    (1.1, 1.3, "faster"), (0.7, 0.9, "slower"), (0.9, 1.2, "no difference to be seen"),
])  # fmt: skip
def test_what_quartiles_allow_to_say(low, high, expected):
    assert timing.says(low, high) == expected


def test_the_recipe_answers_from_a_process_of_its_own():
    with timing.recipe(16, 1, CPU) as ways:
        assert set(ways) == {"SFT", "KD"}
        assert all(0 < way() < 60 for way in ways.values())


def test_operations_are_those_of_both_passes():
    layer, x = torch.nn.Conv2d(2, 3, 3, padding=1), torch.rand(1, 2, 8, 8, requires_grad=True)
    forward = 2 * 9 * 2 * 3 * 64
    assert cost.operations(lambda: layer(x)) == forward
    assert cost.operations(lambda: layer(x).sum().backward()) == 3 * forward


def test_processor_time_does_not_count_what_others_do():
    assert cost.clocked(lambda: time.sleep(0.2), CPU) < 0.1
    assert cost.convolution_peak(CPU, torch.float32, 0.01) > 1e6


def test_the_table_of_a_gpu_is_read_where_there_is_one(tmp_path):
    path = tmp_path / "gpu.json"
    assert timing.on_a_gpu(path) is None
    row = {"what": "a step", "value": 1.5, "unit": "ms", "says": "the first"}
    path.write_text(json.dumps({"device": "a GPU", "torch": "2.13.0", "rows": [row]}))
    device, table = timing.on_a_gpu(path)
    assert device == "a GPU, torch 2.13.0"
    assert table.to_dict("records") == [row]


def test_the_table_of_a_browser_is_read_where_there_is_one(tmp_path):
    path = tmp_path / "browser.json"
    assert timing.in_a_browser(path) is None
    record = {"device": "a browser", "runtime": "3 MB", "rows": [{"network": "student"}]}
    path.write_text(json.dumps(record))
    where, table = timing.in_a_browser(path)
    assert where == "a browser; the runtime is 3 MB"
    assert table.to_dict("records") == record["rows"]
