"""The published comparison on sensors: fills reports/sensors/. Finished cells are kept.

python -m experiments.sensors FOLDER     FOLDER holds skab/ and nab_machine/ (see public_recordings.py); half an hour
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from tqdm import tqdm

from anogan.budgets import per_second
from anogan.config.detectors import SubspaceConfig
from anogan.config.presets import SENSORS
from anogan.config.runs import SensorRunConfig
from anogan.detectors import Detector, SubspaceGAN
from anogan.detectors.calibration import Floats
from anogan.errors import CalibrationWarning
from anogan.evaluation.metrics import auprc, auroc
from anogan.files import write_text
from anogan.gan.networks import GAN
from anogan.gan.training import EncoderTraining, GANTraining, train
from anogan.runs.training import make_detector
from anogan.sensors.healthy import Healthy, prepare
from anogan.sensors.model import SensorModel
from anogan.sensors.recordings import Recording, from_table
from anogan.sensors.scaling import Scaling
from anogan.sensors.training import calibrated
from anogan.simulators.pump import simulate
from anogan.views.base import View
from anogan.views.components import principal_components, t2_and_spe
from anogan.views.unexplained import Unexplained
from anogan.windows import cut_windows
from experiments.public_recordings import LabelledRecording, load_nab_machine, load_skab, load_skab_healthy

OUT = Path("reports/sensors")
SEEDS = (0, 1, 2)
PUMP_SEEDS = range(12)  # for false alarms, whose number varies between trainings
CONTAMINATED = {"other/2"}  # 296 of its 400 training rows are anomalous by its own labels
OVERLAPPING = {"other/4", "other/13"}  # training rows, 57 and 178, that other files hold too and label as anomalous
WINDOW = {"skab": 10, "nab": 288}  # of the baselines, as usual for these data
LIMIT = 0.99  # quantile of training rows above which a baseline alarms
ROW_ALONE = 170  # of the test rows: an alarm from here on without a look at the sensors
DAY = 86_400.0
Predict = Callable[[LabelledRecording, int], Iterator[tuple[str, Floats, NDArray[np.bool_], float]]]

BUDGET = "6/hour"  # for experiments of twenty minutes; chosen on injected faults (LOG.md)
OWN = replace(SENSORS, alarm=replace(SENSORS.alarm, budget=BUDGET))
# Our detector and what is left of it without each of its parts; the others take the same windows.
OURS: dict[str, SensorRunConfig] = {
    "subspacegan": OWN,
    "without the GAN": replace(OWN, subspace=replace(OWN.subspace, residual_weight=0.0)),
    "windows in place of the GAN's residual": OWN,
    "without the components": replace(OWN, subspace=replace(OWN.subspace, residual_weight=1e6)),
    "without smoothing": replace(OWN, sensors=replace(OWN.sensors, smoothing=1.0)),
    "fanogan": replace(OWN, detectors=("fanogan",)),
}

NO_NETWORK = {"without the GAN", "windows in place of the GAN's residual"}  # none enters their scores


# Ours.


class Whitened(Unexplained):
    """The same figures of the window itself: what whitening alone does."""

    def _figures(self, x: Tensor, x_hat: Tensor) -> Tensor:
        return super()._figures(x, torch.zeros_like(x))


class WithoutReconstruction(SubspaceGAN):
    @property
    def own_views(self) -> tuple[View, ...]:
        linear, residual, level = super().own_views
        return linear, Whitened(self.subspace, residual.weight), level


def make(name: str, config: SensorRunConfig) -> Detector:
    detector = make_detector(config.detectors[0], config, "cpu")
    return WithoutReconstruction(**detector.get_params(deep=False)) if name.startswith("windows") else detector


def networks(config: SensorRunConfig, healthy: Healthy, seed: int) -> GAN:
    gan = train(healthy.x, GANTraining(tuple(healthy.x.shape[1:]), config.gan, seed))
    return train(healthy.x, EncoderTraining(gan, config.encoder, seed))


def fit(name: str, config: SensorRunConfig, gan: GAN, healthy: Healthy) -> SensorModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)  # the promise is in the table
        return calibrated(make(name, config), gan, healthy, config)


def ours(case: LabelledRecording, seed: int) -> Iterator[tuple[str, Floats, NDArray[np.bool_], float]]:
    """Name, score and alarm of every row, and seconds of training of what the score uses, for each of OURS on the same
    networks."""
    begin = time.monotonic()
    healthy = prepare(SENSORS, case.healthy)
    prepared = time.monotonic() - begin
    gan = networks(SENSORS, healthy, seed)
    trained = time.monotonic() - begin
    for name, config in OURS.items():
        begin = time.monotonic()
        model = fit(name, replace(config, seed=seed), gan, healthy)
        seconds = (prepared if name in NO_NETWORK else trained) + time.monotonic() - begin
        table = model.score(case.recording).table
        yield name, table["score"].fillna(model.usual.score).to_numpy(), table["alarm"].to_numpy() > 0, seconds


# Baselines: windows of the training rows, one detector each, no smoothing, no alarm logic.


@dataclass(frozen=True)
class Windows:
    train: NDArray[np.float64]  # (n, d)
    every: NDArray[np.float64]


def windows(case: LabelledRecording, window: int) -> Windows:
    values = pd.DataFrame(case.recording.values).ffill().bfill().to_numpy()
    rows = Scaling.fit(values[: case.n_train]).apply(values)
    flat = cut_windows(rows.T, window).reshape(len(rows) - window + 1, -1)
    return Windows(flat[: case.n_train - window + 1], flat)


def pca(x: Windows, seed: int) -> Floats:
    memory = principal_components(torch.from_numpy(x.train.copy()), SubspaceConfig(variance=0.9))
    distances = t2_and_spe(torch.from_numpy(x.every.copy()), memory)
    scores: Floats = (distances / memory["limits"][:, None]).sum(0).numpy()
    return scores


def forest(x: Windows, seed: int) -> Floats:
    scores: Floats = -IsolationForest(random_state=seed).fit(x.train).score_samples(x.every)
    return scores


def neighbours(x: Windows, seed: int) -> Floats:
    scores: Floats = NearestNeighbors(n_neighbors=5).fit(x.train).kneighbors(x.every)[0].mean(1)
    return scores


BASELINES = {"windowed PCA, T2 + SPE": pca, "isolation forest": forest, "5 nearest neighbours": neighbours}


def baselines(window: int) -> Predict:
    def predict(case: LabelledRecording, seed: int) -> Iterator[tuple[str, Floats, NDArray[np.bool_], float]]:
        x = windows(case, window)
        for name, score in BASELINES.items():
            begin = time.monotonic()
            found = score(x, seed)
            limit = np.quantile(found[: len(x.train)], LIMIT)
            padded = np.concatenate([np.full(window - 1, found[0]), found])
            yield f"{name}, {window} rows", padded, padded > limit, time.monotonic() - begin
        rows = np.arange(len(case.recording), dtype=np.float64)
        yield "alarm always", np.zeros(len(rows)), np.ones(len(rows), bool), 0.0
        yield f"alarm from test row {ROW_ALONE} on", rows, rows >= case.n_train + ROW_ALONE, 0.0

    return predict


# Cells.


def measure(case: LabelledRecording, score: Floats, alarm: NDArray[np.bool_]) -> dict[str, Any]:
    y, score, alarm = case.y_test, score[case.n_train :], alarm[case.n_train :]
    counts = {"tp": alarm & (y == 1), "fp": alarm & (y == 0), "fn": ~alarm & (y == 1), "tn": ~alarm & (y == 0)}
    return {"auroc": auroc(y, score), "auprc": auprc(y, score)} | {k: int(v.sum()) for k, v in counts.items()}


def run_cells(data: str, cases: list[LabelledRecording]) -> None:
    file = OUT / "results.csv"
    rows: list[Any] = pd.read_csv(file).to_dict("records") if file.exists() else []
    finished = {(row["data"], row["experiment"], row["seed"]) for row in rows}
    cells = [(case, seed) for seed in SEEDS for case in cases if (data, case.name, seed) not in finished]
    for case, seed in tqdm(cells, desc=data, disable=None):
        for predict in (ours, baselines(WINDOW[data])):
            for name, score, alarm, seconds in predict(case, seed):
                key = {"data": data, "experiment": case.name, "detector": name, "seed": seed}
                rows.append(key | measure(case, score, alarm) | {"train_seconds": seconds})
        write_text(file, pd.DataFrame(rows).to_csv(index=False, float_format="%.5f"))


# False alarms on healthy rows that nothing was trained on.


def false_alarms(
    config: SensorRunConfig, seed: int, healthy_rows: Recording, watched: Recording, counted: NDArray[np.bool_]
) -> dict[str, Any]:
    """Alarms that begin in the `counted` rows of `watched` beside what was promised for as many."""
    config = replace(config, seed=seed)
    healthy = prepare(config, healthy_rows)
    model = fit("subspacegan", config, networks(config, healthy, seed), healthy)
    active = model.score(watched).table["alarm"].to_numpy()
    begins = (np.diff(active, prepend=0) > 0) & counted
    days = float(counted.sum()) * model.step / DAY
    expected = model.rule.promised * DAY * days
    found = {"budget": config.alarm.budget, "asked_per_day": per_second(config.alarm.budget) * DAY}
    found |= {"threshold": model.rule.threshold, "blocks": len(model.rule.peaks)}
    found |= {"sure_per_day": model.rule.at_most * DAY}
    found |= {"promised_per_day": model.rule.promised * DAY, "days": days, "alarms": int(begins.sum())}
    return found | {"expected": expected, "rows_under_alarm": float((active[counted] > 0).mean())}


def quiet_cases(folder: Path) -> Iterator[tuple[str, str, Sequence[int], Callable[[int], tuple[Any, Any, Any]]]]:
    def pump(seed: int) -> tuple[Recording, Recording, NDArray[np.bool_]]:
        recordings = [
            from_table(simulate(days * 86_400, s, (), 10), "pump", "time")
            for days, s in ((28, 300 + seed), (60, 400 + seed))
        ]
        return recordings[0], recordings[1], np.ones(len(recordings[1]), bool)

    def skab(seed: int) -> tuple[Recording, Recording, NDArray[np.bool_]]:
        rows = load_skab_healthy(folder / "skab")
        cut = round(0.6 * len(rows))
        return rows.rows(slice(cut)), rows.rows(slice(cut, None)), np.ones(len(rows) - cut, bool)

    def nab(seed: int) -> tuple[Recording, Recording, NDArray[np.bool_]]:
        case = load_nab_machine(folder / "nab_machine")
        recording = replace(case.recording, step=300.0, time=300.0 * case.recording.time)
        return recording.rows(slice(case.n_train)), recording.rows(slice(case.n_train, None)), case.y_test == 0

    yield "simulated pump", "1/day", PUMP_SEEDS, pump
    yield "simulated pump", "1/week", PUMP_SEEDS, pump
    yield "SKAB without faults", "12/hour", SEEDS, skab
    yield "NAB machine, between its faults", "1/day", SEEDS, nab


def run_quiet(folder: Path) -> None:
    file = OUT / "false_alarms.csv"
    rows: list[Any] = pd.read_csv(file).to_dict("records") if file.exists() else []
    finished = {(row["data"], row["budget"], row["seed"]) for row in rows}
    for data, budget, seeds, make in quiet_cases(folder):
        config = replace(SENSORS, alarm=replace(SENSORS.alarm, budget=budget))
        for seed in tqdm([s for s in seeds if (data, budget, s) not in finished], desc=data, disable=None):
            rows.append({"data": data, "seed": seed} | false_alarms(config, seed, *make(seed)))
            write_text(file, pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    run_cells("skab", load_skab(folder / "skab"))
    run_cells("nab", [load_nab_machine(folder / "nab_machine")])
    run_quiet(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
