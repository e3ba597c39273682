"""What the measures of generated samples say of samples whose quality is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anogan.evaluation.realism import (
    COLUMNS,
    FLOOR,
    GAUSSIAN,
    JITTERED,
    Samples,
    SampleSets,
    Space,
    autocorrelation,
    autocorrelation_distance,
    compare,
    copying,
    correlation,
    correlation_distance,
    density_coverage,
    discriminative_score,
    evenly,
    gaussian,
    jittered,
    marginal_distance,
    memorisation,
    nearest,
    tstr,
)
from anogan.report.realism import GENERATED, write_realism


def waves(n: int, seed: int) -> Samples:
    """(n, 3, 48): two sine waves that go together, of any phase, height and period, and a channel that stands still."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * (rng.uniform(0.5, 1.5, (n, 1)) * np.arange(48) / 24 + rng.uniform(size=(n, 1)))
    wave = rng.gamma(4, 0.25, (n, 1)) * np.sin(angle)
    x = np.stack([20 * wave, 0.8 * wave + 0.3 * np.cos(3 * angle), np.zeros_like(wave)], axis=1)
    return np.asarray(x + [[20], [0.05], [0]] * rng.standard_normal(x.shape) * 0.05 + 7, dtype=np.float32)


def blobs(n: int, seed: int) -> Samples:
    """(n, 1, 8, 8): a bright spot somewhere."""
    rng = np.random.default_rng(seed)
    down, across = rng.uniform(2, 6, (2, n, 1, 1))
    x = np.exp(-np.square(np.arange(8)[:, None] - down) / 3 - np.square(np.arange(8) - across) / 3)
    return np.asarray(x[:, None] + 0.02 * rng.standard_normal((n, 1, 8, 8)), dtype=np.float32)


TRAIN, HELD_OUT, NEW = waves(600, 0), waves(300, 1), waves(300, 2)
RNG = np.random.default_rng(3)
NOISE = RNG.permuted(NEW.transpose(1, 0, 2).reshape(3, -1), axis=1).reshape(3, -1, 48).transpose(1, 0, 2)
SHUFFLED = np.stack([RNG.permutation(NEW[:, c]) for c in range(3)], axis=1)
COLLAPSED = np.repeat(TRAIN[100:103], 100, axis=0) + TRAIN.std(axis=(0, 2))[:, None] * 0.02 * RNG.normal(size=NEW.shape)
SPACE = Space.fit(TRAIN, 0)
CANDIDATES = {"new": NEW, "copies": TRAIN[:300], "noise": NOISE, "collapsed": COLLAPSED.astype(np.float32)}


def features(x: Samples) -> np.ndarray:
    return SPACE.features(SPACE.scale(x))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return compare(TRAIN, HELD_OUT, CANDIDATES, 0).set_index("samples", drop=False)


@pytest.mark.parametrize("x", [NEW, blobs(50, 0)], ids=["signals", "images"])
def test_real_against_itself_is_zero_in_every_distance(x: Samples) -> None:
    assert marginal_distance(x, x) == autocorrelation_distance(x, x) == 0
    assert x.shape[1] == 1 or correlation_distance(x, x) == 0


def test_one_channel_has_no_cross_correlation_and_a_still_one_none_either() -> None:
    assert np.isnan(correlation_distance(NEW[:, :1], NEW[:, :1]))
    assert correlation(NEW)[2].tolist() == [0, 0, 1]


def test_a_shift_by_a_spread_is_a_marginal_distance_of_one() -> None:
    scaled = SPACE.scale(TRAIN)
    assert scaled[:, :2].std(axis=(0, 2)) == pytest.approx(1, abs=1e-4)
    assert marginal_distance(scaled, scaled + 1) == pytest.approx(1, abs=1e-4)


