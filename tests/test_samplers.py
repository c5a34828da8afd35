"""Every sampler against targets whose laws are known, and against a slow float64 reference."""

from functools import partial

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from scipy import integrate, stats

from common import samplers

CHAINS = 4000
LEAPFROG = 5
ADJUSTED = {
    "mala": samplers.mala,
    "hmc": partial(samplers.hmc, num_leapfrog=LEAPFROG),
    "preconditioned": samplers.preconditioned_langevin,
}
ALL = {"langevin": samplers.langevin, **ADJUSTED}

every_sampler = pytest.mark.parametrize("name", ALL)


def round_metric(x):
    """I + x x^T / (1 + |x|^2) [B, d, d]: positive definite, and different everywhere."""
    outer = x[:, :, None] * x[:, None, :]
    return tf.eye(x.shape[1], dtype=x.dtype) + outer / (1 + tf.reduce_sum(x**2, -1)[:, None, None])


def constant_metric(matrix):
    matrix = np.asarray(matrix, np.float32)
    return lambda x: tf.broadcast_to(matrix, [tf.shape(x)[0], *matrix.shape])


def given_to(name, log_prob_fn, metric=round_metric):
    """What a sampler is given: the log density, and its score and a metric if it takes them."""
    if name != "preconditioned":
        return log_prob_fn

    def metric_fn(x):
        log_prob = log_prob_fn(x)
        return log_prob, tf.gradients(log_prob, x)[0], metric(x)

    return metric_fn


def gaussian(sigma):
    return lambda x: -tf.reduce_sum((x / sigma) ** 2, -1) / 2


