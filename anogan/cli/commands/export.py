"""`anogan export`."""

from __future__ import annotations

from anogan.cli.options.others import Export
from anogan.cli.progress import bar
from anogan.runs.bundle import Bundle


def run(options: Export) -> int:
    """Export a model as ONNX. Returns the exit status."""
    try:
        from anogan.export.export import export, graph_of
        from anogan.export.parity import inputs_of
    except ImportError:
        raise ValueError("anogan export needs the extra 'onnx': pip install 'anogan[onnx]'") from None
    bundle = Bundle.open(options.run)
    graph = graph_of(bundle, options.detector, options.photo_size)
    with bar("compare", inputs_of(graph)) as update:
        exported = export(bundle, graph, options.onnx, options.seed, lambda n: update(n, ""))
    print(exported.table().to_string(index=False, header=False))
    print(options.onnx)
    return 0
