"""Photos scored as they are written: each once, when it is complete, whatever happens to process, files and drive."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import ENVIRONMENT, anogan, refusal, size
from photo_model import photo, save_model, write

from anogan.errors import SampleError
from anogan.photos.model import PhotoModel
from anogan.photos.rejects import LOG, Rejects
from anogan.photos.watch import RESULTS, Results, Watcher, photos_in
from anogan.pictures import files
from anogan.runs.bundle import Bundle


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(run: Path) -> PhotoModel:
    return PhotoModel.load(Bundle.open(run))


@pytest.fixture(scope="module")
def good(model: PhotoModel, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Seeds of photos that this model finds least odd of 40: one of ten good photos is a false alarm."""
    folder = tmp_path_factory.mktemp("some")
    scores = {seed: scored(model, write(folder / f"{seed}.png", seed)) for seed in range(100, 140)}
    return sorted(scores, key=lambda seed: scores[seed])[:10]


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Watcher.__init__.__kwdefaults__, "patience", 0.3)


def scored(model: PhotoModel, path: Path) -> float:
    (said,) = model.inspect_files([path])
    assert not isinstance(said, SampleError)
    return said.score


def told(model: PhotoModel, paths: list[Path]) -> dict[str, str]:
    """Verdict by name that the model gives without watching."""
    anomalies = {path.name: scored(model, path) > model.detector.threshold_ for path in paths}
    return {name: "anomaly" if anomaly else "normal" for name, anomaly in anomalies.items()}


def lines(state: Path) -> list[dict]:
    """Whole ones: a reader may come while some are being written."""
    whole = (state / RESULTS).read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def verdicts(state: Path) -> dict[str, str]:
    """By file; every file must stand there once."""
    said = lines(state)
    assert len({line["file"] for line in said}) == len(said)
    return {line["file"]: line["verdict"] for line in said}


@contextmanager
def watching_in_a_thread(model: PhotoModel, folder: Path, state: Path, **options: object) -> Iterator[Watcher]:
    results, stopped = Results(state), threading.Event()
    watcher = Watcher(model, folder, results, interval=0.05, **options)
    thread = threading.Thread(target=lambda: list(watcher.batches(stopped.wait)))
    thread.start()
    try:
        yield watcher
    finally:
        stopped.set()
        thread.join()
        results.close()


def until(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.01)