def sample(
    sampler, target, start, step_size, num_steps, first_step=0, key=(3, 4), dtype=None, **options
):
    """Chains from `start`, as numpy."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(start, dtype or tf.float32)
        chains = sampler(
            target, x, step_size, num_steps, tf.constant(key), first_step=first_step, **options
        )
        return type(chains)(*session.run([c for c in chains if c is not None]))


# Gaussians


@pytest.mark.parametrize("shape", [[3, 5, 7], [100, 64, 2]], ids=["odd", "even"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_the_noise_is_standard_normal(shape, dtype):
    keys = np.arange(20)
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = [samplers.standard_normal(tf.constant(shape), [7, key], dtype) for key in keys]
        draws = np.array(session.run(tensors))  # [20, *shape]
    assert draws.shape == (20, *shape) and draws.dtype == dtype.as_numpy_dtype
    assert stats.kstest(draws.ravel(), "norm").pvalue > 0.01
    assert len(np.unique(draws)) > 0.99 * draws.size
    # Pairs share a radius and neighbours a generator, but no law: not even the sizes correlate.
    flat = draws.reshape(20, -1)
    half = (flat.shape[1] + 1) // 2
    for lag in (1, half):
        for function in (np.asarray, np.square):
            one, other = function(flat[:, :-lag]).ravel(), function(flat[:, lag:]).ravel()
            assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(one.size)
    assert abs(np.corrcoef(flat) - np.eye(20)).max() < 5 / np.sqrt(flat.shape[1])


@pytest.mark.parametrize("dimensions", [1, 2, 100])
@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.7, 60), ("hmc", 0.4, 20), ("preconditioned", 1.2, 30)],
    ids=ADJUSTED,
)
def test_exact_samplers_have_the_moments_of_a_gaussian(name, step_size, num_steps, dimensions):
    sigma = np.linspace(1, 2, dimensions)
    chains = CHAINS
    if name == "preconditioned":
        step_size *= dimensions ** (-1 / 6)
        chains = CHAINS if dimensions < 100 else 300  # each holds a matrix of 100 x 100
    target = given_to(name, gaussian(sigma), constant_metric(np.diag(sigma**-2)))
    arrived = sample(ADJUSTED[name], target, np.ones([chains, dimensions]), step_size, num_steps)
    variance = arrived.position.var(0) / sigma**2
    error = np.sqrt(2 / chains)  # of one variance, by Monte Carlo
    assert np.abs(arrived.position.mean(0) / sigma).max() < 5 / np.sqrt(chains)
    assert abs(variance.mean() - 1) < 4 * error / np.sqrt(dimensions)
    assert np.abs(variance - 1).max() < 5 * error
    assert 0.3 < arrived.acceptance_rate.mean() < 1


@pytest.mark.parametrize("dimensions", [1, 2, 100])
def test_langevin_has_the_bias_of_its_step_size(dimensions):
    # x <- (1 - delta^2 / (2 s^2)) x + delta U is linear: its law is known for every step size.
    step_sizes = np.array([0.3, 0.5, 0.7, 0.9])[:, None]
    sigma = np.linspace(0.5, 1, dimensions)
    start = np.ones([4 * CHAINS, dimensions])
    delta = np.repeat(step_sizes, CHAINS)
    position = sample(samplers.langevin, gaussian(sigma), start, delta, 100).position
    position = position.reshape(4, CHAINS, dimensions)
    expected = sigma**2 / (1 - step_sizes**2 / (4 * sigma**2))  # [4, d]
    ratio = position.var(1) / expected
    error = np.sqrt(2 / CHAINS)
    assert np.abs(position.mean(1) / np.sqrt(expected)).max() < 5 / np.sqrt(CHAINS)
    assert np.abs(ratio - 1).max() < 5 * error
    assert np.abs(ratio.mean(1) - 1).max() < 4 * error / np.sqrt(dimensions)
    # At a scale of 0.5 from 10 % too much to five times the variance: no error of Monte Carlo.
    assert (np.diff(position.var(1)[:, 0], prepend=sigma[0] ** 2) > 0.04 * sigma[0] ** 2).all()


@every_sampler
def test_the_posterior_of_a_linear_generator_is_the_closed_one(name):
    # Y = W z + b + eps: z | Y ~ N(m, P^-1), P = I + W^T W / sigma^2, m = P^-1 W^T (Y - b) / sigma^2
    # (probabilistic principal components: Tipping and Bishop, 1999).
    weights, bias, sigma = np.array([[1.5, 0.3], [-0.5, 1], [0.8, 0.8]]), np.array([1, -1, 0]), 0.6
    images = np.repeat([[0.0, 0, 0], [3, -1, 1], [1, 2, 0], [-1, 0, 4]], CHAINS, 0)
    precision = np.eye(2) + weights.T @ weights / sigma**2

    def log_prob(z):
        residual = images - bias - tf.matmul(z, weights.T.astype(np.float32))
        return -tf.reduce_sum(residual**2, -1) / (2 * sigma**2) - tf.reduce_sum(z**2, -1) / 2

    step_size, num_steps = {
        "langevin": (0.3, 40),
        "mala": (0.4, 40),
        "hmc": (0.13, 15),  # not half a period, at which a chain returns
        "preconditioned": (1.0, 25),
    }[name]
    target = given_to(name, log_prob, constant_metric(precision))
    start = np.zeros([len(images), 2])
    z = sample(ALL[name], target, start, step_size, num_steps).position
    covariance = np.linalg.inv(precision)
    mean = (images - bias) @ weights / sigma**2 @ covariance
    if name == "langevin":  # the bias of its step size again, in every direction
        covariance = covariance @ np.linalg.inv(np.eye(2) - step_size**2 / 4 * precision)
    variance = covariance.diagonal()
    residual = (z - mean).reshape(4, CHAINS, 2)
    assert (np.abs(residual.mean(1)) < 4.5 * np.sqrt(variance / CHAINS)).all()
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / len(z))
    assert (np.abs((z - mean).T @ (z - mean) / len(z) - covariance) < 4.5 * error).all()


def test_langevin_takes_the_score_that_it_is_given():
    def flat(x):
        return tf.zeros(tf.shape(x)[:1])

    start = np.random.default_rng(7).normal(size=[50, 3])
    by_gradient = sample(samplers.langevin, gaussian(1.0), start, 0.3, 10)
    given = sample(samplers.langevin, flat, start, 0.3, 10, score_fn=lambda x: -x)
    np.testing.assert_allclose(given.position, by_gradient.position, rtol=1e-5)
    np.testing.assert_allclose(given.score_magnitude, by_gradient.score_magnitude, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 30])
def test_langevin_takes_the_steps_it_is_asked_for(num_steps):
    # Where the density is flat, l steps of size delta add up to variance l delta^2.
    flat = lambda x: 0 * tf.reduce_sum(x, -1)  # noqa: E731
    chains = sample(samplers.langevin, flat, np.zeros([CHAINS, 100]), 0.3, num_steps)
    assert chains.position.var() == pytest.approx(num_steps * 0.3**2, rel=0.01)


# Targets that are no Gaussians, against quadrature


def banana(x):
    return -(x[:, 0] ** 2) / 2 - 2 * (x[:, 1] - x[:, 0] ** 2 / 2) ** 2


def banana_metric(x):
    """I + J^T J, J that of the residuals x_0 and 2 (x_1 - x_0^2 / 2); its determinant varies."""
    slope = -2 * x[:, 0]
    rows = [[2 + slope**2, 2 * slope], [2 * slope, 5 + 0 * slope]]
    return tf.stack([tf.stack(row, -1) for row in rows], -2)


@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.45, 150), ("hmc", 0.3, 60), ("preconditioned", 1.4, 60)],
    ids=ADJUSTED,
)
def test_the_adjusted_samplers_agree_with_quadrature_on_a_banana(name, step_size, num_steps):
    def density(y, x):
        return np.exp(-(x**2) / 2 - 2 * (y - x**2 / 2) ** 2)

    def expectation(f):
        return integrate.dblquad(lambda y, x: f(x, y) * density(y, x), -7, 7, -4, 20)[0]

    target = given_to(name, banana, banana_metric)
    x, y = sample(ADJUSTED[name], target, np.zeros([CHAINS, 2]), step_size, num_steps).position.T
    total = expectation(lambda x, y: 1)
    for moment in (lambda x, y: x, lambda x, y: y, lambda x, y: x * x, lambda x, y: y * y):
        values = moment(x, y)
        error = 4 * values.std() / np.sqrt(CHAINS)
        assert values.mean() == pytest.approx(expectation(moment) / total, abs=error)


@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.9, 100), ("hmc", 0.4, 30), ("preconditioned", 1.2, 100)],
    ids=ADJUSTED,
)
def test_the_adjusted_samplers_agree_with_quadrature_on_two_modes(name, step_size, num_steps):
    weights, means, sigmas = np.array([[0.4, 0.6], [-1.2, 1.5], [0.5, 1.2]], np.float32)

    def log_joint(x):  # [B, 1] -> [B, 2], less a constant
        return tf.math.log(weights / sigmas) - ((x - means) / sigmas) ** 2 / 2

    def log_prob(x):
        return tf.reduce_logsumexp(log_joint(x), -1)

    def metric(x):  # the curvature of each mode, by its share
        return tf.reduce_sum(tf.nn.softmax(log_joint(x)) / sigmas**2, -1)[:, None, None]

    target = given_to(name, log_prob, metric)
    start = np.zeros([CHAINS, 1])
    x = sample(ADJUSTED[name], target, start, step_size, num_steps).position[:, 0]

    def density(x):
        return (weights / sigmas * np.exp(-(((x - means) / sigmas) ** 2) / 2)).sum()

    edges = [-9, *np.linspace(-2, 3.5, 12), 9]
    shares = np.array([integrate.quad(density, *edges[i : i + 2])[0] for i in range(13)])
    expected = CHAINS * shares / shares.sum()
    squares = (np.histogram(x, edges)[0] - expected) ** 2 / expected
    assert squares.sum() < stats.chi2.ppf(1 - 1e-4, 12)


def test_jitter_breaks_the_orbits_that_lead_from_x_to_minus_x_and_back():
    # Two leapfrog steps of sqrt(2) are exactly half an orbit of N(0, 1): every |x| stays.
    start = np.full([CHAINS, 1], 2.0)
    hmc = partial(samplers.hmc, num_leapfrog=2)
    stuck = sample(hmc, gaussian(1), start, np.sqrt(2), 20)
    np.testing.assert_allclose(np.abs(stuck.position), 2, rtol=1e-4)
    free = sample(partial(hmc, jitter=0.2), gaussian(1), start, np.sqrt(2), 20)
    assert abs(free.position.mean()) < 5 / np.sqrt(CHAINS)
    assert abs(free.position.var() - 1) < 5 * np.sqrt(2 / CHAINS)
    assert 0.7 < free.acceptance_rate.mean() < 1
    # No two chains share their steps.
    assert len(np.unique(np.abs(free.position))) > CHAINS // 2


# Detailed balance


def numpy_banana(x):
    """The log density [B] of the banana, its score [B, 2] and metric [B, 2, 2], by hand."""
    u, v = x.T
    residual = v - u**2 / 2
    score = np.stack([4 * residual * u - u, -4 * residual], -1)
    metric = np.array([[2 + 4 * u**2, -4 * u], [-4 * u, np.full_like(u, 5)]])
    return -(u**2) / 2 - 2 * residual**2, score, metric.transpose(2, 0, 1)


def log_normal(x, mean, covariance):
    """Log N(x; mean, covariance) [B], with nothing left out."""
    residual = x - mean
    distance = np.einsum("bi,bij,bj->b", residual, np.linalg.inv(covariance), residual)
    return -(distance + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2


def reference_proposal(name, x, delta, noise):
    """A proposal [B, 2] and log p(x') q(x | x') / (p(x) q(x' | x)) [B], from the definition."""
    delta = delta[:, None]
    if name == "hmc":

        def hamiltonian(x, momentum):
            return -numpy_banana(x)[0] + (momentum**2).sum(-1) / 2

        new_x, momentum = x, noise
        for _ in range(LEAPFROG):
            momentum = momentum + delta / 2 * numpy_banana(new_x)[1]
            new_x = new_x + delta * momentum
            momentum = momentum + delta / 2 * numpy_banana(new_x)[1]
        return new_x, hamiltonian(x, noise) - hamiltonian(new_x, momentum)

    def proposal(x):
        _, score, metric = numpy_banana(x)
        if name != "preconditioned":
            metric = np.broadcast_to(np.eye(2), metric.shape)
        inverse = np.linalg.inv(metric)
        mean = x + delta**2 / 2 * np.einsum("bij,bj->bi", inverse, score)
        return mean, delta[:, :, None] ** 2 * inverse, np.linalg.cholesky(metric)

    mean, covariance, factor = proposal(x)
    new_x = mean + delta * np.linalg.solve(factor.transpose(0, 2, 1), noise[..., None])[..., 0]
    new_mean, new_covariance, _ = proposal(new_x)
    forward = numpy_banana(x)[0] + log_normal(new_x, mean, covariance)
    backward = numpy_banana(new_x)[0] + log_normal(x, new_mean, new_covariance)
    return new_x, backward - forward


def random_numbers(name, key, first_step, num_steps, shape):
    """The noise [l, B, 2] and the logarithms of the uniform numbers [l, B] of a chain's steps."""
    with tf.Graph().as_default(), tf.Session() as session:
        draws = []
        for t in range(first_step, first_step + num_steps):
            step_key = samplers.fold_in(tf.constant(key), t)
            noise_key, accept_key = tf.unstack(tf.random.experimental.stateless_split(step_key))
            if name == "langevin":  # which draws nothing else
                noise_key = step_key
            draws.append(
                [
                    samplers.standard_normal(shape, noise_key, tf.float64),
                    tf.random.stateless_uniform(shape[:1], accept_key, dtype=tf.float64),
                ]
            )
        noise, uniform = zip(*session.run(draws), strict=True)
    return np.array(noise), np.log(uniform)


@every_sampler
def test_every_step_is_that_of_the_float64_reference(name):
    num_steps, first_step, key = 12, 5, (7, 8)
    rng = np.random.default_rng(0)
    start = rng.normal(size=[1000, 2])
    largest = {"langevin": 0.3, "mala": 0.8, "hmc": 0.6, "preconditioned": 2}[name]
    delta = rng.uniform(0.1, largest, 1000)
    chains = sample(
        ALL[name],
        given_to(name, banana, banana_metric),
        start,
        delta,
        num_steps,
        first_step,
        key,
        tf.float64,
        keep_path=True,
    )
    before = np.concatenate([start[None], chains.path[:-1]])  # [l, B, 2]
    noise, log_uniform = random_numbers(name, key, first_step, num_steps, start.shape)
    decisions = []
    for t in range(num_steps):
        with np.errstate(over="ignore"):  # a step too large sends HMC far away, to be rejected
            proposal, log_ratio = reference_proposal(name, before[t], delta, noise[t])
        accepted = log_uniform[t] < log_ratio
        if name == "langevin":
            accepted[:] = True
        np.testing.assert_array_equal(accepted, (chains.path[t] != before[t]).any(-1))
        expected = np.where(accepted[:, None], proposal, before[t])
        np.testing.assert_allclose(chains.path[t], expected, rtol=1e-9, atol=1e-9)
        decisions.append(accepted)
    np.testing.assert_allclose(chains.acceptance_rate, np.mean(decisions, 0), rtol=1e-12)
    score = np.abs([numpy_banana(x)[1] for x in before]).mean((0, 2))
    np.testing.assert_allclose(chains.score_magnitude, score, rtol=1e-9)
    assert name == "langevin" or 0.2 < np.mean(decisions) < 0.9


@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.8, 60), ("hmc", 0.3, 30), ("preconditioned", 0.8, 60)],
    ids=ADJUSTED,
)
def test_a_wrong_gradient_or_metric_makes_a_sampler_slower_not_wrong(name, step_size, num_steps):
    @tf.custom_gradient
    def log_prob(x):
        # The gradient of no density: too short, and turned.
        wrong = -0.4 * x + 0.5 * tf.stack([x[:, 1], -x[:, 0]], 1)
        return -tf.reduce_sum(x**2, -1) / 2, lambda up: wrong * up[:, None]

    start = np.zeros([2 * CHAINS, 2])
    wrong, right = (
        sample(ADJUSTED[name], given_to(name, *target), start, step_size, num_steps)
        for target in [(log_prob,), (gaussian(1.0), constant_metric(np.eye(2)))]
    )
    error = 1 / np.sqrt(len(start))
    assert (np.abs(wrong.position.mean(0)) < 4 * error).all()
    assert (np.abs(wrong.position.var(0) - 1) < 4 * np.sqrt(2) * error).all()
    assert abs(wrong.position.prod(1).mean()) < 4 * error
    assert wrong.acceptance_rate.mean() < right.acceptance_rate.mean() - 0.05
    if name == "mala":  # without the test the law is another
        unadjusted = sample(samplers.langevin, log_prob, start, step_size, num_steps).position
        assert unadjusted.var() > 1.5


