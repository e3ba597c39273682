"""Export of models as ONNX files, compared with the models they were made from."""
