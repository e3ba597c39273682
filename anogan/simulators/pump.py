"""A simulated machine: a pump of fixed speed lifts water into a tank, whose level a controller holds with a valve.

Demos and tests need recordings that nobody has to download, with faults whose beginning is known. Consumers draw from
the tank as they please; the pump's flow follows through the valve behind the pump. The equations are the usual lumped
ones (pump and pipe curves, Torricelli's outlet, first-order lags), with the constants of a 1.1 kW pump for 8 m3/h.
Faults act inside the loop, so the controller reacts to them. Times are in seconds, flows in litres per minute, heads in
metres of water, levels and openings between 0 and 1; sensors are in the units of CHANNELS.

A trip brings the machine into its safe state in two independent ways: the motor is switched off, and the valve loses
its power, so that a spring shuts it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

FaultName = Literal[
    "bearing wear",
    "leak",
    "blocked inlet",
    "stuck valve",
    "flow sensor drift",
    "sticking valve",
    "slow valve",
    "leaking valve",
    "efficiency loss",
]
CHANNELS = {
    "speed": "rpm",
    "current": "A",
    "pressure": "bar",
    "flow": "l/min",
    "level": "%",
    "valve": "%",
    "temperature": "degC",
    "vibration": "mm/s",
}
NOISE = np.array([1.5, 0.02, 0.01, 0.6, 0.15, 0.2, 0.1, 0.03])  # standard deviation of each sensor, in its unit

# Water: heads in m; what a flow q loses is a factor (m per (l/min)2) times q2.
HEAD_CLOSED, HEAD_STATIC = 24.0, 4.0  # the pump's at no flow; the tank's height
PUMP_LOSS, PIPE_LOSS, VALVE_LOSS = 3e-4, 1.5e-4, 1.5e-4  # the valve's when it is open
INLET_LOSS, LEAK, DRIFT = 1e-3, 0.3, -15.0  # at severity 1: inlet's factor, share lost, l/min
HEAD_LOST, EFFICIENCY_LOST = 0.15, 0.3  # shares lost by the pump at severity 1
METRES_PER_BAR = 10.2
TANK = 1000.0  # l

# Control of the level by the valve.
SET_POINT = 0.5
GAIN, RESET = 4.0, 300.0  # opening per level, s
STROKE = 8.0  # s, the valve's lag
CLOSEST = 0.05  # the valve never shuts, so that the pump always has some flow
SLOWED, STICTION, SEAT_LEAK = 14.0, 0.1, 0.2  # at severity 1: added to the stroke's factor 1, opening, opening
COAST = 3.0  # s, the lag with which the pump loses its speed after a trip
REST = 0.0  # opening to which the valve goes after a trip
RESERVE = 0.2  # level at which a tripped machine shuts its consumers off: what is left is for those who need it most
SLIP = 0.25  # share of the stiction's band at which a valve that has come loose stops again

# Power in W, from 400 V and three phases.
WATT_PER_FLOW = 9.81 / 60  # of 1 l/min lifted by 1 m
EFFICIENCY = 0.55
FRICTION, WORN = 60.0, 120.0  # the bearings', and what wear of severity 1 adds
DISC = 90.0  # the impeller's friction in water
RATED, RATED_SLIP, SYNCHRONOUS = 1100.0, 100.0, 3000.0  # W, rpm, rpm
WATT_PER_AMPERE, MAGNETISING = 568.0, 1.2  # W/A of the active current at sqrt(3) 400 V 0.82; A
MOTOR_LOSS = 0.15  # share of the power that heats the motor
HEATING, WARM_UP = 0.15, 1200.0  # K/W, s
VIBRATION, OFF_BEST, BEST_FLOW = 1.1, 0.6, 110.0  # mm/s at the best flow; growth away from it; l/min

HOUR, DAY = 3600, 86_400  # s
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """One fault: from `start` to `end` (s), growing to its `severity` (0 none to 1 grave) within `ramp` seconds.

    Raises `ValueError` for an unknown name, or a severity or ramp out of range.
    """

    name: FaultName
    start: float
    end: float
    severity: float = 1.0
    ramp: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in get_args(FaultName):
            raise ValueError(f"unknown fault {self.name!r}; choose from {', '.join(get_args(FaultName))}")
        if not 0 <= self.severity <= 1:
            raise ValueError(f"got severity {self.severity}, expected 0 to 1")
        if not self.ramp >= 0:
            raise ValueError(f"got a ramp of {self.ramp} s, expected 0 or more")

    def at(self, time: Values) -> Values:
        """Return the severity (n,) at times (n,)."""
        grown = np.clip((time - self.start) / self.ramp, 0, 1) if self.ramp else 1.0
        return np.where((self.start <= time) & (time < self.end), self.severity * grown, 0.0)


class Water(NamedTuple):
    """Level, opening of the valve and the pump's flow, each (n,)."""

    level: Values
    valve: Values
    flow: Values


