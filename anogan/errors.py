"""The few exceptions and warnings a caller can act on; a bad argument is a plain `ValueError`."""


class AnoganError(Exception):
    """Something the user can mend; the command line shows it as one line."""


class DataUnavailableError(AnoganError):
    """A data set could not be had; the message names the path and how to get the files."""


class TrainingDivergedError(AnoganError):
    """A loss or a weight became infinite or NaN; the message names the step and the losses."""


class BundleError(AnoganError):
    """A saved model cannot be trusted; the message says what is wrong with which file."""


class RunError(AnoganError):
    """A run directory cannot be used for what was asked; the message says what to do instead."""


class ParallelError(AnoganError):
    """A process of a job on several has been lost; the others end with it."""


class ExportError(AnoganError):
    """An exported model does not say what Python says, or cannot be made; nothing has been written."""


class SampleError(AnoganError):
    """One input file cannot be scored; the message says why. Other files are unaffected."""


class TooManyPixelsError(SampleError):
    """An image file is larger than what is opened."""


class TrainingWarning(UserWarning):
    """Training finished but its result looks unhealthy (a collapsed generator, for example)."""


class CalibrationWarning(UserWarning):
    """Too few held-out normal samples for the false-alarm rate that was asked for."""
