"""Running generators without torch, as ONNX graphs on ONNX Runtime; what they are given."""
