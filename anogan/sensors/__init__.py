"""Sensors: recordings of a machine. Models are trained on healthy operation and raise alarms."""
