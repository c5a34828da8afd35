"""Settings: said once, checked in the same way wherever they come from."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from common import command, flags, session
from common.flags import SettingsError
from descriptor_settings import LEARNING
from descriptor_settings import Settings as DescriptorSettings
from generator_settings import Settings as GeneratorSettings

BOTH = pytest.mark.parametrize("settings_class", [GeneratorSettings, DescriptorSettings])


@BOTH
def test_every_setting_has_a_flag_with_help_and_a_default_of_its_kind(settings_class):
    settings = settings_class()  # checks its defaults
    parser = flags.Parser("prog", "What it does.")
    flags.add_settings(parser, settings_class)
    assert flags.read_settings(parser.parse_args([]), settings_class) == settings
    for field in dataclasses.fields(settings_class):
        assert len(field.metadata["help"]) > 5
        if field.default is None:  # what is chosen later is said in words
            assert "default" in field.metadata["help"] or field.name in ("holdout", "occlude")


@BOTH
def test_config_json_gives_the_settings_back(settings_class):
    settings = settings_class(seed=7, data_path=Path("/a b"), precision="float32").resolved(3)
    stored = json.loads(json.dumps(settings.config(), default=str))
    assert flags.from_config(settings_class, stored) == settings


@BOTH
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_size": 17}, "multiple of"),
        ({"image_size": "64"}, "image_size"),
        ({"seed": -1}, "from 0 to"),
        ({"seed": True}, "seed"),
        ({"seed": None}, "seed"),
        ({"delta": float("nan")}, "step_size"),
        ({"sampler": "nuts"}, "one of"),
        ({"category": "../x"}, "name of a folder"),
        ({"device": "tpu"}, "auto, cpu, gpu or gpu:N"),
    ],
    ids=lambda value: str(next(iter(value.items()))) if isinstance(value, dict) else "",
)
def test_stored_settings_are_checked_as_flags_are(settings_class, change, says):
    stored = json.loads(json.dumps(settings_class().resolved(3).config(), default=str))
    with pytest.raises(SettingsError, match=says):
        flags.from_config(settings_class, stored | change)
    for flag in change:
        del stored[flag]
        with pytest.raises(SettingsError, match=f"--{flag} is missing"):
            flags.from_config(settings_class, stored)


@BOTH
def test_resolving_leaves_nothing_open_and_changes_nothing_again(settings_class):
    resolved = settings_class().resolved(3)
    assert resolved.resolved(3) == resolved
    assert resolved.batch_size == 3
    left = {f.name for f in dataclasses.fields(resolved) if getattr(resolved, f.name) is None}
    assert left <= {"name", "holdout", "occlude"}
    with pytest.raises(SettingsError, match="more than the 3 images"):
        settings_class(batch_size=4).resolved(3)


def test_what_is_said_is_not_resolved_otherwise():
    for learning, chosen in LEARNING.items():
        resolved = DescriptorSettings(learning=learning).resolved(3)
        assert {name: getattr(resolved, name) for name in chosen} == chosen
    resolved = DescriptorSettings(sampler="mala", step_size=0.7, weight_decay=0.0).resolved(3)
    assert (resolved.learning, resolved.step_size, resolved.precision) == (
        *("convergent", 0.7, "float32"),
    )
    assert resolved.weight_decay == 0.0
    adam, muon = (GeneratorSettings(optimizer=name).resolved(11) for name in ("adam", "muon"))
    assert muon.num_epochs < adam.num_epochs / 3
    assert muon.sigma_steps / muon.num_epochs > adam.sigma_steps / adam.num_epochs
    assert (adam.prior_draws, muon.prior_draws) == (11, 22)
    assert GeneratorSettings(optimizer="muon", prior_draws=3).resolved(11).prior_draws == 3
    assert muon.rate(0) < muon.rate(0.4) == muon.learning_rate == adam.rate(0)
    assert GeneratorSettings(occlude="20px").resolved(3).smooth
    assert not GeneratorSettings(occlude="20px", smooth=False).resolved(3).smooth


@BOTH
def test_a_default_run_fits_its_budget(settings_class, monkeypatch):
    monkeypatch.setattr(session, "_instructions", lambda: {"avx512_bf16"})
    few, many = (settings_class().resolved(n) for n in (11, 10_000))
    assert 300 <= few.num_epochs <= 600
    assert 1 <= many.num_epochs < 10
    large = settings_class(image_size=128).resolved(1000)
    assert large.num_epochs < settings_class().resolved(1000).num_epochs
    assert settings_class(num_epochs=700).resolved(10_000).num_epochs == 700
    for n in (1, 11, 100, 1000, 10_000):
        assert 0 < settings_class().resolved(n).seconds(n) <= 540
    long, short = (settings_class(num_epochs=n).resolved(11).seconds(11) for n in (6000, 600))
    np.testing.assert_allclose(long, 10 * short)


@BOTH
def test_a_slower_processor_has_fewer_epochs_in_the_same_time(settings_class, monkeypatch):
    epochs = []
    for words in ({"avx512f", "avx512_bf16"}, {"avx512f"}, {"avx2"}):
        monkeypatch.setattr(session, "_instructions", lambda found=words: found)
        settings = settings_class().resolved(200)
        assert 400 < settings.seconds(200) <= 540
        epochs.append(settings.num_epochs)
    assert epochs[0] > epochs[1] > 2 * epochs[2]


def test_what_a_large_z_costs_is_foretold():
    def of_steps(z_dim):
        return GeneratorSettings(z_dim=z_dim, num_steps=3).resolved(11).seconds(11)

    seconds = {d: of_steps(d) for d in (2, 16, 100)}
    assert seconds[16] > 3 * seconds[2]
    assert seconds[100] < 1.5 * seconds[2]  # one metric is that of all chains


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "less than"), (80, "a minute"), (150, "2 minutes"), (7300, "2 hours"), (1e7, "days")],
)
def test_a_time_is_said_roughly(seconds, words):
    assert words in command.duration(seconds)


def test_batches_are_even():
    sizes = [GeneratorSettings().resolved(n).batch_size for n in (1, 11, 12, 23)]
    assert sizes == [1, 11, 6, 8]
