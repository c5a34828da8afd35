"""The pictures that a run writes: nothing in them is cut off, and all in them can be read."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

import generator_pictures
from common import charts, figures, history
from common.charts import Series
from inference import Draws

RNG = np.random.default_rng(0)
LONG = "a very long name of an image, as cameras and archives give them, 2024-01-01 (1).jpeg"


def drawn(figure):
    """A figure as the picture that is written of it, [H, W, 3]."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))


def assert_blank_border(picture, width=3):
    """That nothing reaches the edge of a picture [H, W, 3], where it would be cut off."""
    inside = picture[width:-width, width:-width]
    assert (inside < 255).any()
    rest = picture.astype(int).sum() - inside.astype(int).sum()
    assert rest == 255 * (picture.size - inside.size)


def texts(figure):
    """All that is written in a figure, but for titles and axes."""
    return [text.get_text() for each in (figure, *figure.axes) for text in each.texts]


# Panels of images


@pytest.mark.parametrize("count", [1, 2, 256])
@pytest.mark.parametrize("label", ["wwwwwwwwwwwwwwww", LONG, ""])
def test_no_text_of_a_panel_touches_the_edge(count, label):
    rows = figures.wrapped(RNG.uniform(0, 255, (count, 8, 8, 3)), 20)
    labels = [label] * len(rows) if label else []
    columns = [f"{i}" for i in range(len(rows[0]))]
    for more in ({}, {"row_axis": "z₂", "column_axis": "z₁", "column_labels": columns}):
        assert_blank_border(drawn(figures.panel(rows, f"Panel of {LONG}", labels, **more)))


def test_captions_are_under_their_images():
    rows = figures.wrapped(RNG.uniform(0, 255, (5, 32, 32, 3)), 3)
    figure = figures.panel(rows, "t", captions=["step 0", "step 1", "step 2", "step 3", LONG])
    assert_blank_border(drawn(figure))
    (axes,) = figure.axes
    *first, long = axes.texts
    assert [text.get_text() for text in first] == [f"step {i}" for i in range(4)]
    assert long.get_text()[:2] == LONG[:2]
    assert "…" in long.get_text()
    for text in axes.texts:
        assert text.get_window_extent().width <= 2 * 32 + figures.GAP + 1
    x = [text.get_position()[0] for text in axes.texts]
    assert x[3:] == x[:2]
    assert x[0] < x[1] < x[2]


@pytest.mark.parametrize("d", [1, 3, 10])
@pytest.mark.parametrize("count", [1, 2, 256])
def test_the_latent_plane_of_any_z(d, count):
    images = np.full((count, 8, 8, 3), 100.0)
    z = RNG.normal(size=(count, d))
    figure = generator_pictures.latent_plane(z, images)
    assert_blank_border(drawn(figure))
    assert figure.axes[0].get_ylabel() == ("" if d == 1 else "z₂")
    assert (f"the first 2 of its {d}" in figure.axes[0].get_title("left")) == (d > 2)


@pytest.mark.parametrize("d", [1, 2, 10])
def test_the_grid_of_any_z(d):
    figure = generator_pictures.interpolation_panel(RNG.uniform(0, 255, (64, 8, 8, 3)), d)
    assert_blank_border(drawn(figure))
    (axes,) = figure.axes
    assert len(axes.get_yticks()) == (0 if d == 1 else 8)
    assert axes.get_ylabel() == ("" if d == 1 else "z₂")
    assert ("other dimensions" in axes.get_title("left")) == (d > 2)


def test_a_panel_says_what_it_leaves_out():
    images = np.full((256, 4, 4, 3), 100.0)
    figure = generator_pictures.reconstruction_panel(images, images)
    assert figure.axes[0].get_title("left").endswith("the first 55 of 256")
    figure = generator_pictures.reconstruction_panel(images[:2], images[:2])
    assert "first" not in figure.axes[0].get_title("left")


# Charts


