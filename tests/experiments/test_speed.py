"""The comparison of speeds compares the same computation."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import without_figures

from anogan.config.gan import EncoderConfig, GANConfig
from anogan.files import write_json, write_text
from anogan.gan.networks import GAN
from anogan.gan.training import seeded_init
from experiments import monitor_speed
from experiments.reference import HEAD, Ours, Reference, images, plain_networks, search_one
from experiments.speed import PARTS
from experiments.speed_page import SECTIONS, write_speed_page
from experiments.timing import alternate, rows

SMALL = GANConfig(width=4, latent_dim=6, batch_size=8)


def test_the_tutorials_networks_are_ours() -> None:
    gan = GAN((1, 28, 28), SMALL, with_encoder=True)
    for module in gan.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    gan.frozen()
    generator, discriminator, encoder = (network.eval() for network in plain_networks(gan))
    z, x = torch.randn(3, 6), torch.rand(3, 1, 28, 28) * 2 - 1
    assert gan.encoder is not None
    with torch.no_grad():
        assert torch.allclose(generator(z[:, :, None, None]), gan.generator(z), atol=1e-6)
        assert torch.allclose(discriminator(x).flatten(), gan.discriminator(x).sigmoid(), atol=1e-6)
        assert torch.allclose(encoder(x).flatten(1), gan.encoder(x), atol=1e-6)
        features = discriminator[:-HEAD](x).movedim(1, -1).flatten(1)
        assert torch.allclose(features, gan.discriminator.features(x), atol=1e-6)


def test_both_loops_train_both_networks() -> None:
    with seeded_init(0, "loops"):
        encoder, gan = EncoderConfig(batch_size=8), GAN((1, 28, 28), SMALL, with_encoder=True)
        pixels, x = images(32), torch.rand(5, 1, 28, 28) * 2 - 1
    for loop in (Reference(pixels, gan, encoder), Ours(pixels, SMALL, encoder, seed=0)):
        loop.steps(2)
        loop.encoder_steps(1)
        before = loop.scores(x)
        loop.encoder_steps(3)
        assert before.shape == (5,)
        assert not torch.equal(loop.scores(x), before)


def test_the_published_search_finds_a_lower_score_the_longer_it_goes() -> None:
    generator, discriminator, _ = (network.eval() for network in plain_networks(GAN((1, 28, 28), SMALL).frozen()))
    x = torch.rand(1, 1, 28, 28) * 2 - 1
    scores = []
    for steps in (1, 200):
        torch.manual_seed(0)
        scores.append(search_one(generator, discriminator[:-HEAD], x, steps, 0.1, 0.1))
    assert scores[1] < scores[0]


def test_variants_take_turns_and_the_ratio_is_that_of_the_rounds() -> None:
    order: list[str] = []
    ticks = {"a": iter([9, 1, 2, 4]), "b": iter([9, 2, 6, 8])}

    def measure(name: str) -> float:
        order.append(name)
        return next(ticks[name])

    found = alternate({"a": lambda: measure("a"), "b": lambda: measure("b")}, rounds=3)
    assert "".join(order) == "abababab"
    first, second = rows("part", "s", found)
    assert (first["median"], first["ratio"], first["low"], first["high"]) == (2, 1, 1, 4)
    assert (second["median"], second["ratio"]) == (6, 2)


def test_every_part_has_its_section() -> None:
    assert set(SECTIONS) == set(PARTS)
    assert set(monitor_speed.SECTIONS) == set(monitor_speed.PARTS)


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    measured = [
        "measured,part,variant,unit,median,low,high,rounds,ratio",
        "training,GAN,tutorial,images/s,100,90,110,7,1",
        "training,GAN,ours,images/s,150,140,160,7,1.51",
        "search,latent search,one image at a time,s per image and step,0.01,0.009,0.02,5,1",
        "search,latent search,ours,s per image and step,0.002,0.001,0.003,5,0.201",
        "processes,torchrun,each process,MB exchanged per step,8.5,8.5,8.5,1,1",
    ]
    write_text(tmp_path / "results.csv", "\n".join(measured) + "\n")
    machines = {"training": 1, "search": 2, "processes": 2}
    write_json(tmp_path / "machines.json", {part: {"cores": 2, "threads": n} for part, n in machines.items()})
    page = write_speed_page(tmp_path).read_text()
    assert page.count("cores: 2, threads: 1") == 1
    assert page.count("cores: 2, threads: 2") == 2
    assert "<td>1.51</td>" in page
    assert "90 to 110 " in page.replace("</td>", " ")
    assert (tmp_path / "figures/gains.svg").exists()
    assert np.isclose(float(page.split("sends ")[1].split(" MB")[0]), 17, atol=1)


@pytest.mark.parametrize("name", ["search", "scoring"])
def test_a_part_measures_every_variant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.speed.NETWORKS", {"small": SMALL})
    found = list(PARTS[name](None, **({"steps": 1, "n": 4} if name == "search" else {"n": 64})))
    assert all(row["low"] > 0 and row["ratio"] > 0 for row in found)
    assert len({row["variant"] for row in found}) == len(found) >= 2


def test_the_monitor_is_fed_rows_without_end_when_they_are_due() -> None:
    stream, source = io.BytesIO(), monitor_speed.lines(pd.DataFrame({"time": [7, 8], "a": [1.5, 2.5]}))
    monitor_speed.feed(stream, source, rate=20, seconds=0.5)
    rows = stream.getvalue().decode().splitlines()
    assert rows[:3] == ["0,1.5", "1,2.5", "2,1.5"]
    assert 5 <= len(rows) <= 10


def test_the_committed_page_of_the_monitor_is_that_of_its_figures(tmp_path: Path) -> None:
    for name in ("results.csv", "machine.json"):
        write_text(tmp_path / name, (monitor_speed.OUT / name).read_text())
    page = without_figures(monitor_speed.write_monitor_page(tmp_path))
    assert page == without_figures(monitor_speed.OUT / "index.html"), "run: python -m experiments.monitor_speed"
    assert "after 10,000,000 rows" in page
