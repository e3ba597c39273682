"""Every fault of a sensor keeps to its rows, its mask, its severity and its seed, whatever the recording."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from anogan.sensors.faults import SENSOR_FAULTS, apply

SEVERITIES = (0.0, 0.05, 0.3, 0.7, 1.0)
UNITS = np.array([1.0, 1e-3, 1e5, 20.0, 1.0, 0.5, 300.0, 7.0])


def recording(n: int, channels: int, missing: float = 0.0, seed: int = 0) -> np.ndarray:
    """Channels that follow one another, each in its own unit and with a little noise."""
    rng = np.random.default_rng(seed)
    common = lfilter([0.15], [1, -0.99], rng.standard_normal((n, 1)), axis=0)
    x = UNITS[:channels] * (3 + common + 0.1 * rng.standard_normal((n, channels)))
    x[rng.random(x.shape) < missing] = np.nan
    x[0] = 3 * UNITS[:channels]  # a value before any onset
    return np.asarray(x)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.tobytes() == b.tobytes()


def broken(
    kind: str, x: np.ndarray, severity: float, onset: int, duration: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    return apply(kind, x, severity, np.random.default_rng(seed), onset, duration)


def effect(x: np.ndarray, changed: np.ndarray, mask: np.ndarray) -> float:
    """In units of the channels; a value that is gone counts as one."""
    return float(np.nan_to_num(np.abs(changed - x) / UNITS[: x.shape[1]], nan=1.0)[mask].sum())


@pytest.mark.parametrize(("n", "onset", "duration"), [(2, 1, 1), (9, 2, 5), (40, 30, 10), (600, 300, 250)])
@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("channels", [1, 8])
@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_fault_keeps_the_laws(kind: str, channels: int, missing: float, n: int, onset: int, duration: int) -> None:
    x = recording(n, channels, missing)
    before = x.copy()
    for severity in SEVERITIES:
        changed, mask = broken(kind, x, severity, onset, duration, seed=3)
        assert changed.shape == mask.shape == x.shape
        assert changed.dtype == np.float64
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, (changed != x) & ~(np.isnan(changed) & np.isnan(x)))
        assert same_bits(changed[~mask], x[~mask])
        assert not mask[:onset].any()
        assert not mask[onset + duration :].any()
        assert mask.any(axis=0).sum() <= 1
        assert np.isnan(changed[np.isnan(x)]).all()
        assert not np.isinf(changed).any()
        assert not mask.any() or severity > 0
        again, _ = broken(kind, x, severity, onset, duration, seed=3)
        assert same_bits(changed, again)
    assert same_bits(x, before)


@pytest.mark.parametrize("channels", [1, 8])
@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_the_effect_grows_with_the_severity(kind: str, channels: int) -> None:
    for seed in range(5):
        x = recording(4000, channels, seed=seed)
        effects = [effect(x, *broken(kind, x, severity, 800, 3000, seed)) for severity in SEVERITIES]
        assert effects[0] == 0
        assert (np.diff(effects) > 0).all()


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_another_seed_is_another_fault(kind: str) -> None:
    x = recording(400, 8)
    assert len({broken(kind, x, 1.0, 100, 200, seed)[0].tobytes() for seed in range(10)}) >= 4


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_fault_is_found_where_it_was_asked_for_and_nowhere_else(kind: str) -> None:
    x = recording(400, 8)
    _, mask = apply(kind, x, 1.0, np.random.default_rng(0), 100, 200, [6, 2])
    assert np.flatnonzero(mask.any(axis=0)).tolist() == [2, 6]


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_the_unit_of_a_channel_makes_no_difference(kind: str) -> None:
    x = recording(400, 1)
    changed, mask = broken(kind, x, 0.6, 100, 200)
    scaled, scaled_mask = broken(kind, 1024 * x, 0.6, 100, 200)
    np.testing.assert_allclose(scaled, 1024 * changed, rtol=1e-12)
    np.testing.assert_array_equal(scaled_mask, mask)


@pytest.mark.parametrize("level", [0.0, -0.0, 7.3])
@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_channel_that_never_moved_is_no_error(kind: str, level: float) -> None:
    x = np.full((60, 1), level)
    assert same_bits(broken(kind, x, 0.0, 20, 30)[0], x)
    changed, mask = broken(kind, x, 1.0, 20, 30)
    moves = kind in ("spike", "drift", "bias", "noise_burst", "dropout", "oscillation")
    assert mask.any() == moves
    if moves and kind != "dropout":
        assert 0 < np.abs(changed - x).max() <= 16 * (0.01 * abs(level) or 1.0)


def test_rows_before_the_onset_alone_tell_the_spread_and_outliers_do_not() -> None:
    rng = np.random.default_rng(0)
    x = 5 + 2 * rng.standard_normal((3000, 1))
    x[2000:] *= 50
    x[::20] += 1000
    offset = broken("bias", x, 1.0, 2000, 900)[0] - x
    assert np.abs(offset[2000:2900]).mean() == pytest.approx(6 * 2, rel=0.15)


@pytest.mark.parametrize("kind", ["spike", "drift", "bias", "noise_burst", "dropout", "oscillation"])
def test_each_channel_is_drawn_for_on_its_own(kind: str) -> None:
    x = np.repeat(recording(300, 1), 8, axis=1)
    changed, _ = apply(kind, x, 0.5, np.random.default_rng(0), 100, 150, range(8))
    assert len({column.tobytes() for column in changed.T}) > 1


def test_each_kind_does_as_its_name_says() -> None:
    x = np.random.default_rng(1).standard_normal((4000, 1))
    spread = 1.4826 * np.median(np.abs(x[:1000] - np.median(x[:1000])))
    rows = slice(1000, 3000)

    def offset(kind: str, severity: float = 1.0) -> np.ndarray:
        return (broken(kind, x, severity, 1000, 2000)[0] - x)[rows, 0] / spread

    spikes = np.abs(offset("spike"))
    assert (spikes > 0).sum() == 40
    assert 6 <= spikes[spikes > 0].min() < spikes.max() <= 12
    np.testing.assert_allclose(np.abs(offset("drift")), 10 * np.arange(1, 2001) / 2000)
    np.testing.assert_allclose(np.abs(offset("bias", 0.5)), 3)
    assert offset("noise_burst").std() == pytest.approx(4, rel=0.1)
    assert np.abs(offset("oscillation")).max() == pytest.approx(4, rel=0.02)
    assert np.isnan(offset("dropout", 0.25)).sum() == 500
    assert (broken("stuck_at", x, 1.0, 1000, 2000)[0][rows] == x[999]).all()
    assert broken("stuck_at", x, 0.75, 1000, 2000)[0][rows].std() == pytest.approx(x[rows].std() / 4)
    assert broken("gain", x, 0.5, 1000, 2000)[0][rows].std() == pytest.approx(x[rows].std() * 3)
    assert len(np.unique(broken("quantisation", x, 1.0, 1000, 2000)[0][rows].round(6))) == 3
    np.testing.assert_array_equal(broken("delay", x, 1.0, 1000, 2000)[0][rows], x[970:2970])
    np.testing.assert_array_equal(broken("delay", x, 0.01, 1000, 2000)[0][rows], x[999:2999])


@pytest.mark.parametrize(("severity", "left"), [(0.6, 0.8), (1.0, 0.0)])
def test_a_decoupled_channel_is_its_old_self_but_follows_no_other(severity: float, left: float) -> None:
    relations, sizes, memories = [], [], []
    for seed in range(10):
        x = recording(6000, 2, seed=seed)
        changed, _ = apply("decoupling", x, severity, np.random.default_rng(seed), 4000, 1500, [1])
        old, new, other = x[4000:5500, 1], changed[4000:5500, 1], x[4000:5500, 0]
        assert np.corrcoef(old, other)[0, 1] > 0.95
        relations.append(np.corrcoef(new, other)[0, 1])
        sizes.append(new.std() / x[:4000, 1].std())
        memories.append(np.corrcoef(new[:-1], new[1:])[0, 1] - np.corrcoef(old[:-1], old[1:])[0, 1])
    assert np.mean(relations) == pytest.approx(left, abs=0.15)
    assert np.mean(sizes) == pytest.approx(1, abs=0.15)
    assert np.mean(memories) == pytest.approx(0, abs=0.02)


def test_a_recurring_pattern_is_not_replaced_by_itself() -> None:
    x = np.sin(2 * np.pi * np.arange(900) / 100)[:, None] + [0.0]
    for seed in range(20):
        changed, _ = broken("decoupling", x, 1.0, 500, 300, seed)
        assert abs(np.corrcoef(changed[500:800, 0], x[500:800, 0])[0, 1]) < 0.9


def test_decoupling_takes_nothing_but_values_from_before_the_onset() -> None:
    x = np.arange(50.0)[:, None]
    changed, _ = broken("decoupling", x, 1.0, 10, 40)
    assert set(changed[10:, 0]) <= set(range(10))
    assert (np.abs(np.diff(changed[10:, 0])) == 1).all()  # there and back, without a jump


def test_faults_compose_one_after_the_other() -> None:
    x = recording(500, 3)
    changed, mask = x, np.zeros(x.shape, dtype=bool)
    for kind, onset, duration, severity, channels in (
        ("drift", 100, 300, 0.5, [0]),
        ("dropout", 200, 100, 0.4, [0, 1]),
        ("stuck_at", 350, 100, 1.0, [2]),
    ):
        changed, added = apply(kind, changed, severity, np.random.default_rng(1), onset, duration, channels)
        mask |= added
    np.testing.assert_array_equal(mask, ~((changed == x) | (np.isnan(changed) & np.isnan(x))))
    assert mask.any(axis=0).all()
    assert np.isnan(changed[200:300, 0]).sum() == np.isnan(changed[200:300, 1]).sum() == 40
    assert (changed[350:450, 2] == x[349, 2]).all()


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_what_is_wrong_is_refused_in_one_line(kind: str) -> None:
    x, rng = recording(50, 2), np.random.default_rng()
    x[:, 1] = np.nan
    for changes, message in [
        ({"severity": 1.5}, r"got severity 1\.5, expected 0 to 1"),
        ({"severity": -0.1}, r"got severity -0\.1, expected"),
        ({"severity": np.nan}, "got severity nan, expected"),
        ({"onset": 0}, "got onset 0, expected a row from 1 to 49"),
        ({"onset": 50}, "got onset 50, expected"),
        ({"duration": 0}, "got duration 0, expected 1 to the 40 rows"),
        ({"duration": 41}, "got duration 41, expected"),
        ({"channels": [2]}, r"got channels \[2\], expected some of \[0\]"),
        ({"channels": [1]}, "those with values before the onset"),
        ({"channels": [0, 0]}, r"got channels \[0, 0\]"),
        ({"channels": []}, r"got channels \[\]"),
        ({"x": x[:, 0]}, r"got \(50,\) of float64, expected \(n, channels\)"),
        ({"x": x.astype(np.float32)}, "of float32, expected"),
        ({"x": x[:, 1:]}, "got channels None"),
        ({"x": np.full((50, 2), np.inf)}, "got infinite values"),
    ]:
        arguments = {"x": x, "severity": 1.0, "rng": rng, "onset": 10, "duration": 20, "channels": None} | changes
        with pytest.raises(ValueError, match=message) as caught:
            apply(kind, **arguments)
        assert "\n" not in str(caught.value)


def test_an_unknown_kind_is_told_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown sensor fault 'rust'; choose from spike, drift"):
        apply("rust", recording(50, 1), 1.0, np.random.default_rng(), 10, 20)
