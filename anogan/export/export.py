"""A model as one ONNX file that needs neither this package nor torch: from pixels or rows to the verdict."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import torch

import anogan
from anogan.config.runs import KindName
from anogan.detectors import detector_class
from anogan.errors import ExportError
from anogan.export.graph import OUTPUTS, Graph, SampleGraph
from anogan.export.parity import COMPARED, TOLERANCE, Parity, Speed, compare, inputs_of, speeds
from anogan.export.photos import PhotoGraph, usual_size
from anogan.export.sensors import SensorGraph
from anogan.files import Json, write_bytes
from anogan.photos.model import PhotoModel
from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel

__all__ = ["TOLERANCE", "Exported", "Graph", "export", "graph_of", "inputs_of"]

OPSET = 18
ERRORS_ALONE = 3  # onnxruntime tells errors alone
OnInputs = Callable[[int], None]  # how many more have been compared


class Exported(NamedTuple):
    """The comparison of an exported model with Python, and the speed of both."""

    parity: Parity
    speeds: list[Speed]

    def table(self) -> pd.DataFrame:
        """Return a table with a row per figure."""
        parity = self.parity
        rows = [("samples compared", f"{parity.samples:,}")]
        rows += [(f"{name.replace('_', ' ')}: largest difference", f"{getattr(parity, name):.2g}") for name in COMPARED]
        rows += [("score: tolerance", f"{parity.tolerance:.2g}"), ("verdicts that differ", f"{parity.verdicts}")]
        for batch, python, exported, ratio in self.speeds:
            rows += [
                (f"batch of {batch}: Python, ms each", f"{python:.3g}"),
                (f"batch of {batch}: onnxruntime, ms each", f"{exported:.3g}"),
                (f"batch of {batch}: onnxruntime is faster by", f"{ratio:.2f}"),
            ]
        return pd.DataFrame(rows, columns=["figure", "value"])


def graph_of(bundle: Bundle, detector: str | None = None, photo_size: tuple[int, int] | None = None) -> Graph:
    """Return the graph of a bundle's model with the named detector, or the first one.

    `photo_size` is the width and height of the camera's photos, by default those of training. Raises `ValueError` if no
    graph can hold the model.
    """
    return GRAPHS[bundle.kind](bundle, _exportable(bundle, detector), photo_size)


def _of_digits(bundle: Bundle, detector: str, photo_size: tuple[int, int] | None) -> Graph:
    _refuse_size(bundle, photo_size)
    return SampleGraph(bundle.detector(detector, "cpu"))


def _of_sensors(bundle: Bundle, detector: str, photo_size: tuple[int, int] | None) -> Graph:
    _refuse_size(bundle, photo_size)
    return SensorGraph(SensorModel.load(bundle, detector, "cpu"))


def _of_photos(bundle: Bundle, detector: str, photo_size: tuple[int, int] | None) -> Graph:
    size = (photo_size[1], photo_size[0]) if photo_size else usual_size(bundle)
    return PhotoGraph(PhotoModel.load(bundle, detector, "cpu"), size)


def _refuse_size(bundle: Bundle, photo_size: tuple[int, int] | None) -> None:
    if photo_size:
        raise ValueError(f"--photo-size is for models of photos; {bundle.folder} is not one")


GRAPHS: dict[KindName, Callable[[Bundle, str, tuple[int, int] | None], Graph]] = {
    "digits": _of_digits,
    "sensors": _of_sensors,
    "photos": _of_photos,
}


def _exportable(bundle: Bundle, detector: str | None) -> str:
    chosen = bundle.name(detector)
    if not detector_class(chosen).searches:
        return chosen
    others = [name for name in bundle.detectors if not detector_class(name).searches]
    advice = f"take --detector {' or '.join(others)}" if others else "train with --detectors fanogan"
    raise ValueError(f"{chosen} searches z for every sample, which an ONNX file cannot do; {advice}")


def export(bundle: Bundle, graph: Graph, out: Path, seed: int = 0, on_inputs: OnInputs = lambda n: None) -> Exported:
    """Write the graph of a bundle's model as ONNX into `out`, after comparing it with Python on generated inputs.

    Raises `ExportError`, and writes nothing, if they differ.
    """
    model = _traced(graph, seed)
    content = model.SerializeToString()
    session = _session(content)
    parity = compare(graph, session, seed, on_inputs)
    exported = Exported(parity, speeds(graph, session, seed))
    onnx.helper.set_model_props(model, {key: str(value) for key, value in _about(bundle, graph, parity).items()})
    write_bytes(out, model.SerializeToString())
    return exported


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch and onnxscript print and log about themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _traced(graph: Graph, seed: int) -> onnx.ModelProto:
    inputs = tuple(map(torch.from_numpy, graph.draw(2, np.random.default_rng(seed))))
    n = torch.export.Dim("n")
    try:
        with torch.no_grad(), _quiet():
            graph(*inputs)  # what the library keeps from call to call must not be made while tracing
            program = torch.onnx.export(
                graph,
                inputs,
                dynamo=True,
                dynamic_shapes=tuple({0: n} for _ in inputs),
                input_names=graph.inputs,
                output_names=OUTPUTS,
                opset_version=OPSET,
                verbose=False,
            )
        assert program is not None
        model: onnx.ModelProto = program.model_proto
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"this model cannot be exported: {str(error).splitlines()[0]}") from error
    for part in (model.graph, *model.functions):
        for node in part.node:  # where in our sources it came from
            del node.metadata_props[:]
            node.doc_string = ""
    return model


def _session(content: bytes) -> onnxruntime.InferenceSession:
    """Open a session on the CPU with as many threads as torch uses."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = ERRORS_ALONE
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _about(bundle: Bundle, graph: Graph, parity: Parity) -> Json:
    """Return the file's metadata: what made it, its inputs, and how close to Python it is."""
    name = next(name for name in bundle.detectors if type(graph.detector) is detector_class(name))
    differences = {f"max_difference_{key}": value for key, value in parity._asdict().items() if key in COMPARED}
    return {
        "anogan": anogan.__version__,
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "bundle_sha256": bundle.digest,
        "weights_sha256": json.dumps(bundle.manifest["files"], sort_keys=True),
        "kind": graph.kind,
        "detector": name,
        "threshold": graph.threshold,
        "compared": parity.samples,
        **differences,
        "tolerance": parity.tolerance,
        **graph.about(),
    }