def simulate(
    seconds: int, seed: int = 0, faults: Sequence[Fault] = (), every: int = 1, trip: float = math.inf
) -> pd.DataFrame:
    """Simulate the pump.

    Parameters
    ----------
    seconds : int
        Length of the recording.
    seed : int
        Decides consumers, weather and noise, which are the same with and without faults.
    faults : sequence of Fault
        None by default.
    every : int
        Seconds between rows.
    trip : float
        Second after which the machine is brought into its safe state and stays there; never by default.

    Returns
    -------
    DataFrame
        Column `time` (s) and one column per sensor, in the units of `CHANNELS`.

    Raises
    ------
    ValueError
        If `trip` is negative.

    Examples
    --------
    >>> simulate(60, every=20)["time"].tolist()
    [0, 20, 40]
    """
    if not trip >= 0:
        raise ValueError(f"got a trip at {trip} s, expected 0 or more")
    rng = np.random.default_rng(seed)
    time = np.arange(seconds, dtype=np.float64)
    consumers, air = _consumers(time, rng), _air(time, rng)
    severity = {name: np.zeros(seconds) for name in get_args(FaultName)}
    for fault in faults:
        severity[fault.name] = np.maximum(severity[fault.name], fault.at(time))
    tripped = np.maximum(time - trip, 0)
    water = _water(consumers, severity, tripped)
    rows = _sensors(water, air, severity, tripped)[::every]
    rows[:, -1] *= 1 + 0.05 * rng.standard_normal(len(rows))  # a root mean square of something random
    table = pd.DataFrame((rows + NOISE * rng.standard_normal(rows.shape)).round(3), columns=list(CHANNELS))
    table.insert(0, "time", np.arange(0, seconds, every))
    return table


