"""The Boltzmann machine: energies as they are written, enumeration, and Gibbs sampling."""

import itertools
import json

import numpy as np
import pytest
from conftest import fails

import boltzmann
import energies

PROG = "Baselines/main.py boltzmann"
RNG = np.random.default_rng(0)


def random_energy(n):
    weights = np.triu(RNG.normal(size=(n, n)), 1)
    return energies.Energy(RNG.normal(size=n), weights + weights.T, 0.5)


def lecture(x):
    """The five-node example, term by term."""
    x1, x2, x3, x4, x5 = x
    return -x1 - x2 + 2 * x3 - x1 * x2 - x2 * x3 - x3 * x4 - x4 * x5


def told(folder):
    return json.loads((folder / "boltzmann.json").read_text())


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Where the machine of the lecture is written."""
    folder = tmp_path_factory.mktemp("boltzmann")
    boltzmann.main(PROG, [f"--output_dir={folder}", "--probability=11000", "--steps=500"])
    return folder / "machine"


def test_the_energy_has_the_signs_of_the_lecture():
    energy = energies.parse(boltzmann.LECTURE)
    np.testing.assert_array_equal(energy.biases, [1, 1, -2, 0, 0])
    expected = np.zeros((5, 5))
    for i in range(4):
        expected[i, i + 1] = expected[i + 1, i] = -1
    np.testing.assert_array_equal(energy.weights, expected)
    for x in itertools.product([0, 1], repeat=5):
        assert energy.of(np.array(x, float)) == lecture(x)


def test_an_energy_is_read_as_it_is_written():
    energy = random_energy(6)
    again = energies.parse(str(energy))
    for one, other in zip(again, energy, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert str(energies.parse("X3*x1 + 2 x2 - x2 x2 + .5e1 − x1x3")) == "x2 + 5"


def test_enumeration_adds_up_every_configuration():
    energy = random_energy(4)
    exact = boltzmann.enumerate_all(energy)
    z, marginals, pairs, all_energies = 0.0, np.zeros(4), np.zeros((4, 4)), []
    for x in itertools.product([0, 1], repeat=4):
        value = 0.5 - sum(b * on for b, on in zip(energy.biases, x, strict=True))
        value += sum(energy.weights[i, j] * x[i] * x[j] for i in range(4) for j in range(i))
        all_energies.append(value)
        z += np.exp(-value)
        marginals += np.exp(-value) * np.array(x)
        pairs += np.exp(-value) * np.outer(x, x)
    np.testing.assert_allclose(exact.energies, all_energies, atol=1e-12)
    np.testing.assert_allclose(exact.log_z, np.log(z), rtol=1e-12)
    np.testing.assert_allclose(exact.marginals, marginals / z, rtol=1e-12)
    np.testing.assert_allclose(exact.pairs, pairs / z, rtol=1e-12)


def test_nodes_without_weights_are_independent_however_many():
    biases = RNG.normal(size=16)  # more configurations than are in memory at once
    exact = boltzmann.enumerate_all(energies.Energy(biases, np.zeros((16, 16))))
    np.testing.assert_allclose(exact.log_z, np.logaddexp(0, biases).sum(), rtol=1e-10)
    np.testing.assert_allclose(exact.marginals, 1 / (1 + np.exp(-biases)), rtol=1e-10)


def test_the_lectures_machine_is_told_exactly(output):
    said = told(output)
    weights = {x: np.exp(-lecture(x)) for x in itertools.product([0, 1], repeat=5)}
    z = sum(weights.values())
    assert said["log_z"] == pytest.approx(np.log(z), rel=1e-12)
    assert said["lowest_energy"] == -4
    assert said["lowest"] == ["11011", "11111"]
    assert said["asked"]["11000"]["probability"] == pytest.approx(np.exp(3) / z)
    assert said["marginals"][2] == pytest.approx(sum(w for x, w in weights.items() if x[2]) / z)
    assert {"graph.png", "distribution.png"} <= {path.name for path in output.iterdir()}


def test_gibbs_sampling_draws_from_the_machine(output):
    gibbs = told(output)["gibbs"]
    assert gibbs["total_variation"] < 3 * gibbs["total_variation_floor"]
    np.testing.assert_allclose(gibbs["marginals"], told(output)["marginals"], atol=0.01)
    np.testing.assert_allclose(gibbs["pairs"], told(output)["pairs"], atol=0.01)


def test_gibbs_sampling_is_right_where_nodes_repel():
    energy = energies.parse("-x1 - x2 + 3 x1 x2 + x2 x3 - 2 x3")
    drawn = boltzmann.gibbs(energy, 600, 100, 0)[100:]
    exact = boltzmann.enumerate_all(energy).probabilities
    assert boltzmann.total_variation(boltzmann.shares(drawn, 3), exact) < 0.015


def test_draws_are_those_of_the_seed():
    energy = random_energy(3)
    first, again, other = (boltzmann.gibbs(energy, 5, 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--energy="], "no node"),
        (["--energy=x1 2"], "cannot be read from '2' on"),
        (["--energy=x1 x2 x3"], "of 3 nodes"),
        (["--energy=x21"], "x1 to x20"),
        (["--energy=x0"], "x1 to x20"),
        (["--energy=x1*"], "cannot be read from '*' on"),
        (["--energy=1e999 x1"], "choose numbers up to"),
        (["--energy=exp(x1)"], "cannot be read"),
        (["--probability=1100"], "5 digits"),
        (["--probability=1100a"], "5 digits"),
        (["--steps=0"], "whole number"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(capsys, tmp_path, flags, said):
    arguments = [f"--output_dir={tmp_path}", *flags]
    assert said in fails(capsys, lambda words: boltzmann.main(PROG, words), arguments)
    assert not any(tmp_path.iterdir())
