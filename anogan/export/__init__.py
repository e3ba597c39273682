"""Models as ONNX files, checked against what they were made from."""