def series(count, constant=False):
    """As many as there may be: noisy, on a logarithmic axis, with a spike, and with holes."""
    noise = RNG.normal(size=count)
    spike = noise.copy()
    spike[count // 2] = 1e7
    holes = np.where(np.arange(count) % 3 == 0, np.nan, noise)
    growing = np.exp(noise) * 1e5
    growing[0] = 0
    return [
        Series("Noise", noise, "quantity, unit"),
        Series("Spike", spike, "a quantity whose name takes more than a line, grey levels"),
        Series("Holes", holes, "quantity"),
        Series("Growing", growing, "quantity, nats", log=True),
        *[Series(f"Other {i}", noise * 10**i, "quantity, nats") for i in range(8)],
        Series("Constant", np.full(count, 0.25), "share"),
        Series("Nothing", np.full(count, np.nan), "share"),
        Series("Zero", np.zeros(count), "quantity, nats", log=True),
    ]


@pytest.mark.parametrize("count", [1, 2, 30, 5000])
def test_charts_of_any_length_are_small_and_whole(count):
    for chosen in (series(count), series(count)[3:4], series(count)[-3:]):
        picture = drawn(charts.draw(chosen, "Title"))
        assert len(picture) <= 1200
        assert_blank_border(picture)


def test_what_is_constant_is_said_not_drawn():
    figure = charts.draw(series(30))
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["Noise", "Spike", "Holes", "Growing", *[f"Other {i}" for i in range(8)]]
    said = " ".join(texts(figure))
    assert "Constant: 0.25 throughout." in said
    assert "Nothing: no number throughout." in said
    assert "Zero: 0 nats throughout." in said
    alone = charts.draw([Series("Loss", [1.0], "nats")])  # one iteration is no constant
    assert [axes.get_title("left") for axes in alone.axes] == ["Loss"]


def test_a_spike_does_not_flatten_the_rest_and_is_counted():
    figure = charts.draw(series(300))
    panels = {axes.get_title("left"): axes for axes in figure.axes}
    low, high = panels["Spike"].get_ylim()
    assert -10 < low < high < 10
    assert [text.get_text() for text in panels["Spike"].texts] == [
        "1 point lies above, up to 10,000,000"
    ]
    assert [text.get_text() for text in panels["Growing"].texts] == [
        "1 point lies below, down to 0"
    ]
    assert not panels["Noise"].texts


def test_a_running_mean_lies_over_what_is_noisy_alone():
    line = np.linspace(0, 1, 200)
    noisy = line + RNG.normal(0, 0.2, 200)
    figure = charts.draw([Series("Noisy", noisy, "nats"), Series("Line", line, "nats")])
    noisy_axes, smooth_axes = figure.axes
    raw, mean = (each.get_ydata() for each in noisy_axes.lines)
    np.testing.assert_array_equal(raw, noisy)
    assert np.abs(mean - line).max() < np.abs(noisy - line).max() / 2
    assert len(smooth_axes.lines) == 1
    assert any("running mean over 9" in text for text in texts(figure))


def test_large_numbers_have_a_unit_that_says_so():
    values = RNG.normal(0, 1e6, 100)
    figure = charts.draw([Series("Loss", values, "loss, nats"), Series("Norm", values, "norm")])
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss, thousand nats", "norm, thousands"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), values / 1000)


# Moving pictures


def test_frames_are_numbered_beside_their_pixels():
    frames = [np.full((10, 40, 3), grey, np.uint8) for grey in (0, 255)]
    one, two = figures.numbered(frames, ["iteration 1", "iteration 20,000"])
    assert one.shape == two.shape
    np.testing.assert_array_equal(one[:10, :40], frames[0])
    np.testing.assert_array_equal(two[:10, :40], frames[1])
    assert (one[10:] < 128).any()
    assert (one[10:] != two[10:]).any()
    assert_blank_border(two, 1)


def test_a_gif_that_is_cut_keeps_its_ends_and_lasts_as_long(monkeypatch):
    monkeypatch.setattr(figures, "GIF_BYTES", 100_000)
    frames = [RNG.integers(0, 256, (90, 100, 3)).astype(np.uint8) for _ in range(40)]
    for i, frame in enumerate(frames):
        frame[:30] = 6 * i  # by which a frame is known
    file = io.BytesIO()
    figures.write_gif(file, frames, 100, hold=1000)
    assert file.tell() <= figures.GIF_BYTES
    kept, time = [], 0
    for frame in ImageSequence.Iterator(Image.open(file)):
        kept.append(int(np.asarray(frame.convert("L"))[:30].mean() / 6 + 0.5))
        time += frame.info["duration"]
    assert 4 < len(kept) < 40
    assert (kept[0], kept[-1]) == (0, 39)
    assert set(np.diff(kept)) <= {min(np.diff(kept)), min(np.diff(kept)) + 1}
    assert time == pytest.approx(40 * 100 + 1000, rel=0.1)


def test_two_frames_that_do_not_fit_are_reduced(monkeypatch):
    monkeypatch.setattr(figures, "GIF_BYTES", 30_000)
    frames = list(RNG.integers(0, 256, (2, 200, 200, 3)).astype(np.uint8))
    file = io.BytesIO()
    figures.write_gif(file, frames, 100)
    assert file.tell() <= figures.GIF_BYTES
    gif = Image.open(file)
    assert gif.n_frames == 2
    assert 50 <= gif.width < 200


# Posteriors


def test_the_posterior_shows_each_sampler_for_a_few_images(tools):
    posterior = tools["posterior"]

    def decode(z):
        return z @ np.eye(2, 12)

    found = posterior.quadrature.posterior(decode, np.zeros(12), 0.3, np.zeros([1, 2]))
    around = RNG.normal(0, 0.1, (256, 4, 8, 2))
    draws = {
        name: Draws(z, np.ones((256, 4)), np.ones((256, 4)))
        for name, z in {"mala": around, "langevin": around + 100, "hmc": around * np.nan}.items()
    }
    for count in (1, 2, 256):
        figure = posterior.posterior_panel([found] * count, draws, [LONG] * count)
        assert_blank_border(drawn(figure))
        assert len(figure.axes) == 4 * min(count, 6)
        row = figure.axes[:4]
        assert [axes.get_title("left") for axes in row[1:]] == list(draws)
        assert [axes.get_xlabel() for axes in row] == ["z₁"] * 4
        assert row[0].get_ylabel() == "z₂"
        assert not row[1].texts
        assert row[2].texts[0].get_text() == row[3].texts[0].get_text() == "all draws lie outside"
        assert ("the first 6 of 256" in " ".join(texts(figure))) == (count == 256)
    assert_blank_border(drawn(posterior.posterior_panel([found], {}, ["a"])))


def test_moments_are_explained(mains):
    moments = mains["DesNet"].moments
    gabor = [{"observed": float(i), "synthesized": 1.0} for i in range(12)]
    told = {
        "layers": {"one": {"difference": 0.5}},
        "gabor": dict(enumerate(gabor)),
        "colour": 0.25,
    }
    image = np.full((1, 8, 8, 3), 100.0)
    figure = moments.chart(told, image, image)
    assert_blank_border(drawn(figure), 2)
    _, middle, right = figure.axes
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert legend[0] == "red, observed"
    assert legend[5] == "blue, synthesized"
    assert len(middle.get_legend().get_texts()) == 4
    assert "Above the line" in middle.get_xlabel().replace("\n", " ")


# Finished runs


def test_pictures_of_a_run_are_whole_and_small(finished):
    for folder in finished:
        for path in folder.glob("*.png"):
            picture = np.asarray(Image.open(path).convert("RGB"))
            assert_blank_border(picture, 2)
            if path.name in ("loss.png", "diagnostics.png"):
                assert len(picture) <= 1200


def test_training_gif_shows_the_panels_with_their_numbers(finished):
    for folder in finished:
        panels = figures.read_panels(folder / "progress")
        gif = Image.open(folder / "training.gif")
        frames = [np.asarray(f.convert("RGB"), float) for f in ImageSequence.Iterator(gif)]
        assert len(frames) == len(panels) > 1
        for frame, panel in zip(frames, panels.values(), strict=True):
            assert frame.shape == (panel.shape[0] + figures.STRIP, *panel.shape[1:])
            assert np.abs(frame[: len(panel)] - panel).mean() < 3
        strips = [frame[len(panel) :] for frame in frames]
        assert (strips[0] != strips[-1]).any()


def test_the_history_has_the_psnr(finished):
    for folder in finished:
        records = history.read(folder / "history.csv", 30)
        psnr = [record["psnr"] for record in records]
        assert 0 < min(psnr) < max(psnr) < 100
        assert psnr[-1] > psnr[0]
