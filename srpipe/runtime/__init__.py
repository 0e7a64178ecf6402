"""Running generators without torch: as ONNX graphs, on ONNX Runtime."""