def test_the_autocorrelation_is_that_of_the_process() -> None:
    noise = np.random.default_rng(0).standard_normal((400, 1, 202))
    (found,) = autocorrelation((noise[..., 2:] + noise[..., 1:-1]).astype(np.float32))
    assert found.shape == (1, 100)
    assert found[0, :4] == pytest.approx([0.5, 0, 0, 0], abs=0.03), "of the sum of two neighbours"
    stripes = np.repeat(noise[:, :, :, None], 8, axis=3)
    down, across = autocorrelation(stripes.astype(np.float32))
    assert down[0, :4] == pytest.approx(0, abs=0.03)
    assert across[0] == pytest.approx(np.ones(4)), "a row of one value"


def test_white_noise_of_the_same_values_is_told_by_its_autocorrelation(table: pd.DataFrame) -> None:
    assert table.autocorrelation["noise"] > 5 * table.autocorrelation[FLOOR]
    assert table.marginal["noise"] < 2 * table.marginal[FLOOR]


def test_shuffled_channels_break_the_cross_correlation_only() -> None:
    assert correlation_distance(NEW, SHUFFLED) > 0.2
    assert marginal_distance(NEW, SHUFFLED) == pytest.approx(0, abs=1e-6)
    assert autocorrelation_distance(NEW, SHUFFLED) == pytest.approx(0, abs=1e-6)


def test_coverage_of_a_collapsed_set_is_low_while_its_precision_is_high(table: pd.DataFrame) -> None:
    assert table.precision["collapsed"] > 0.9
    assert table.coverage["collapsed"] < 0.2
    assert table.recall["collapsed"] < 0.2
    assert table.coverage["new"] > 0.9
    assert table.coverage["noise"] < 0.5


def test_density_and_coverage_of_real_samples_are_one() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 800, 4))
    assert density_coverage(a, b) == (pytest.approx(1, abs=0.1), pytest.approx(0.97, abs=0.03))
    assert density_coverage(a, a)[1] == 1
    assert density_coverage(a, b + 50) == (0, 0)


def test_copies_are_warned_of_and_independent_samples_are_not(table: pd.DataFrame) -> None:
    warned = memorisation(table)
    assert {"copies", JITTERED} <= set(warned)
    assert not {"new", "noise", FLOOR, GAUSSIAN} & set(warned)
    assert "100%" in warned["copies"]


def test_a_fifth_of_copies_among_new_samples_is_warned_of() -> None:
    held_out, mixed = nearest(features(TRAIN), features(HELD_OUT), features(np.concatenate([NEW[:240], TRAIN[:60]])))
    ratio, share = copying(held_out, mixed)
    assert memorisation(pd.DataFrame({"samples": ["m"], "nearest training": ratio, "near copies": share}))
    assert ratio > 0.5, "the median alone would not tell"


def test_a_forest_cannot_tell_the_same_and_always_tells_another_distribution(table: pd.DataFrame) -> None:
    assert table.discriminative["new"] < 0.1
    assert table.discriminative[FLOOR] < 0.1
    assert table.discriminative["noise"] > 0.45
    a, b = np.random.default_rng(0).normal(size=(2, 200, 4))
    assert discriminative_score(a, b + 9, 0) == 0.5
    assert discriminative_score(a, b, 0) < 0.1


def test_a_forest_sees_what_the_components_leave_out() -> None:
    smooth = SPACE.components.inverse_transform(
        np.pad(features(NEW), [(0, 0), (0, len(SPACE.components.components_) - SPACE.kept)])
    )
    real, made = (SPACE.described(x) for x in (SPACE.scale(NEW), smooth.reshape(NEW.shape).astype(np.float32)))
    assert made[:, : SPACE.kept] == pytest.approx(real[:, : SPACE.kept], abs=1e-3)
    assert discriminative_score(real, made, 0) > 0.45


def test_synthetic_training_samples_are_worth_what_their_labels_are() -> None:
    real = {"wave": HELD_OUT, "noise": NOISE[:150]}
    assert tstr({"wave": NEW, "noise": NOISE[150:]}, real, 0) > 0.95
    assert tstr({"wave": NOISE[150:], "noise": NEW}, real, 0) < 0.05
    with pytest.raises(ValueError, match="same labels"):
        tstr({"wave": NEW}, real, 0)


