"""Faults of known kind, place and strength, to develop and test detectors on what is healthy: of photos and of sensor
recordings. Those of actuators are in `anogan.machine`, whose controller has to answer them."""
