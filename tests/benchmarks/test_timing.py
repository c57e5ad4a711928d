"""The order of timing and what is computed from it, with clocks that tell what they are told."""

from __future__ import annotations

import math

import pytest

from benchmarks.timing import (
    LEAST_ROUNDS,
    Effort,
    crossing,
    exponent,
    geometric_mean,
    interleaved,
    ratio,
)


class Machine:
    """A clock, and calls that take as long as they are told, with a diary."""

    def __init__(self):
        self.now = 0.0
        self.diary = []

    def clock(self):
        return self.now

    def call(self, name, *seconds):
        """A call that takes the first of `seconds`, then the next, the last one from then on."""
        left = list(seconds)

        def run():
            self.diary.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def machine():
    return Machine()


def effort(machine, **changes):
    chosen = {"quick": True, "rounds": 4, "seconds": 1000, "least_seconds": 0.0} | changes
    return Effort(clock=machine.clock, **chosen)


def test_every_other_round_goes_backwards(machine):
    runs = {name: machine.call(name, 1) for name in "ABC"}
    interleaved(runs, effort(machine))
    assert "".join(machine.diary) == "AABBCC" + "ABC" + "CBA" + "ABC" + "CBA"


def test_what_happens_once_is_not_timed(machine):
    times = interleaved({"A": machine.call("A", 60, 2, 2, 2, 3, 2)}, effort(machine))
    assert times == {"A": [2, 2, 3, 2]}


def test_a_slow_second_is_slow_for_all(machine):
    """Neighbours double every time in half of the rounds: the ratio does not see them."""
    once = (1, 1)
    slow = machine.call("slow", *once, 6, 12, 6, 12)
    fast = machine.call("fast", *once, 2, 4, 2, 4)
    times = interleaved({"slow": slow, "fast": fast}, effort(machine))
    assert times == {"slow": [6, 12, 6, 12], "fast": [2, 4, 2, 4]}
    found = ratio(times["slow"], times["fast"])
    assert (found.median, found.minima, found.rounds) == (3, 3, 4)
    assert found.spread == pytest.approx(0)


def test_short_calls_are_repeated_until_the_clock_can_tell(machine):
    times = interleaved(
        {"short": machine.call("s", 0.25), "long": machine.call("l", 2)},
        effort(machine, rounds=1, least_seconds=1),
    )
    assert "".join(machine.diary) == "ssll" + "ssss" + "l"
    assert times == {"short": [0.25], "long": [2]}


def test_no_round_begins_after_the_time_is_up(machine):
    times = interleaved({"A": machine.call("A", 10)}, effort(machine, rounds=99, seconds=45))
    assert len(times["A"]) == 5


def test_slow_calls_get_rounds_enough_to_know_their_spread(machine):
    times = interleaved({"A": machine.call("A", 10)}, effort(machine, rounds=99, seconds=1))
    assert len(times["A"]) == LEAST_ROUNDS
    assert ratio(times["A"], [1.0] * LEAST_ROUNDS).spread is not None


def test_ratios_are_of_medians_and_of_minima():
    found = ratio([10, 20, 90], [5, 4, 6])
    assert (found.median, found.minima) == (4, 2.5)


def test_spread_is_between_the_quartiles_of_the_rounds_own_ratios():
    found = ratio([1, 2, 4, 8, 1000], [1.0] * 5)
    assert found.spread == pytest.approx(math.log(4))  # 8 is the upper quartile, 2 the lower


def test_two_rounds_have_no_spread():
    assert ratio([1, 2], [1, 1]).spread is None


def test_a_round_belongs_to_both():
    with pytest.raises(ValueError, match="zip"):
        ratio([1, 2], [1])


def test_the_geometric_mean_of_inverses_is_the_inverse():
    ratios = [2.0, 8.0, 32.0]
    assert geometric_mean(ratios) == pytest.approx(8)
    assert geometric_mean([1 / r for r in ratios]) == pytest.approx(1 / 8)


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_exponent_of_a_power_law_is_its_power(power):
    sizes = [196, 784, 3136, 7056]
    assert exponent(sizes, [3e-5 * n**power for n in sizes]) == pytest.approx(power)


def test_a_quadratic_part_shows_in_the_exponent():
    sizes = [196, 784, 3136, 7056]
    assert 1.2 < exponent(sizes, [n + n * n / 1000 for n in sizes]) < 2


def test_two_power_laws_cross_where_algebra_says():
    sizes = [1, 10, 100, 1000]
    linear, quadratic = [30 * n for n in sizes], [n * n for n in sizes]
    assert crossing(sizes, linear, quadratic) == pytest.approx(30)
    assert crossing(sizes, quadratic, linear) is None
    assert crossing(sizes[2:], linear[2:], quadratic[2:]) == 100  # cheaper from the start