def png_of(seed: int) -> bytes:
    stream = io.BytesIO()
    photo(seed).save(stream, "PNG")
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG whose header claims 60000 x 60000 pixels."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0), b"IDAT": zlib.compress(bytes(1000))}
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_every_file_gets_one_line_of_json_with_what_score_says_of_it(
    run: Path, incoming: Path, good: list[int]
) -> None:
    names = [f"good-{i}.png" for i in range(3)] + ["tägliche Prüfung/Teil ✓.png"]
    for seed, name in zip(good, names, strict=False):
        write(incoming / name, seed)
    write(incoming / "bad.jpg", 5, bad=True)
    done = anogan("watch", run, incoming, "--once", "--interval", 0.05, "--maps", incoming.parent / "maps")
    assert done.returncode == 0, done.stderr
    said = {line["file"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert list(said.values()) == lines(run / "watch")
    assert set(said) == {*names, "bad.jpg"}
    assert list(said["bad.jpg"]) == [
        "file",
        "score",
        "p_value",
        "verdict",
        "regions",
        "time",
        "seconds",
        "size",
        "modified",
    ]
    anogan("score", run, incoming, "--out", incoming.parent / "s.csv")
    for record in json.loads((incoming.parent / "s.regions.json").read_text()):
        watched = said[str(Path(record.pop("file")).relative_to(incoming))]
        assert record == {key: watched[key] for key in record}
    assert size(incoming.parent / "maps" / "bad.jpg.map.png") == (32, 32)
    assert "4 normal, 1 anomaly, 0 error" in done.stderr


def test_bad_files_are_told_once_and_looked_at_again_when_they_change(
    run: Path, incoming: Path, tmp_path: Path, good: list[int]
) -> None:
    whole = png_of(good[0])
    contents = {"bomb.png": bomb(), "zero.png": b"", "half.png": whole[: len(whole) // 2], "text.png": b"hello"}
    contents |= {"half.jpg": write(tmp_path / "x.jpg", 3).read_bytes()[:300]}
    for name, content in contents.items():
        (incoming / name).write_bytes(content)
    write(incoming / "good.png", good[1])
    (incoming / "flat.png").write_bytes(b"")
    photo(0).resize((64, 16)).save(incoming / "flat.png")
    words = ("watch", run, incoming, "--once", "--interval", 0.05, "--state", tmp_path / "state")
    rejects = ("--move-rejects", tmp_path / "rejects")
    done = anogan(*words, *rejects)
    assert done.returncode == 2
    said = {line["file"]: line.get("error") for line in lines(tmp_path / "state")}
    assert set(said) == {*contents, "good.png", "flat.png"}
    assert said.pop("good.png") is None
    assert "too many pixels" in said["bomb.png"]
    assert "other proportions" in said["flat.png"]
    assert said["zero.png"] == said["text.png"] == "not a readable image"
    assert "damaged" in said["half.png"]
    assert "damaged" in said["half.jpg"]
    assert len(list(incoming.iterdir())) == 7, "files that cannot be scored stay"
    done = anogan(*words, *rejects)
    assert (done.returncode, done.stdout) == (0, "")
    (incoming / "half.png").write_bytes(whole)
    (line,) = map(json.loads, anogan(*words, *rejects).stdout.splitlines())
    assert (line["file"], line["verdict"]) == ("half.png", "normal")


def test_a_file_is_scored_when_its_second_half_has_come(
    model: PhotoModel, incoming: Path, tmp_path: Path, good: list[int]
) -> None:
    whole, other = png_of(good[0]), png_of(good[1])
    with watching_in_a_thread(model, incoming, tmp_path / "state", patience=60.0):
        with (incoming / "slow.png").open("wb") as stream:
            stream.write(whole[: len(whole) // 2])
            stream.flush()
            (incoming / "quick.png").write_bytes(other)
            until(lambda: "quick.png" in verdicts(tmp_path / "state"))
            (incoming / "later.png").write_bytes(other)  # scored by a look that has met the half file again
            until(lambda: "later.png" in verdicts(tmp_path / "state"))
            assert "slow.png" not in verdicts(tmp_path / "state")
            stream.write(whole[len(whole) // 2 :])
        until(lambda: "slow.png" in verdicts(tmp_path / "state"))
        (incoming / "renamed.png.part").write_bytes(whole)
        (incoming / "last.png").write_bytes(other)
        until(lambda: "last.png" in verdicts(tmp_path / "state"))
        (incoming / "renamed.png.part").rename(incoming / "renamed.png")
        until(lambda: "renamed.png" in verdicts(tmp_path / "state"))
    assert set(verdicts(tmp_path / "state").values()) == {"normal"}


def test_names_that_are_no_photo_yet_are_left_alone(tmp_path: Path) -> None:
    names = [
        "a.PNG",
        "deep/er/b.jpeg",
        ".hidden.png",
        ".thumbs/c.png",
        "d.png.part",
        "e.tmp.png",
        "f.part.jpg",
        "g.txt",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "dangling.png").symlink_to("nowhere")
    (tmp_path / "folder.png").mkdir()
    assert sorted(photos_in(tmp_path)) == ["a.PNG", "deep/er/b.jpeg"]


def test_a_burst_of_a_thousand_files_is_scored_file_by_file(model: PhotoModel, incoming: Path, tmp_path: Path) -> None:
    contents = [png_of(seed) for seed in range(10)]
    with watching_in_a_thread(model, incoming, tmp_path / "state"):
        for i in range(1000):
            (incoming / f"{i:04d}.png").write_bytes(contents[i % 10])
        until(lambda: len(lines(tmp_path / "state")) == 1000)
    assert len(verdicts(tmp_path / "state")) == 1000


def test_rejects_are_moved_as_they_come_and_never_over_another(
    model: PhotoModel, incoming: Path, tmp_path: Path, good: list[int]
) -> None:
    rejects = Rejects(tmp_path / "rejects")
    with watching_in_a_thread(model, incoming, tmp_path / "state", rejects=rejects) as watcher:
        for i in range(3):  # a camera that uses one name again and again
            write(tmp_path / "new.png", 10 + i, bad=True).rename(incoming / "part.png")
            until(lambda: not (incoming / "part.png").exists())
        write(tmp_path / "new.png", good[0]).rename(incoming / "part.png")
        until(lambda: watcher.counts["normal"] == 1)
    assert sorted(path.name for path in (tmp_path / "rejects").iterdir()) == [
        "part-1.png",
        "part-2.png",
        "part.png",
        LOG,
    ]
    assert [line["verdict"] for line in lines(tmp_path / "state")] == ["anomaly"] * 3 + ["normal"]
    assert (incoming / "part.png").exists()
    assert not watcher.complaints


def test_what_was_told_but_not_moved_is_moved_after_a_restart(
    model: PhotoModel, incoming: Path, tmp_path: Path, good: list[int]
) -> None:
    for name in ("a.png", "b.png", "gone.png", "new.png"):
        write(incoming / name, 7, bad=True)
    with watching_in_a_thread(model, incoming, tmp_path / "state"):
        until(lambda: len(lines(tmp_path / "state")) == 4)
    (incoming / "gone.png").unlink()
    write(incoming / "new.png", good[0])
    os.utime(incoming / "new.png", (1, 1))
    with watching_in_a_thread(model, incoming, tmp_path / "state", rejects=Rejects(tmp_path / "rejects")):
        until(lambda: len(lines(tmp_path / "state")) == 5)
    assert [path.name for path in incoming.iterdir()] == ["new.png"]
    assert sorted(path.name for path in (tmp_path / "rejects").iterdir()) == ["a.png", "b.png", LOG]


def test_a_folder_that_goes_away_is_waited_for(run: Path, incoming: Path, tmp_path: Path, good: list[int]) -> None:
    write(incoming / "a.png", good[0])
    command = [sys.executable, "-m", "anogan", "watch", str(run), str(incoming), "--interval", "0.05"]
    state = tmp_path / "state"
    with subprocess.Popen(
        [*command, "--state", str(state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    ) as process:
        until(lambda: (state / RESULTS).exists() and "a.png" in verdicts(state))
        incoming.rename(tmp_path / "away")
        assert f"{incoming} cannot be read (No such file or directory); waiting for it" in process.stderr.readline()
        write(tmp_path / "away" / "b.png", good[1])
        (tmp_path / "away").rename(incoming)
        assert "can be read again" in process.stderr.readline()
        until(lambda: "b.png" in verdicts(state))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err == "anogan: 2 normal, 0 anomaly, 0 error\n"
    assert [json.loads(line)["file"] for line in out.splitlines()] == ["a.png", "b.png"]


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_tells_every_file_once(
    run: Path, model: PhotoModel, incoming: Path, tmp_path: Path
) -> None:
    state, rejects, quiet = tmp_path / "state", tmp_path / "rejects", subprocess.DEVNULL
    results = state / RESULTS
    expected = told(model, [write(incoming / f"{i:03d}.png", 100 + i % 20, bad=i % 5 == 0) for i in range(240)])
    bad = {name for name, verdict in expected.items() if verdict == "anomaly"}
    assert 0 < len(bad) < len(expected)
    command = [sys.executable, "-m", "anogan", "watch", str(run), str(incoming), "--interval", "0.05"]
    command += ["--state", str(state), "--move-rejects", str(rejects)]
    for seen in (17, 100):
        with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=ENVIRONMENT) as process:
            until(lambda seen=seen: results.exists() and results.read_bytes().count(b"\n") > seen)
            process.kill()
    with results.open("a") as stream:
        stream.write('{"file": "239.png", "sco')  # the power went
    done = anogan(*command[3:], "--once")
    assert done.returncode == 0, done.stderr
    said = verdicts(state)
    assert said == expected
    assert {path.name for path in rejects.iterdir() if path.suffix == ".png"} == bad
    assert {path.name for path in incoming.iterdir()} == set(said) - bad
    rows = (rejects / LOG).read_text().splitlines()
    assert len(rows) == 1 + len(bad)


def test_two_processes_on_one_state_are_refused(run: Path, incoming: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "state")
    said = refusal("watch", run, incoming, "--once", "--state", tmp_path / "state", cwd=tmp_path)
    assert "is being written by another anogan watch" in said
    results.close()


def test_results_that_cannot_be_read_are_named(run: Path, incoming: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / RESULTS).write_text('{"verdict": "normal"}\n')
    said = refusal("watch", run, incoming, "--once", "--state", tmp_path / "state", cwd=tmp_path)
    assert "line 1 (KeyError('size')); move it away" in said
    assert (tmp_path / "state" / RESULTS).read_text() == '{"verdict": "normal"}\n'


def test_trouble_with_pictures_and_moves_is_told_and_stops_nothing(
    run: Path, incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(incoming / "bad.png", 7, bad=True)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "bad.png.map.png").mkdir()
    monkeypatch.setattr("anogan.photos.rejects._placed", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    words = ("--maps", tmp_path / "maps", "--move-rejects", tmp_path / "rejects", "--state", tmp_path / "state")
    done = anogan("watch", run, incoming, "--once", "--interval", 0.05, *words)
    assert done.returncode == 0
    assert "bad.png: its picture could not be written" in done.stderr
    assert "bad.png cannot be moved: no room" in done.stderr
    assert (incoming / "bad.png").exists()
    assert verdicts(tmp_path / "state") == {"bad.png": "anomaly"}


def test_few_photos_are_in_memory_at_once(
    model: PhotoModel, incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BYTES", 3 * 32 * 32 * 4)
    seen: list[int] = []
    inspect = PhotoModel.inspect
    monkeypatch.setattr(PhotoModel, "inspect", lambda self, photos: seen.append(len(photos)) or inspect(self, photos))
    for i in range(8):
        write(incoming / f"{i}.png", 100 + i)
    with watching_in_a_thread(model, incoming, tmp_path / "state"):
        until(lambda: len(lines(tmp_path / "state")) == 8)
    assert seen == [3, 3, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nowhere is not a folder"),
        (("incoming", "--interval", "0"), "expected --interval of more than 0 seconds, got 0.0"),
        (("incoming", "--move-rejects", "incoming/rejects"), "overlap; choose a folder that is not inside the other"),
        (("incoming", "--maps", "incoming"), "overlap; choose a folder that is not inside the other"),
    ],
    ids=["no folder", "no interval", "rejects inside", "maps inside"],
)
def test_what_cannot_be_watched_is_one_clear_line(run: Path, incoming: Path, words: tuple, said: str) -> None:
    assert said in refusal("watch", run, *words, "--once", cwd=incoming.parent)
    assert not list(incoming.iterdir())