def test_gaussian_samples_have_the_mean_and_covariance_and_jittered_copies_a_tenth_of_a_spread_of_noise() -> None:
    rng, x = np.random.default_rng(0), NEW[:, :2, :4]
    flat, made = x.reshape(300, -1), gaussian(x, 40_000, rng).reshape(40_000, -1)
    spread = flat.std(axis=0)
    assert (made.mean(axis=0) - flat.mean(axis=0)) / spread == pytest.approx(0, abs=0.03)
    assert (np.cov(made.T) - np.cov(flat.T)) / np.outer(spread, spread) == pytest.approx(0, abs=0.04)
    noise = (jittered(NEW, 300, rng) - NEW).std(axis=(0, 2))
    assert noise == pytest.approx(0.1 * NEW.std(axis=(0, 2)), rel=0.05, abs=1e-6)


def test_the_same_seed_gives_the_same_table_of_every_candidate(table: pd.DataFrame) -> None:
    assert list(table.columns) == ["samples", *COLUMNS]
    assert list(table.samples) == [*CANDIDATES, FLOOR, JITTERED, GAUSSIAN]
    assert table[list(COLUMNS)].notna().all(axis=None)
    few = TRAIN[:100], HELD_OUT[:40], {"new": NEW[:40]}
    first, again = (compare(*few, seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_units_do_not_matter() -> None:
    unit = np.float32([[0.001], [1000], [1]])
    space = Space.fit(TRAIN * unit, 0)
    assert space.scale(NEW * unit) == pytest.approx(SPACE.scale(NEW), abs=1e-3)
    assert space.kept == SPACE.kept


def test_what_cannot_be_compared_is_named() -> None:
    for train, candidate, message in (
        (TRAIN, NEW[:, :2], "got \\(2, 48\\) of new"),
        (TRAIN, NEW[:10], "at least 20 new, got 10"),
        (TRAIN[:30], NEW, "at least 40 training samples, got 30"),
        (TRAIN, NEW * np.float32(np.nan), "finite"),
        (np.ones_like(TRAIN), NEW, "all the same"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(train, HELD_OUT, {"new": candidate}, 0)
    with pytest.raises(ValueError, match="cannot be called"):
        compare(TRAIN, HELD_OUT, {FLOOR: NEW}, 0)


def test_many_samples_are_thinned_evenly() -> None:
    assert evenly(np.arange(9, dtype=np.float32), 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(NEW, 300) is NEW


@pytest.mark.parametrize(
    ("train", "held_out", "made", "channels"),
    [
        (TRAIN[:100], HELD_OUT[:40], TRAIN[:50], ("a", "b", "still")),
        (blobs(100, 0), blobs(40, 1), blobs(50, 2), ("grey",)),
    ],
    ids=["signals", "images"],
)
def test_the_page_has_every_row_and_the_warning_only_for_copies(
    tmp_path: Path, train: Samples, held_out: Samples, made: Samples, channels: tuple[str, ...]
) -> None:
    page = write_realism(tmp_path, "Title", SampleSets(train, held_out, made, channels), seed=0).read_text()
    written = pd.read_csv(tmp_path / "tables" / "how-close-to-real.csv")
    assert list(written["samples"]) == [GENERATED, FLOOR, JITTERED, GAUSSIAN]
    assert all(f">{name}<" in page for name in (*written["samples"], *written.columns, *channels))
    signals = len(channels) > 1
    assert ("Warning. Memorised" in page) == signals
    assert ("cross-correlation" in page) == signals
    assert (tmp_path / "figures" / "samples.png").exists()
    with pytest.raises(ValueError, match="channel names"):
        write_realism(tmp_path, "Title", SampleSets(train, held_out, made, ("x", *channels)), seed=0)
