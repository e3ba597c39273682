"""Rows from an MQTT topic, and alarm changes sent to another one. It waits for a broker that cannot be reached."""

from __future__ import annotations

import json
import logging
import os
import ssl
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from anogan.files import Json
from anogan.sensors.monitor.monitor import Message
from anogan.sensors.monitor.sources import LONGEST_BYTES, WAITING, Waiting, drain

logger = logging.getLogger(__name__)

PASSWORD = "ANOGAN_MQTT_PASSWORD"
LONGEST_WAIT = 30  # seconds between two attempts to connect
LAST_WORDS = 2  # seconds
UNDER_WAY = 10  # changes sent and not yet taken over; brokers cut off a client that resumes with more than 20
QOS = 2  # a change is to arrive exactly once


@dataclass(frozen=True)
class Address:
    """A broker and topic: mqtt://user@host:1883/topic, or mqtts:// for TLS."""

    host: str
    port: int
    topic: str
    user: str | None
    password: str | None
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read an address. Raises `ValueError` with an example.

        The password is best given in the environment, where other users cannot see it.
        """
        parts = urlsplit(url.replace("#", "%23"))  # a topic's wildcard, not the fragment of a page
        topic = unquote(parts.path.lstrip("/"))
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or not topic:
            raise ValueError(f"expected an address such as mqtt://user@host:1883/plant/pump1, got {url!r}")
        tls = parts.scheme == "mqtts"
        password = unquote(parts.password) if parts.password else os.environ.get(PASSWORD)
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, parts.port or (8883 if tls else 1883), topic, user, password, tls)


class Topic:
    """Messages of a topic.

    The broker keeps a session for `client_id`, so that it delivers later what is published while the monitor is away. A
    message is acknowledged when its rows have been scored and saved, and at once, because brokers wait after a few
    messages. Messages of QoS 0, for which no broker waits, are dropped while too many are in the queue. Retained
    messages may have been delivered before.
    """

    patience = 0.0

    def __init__(self, address: Address, publish: str, client_id: str, ca_file: str = "") -> None:
        self.address, self.publish = address, publish or f"{address.topic}/alarms"
        if any(mark in self.publish for mark in "+#"):
            raise ValueError(f"{address.topic} has a wildcard; give a topic for alarms with --publish TOPIC")
        if mqtt.topic_matches_sub(address.topic, self.publish):
            raise ValueError(f"alarms published to {self.publish} would come back as rows; choose another --publish")
        self.queue = Waiting()  # never full: a thread that waits for it would not answer the broker
        self.dropped = 0  # messages left out
        self.waiting: deque[Json] = deque()  # changes to be sent
        self.sending: dict[str, int] = {}  # id of a change under way -> its message's number
        self.taken: set[int] = set()  # numbers of the messages that the broker has taken over
        self.connections = 0
        self.refused, self.trouble = "", ""  # why the broker refused, why it could not be reached
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, manual_ack=True)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_message, client.on_connect_fail = self._received, self._unreachable
        client.on_publish = self._published
        client.reconnect_delay_set(1, LONGEST_WAIT)
        if address.user:
            client.username_pw_set(address.user, address.password)
        if address.tls:
            client.tls_set_context(ssl.create_default_context(cafile=ca_file or None))
        self.client = client

    def batches(self) -> Iterator[list[Message]]:
        """Connect and yield batches of messages. Raises `ConnectionRefusedError`."""
        self.client.connect_async(self.address.host, self.address.port)
        self.client.loop_start()
        while not self.refused:
            yield drain(self.queue)[0]
        raise ConnectionRefusedError(self.refused)

    def done(self, messages: Sequence[Message]) -> None:
        """Acknowledge messages in the connection that delivered them; in a new one the broker delivers them again."""
        for message in messages:
            number, qos, connection = message.position
            if connection == self.connections:
                self.client.ack(number, qos)

    def send(self, change: Json) -> None:
        """Queue an alarm change for the broker."""
        self.waiting.append(change)

    def confirmed(self) -> list[str]:
        """Return the ids of the changes that the broker has accepted since the last call, and send more."""
        identities = [identity for identity, number in self.sending.items() if number in self.taken]
        for identity in identities:
            self.taken.discard(self.sending.pop(identity))
        while self.waiting and len(self.sending) < UNDER_WAY and self.client.is_connected():
            change = self.waiting.popleft()
            self.sending[change["id"]] = self.client.publish(self.publish, json.dumps(change), qos=QOS).mid
        return identities

    def close(self) -> list[str]:
        """Wait up to LAST_WORDS seconds for pending messages, then disconnect. Returns the ids confirmed meanwhile."""
        identities, end = self.confirmed(), time.monotonic() + LAST_WORDS
        while (self.waiting or self.sending) and self.client.is_connected() and time.monotonic() < end:
            time.sleep(0.01)
            identities += self.confirmed()
        self.client.disconnect()
        self.client.loop_stop()
        if self.dropped:
            logger.warning("%s messages of QoS 0 were dropped", f"{self.dropped:,}")
        return identities

    # Called by the client's thread.

    def _connected(self, client: mqtt.Client, data: object, flags: Any, reason: Any, properties: object) -> None:
        if reason.is_failure:
            self.refused = f"{self.address.host}:{self.address.port} refuses the connection: {reason}"
            return
        self.connections += 1
        logger.info("connected to %s:%s", self.address.host, self.address.port)
        client.subscribe(self.address.topic, qos=1)

    def _unreachable(self, client: mqtt.Client, data: object) -> None:
        error = sys.exception()  # the client calls this while it handles it
        if str(error) != self.trouble:
            self.trouble = str(error)
            logger.warning("%s:%s: %s; trying again", self.address.host, self.address.port, error)

    def _disconnected(self, client: mqtt.Client, data: object, flags: Any, reason: Any, properties: object) -> None:
        if reason.is_failure:
            logger.warning("connection lost (%s); trying again", reason)

    def _published(self, client: mqtt.Client, data: object, number: int, reason: Any, properties: object) -> None:
        self.taken.add(number)

    def _received(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        if not message.qos and self.queue.qsize() > WAITING:
            self.dropped += 1
            if self.dropped == 1:
                logger.warning("messages arrive faster than they are scored; those of QoS 0 are dropped")
            return
        text = message.payload[:LONGEST_BYTES].decode("utf-8-sig", "replace")
        position = message.mid, message.qos, self.connections
        self.queue.put(Message(text, time.monotonic(), position, message.dup or message.retain))