# Numbers that are none

INDEFINITE = np.array([[1, 2], [2, 1]], np.float32)  # its Cholesky factor does not exist
BEYOND = {  # name: log density, score and metric where there is no density
    "log density nan": (np.nan, 0, np.eye(2)),
    "log density +inf": (np.inf, 0, np.eye(2)),
    "log density -inf": (-np.inf, 0, np.eye(2)),
    "score nan": (0, np.nan, np.eye(2)),
    "score inf": (0, np.inf, np.eye(2)),
    "metric nan": (0, 0, np.full([2, 2], np.nan)),
    "metric inf": (0, 0, np.diag([np.inf, 1])),
    "metric indefinite": (0, 0, INDEFINITE),
    "metric zero": (0, 0, np.zeros([2, 2])),
}


@pytest.mark.parametrize(
    ("name", "beyond"),
    [
        (name, beyond)
        for name in ADJUSTED
        for beyond in BEYOND
        if name == "preconditioned" or not beyond.startswith("metric")
    ],
)
def test_proposals_that_are_not_finite_are_rejected(name, beyond):
    step_size, num_steps = {"hmc": (0.15, 40)}.get(name, (0.7, 60))
    bad_log_prob, bad_score, bad_metric = BEYOND[beyond]

    def inside(x):  # half a Gaussian: beyond x_0 = 0 there is nothing
        return x[:, 0] > 0

    @tf.custom_gradient
    def log_prob(x):
        value = tf.where_v2(inside(x), gaussian(1.0)(x), bad_log_prob)
        score = tf.where_v2(inside(x)[:, None], -x, bad_score)
        return value, lambda up: score * up[:, None]

    def metric(x):
        good = tf.eye(2) + 0 * x[:, :, None]
        return tf.where_v2(inside(x)[:, None, None], good, bad_metric.astype(np.float32))

    target = given_to(name, log_prob, metric)
    chains = sample(
        ADJUSTED[name], target, np.ones([CHAINS, 2]), step_size, num_steps, keep_path=True
    )
    assert np.isfinite(chains.path).all() and (chains.path[..., 0] > 0).all()
    assert chains.position[:, 0].mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.04)
    assert np.abs(chains.position[:, 1].mean()) < 4 / np.sqrt(CHAINS)
    assert 0.2 < chains.acceptance_rate.mean() < 0.95


