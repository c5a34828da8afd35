"""The descriptor: its log density, synthesis and learning."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import CENTRED, FLAT, IMAGES, SIDE, built, desnet
from evaluation import central_differences, evaluate

import moments
from common import quality
from descriptor_learning import LAG
from descriptor_pictures import film
from descriptor_settings import NETWORKS, WARM_UP_STEPS
from DesNet import DivergenceError

RNG = np.random.default_rng(0)

# Log density


@pytest.mark.parametrize("network", NETWORKS)
def test_the_score_of_the_descriptor_is_the_gradient_of_its_log_density(network):
    model = desnet(network=network)
    indices = RNG.integers(0, CENTRED[0].size, 20)

    def build():
        images = tf.constant(CENTRED)
        exact = tf.gradients(model.log_prob(images), images)[0]
        numeric = central_differences(model.log_prob, CENTRED[0], indices)
        return tf.reshape(exact[0], [-1]), numeric, exact, model.score(images)

    exact, numeric, gradient, score = evaluate(build, 5.0)
    np.testing.assert_allclose(exact[indices], numeric, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(score, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_halves_of_a_batch_compute_what_the_whole_does(count):
    # In float32, which has operations of its own, and one of them fails without an image.
    def build():
        images = tf.constant(IMAGES[:count] - 127.5)
        models = [desnet(num_cores=cores, ref_sigma=1e6) for cores in (1, 2)]  # f alone
        return [(model.descriptor(images), model.score(images)) for model in models]

    for whole, halves in zip(*evaluate(build, 20.0), strict=True):
        np.testing.assert_allclose(halves, whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize("network", NETWORKS)
def test_the_score_of_the_descriptor_can_be_learned_from(network):
    # As the mode penalty does: the derivative of the squared score in the weights.
    model = desnet(network=network, ref_sigma=1e6, seed=1)
    rng, step = np.random.default_rng(6), 1e-8

    def build():
        images = tf.constant(CENTRED)
        score = tf.gradients(model.log_prob(images), images)[0]
        return tf.reduce_sum(tf.square(score))

    with tf.Graph().as_default(), tf.Session() as session:
        value = build()
        weights = [v for v in tf.trainable_variables() if v.op.name.endswith("weight")]
        gradients = tf.gradients(value, weights)
        session.run(tf.global_variables_initializer())
        for weight, gradient in zip(weights, session.run(gradients), strict=True):
            start, direction = session.run(weight), rng.normal(size=weight.shape)
            ends = []
            for shift in (step, -step):
                weight.load(start + shift * direction, session)
                ends.append(session.run(value))
            weight.load(start, session)
            numeric = (ends[0] - ends[1]) / (2 * step)
            assert (gradient * direction).sum() == pytest.approx(numeric, rel=1e-4)


def test_the_log_density_of_the_descriptor_is_its_value_less_the_reference():
    model = desnet(ref_sigma=20.0)

    def build():
        images = tf.constant(CENTRED)
        return model.log_prob(images), model.descriptor(images)

    log_prob, value = evaluate(build)
    expected = value - (CENTRED**2).sum((1, 2, 3)) / (2 * 20.0**2)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-10)


@pytest.mark.parametrize("network", NETWORKS)
def test_an_image_is_valued_alone(network):
    model = desnet(network=network)
    together, alone = evaluate(
        lambda: (model.descriptor(tf.constant(CENTRED)), model.descriptor(tf.constant(CENTRED[:1])))
    )
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-12)


# Learning


@pytest.mark.parametrize(
    ("sampler", "learning"),
    [("langevin", "convergent"), ("mala", "short_run"), ("mala", "convergent"), ("hmc", None)],
)
def test_every_sampler_synthesizes(sampler, learning):
    adapts = sampler != "langevin"
    options = {"batch_size": 2, "num_steps": 6, "learning_rate": 0.0001, "data_noise_start": 0}
    if adapts:
        options["step_size"] = 60.0  # beyond the reference's standard deviation: few are accepted
    model = built(desnet(sampler=sampler, learning=learning, **options))
    records = list(model.train(IMAGES, 15))
    assert len(records) == 30
    assert np.isfinite([list(record.values()) for record in records]).all()
    # Chains leave the flat colours that they start from.
    assert np.sqrt(((model.synthesize() - FLAT) ** 2).mean((1, 2, 3))).min() > 0.2
    rate = np.mean([record["acceptance_rate"] for record in records])
    assert 0 < rate < 1 if adapts else rate == 1
    assert (records[-1]["step_size"] < records[0]["step_size"]) == adapts


@pytest.mark.parametrize("sampler", ["mala", "hmc"])
def test_a_chain_takes_no_larger_steps_than_it_is_given(sampler):
    # Steps that are accepted nearly always, from which they would grow.
    model = built(desnet(sampler=sampler, step_size=0.5, data_noise_start=0))
    records = list(model.train(IMAGES, 10))
    assert np.mean([record["acceptance_rate"] for record in records]) > 0.9
    assert max(record["step_size"] for record in records) == pytest.approx(0.5)


def test_the_psnr_is_of_where_the_chains_arrived():
    model = built(desnet(learning="convergent", num_steps=2, step_size=20, data_noise_start=0))
    *_, record = model.train(IMAGES, 2)
    psnr = quality.assigned_quality(model.synthesize(), IMAGES)["psnr"]
    assert record["psnr"] == pytest.approx(psnr.mean(), abs=1e-3)


def test_the_psnr_of_a_batch_is_of_the_best_pairs_of_clipped_images():
    made = IMAGES[[2, 0, 1]] + RNG.normal(0, 60, IMAGES.shape).astype(np.float32)
    assert made.max() > 300
    clipped = made.clip(0, 255)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = [tf.placeholder(tf.float32, [None, SIDE, SIDE, 3]) for _ in range(2)]
        errors_of = quality.squared_errors(*fed)

        def psnr_of(images, references):
            return quality.assigned_psnr(
                session.run(errors_of, dict(zip(fed, (images, references), strict=True)))
            )

        for pairs, m in (([(0, 2), (1, 0), (2, 1)], 3), ([(1, 0)], 1)):  # 3 chains, m images
            errors = [((clipped[a] - IMAGES[b]) ** 2).mean() for a, b in pairs]
            found = psnr_of(made, IMAGES[:m])
            by_hand = np.mean([20 * np.log10(255 / np.sqrt(error)) for error in errors])
            assert found == pytest.approx(by_hand, abs=1e-3)
        assert psnr_of(clipped[::-1], clipped) > 70
        assert np.isnan(psnr_of(made * np.nan, IMAGES))


@pytest.mark.parametrize("network", ["strided", "smooth", "assignment"])
def test_the_loss_of_the_descriptor_is_a_difference_of_means(network):
    model = built(desnet(network=network, num_steps=2, batch_size=2))
    records = list(model.train(IMAGES, 3))
    assert len(records) == 6
    for record in records:
        assert record["energy_difference"] == -record["loss"]
    assert np.isfinite(model.synthesize()).all()


@pytest.mark.parametrize(
    ("sampler", "step_size", "steps", "variance"),
    [("langevin", 0.5, 100, 1 / (1 - 0.25 / 4)), ("mala", 0.3, 150, 1.0), ("hmc", 0.15, 40, 1.0)],
)
def test_a_descriptor_of_zero_samples_its_reference(
    sampler, step_size, steps, variance, monkeypatch
):
    # f = 0 leaves N(0, s^2 I) about the mean colour.
    options = {"ref_sigma": 1.0, "step_size": step_size, "num_steps": steps, "batch_size": 50}
    monkeypatch.setattr(
        "common.layers._Normal.__call__", lambda _, shape, dtype, **__: tf.zeros(shape, dtype)
    )
    model = built(desnet(np.full((50, 3), 127.5), sampler=sampler, **options))
    values = model.run_chains(np.full((50, SIDE, SIDE, 3), 127.5), steps) - 127.5
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.var() == pytest.approx(variance, rel=0.02)
    # Hidden pixels are drawn of the same law, whatever the visible ones are.
    images, visible = np.full((50, SIDE, SIDE, 3), 128.5), np.zeros([50, SIDE, SIDE, 1])
    visible[:, ::2] = 1
    completed = model.completion.complete(images, visible, steps)
    np.testing.assert_allclose(completed[:, ::2], 128.5, atol=1e-4)
    hidden = completed[:, 1::2] - 127.5
    assert hidden.mean() == pytest.approx(0, abs=0.05)
    assert hidden.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("sampler", ["langevin", "mala", "hmc"])
def test_hidden_pixels_are_drawn_given_the_visible_ones(sampler):
    # Were visible pixels to move on the way, two steps would not be one, twice.
    model = desnet(sampler=sampler, ref_sigma=1e6)
    visible = np.zeros([3, SIDE, SIDE, 1], bool)
    visible[:, : SIDE // 2] = True

    def build():
        images, mask = tf.constant(CENTRED), tf.constant(visible)

        def run(images, first_step, num_steps):
            return model.langevin_dynamics(
                images,
                tf.constant(0.3, tf.float64),
                tf.constant([1, 2]),
                num_steps=num_steps,
                first_step=first_step,
                adjust=False,
                visible=mask,
            ).position

        one = images
        for t in range(2):
            one = run(one, t, 1)
        free = model.langevin_dynamics(
            images, tf.constant(0.3, tf.float64), tf.constant([1, 2]), num_steps=2, adjust=False
        ).position
        return run(images, 0, 2), one, free

    together, one, free = evaluate(build, 20.0)
    np.testing.assert_allclose(together, one, atol=1e-8)
    np.testing.assert_array_equal(together[:, : SIDE // 2], CENTRED[:, : SIDE // 2])
    assert np.abs(together - free)[:, SIDE // 2 :].max() > 1e-3


def test_a_film_ends_where_its_chain_does():
    model = built(desnet(num_steps=5))
    list(model.train(IMAGES, 2))
    frames = film(model.run_chains, FLAT, [0, 1, 5])
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[0], FLAT)
    np.testing.assert_allclose(frames[-1], model.synthesize(), atol=1e-3)


@pytest.mark.parametrize(("start", "width"), [("mean", 0), ("mean+noise", 16), ("noise", 50)])
def test_chains_start_where_it_is_said(start, width):
    model = desnet(start=start, ref_sigma=50.0)
    colours = model.mean_colour if start == "noise" else model.mean_images()
    starts = model.starts()
    noise = starts - colours
    np.testing.assert_allclose(noise.std(), width, rtol=0.05)
    np.testing.assert_allclose(noise.mean((1, 2)), 0, atol=max(1e-3, width / 4))
    np.testing.assert_array_equal(model.starts(2), starts[:2])


def test_every_iteration_starts_from_noise_of_its_own(monkeypatch):
    model = built(desnet(start="noise"))
    fed = []
    monkeypatch.setattr(
        model, "_repeat", lambda feed, _: fed.append(feed[model.inputs.starts]) or {}
    )
    list(model.train(IMAGES, 2))
    assert len({starts.tobytes() for starts in (*fed, model.starts())}) == 3


def test_convergent_chains_go_on_where_they_stood():
    model = built(desnet(learning="convergent", num_steps=4, step_size=3.0, data_noise_start=0))
    moves = []
    before = FLAT
    for epoch in range(1, 40):
        list(model.train(IMAGES, epoch))
        after = model.synthesize()
        moves.append(np.sqrt(((after - before) ** 2).mean()))
        before = after
    # 4 steps of 3 grey levels each time: the chains never start again, and wander far.
    assert max(moves) < 3 * np.mean(moves)
    assert np.sqrt(((before - FLAT) ** 2).mean()) > 3 * np.mean(moves)


def test_noise_on_the_observed_images_is_new_at_every_iteration():
    losses = []
    for noise in (0.0, 0.0, 50.0):
        model = built(
            desnet(network="assignment", data_noise=noise, step_size=1e-6, learning_rate=1e-9)
        )
        losses.append([record["loss"] for record in model.train(IMAGES, 4)])
    assert losses[0] == losses[1]
    assert np.std(np.diff(losses[2])) > 10 * np.std(np.diff(losses[0]))


def test_the_contrast_of_the_observed_images_grows():
    # Of an energy that learning does not move: the loss is what the observed images are worth.
    def losses(**options):
        options = {"step_size": 1e-6, "learning_rate": 1e-9, "network": "assignment", **options}
        model = built(desnet(data_noise=0.0, num_epochs=20, **options))
        return np.array([record["loss"] for record in model.train(IMAGES)])

    flat, grown, whole = (losses(contrast_start=start) for start in (0.0, 0.2, 1.0))
    np.testing.assert_allclose(grown[8:], whole[8:], rtol=1e-4, atol=1e-4)  # 40 % of the run
    # At first there is nothing but the flat colours that the chains start from.
    assert abs(flat[0]) < 0.05 * abs(whole[0])
    assert abs(flat[0]) < abs(grown[0]) < abs(whole[0])


def test_short_runs_of_the_assignments_network_are_the_assignments():
    settings = desnet(network="assignment").settings
    assert (settings.learning, settings.step_size, settings.num_steps) == ("short_run", 0.3, 30)
    assert settings.data_noise == settings.mode_penalty == settings.weight_decay == 0
    assert settings.contrast_start == 1
    assert settings.learning_rate == 0.01


def test_filter_responses_differ_by_the_learning_gradient():
    model = built(desnet())
    responses = moments.filter_responses(model, IMAGES, FLAT)
    assert sorted(responses[0]) == ["colours", "conv_1", "conv_2", "conv_3", "value", "whole"]
    # The last layer is linear, f = w . df/dw, and f = log p + ||Y - mean colour||^2 / (2 s^2).
    weight = model.session.run("descriptor/value/weight/Read/ReadVariableOp:0")
    for images, response in zip((IMAGES, FLAT), responses, strict=True):
        reference = np.square(images - model.mean_colour).sum((1, 2, 3)) / (
            2 * model.settings.ref_sigma**2
        )
        value = np.mean(reference - model.energies(images))
        # An energy is a float32 of about 1000 nats, rounded by 6e-5.
        assert response["value"] @ weight == pytest.approx(value, rel=1e-3, abs=1e-4)
    one, others = moments.filter_responses(model, IMAGES[:1], IMAGES[1:])
    together = (one["conv_1"] + 2 * others["conv_1"]) / 3
    np.testing.assert_allclose(together, responses[0]["conv_1"], rtol=1e-4, atol=1e-6)


def test_divergence_goes_back_and_lowers_the_learning_rate():
    model = built(desnet(num_steps=10, learning_rate=2.0, weight_decay=0.0, decay=0.0))
    records = list(model.train(IMAGES, 60))
    assert records[-1]["roll_backs"] > 0
    # What is left of the scheduled rate is halved by going back, and recovers otherwise.
    left = [r["learning_rate"] / (2.0 * min(1, r["iteration"] / WARM_UP_STEPS)) for r in records]
    for i in range(1, len(records)):
        went_back = records[i]["roll_backs"] > records[i - 1]["roll_backs"]
        assert left[i] < 0.51 * left[i - 1] if went_back else left[i] >= left[i - 1] - 1e-6
    assert all(np.isfinite(list(record.values())).all() for record in records)
    assert np.isfinite(model.synthesize()).all()


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"step_size": 100.0, "network": "assignment"}, "--delta, less"),
        ({"step_size": 1.0, "ref_sigma": 0.4}, "--ref_sig 0.4"),
        ({"learning": "convergent", "data_noise_start": 255.0}, "--data_noise_start"),
    ],
    ids=["step", "reference", "noise"],
)
def test_divergence_from_the_start_is_an_error_that_names_what_helps(options, flag):
    model = built(desnet(num_steps=10, **options))
    with pytest.raises(DivergenceError, match=flag):
        list(model.train(IMAGES, 5))
    step = 60.0 if options.get("step_size") == 100 else 0.6
    helps = {**options, "step_size": step} if "step_size" in options else {"learning": "convergent"}
    list(built(desnet(num_steps=10, **helps)).train(IMAGES, 5))


@pytest.mark.parametrize("learning", ["short_run", "convergent"])
@pytest.mark.parametrize("level", [0.0, 127.5, 255.0], ids=["black", "grey", "white"])
def test_images_at_the_edge_of_the_range_are_learned(level, learning):
    images = np.full((3, SIDE, SIDE, 3), level, np.float32)
    colours = images.mean((1, 2))
    model = built(desnet(colours, num_cores=2, learning=learning, num_epochs=8))
    records = list(model.train(images))
    assert records[-1]["roll_backs"] == 0
    if learning == "short_run":
        assert np.sqrt(np.square(model.synthesize() - images).mean()) < 12
    # What is recorded is any pixel that is out of range.
    if level != 127.5:
        assert np.mean([record["out_of_range"] for record in records]) > 0.3


def test_the_noise_on_the_images_shrinks_and_the_steps_with_it():
    model = built(desnet(learning="convergent", num_steps=2, learning_rate=1e-6))
    steps = [record["step_size"] for record in model.train(IMAGES, 20)]
    assert steps[0] == pytest.approx(16.0)
    assert steps[6] == pytest.approx(2 * 8**0.5)  # half of the time that it shrinks
    np.testing.assert_allclose(steps[12:], 2.0, rtol=1e-5)
    assert (np.diff(steps[:12]) < 0).all()


def test_learning_waits_for_chains_that_lag_behind():
    model = built(desnet(learning="convergent", step_size=1e-3, learning_rate=0.05, num_steps=1))
    records = list(model.train(IMAGES, 60))
    last = records[-1]
    lag = last["energy_difference"] / (3 * SIDE**2)
    assert lag > LAG
    scheduled = 0.05 * min(1, (1 - 59 / 60) / 0.7)
    assert last["learning_rate"] == pytest.approx(scheduled / (1 + (lag / LAG) ** 2), rel=0.01)


def test_mala_is_put_to_the_test_when_the_noise_has_shrunk():
    options = {"sampler": "mala", "num_steps": 10, "learning_rate": 1e-6, "step_size": 8.0}
    model = built(desnet(ref_sigma=10.0, data_noise_start=0, **options))
    records = list(model.train(IMAGES, 20))
    assert all(record["acceptance_rate"] == 1 for record in records[:12])
    assert np.mean([record["acceptance_rate"] for record in records[12:]]) < 1
    steps = [record["step_size"] for record in records]
    assert steps[12] == pytest.approx(8.0)  # until then there is no rate to adapt it to
    assert steps[19] != pytest.approx(8.0, rel=0.001)


# Precision and scale


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("network", NETWORKS)
def test_the_descriptor_synthesizes_alike_in_bfloat16(network):
    # At the top of the levels of noise, steps are as long as images are apart: there are more.
    of_levels = network == "noise_conditional"
    steps = 64 if of_levels else 4
    options = {"network": network, "num_steps": steps, "step_size": 1.0}
    exact, rounded = (
        built(desnet(precision=name, **options)).run_chains(IMAGES, 4)
        for name in ("float32", "bfloat16")
    )
    assert not np.array_equal(exact, rounded)
    atol = 0.02 * np.abs(exact).max() if of_levels else 0.05
    np.testing.assert_allclose(exact, rounded, atol=atol)


def test_chains_that_never_end_may_be_fewer_than_images(monkeypatch):
    monkeypatch.setattr("DesNet.MAX_CHAINS", 2)
    model = built(desnet(learning="convergent", num_steps=2, batch_size=2))
    records = list(model.train(IMAGES, 2))
    assert len(records) == 4
    chains = model.synthesize()
    assert chains.shape == (2, *IMAGES.shape[1:])
    assert np.ptp(chains[0]) > 1
    assert np.ptp(chains[1]) > 1
