"""The graph of a model of sensors: the last rows in their own units, and the moving average so far."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from anogan.export.graph import Found, Graph, Input, disturbed
from anogan.files import Json
from anogan.sensors.model import SensorModel
from anogan.sensors.scoring import fill
from anogan.sensors.windows import cut_scales

FARTHEST_VALUE = 0.999  # drawn values are not nearer to the ends of (-1, 1), which no measurement reaches
MISSING_SHARE = 0.05  # share of the values that are missing in some drawn rows


class SensorGraph(Graph):
    """Maps the last rows and the score before the last row to the smoothed score of the last row.

    Rows are (n, length, channels), NaN where missing. The score before them, `average`, and the new score are (n,); the
    new score is the next row's `average`. `RowScorer` does the same with a row whose segment has `length` rows or more.
    """

    kind, inputs = "sensors", ("rows", "average")

    def __init__(self, model: SensorModel) -> None:
        super().__init__(model.detector, model.rule.threshold)
        self.model, self.window = model, self.gan.shape[1]
        self.length = self.window * model.slow
        self.centre = torch.tensor(model.scaling.centre, dtype=torch.float64)
        self.spread = torch.tensor(model.scaling.spread, dtype=torch.float64)

    def forward(self, rows: Tensor, average: Tensor) -> tuple[Tensor, ...]:
        units = self._filled((rows - self.centre) / self.spread)
        x = (units / self.model.scaling.reach).tanh().float().transpose(1, 2)
        sample = x[:, :, -self.window :]
        if self.model.slow > 1:
            sample = torch.cat([sample, x.unflatten(2, (self.window, self.model.slow)).mean(3)], 1)
        score, x_hat, anomaly_map = self.detector.one_pass(sample)
        smoothed = average + (score.double() - average) / self.model.smoothing
        return self.judged(smoothed, x_hat, anomaly_map)

    def _filled(self, units: Tensor) -> Tensor:
        """Replace a missing value by the channel's last one, or by its mean if there is none.

        Values are copied from one row before, then from up to two, four, ... rows before.
        """
        reach = 1
        while reach < self.length:
            later, earlier = units[:, reach:], units[:, :-reach]
            units = torch.cat([units[:, :reach], torch.where(later.isnan(), earlier, later)], 1)
            reach *= 2
        return torch.where(units.isnan(), torch.zeros_like(units), units)

    def about(self) -> Json:
        model = self.model
        return {
            "input": f"rows: float64, in the recording's units, oldest first, NaN where missing, (n, {self.length}, "
            f"{len(model.channels)}); average: float64, the score before the last row, or usual_score, (n,)",
            "channels": ",".join(model.channels),
            "rows": self.length,
            "step_seconds": model.step,
            "smoothing": model.smoothing,
            "usual_score": model.usual.score,
            "budget": model.rule.budget,
            "alarm_persist": model.rule.persist,
            "alarm_release": model.rule.release,
        }

    def draw(self, n: int, stream: np.random.Generator) -> tuple[Input, ...]:
        x = disturbed(self.generated(n, stream), stream).astype(np.float64)
        units = self.model.scaling.from_unit(np.clip(x, -FARTHEST_VALUE, FARTHEST_VALUE)).transpose(0, 2, 1)
        count, slow = len(self.model.channels), self.model.slow
        rows = np.repeat(units[:, :, -count:], slow, axis=1)
        rows[:, -self.window :] = units[:, :, :count]
        rows[1::3][stream.random(rows[1::3].shape) < MISSING_SHARE] = np.nan
        average = self.model.usual.score + self.unit * stream.standard_normal(n)
        return rows * np.array(self.model.scaling.spread) + np.array(self.model.scaling.centre), average

    def python(self, *inputs: Input) -> Found:
        rows, average = inputs
        model, mean = self.model, np.zeros(len(self.model.channels))
        units = [fill(model.scaling.apply(one), mean) for one in rows]
        samples = [cut_scales(model.scaling.to_unit(one).T, self.window, model.slow) for one in units]
        explanation = model.detector.explain(np.concatenate(samples))
        smoothed = average + (explanation.score - average) / model.smoothing
        return self.told(smoothed, explanation.reconstruction, explanation.anomaly_map)