@pytest.mark.parametrize("per_chain", [False, True], ids=["one step size", "each its own"])
@every_sampler
def test_chains_do_not_see_their_neighbours(name, per_chain):
    rng = np.random.default_rng(0)
    start, others = rng.normal(size=[2, 8, 2])
    watched = [0, 3, 7]
    others[[1, 2, 4, 5, 6]] = np.array([100, np.nan, np.inf, -np.inf, 3e30])[:, None]
    others[watched] = start[watched]
    step_size = other_step_size = 0.5
    if per_chain:
        step_size, other_step_size = rng.uniform(0.3, 0.7, [2, 8])
        other_step_size[2:5] = [np.nan, step_size[3], np.inf]
        other_step_size[watched] = step_size[watched]
    target = given_to(name, gaussian(1.0))
    alone = sample(ALL[name], target, start, step_size, 20, keep_path=True)
    among = sample(ALL[name], target, others, other_step_size, 20, keep_path=True)
    np.testing.assert_array_equal(among.path[:, watched], alone.path[:, watched])
    np.testing.assert_array_equal(among.score_magnitude[watched], alone.score_magnitude[watched])
    np.testing.assert_array_equal(among.acceptance_rate[watched], alone.acceptance_rate[watched])
    assert (alone.path[-1, watched] != start[watched]).all()


