"""Live monitoring: rows from a stream, a growing file or MQTT; one line of JSON out per alarm change."""