def _consumers(time: Values, rng: np.random.Generator) -> Values:
    """Draw the consumers' demand (n,), l/min, at the level's set point.

    It is higher by day than by night. Every one to ten minutes another part of the consumers opens or closes within a
    minute or two.
    """
    changes = np.cumsum(rng.integers(60, 600, len(time) // 60 + 1))
    steps = rng.uniform(-25, 25, len(changes) + 1)[np.searchsorted(changes, time, side="right")]
    daily = 20 * np.sin(2 * math.pi * (time / 86_400 - 0.25))
    return 100 + daily + _lag(steps, 30.0)


def _air(time: Values, rng: np.random.Generator) -> Values:
    """Draw the air temperature in the pump room (n,), degC: warmest in the afternoon, a little different every day."""
    days = int(time[-1] // 86_400) + 2 if len(time) else 2
    mean = np.interp(time / 86_400, np.arange(days), 22 + rng.uniform(-1.5, 1.5, days))
    return np.asarray(mean + 2 * np.sin(2 * math.pi * (time / 86_400 - 0.4)), dtype=np.float64)


def _water(consumers: Values, severity: dict[str, Values], tripped: Values) -> Water:
    """Simulate the loop second by second from its steady state. `tripped` (n,) is the time since a trip, 0 before it.

    The flow q makes the pump's head equal to that of the circuit: HEAD_CLOSED - PUMP_LOSS q2 = HEAD_STATIC + (PIPE_LOSS
    + VALVE_LOSS / opening2) q2. TANK d level / dt = inflow - consumers sqrt(level / SET_POINT). The valve follows the
    command GAIN (error + 1/RESET integral of error) with the lag STROKE. Faults of severity s:

    - stuck valve: it moves (1 - s) as fast. Slow valve: its lag is (1 + SLOWED s) STROKE, and the level swings.
    - sticking valve: it stands until it is STICTION s from the command, then moves until it is SLIP of that from it;
      the valve moves in jumps and the level in a sawtooth.
    - leaking valve: the seat lets pass as much as an additional opening of SEAT_LEAK s, and the valve closes
      by as much; at low demand it cannot, and the level rises.
    - efficiency loss: HEAD_CLOSED falls by the share HEAD_LOST s, and the valve opens to compensate.

    After a trip HEAD_CLOSED falls with the square of the speed (affinity laws); where it is less than HEAD_STATIC, the
    check valve behind the pump holds the water: q = 0. The valve follows the command REST, as well as its fault allows.
    The tank feeds the consumers until it is down to RESERVE.
    """
    fixed = PUMP_LOSS + PIPE_LOSS + INLET_LOSS * severity["blocked inlet"]
    moves = (1 - severity["stuck valve"]) / (STROKE * (1 + SLOWED * severity["slow valve"]))
    bands = (STICTION * severity["sticking valve"]) ** 2  # squared, so that a gap of either sign needs one comparison
    given = fixed, _head_closed(severity, tripped) - HEAD_STATIC, 1 - LEAK * severity["leak"]
    of_valve = moves, bands, SEAT_LEAK * severity["leaking valve"], tripped
    level, hold = SET_POINT, 0.0
    valve = reset = _opening(float(consumers[0])) if len(consumers) else 0.5
    rows = []
    drawn = (consumers / math.sqrt(SET_POINT)).tolist()
    for draw, loss, lift, kept, move, band, beside, past in zip(drawn, *map(_each, given + of_valve), strict=False):
        error = SET_POINT - level
        reset = min(1.0, max(CLOSEST, reset + GAIN / RESET * error))
        gap = (REST if past else min(1.0, max(CLOSEST, reset + GAIN * error))) - valve
        if gap * gap > hold:
            valve += gap * move
            hold = band * SLIP**2
        else:
            hold = band
        opening = valve + beside
        flow = math.sqrt(lift / (loss + VALVE_LOSS / (opening * opening))) if lift > 0 else 0.0
        fed = 0.0 if past and level <= RESERVE else math.sqrt(level)
        level += (flow * kept - draw * fed) / 60 / TANK
        level = min(1.0, max(0.0, level))  # it overflows, or runs dry
        rows.append((level, valve, flow))
    return Water(*np.array(rows).reshape(-1, 3).T)


def _each(values: Values) -> Iterable[float]:
    """Iterate over values (n,). Values that never change, as without a fault, need no list."""
    return repeat(float(values[0])) if len(values) and (values == values[0]).all() else values.tolist()


def _head_closed(severity: dict[str, Values], tripped: Values) -> Values:
    """Return the head (n,) of the pump at no flow, m."""
    return HEAD_CLOSED * (1 - HEAD_LOST * severity["efficiency loss"]) * _spin(tripped) ** 2


def _spin(tripped: Values) -> Values:
    """Return the speed (n,) as a share of that before the trip."""
    return np.exp(-tripped / COAST)


def _opening(flow: float) -> float:
    """Return the opening of the valve at which the healthy pump gives this flow."""
    return math.sqrt(VALVE_LOSS / ((HEAD_CLOSED - HEAD_STATIC) / flow**2 - PUMP_LOSS - PIPE_LOSS))


def _sensors(water: Water, air: Values, severity: dict[str, Values], tripped: Values) -> Values:
    """Compute what perfect sensors show (n, CHANNELS).

    Power = WATT_PER_FLOW q head / EFFICIENCY + friction; efficiency loss lowers the efficiency by the share
    EFFICIENCY_LOST. The motor's slip is proportional to the power. The current adds the magnetising current at a right
    angle. The losses heat the bearing housing with the lag WARM_UP. Vibration grows away from the pump's best flow,
    with wear, and with the bubbles of a blocked inlet. A leak is before the flow meter. After a trip the motor takes no
    power; vibration and friction fall with the speed, and the pressure, measured before the check valve, with its
    square.
    """
    on, spin = tripped == 0, _spin(tripped)
    wear, blocked, flow = severity["bearing wear"], severity["blocked inlet"], water.flow
    head = _head_closed(severity, tripped) - (PUMP_LOSS + INLET_LOSS * blocked) * flow**2
    friction = (FRICTION + WORN * wear) * spin
    efficiency = EFFICIENCY * (1 - EFFICIENCY_LOST * severity["efficiency loss"])
    power = (WATT_PER_FLOW * flow * head / efficiency + DISC + friction) * on
    speed = (SYNCHRONOUS - RATED_SLIP * power / RATED) * spin
    current = np.hypot(MAGNETISING * on, power / WATT_PER_AMPERE)
    temperature = _lag(air + HEATING * (MOTOR_LOSS * power + friction), WARM_UP)
    shaking = VIBRATION * (1 + OFF_BEST * (flow / BEST_FLOW - 1) ** 2)
    vibration = shaking * (1 + 1.5 * wear + blocked) * spin
    metered = flow * (1 - LEAK * severity["leak"]) + DRIFT * severity["flow sensor drift"]
    pressure = head / METRES_PER_BAR
    columns = speed, current, pressure, metered, 100 * water.level, 100 * water.valve, temperature, vibration
    return np.stack(columns, axis=1)


def _lag(values: Values, seconds: float) -> Values:
    """Apply a first-order lag to values (n,), starting from the steady state of the first."""
    keep = math.exp(-1 / seconds)
    begin = keep * values[:1]
    return np.asarray(lfilter([1 - keep], [1, -keep], values, zi=begin)[0] if len(values) else values)


DEMO_FAULTS = (
    Fault("bearing wear", 24 * HOUR, 60 * HOUR, ramp=36 * HOUR),
    Fault("stuck valve", 84 * HOUR, 90 * HOUR),
)  # what the demo's five days hold