# What the chains cost, and how they are run


@pytest.mark.parametrize(
    ("name", "evaluations"),
    [("langevin", 7), ("mala", 7 + 1), ("hmc", 7 * LEAPFROG + 1), ("preconditioned", 7 + 1)],
    ids=ALL,
)
def test_no_log_density_or_gradient_is_computed_twice(name, evaluations):
    calls = []

    def count(x):
        calls.append(x)
        return x

    @tf.custom_gradient  # a function of numpy has none of its own
    def counted(x):
        y = tf.numpy_function(count, [x], x.dtype)
        return tf.ensure_shape(y, x.shape), lambda up: up

    target = given_to(name, lambda x: gaussian(1.0)(counted(x)))
    with tf.Graph().as_default(), tf.Session() as session:
        chains = ALL[name](target, tf.ones([5, 2]), 0.5, 7, tf.constant([3, 4]), keep_path=True)
        if name == "langevin":  # whose steps need no log density: the first is apart
            chains = chains._replace(first_log_prob=chains.position)
        rate = session.run(chains).acceptance_rate
    assert len(calls) == evaluations
    assert len(np.unique(calls, axis=0)) == evaluations  # and never twice at one place
    assert rate.mean() > 0.5


@every_sampler
def test_a_chain_in_pieces_takes_the_same_path(name):
    start = np.ones([5, 3])
    run = partial(sample, ALL[name], given_to(name, gaussian(1.0)))
    whole = run(start, 0.5, 30)
    part = run(start, 0.5, 10)
    rest = run(part.position, 0.5, 20, first_step=10)
    np.testing.assert_allclose(rest.position, whole.position, rtol=1e-6)


