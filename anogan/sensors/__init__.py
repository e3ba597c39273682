"""Recordings of sensors: trained on healthy operation, followed by alarms."""
