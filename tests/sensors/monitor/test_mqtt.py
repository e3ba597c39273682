"""The monitor against a real broker on loopback: restarts of either, TLS, passwords; no alarm lost, none doubled."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pandas as pd
import pytest
from conftest import faulty
from paho.mqtt.enums import CallbackAPIVersion

from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel
from anogan.sensors.monitor.monitor import ALARMS
from anogan.sensors.monitor.mqtt import PASSWORD, Address, Topic
from anogan.sensors.monitor.rows import LONGEST_MESSAGE
from anogan.sensors.monitor.sources import LONGEST_BYTES, WAITING, drain

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
# The client leaves an untrusted socket open; it is found in this test or in the next.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="needs the broker mosquitto")


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Broker:
    """A broker that keeps its sessions on disk, so that it can be stopped and started."""

    def __init__(self, folder: Path, *settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {folder}/"]
        lines += ["user root", "max_queued_messages 0", "log_type error", *settings]
        lines += [] if settings else ["allow_anonymous true"]
        self.config.write_text("\n".join(lines) + "\n")
        self.start()

    def start(self) -> None:
        assert MOSQUITTO
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stderr=subprocess.DEVNULL)
        wait_for(self.answers, 10)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    started = Broker(tmp_path / "broker")
    yield started
    started.stop()


@pytest.fixture
def monitors() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def monitor(run: Path, port: int, state: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "anogan", "monitor", str(run), f"mqtt://127.0.0.1:{port}/plant/pump"]
    with state.with_suffix(".log").open("a") as log:
        return subprocess.Popen([*words, "--state", str(state)], text=True, stdout=subprocess.DEVNULL, stderr=log)


def connected(port: int, on_alarm: Callable[[dict], None] | None = None) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "listener" if on_alarm else "plant", clean_session=False)
    client.reconnect_delay_set(1, 1)
    if on_alarm:
        client.on_message = lambda c, d, message: on_alarm(json.loads(message.payload))
        client.on_connect = lambda c, d, f, r, p: c.subscribe("plant/pump/alarms", qos=2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


@pytest.mark.slow
@needs_broker
def test_nothing_is_lost_or_doubled_when_broker_and_monitor_are_stopped(
    pump_run: Path, tmp_path: Path, broker: Broker, monitors: list[subprocess.Popen[str]]
) -> None:
    parts = [faulty(5), faulty(6), faulty(7)]
    table = pd.concat(parts, ignore_index=True)
    table["t"] = range(len(table))
    table.to_csv(tmp_path / "batch.csv", index=False)
    model = SensorModel.load(Bundle.open(pump_run))
    batch = model.score(model.read(tmp_path / "batch.csv")).alarms
    rows = [json.dumps(row) for row in table.to_dict(orient="records")]
    state, published = tmp_path / "state", list[str]()

    listener = connected(broker.port, lambda change: published.append(change["id"]))
    plant, taken = connected(broker.port), set[int]()
    plant.on_publish = lambda c, d, number, r, p: taken.add(number)

    # Not qos 2: a client that resumes with more than 20 of those at once is cut off, again and again.
    def publish(some: list[str]) -> None:
        sent = {plant.publish("plant/pump", row, qos=1).mid for row in some}  # kept while there is no connection
        wait_for(lambda: sent <= taken)
        taken.clear()

    def scored() -> int:
        file = state / "state.json"
        return int(json.loads(file.read_text())["scorer"]["seen"]) if file.exists() else 0

    monitors.append(monitor(pump_run, broker.port, state))
    wait_for(lambda: "connected" in state.with_suffix(".log").read_text())
    publish(rows[:700])
    wait_for(lambda: scored() > 300)
    monitors[-1].kill()  # no chance to say goodbye
    monitors[-1].wait()
    unsure = {change["id"] for change in json.loads((state / "state.json").read_text())["outbox"]}
    publish(rows[700:1000])  # kept by the broker
    monitors.append(monitor(pump_run, broker.port, state))
    publish(rows[1000:1500])
    wait_for(lambda: scored() > 800)
    broker.stop()
    wait_for(lambda: "connection lost" in state.with_suffix(".log").read_text())
    broker.start()
    publish(rows[1500:])
    wait_for(lambda: scored() == len(rows))
    changes = [json.loads(line) for line in (state / ALARMS).read_text().splitlines()]
    assert [c["start"] for c in changes if c["change"] == "begin"] == [alarm.start for alarm in batch]
    assert [c["end"] for c in changes if c["change"] == "end"] == [a.end for a in batch if a.end is not None]
    assert [c["peak"] for c in changes if c["change"] == "end"] == [a.peak for a in batch if a.end is not None]
    wait_for(lambda: len(published) >= len(changes))
    monitors[-1].send_signal(signal.SIGTERM)
    assert monitors[-1].wait(20) == 0
    # What the killed process had sent but not heard of is sent again, under its old id; nothing else comes twice.
    assert list(dict.fromkeys(published)) == [change["id"] for change in changes]
    assert {identity for identity in published if published.count(identity) > 1} <= unsure
    assert json.loads((state / "state.json").read_text())["outbox"] == []
    for client in (listener, plant):
        client.disconnect()
        client.loop_stop()


@needs_broker
def test_what_a_broker_keeps_for_newcomers_may_have_come_before(broker: Broker) -> None:
    """A retained message comes again after every reconnect and every restart; the monitor then looks at its time."""
    plant = connected(broker.port)
    found: list[tuple[str, bool]] = []

    def listen(topic: Topic, until: list[tuple[str, bool]]) -> None:
        def heard() -> bool:
            messages = next(batches)
            topic.done(messages)
            found.extend((message.text, message.again) for message in messages)
            return found == until

        batches = listening[topic]
        wait_for(heard)
        found.clear()

    plant.publish("plant/pump", "a", qos=1, retain=True).wait_for_publish(20)
    topic = Topic(Address.parse(f"mqtt://127.0.0.1:{broker.port}/plant/pump"), "", "test")
    listening = {topic: topic.batches()}
    listen(topic, [("a", True)])
    plant.publish("plant/pump", "b", qos=1, retain=True).wait_for_publish(20)
    listen(topic, [("b", False)])
    broker.stop()
    broker.start()
    listen(topic, [("b", True)])
    topic.close()
    again = Topic(topic.address, "", "test")
    listening[again] = again.batches()
    listen(again, [("b", True)])
    again.close()
    plant.disconnect()
    plant.loop_stop()


def received(topic: Topic, text: str, qos: int) -> None:
    message = mqtt.MQTTMessage(1)
    message.payload, message.qos = text.encode(), qos
    topic._received(topic.client, None, message)


def test_the_network_thread_never_waits_and_only_what_may_be_lost_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topic = Topic(Address.parse("mqtt://broker/a"), "", "test")
    full = WAITING // LONGEST_MESSAGE + 2
    for _ in range(full):
        received(topic, "x" * (8 * LONGEST_MESSAGE), 1)
    for qos in (0, 0, 1):
        received(topic, "y", qos)
    texts = [message.text for message in drain(topic.queue)[0]]
    assert len(texts) == full + 1
    assert max(map(len, texts)) <= LONGEST_BYTES
    assert topic.dropped == 2
    assert caplog.text.count("dropped") == 1


def certificate(folder: Path) -> tuple[Path, Path]:
    key, file = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(file)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return key, file


def wait_until_distrusted(url: str) -> None:
    untrusted = Topic(Address.parse(url), "", "test")
    batches = untrusted.batches()
    wait_for(lambda: next(batches) == [] and "CERTIFICATE_VERIFY_FAILED" in untrusted.trouble)
    untrusted.close()


@needs_broker
@pytest.mark.skipif(not shutil.which("openssl") or not shutil.which("mosquitto_passwd"), reason="needs openssl")
def test_tls_and_a_password_are_spoken_and_a_wrong_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, file = certificate(tmp_path)
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "plant", "secret"], check=True)
    settings = [f"certfile {file}", f"keyfile {key}", f"password_file {tmp_path / 'users'}", "allow_anonymous false"]
    broker = Broker(tmp_path, *settings)
    url = f"mqtts://plant@localhost:{broker.port}/plant/pump"
    try:
        monkeypatch.setenv(PASSWORD, "secret")
        topic = Topic(Address.parse(url), "", "test", str(file))
        batches = topic.batches()
        wait_for(lambda: next(batches) == [] and topic.connections == 1)
        topic.send({"id": "a", "text": "alarm"})
        wait_for(lambda: topic.confirmed() == ["a"])
        topic.close()
        monkeypatch.setenv(PASSWORD, "wrong")
        refused = Topic(Address.parse(url), "", "test", str(file))
        with pytest.raises(ConnectionRefusedError, match=r"refuses the connection: Not authorized"):
            list(refused.batches())
        refused.close()
        wait_until_distrusted(url)
    finally:
        broker.stop()


def test_an_address_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "from the environment")
    plain = Address.parse("mqtt://broker/plant/#")
    assert (plain.host, plain.port, plain.topic, plain.tls) == ("broker", 1883, "plant/#", False)
    full = Address.parse("mqtts://me:p%40ss@broker:99/a/b")
    assert (full.port, full.user, full.password, full.tls) == (99, "me", "p@ss", True)
    assert Address.parse("mqtts://me@broker/a").password == "from the environment"
    with pytest.raises(ValueError, match="would come back as rows"):
        Topic(Address.parse("mqtt://broker/plant/+"), "plant/alarms", "x")