@every_sampler
def test_the_path_is_where_shorter_chains_end(name):
    target = given_to(name, gaussian(1.0))
    start = np.ones([5, 2])
    chains = sample(ALL[name], target, start, 0.5, 8, keep_path=True)
    assert chains.path.shape == (8, 5, 2)
    np.testing.assert_array_equal(chains.path[-1], chains.position)
    shorter = sample(ALL[name], target, start, 0.5, 3)
    np.testing.assert_allclose(chains.path[2], shorter.position, rtol=1e-6)


@every_sampler
def test_no_gradient_flows_through_a_chain(name):
    with tf.Graph().as_default():
        scale, start = tf.constant(2.0), tf.ones([3, 2])
        target = given_to(name, gaussian(scale))
        chains = ALL[name](target, start, 0.1, 5, tf.constant([0, 1]), keep_path=True)
        assert tf.gradients(chains.position, [scale, start]) == [None, None]
        assert tf.gradients(chains.path, [scale, start]) == [None, None]


def test_step_sizes_adapt_to_the_target_acceptance():
    with tf.Graph().as_default(), tf.Session() as session:
        x, step_size = tf.placeholder(tf.float32, [50, 10]), tf.placeholder(tf.float32, [50])
        key = tf.placeholder(tf.int32, [2])
        chains = samplers.mala(gaussian(0.1), x, step_size, 10, key)
        adapted = samplers.adapted_step_size(step_size, chains.acceptance_rate, 0.574)
        position, size, rates = np.zeros([50, 10]), np.full(50, 0.01), []
        for iteration in range(100):
            (position, rate, _, _), size = session.run(
                [[*chains[:3], adapted], adapted],
                {x: position, step_size: size, key: [1, iteration]},
            )
            rates.append(rate.mean())
    assert np.mean(rates[60:]) == pytest.approx(0.574, abs=0.04)


def test_without_its_test_mala_has_the_law_of_langevin():
    start = np.zeros([CHAINS, 10])
    chains = sample(samplers.mala, gaussian(1.0), start, 1.0, 100, adjust=False)
    expected = 1 / (1 - 1.0**2 / 4)
    assert (chains.acceptance_rate == 1).all()
    assert chains.position.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / (10 * CHAINS)))
