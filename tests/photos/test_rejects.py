"""Photos scored, their regions, and rejects moved away: nothing is lost, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import anogan, refusal, size
from conftest import quick, stripes
from photo_model import SHAPE, photo, save_model, write

from anogan import parallel
from anogan.digits.model import DigitModel
from anogan.errors import SampleError
from anogan.photos import rejects as rejecting
from anogan.photos.model import PhotoModel
from anogan.photos.rejects import LOG, Photo, Rejects, stamp_of
from anogan.pictures import verdicts
from anogan.pictures.files import read_photo
from anogan.pictures.sources import PhotoFiles
from anogan.runs import bundle, scoring
from anogan.runs.bundle import Bundle
from anogan.runs.scoring import score_stream


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


def line(folder: Path, good: int = 5, bad: int = 4) -> Path:
    """Photos of a production line; every name in its own folder."""
    for i in range(good):
        write(folder / f"good-{i}.png", 100 + i)
    for i in range(bad):
        write(folder / "shift ä" / f"bad-{i}.png", 200 + i, bad=True)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# Scores, regions and maps.


def test_tables_of_scores_and_regions_agree(run: Path, tmp_path: Path) -> None:
    photos = line(tmp_path / "line")
    (photos / "broken.png").write_bytes(b"no image")
    done = anogan("score", run, photos, "--out", tmp_path / "s.csv", "--maps", tmp_path / "maps")
    assert done.returncode == 2
    assert done.stdout.splitlines() == ["5 normal, 4 anomaly, 1 error", str(tmp_path / "s.csv")]
    scores = pd.read_csv(tmp_path / "s.csv").set_index("file")
    regions = pd.read_csv(tmp_path / "s.regions.csv")
    records = {record["file"]: record for record in json.loads((tmp_path / "s.regions.json").read_text())}
    assert list(records) == list(scores.index)
    model = PhotoModel.load(Bundle.open(run))
    for file, row in scores.iterrows():
        record = records[file]
        assert record["verdict"] == row["verdict"]
        if row["verdict"] == "error":
            assert record == {"file": file, "verdict": "error", "error": "not a readable image"}
            continue
        (said,) = model.inspect([read_photo(Path(file), 1)])
        assert record["score"] == row["score"] == pytest.approx(said.score, rel=1e-4)
        assert record["p_value"] == row["p_value"] == pytest.approx(said.p_value, rel=1e-4)
        assert row["regions"] == len(record["regions"]) == len(said.regions)
        assert [tuple(region.values())[:5] for region in record["regions"]] == [r[:5] for r in said.regions]
    assert (scores["regions"] > 0).equals(scores["verdict"] == "anomaly")
    listed = [{"file": file} | region for file, record in records.items() for region in record.get("regions", [])]
    assert regions.to_dict("records") == listed
    assert len(names(tmp_path / "maps")) == 9
    assert size(tmp_path / "maps" / "shift ä" / "bad-0.png.map.png") == (32, 32)


def test_an_interrupted_scoring_goes_on_to_the_same_three_tables(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anogan.cli.commands.score_images.PHOTOS", 2)
    photos = line(tmp_path / "line")
    anogan("score", run, photos, "--out", tmp_path / "whole" / "s.csv")
    inspect, calls = PhotoModel.inspect, []

    def interrupted(self: PhotoModel, photos: list) -> list:
        calls.append(len(photos))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return inspect(self, photos)

    monkeypatch.setattr(PhotoModel, "inspect", interrupted)
    assert anogan("score", run, photos, "--out", tmp_path / "s.csv").returncode == 130
    (partial,) = tmp_path.glob("*.part")
    assert not list(tmp_path.glob("s.*csv")), "what is not complete is not there"
    partial.write_bytes(partial.read_bytes() + b'x.png,1.5,0.1,anomaly,1,"[{""left"": 3')  # the power went
    real, finished = score_stream.__globals__["_merge"], []
    monkeypatch.setattr(scoring, "_merge", lambda *args: finished.append(real(*args)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):  # once more, with all rows written and no table yet
        anogan("score", run, photos, "--out", tmp_path / "s.csv")
    monkeypatch.setattr(scoring, "_merge", real)
    assert anogan("score", run, photos, "--out", tmp_path / "s.csv").returncode == 0
    assert sum(calls) == 9 + 2, "only the block that was interrupted is scored again"
    for name in names(tmp_path / "whole"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert names(tmp_path / "whole") == ["s.csv", "s.regions.csv", "s.regions.json"]
    assert not list(tmp_path.glob("*.part"))


def test_what_a_model_of_photos_cannot_do_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    photos = line(tmp_path / "line", 1, 0)
    np.save(tmp_path / "x.npy", stripes(2, SHAPE))
    assert "scores image files and folders, not x.npy" in refusal("score", run, "x.npy", cwd=tmp_path)
    assert "leave out --resize" in refusal("score", run, photos, "--resize", cwd=tmp_path)
    assert "overlap; choose a folder" in refusal("score", run, photos, "--maps", photos / "maps", cwd=tmp_path)
    assert "digits is neither a file, a folder" in refusal("score", run, "digits", "--move-rejects", "r", cwd=tmp_path)


# Rejects.


def test_rejects_are_moved_under_their_own_names_and_errors_stay(run: Path, tmp_path: Path) -> None:
    photos = line(tmp_path / "line")
    (photos / "broken.png").write_bytes(b"no image")
    (photos / "notes.txt").write_text("of the foreman")
    contents = {path.name: path.read_bytes() for path in photos.rglob("bad-*")}
    write(tmp_path / "rejects" / "shift ä" / "bad-1.png", 7)
    occupied = (tmp_path / "rejects" / "shift ä" / "bad-1.png").read_bytes()
    done = anogan("score", run, photos, "--move-rejects", tmp_path / "rejects", "--out", tmp_path / "s.csv")
    assert done.returncode == 2, "because of the broken one"
    assert names(photos) == ["broken.png", *[f"good-{i}.png" for i in range(5)], "notes.txt"]
    moved = ["bad-0.png", "bad-1-1.png", "bad-1.png", "bad-2.png", "bad-3.png"]
    assert names(tmp_path / "rejects") == [LOG, *[f"shift ä/{name}" for name in moved]]
    assert (tmp_path / "rejects" / "shift ä" / "bad-1.png").read_bytes() == occupied
    log = pd.read_csv(tmp_path / "rejects" / LOG)
    assert log["file"].tolist() == [str(photos / "shift ä" / f"bad-{i}.png") for i in range(4)]
    for file, now in zip(log["file"], log["moved_to"], strict=True):
        assert Path(now).read_bytes() == contents[Path(file).name]
    rows = pd.read_csv(tmp_path / "s.csv").set_index("file")
    assert len(rows) == 10
    assert np.allclose(rows.loc[log["file"], "score"], log["score"])
    assert not list(tmp_path.rglob("*.part"))


def test_a_plain_model_of_images_moves_rejects_too(tmp_path: Path) -> None:
    detector = quick("neighbourgan").fit(stripes(80, (1, 32, 32)))
    bundle.save(tmp_path / "run" / "bundle", detector.gan_, {"neighbourgan": detector}, "digits", {})
    photos = line(tmp_path / "line", bad=2)
    anogan("score", tmp_path / "run", photos, "--move-rejects", tmp_path / "rejects", "--fail-on-anomaly")
    table = pd.read_csv(tmp_path / "run" / "scores-files.csv")
    rejected = {str(Path(file).relative_to(photos)) for file in table["file"][table["verdict"] == "anomaly"]}
    assert {"shift ä/bad-0.png", "shift ä/bad-1.png"} <= rejected
    assert set(names(tmp_path / "rejects")) == rejected | {LOG}
    assert len(table) == 7


@pytest.mark.parametrize("moment", ["scoring", "before a move", "linked", "logged", "moved", "all scored"])
def test_an_interruption_loses_neither_a_photo_nor_its_row(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr("anogan.cli.commands.score_images.PHOTOS", 2)
    photos = line(tmp_path / "line", good=3)
    total = {path.read_bytes() for path in photos.rglob("*.png")}
    owner, name = {
        "scoring": (PhotoModel, "inspect"),
        "before a move": (rejecting, "_placed"),
        "linked": (rejecting, "_sync_folder"),
        "logged": (Path, "unlink"),
        "moved": (rejecting, "_placed"),
        "all scored": (scoring, "_merge"),
    }[moment]
    real, calls = getattr(owner, name), []

    def interrupted(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == (1 if moment == "all scored" else 2) and (moment != "logged" or "bad" in str(args[0])):
            if moment == "moved":
                real(*args)
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    words = ("score", run, photos, "--move-rejects", tmp_path / "rejects", "--out", tmp_path / "s.csv")
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted)
        assert anogan(*words).returncode == 130
    assert not (tmp_path / "s.csv").exists()
    assert total <= {path.read_bytes() for path in tmp_path.rglob("*.png")}
    write(photos / "late.png", 110)
    done = anogan(*words)
    assert done.returncode == 0, done.stderr
    assert names(photos) == ["good-0.png", "good-1.png", "good-2.png", "late.png"]
    assert names(tmp_path / "rejects") == [LOG, *[f"shift ä/bad-{i}.png" for i in range(4)]]
    with (tmp_path / "rejects" / LOG).open() as stream:
        assert [Path(row[1]).name for row in csv.reader(stream)][1:] == [f"bad-{i}.png" for i in range(4)]
    table = pd.read_csv(tmp_path / "s.csv")
    assert sorted(Path(file).name for file in table["file"]) == sorted(
        [*[f"bad-{i}.png" for i in range(4)], *[f"good-{i}.png" for i in range(3)], "late.png"]
    )
    assert len(json.loads((tmp_path / "s.regions.json").read_text())) == 8
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".part", ".list")]


def test_a_scoring_that_had_moved_everything_can_still_be_finished(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = line(tmp_path / "line", good=0)
    words = ("score", run, photos, "--move-rejects", tmp_path / "rejects", "--out", tmp_path / "s.csv")
    with monkeypatch.context() as patched:
        patched.setattr(scoring, "_merge", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        assert anogan(*words).returncode == 130
    assert names(photos) == []
    assert anogan(*words).returncode == 0
    assert len(pd.read_csv(tmp_path / "s.csv")) == 4
    assert "holds no image file" in anogan(*words).stderr


def reject(rejects: Rejects, path: Path, name: str = "") -> Path:
    return rejects.move(Photo(path, Path(name or path.name), stamp_of(path)), 3.0, 0.01)


def test_a_name_that_is_taken_is_never_written_over(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "r")
    (tmp_path / "r" / "a-1.png").mkdir()
    moved = [reject(rejects, write(tmp_path / "in" / "a.png", seed)) for seed in range(4)]
    assert [path.name for path in moved] == ["a.png", "a-2.png", "a-3.png", "a-4.png"]
    assert len({path.read_bytes() for path in moved}) == 4


@pytest.mark.parametrize("refusal", ["other file system", "no links at all"])
def test_without_links_a_photo_is_copied_before_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    link = os.link

    def refused(source: Path, target: Path) -> None:
        if refusal == "no links at all" or Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "no")
        link(source, target)

    monkeypatch.setattr(os, "link", refused)
    rejects = Rejects(tmp_path / "r")
    first, second = (write(tmp_path / "in" / str(i) / "a.png", i) for i in range(2))
    contents = [first.read_bytes(), second.read_bytes()]
    moved = [reject(rejects, first), reject(rejects, second)]
    assert [path.read_bytes() for path in moved] == contents
    assert names(tmp_path) == ["r/a-1.png", "r/a.png", f"r/{LOG}"]
    third = write(tmp_path / "in" / "b.png", 3)
    monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)  # the process ends before it
    reject(rejects, third)
    monkeypatch.undo()
    monkeypatch.setattr(os, "link", refused)
    assert reject(rejects, third).name == "b.png", "the copy is recognised"
    assert len(pd.read_csv(tmp_path / "r" / LOG)) == 3
    assert not third.exists()


def test_another_photo_of_the_same_size_and_time_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(os, "link", refused)
    rejects, contents = Rejects(tmp_path / "r"), []
    for i in range(2):
        path = tmp_path / "in" / str(i) / "a.bmp"
        path.parent.mkdir(parents=True)
        photo(i).save(path)
        os.utime(path, ns=(0, 10**18))
        contents.append(path.read_bytes())
        reject(rejects, path)
    assert len(contents[0]) == len(contents[1])
    assert [(tmp_path / "r" / name).read_bytes() for name in ("a.bmp", "a-1.bmp")] == contents


FORMULAS = ('=HYPERLINK("x").png', "+a.png", "-b.png", "@c.png")


def test_no_name_of_a_file_is_a_formula_in_a_table(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FORMULAS:
        write(Path(name), 200, bad=True)
    paths = [Path(name) for name in FORMULAS]
    source, ignore = PhotoFiles(paths, 1), lambda *told: None
    rows = verdicts.inspector(PhotoModel.load(Bundle.open(run), device="cpu"))
    score_stream(rows, source, Path("s.csv"), "model", ignore, ignore, finish=verdicts.finish)
    plain = verdicts.inspector(DigitModel.of(Bundle.open(run).detector(device="cpu")).resizing())
    score_stream(plain, source, Path("plain.csv"), "model", ignore, ignore)
    for table in ("s.csv", "s.regions.csv", "plain.csv"):
        assert set(pd.read_csv(table)["file"]) == {f"'{name}" for name in FORMULAS}
    assert {one["file"] for one in json.loads(Path("s.regions.json").read_text())} == set(FORMULAS)
    for path in paths:
        reject(Rejects(tmp_path / "r"), path)
    assert set(pd.read_csv(tmp_path / "r" / LOG)["file"]) == {f"'{name}" for name in FORMULAS}
    assert sorted(names(tmp_path / "r")) == sorted([LOG, *FORMULAS])


def test_a_photo_that_takes_the_place_of_one_scored_before_an_interruption_is_told(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = line(tmp_path / "line", good=2, bad=1)
    words = ("score", run, photos, "--move-rejects", tmp_path / "rejects", "--out", tmp_path / "s.csv")
    with monkeypatch.context() as patched:
        patched.setattr(scoring, "_merge", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        assert anogan(*words).returncode == 130
    good = photos / "good-0.png"
    kept = good.read_bytes(), good.stat().st_mtime_ns
    write(good, 5, bad=True)
    assert "good-0.png has been replaced since its scoring was interrupted" in anogan(*words).stderr
    good.write_bytes(kept[0])
    os.utime(good, ns=(0, kept[1]))
    assert anogan(*words).returncode == 0
    assert len(pd.read_csv(tmp_path / "s.csv")) == 3


def test_the_log_goes_on_after_half_a_row_and_after_it_was_taken_away(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "r")
    with (tmp_path / "r" / LOG).open("a") as stream:
        stream.write("in/x.png,r/x.p")  # the power went
    for name in ("a.png", "b,\n2.png"):
        reject(rejects, write(tmp_path / "in" / name))
    with (tmp_path / "r" / LOG).open(newline="") as stream:
        assert [row[0] for row in csv.reader(stream)][2:] == [
            str(tmp_path / "in" / "a.png"),
            str(tmp_path / "in/b,\n2.png"),
        ]
    shutil.rmtree(tmp_path / "r")
    reject(rejects, write(tmp_path / "in" / "c.png"))
    assert len(pd.read_csv(tmp_path / "r" / LOG)) == 1


def test_a_full_disk_leaves_the_photo_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(rejecting.shutil, "copyfile", full)
    path = write(tmp_path / "in" / "a.png")
    with pytest.raises(OSError, match="No space left"):
        reject(Rejects(tmp_path / "r"), path)
    assert names(tmp_path) == ["in/a.png", f"r/{LOG}"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_photo_that_may_not_be_removed_is_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """A drive that says so although it has removed it must not make us remove the other copy."""
    path, unlink = write(tmp_path / "in" / "a.png"), Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self == path and not gone:
            raise PermissionError("busy")
        unlink(self, missing_ok)
        if self == path:
            raise FileNotFoundError

    monkeypatch.setattr(Path, "unlink", refused)
    rejects = Rejects(tmp_path / "r")
    if gone:
        assert reject(rejects, path).exists()
        assert names(tmp_path) == ["r/a.png", f"r/{LOG}"]
    else:
        with pytest.raises(PermissionError, match="busy"):
            reject(rejects, path)
        assert names(tmp_path) == ["in/a.png", f"r/{LOG}"]
    assert len(pd.read_csv(tmp_path / "r" / LOG)) == gone


def test_a_photo_that_is_not_the_one_scored_is_not_moved(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.png")
    before = Photo(path, Path("a.png"), stamp_of(path))
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 5_000_000_000))
    with pytest.raises(SampleError, match="changed since it was scored"):
        Rejects(tmp_path / "r").move(before, 3.0, 0.01)
    assert path.exists()


def test_a_link_to_a_photo_is_replaced_by_what_it_shows(tmp_path: Path) -> None:
    path = write(tmp_path / "archive" / "a.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to("../archive/a.png")
    moved = reject(Rejects(tmp_path / "r"), tmp_path / "in" / "link.png")
    assert not moved.is_symlink()
    assert moved.read_bytes() == path.read_bytes()
    assert names(tmp_path) == ["archive/a.png", "r/link.png", f"r/{LOG}"]


def test_a_photo_that_is_in_the_folder_already_keeps_existing(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "r")
    path = write(tmp_path / "r" / "a.png")
    content = path.read_bytes()
    assert reject(rejects, path).read_bytes() == content
    (tmp_path / "other").symlink_to(tmp_path / "r")
    moved = reject(rejects, tmp_path / "other" / "a-1.png")
    assert moved.read_bytes() == content
    assert len(names(tmp_path / "r")) == 2


@pytest.mark.parametrize("folder", ["line", "line/rejects", "."])
def test_a_folder_whose_photos_would_be_scored_again_is_refused(run: Path, tmp_path: Path, folder: str) -> None:
    photos = line(tmp_path / "line", 1, 1)
    said = refusal("score", run, "line", "--move-rejects", folder, "--out", "s.csv", cwd=tmp_path)
    assert "overlap; choose a folder that is not inside the other" in said
    assert len(names(photos)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="everything may be written by this user")
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_scored(run: Path, tmp_path: Path) -> None:
    photos = line(tmp_path / "line", 1, 1)
    (tmp_path / "r").mkdir(mode=0o500)
    assert "Permission denied" in refusal("score", run, photos, "--move-rejects", "r", cwd=tmp_path)


def test_every_process_draws_its_own_photos(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_rank", 1)
    model, x = PhotoModel.load(Bundle.open(run)), read_photo(write(tmp_path / "a.png"), 1)
    (said,) = model.inspect([x])
    verdicts.write_map(tmp_path / "maps", "a.png", model.drawn(x, said))
    assert size(tmp_path / "maps" / "a.png.map.png") == (32, 32)


def test_two_processes_that_move_the_same_photos_move_each_once(tmp_path: Path) -> None:
    photos = [write(tmp_path / "in" / f"{i}.png", i) for i in range(40)]
    listed = [Photo(path, Path(path.name), stamp_of(path)) for path in photos]
    moved: list[Path] = []

    def move() -> None:
        rejects = Rejects(tmp_path / "r")
        for one in listed:
            with contextlib.suppress(FileNotFoundError):
                moved.append(rejects.move(one, 3.0, 0.01))

    threads = [threading.Thread(target=move) for _ in range(3)]  # locks are of open files, not of processes
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(moved) == sorted(tmp_path / "r" / path.name for path in photos)
    assert len(pd.read_csv(tmp_path / "r" / LOG)) == 40
    assert len(names(tmp_path / "r")) == 41


def test_photo_helper_makes_what_it_says() -> None:
    assert photo(0, bad=True).getpixel((4, 6)) == 255
