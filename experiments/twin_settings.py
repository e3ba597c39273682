"""What the closed loop's experiment and its pages share."""

from __future__ import annotations

from pathlib import Path

from anogan.simulators.pump import DAY, HOUR, FaultName

OUT = Path("reports/twin")
SEVERITIES = (0.25, 0.5, 1.0)
RAMPS = {"sudden": 0, "ramped": 6 * HOUR}  # s until a fault has its severity
WATCHED = DAY  # s after the onset
NONE = "no fault"
DRAWN: tuple[FaultName, float, str] = ("bearing wear", 1.0, "ramped")  # the demo's; first day and training seed
EVERY = 10  # s between rows, as in the demo
HEALTHY, BUDGET = 28 * DAY, "1/week"  # the demo's
SEEDS = (0, 1, 2)  # of training and its four healthy weeks, which are the demo's
ONSETS = (26, 30, 34, 38, 42, 46)  # h; an operating day each, of seed 1000 + place: at six times of the day
WEEKS, WEEK = 6, 7 * DAY  # healthy ones for each training seed, of seed 3000 + 100 training seed + place
STILL = 0.05  # of the synchronous speed, the rated current and the best flow: below all three the machine is safe
HOLD = 60  # s for which it must be
