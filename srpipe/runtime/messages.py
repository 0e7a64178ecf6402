"""The messages of an ONNX file that we write, declared for protobuf.

A part of onnx.proto, the schema of ONNX (https://github.com/onnx/onnx, IR version 8), with its
names and numbers. The `onnx` package has it whole, but would be a tenth of what enhancing takes on
disk; protobuf comes with ONNX Runtime. Tests check what is written with that package.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_KINDS = {
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}
# Field: number, type; a type in brackets is repeated.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ModelProto": {
        "ir_version": (1, "int64"),
        "producer_name": (2, "string"),
        "producer_version": (3, "string"),
        "doc_string": (6, "string"),
        "graph": (7, "GraphProto"),
        "opset_import": (8, "[OperatorSetIdProto]"),
        "metadata_props": (14, "[StringStringEntryProto]"),
    },
    "OperatorSetIdProto": {"domain": (1, "string"), "version": (2, "int64")},
    "StringStringEntryProto": {"key": (1, "string"), "value": (2, "string")},
    "GraphProto": {
        "node": (1, "[NodeProto]"),
        "name": (2, "string"),
        "initializer": (5, "[TensorProto]"),
        "input": (11, "[ValueInfoProto]"),
        "output": (12, "[ValueInfoProto]"),
    },
    "NodeProto": {
        "input": (1, "[string]"),
        "output": (2, "[string]"),
        "op_type": (4, "string"),
        "attribute": (5, "[AttributeProto]"),
    },
    "AttributeProto": {
        "name": (1, "string"),
        "f": (2, "float"),
        "i": (3, "int64"),
        "s": (4, "bytes"),
        "ints": (8, "[int64]"),
        "type": (20, "int32"),
    },
    "TensorProto": {
        "dims": (1, "[int64]"),
        "data_type": (2, "int32"),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
    },
    "ValueInfoProto": {"name": (1, "string"), "type": (2, "TypeProto")},
    "TypeProto": {"tensor_type": (1, "TensorTypeProto")},
    "TensorTypeProto": {"elem_type": (1, "int32"), "shape": (2, "TensorShapeProto")},
    "TensorShapeProto": {"dim": (1, "[DimensionProto]")},
    "DimensionProto": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
}
# Values of TensorProto.data_type and AttributeProto.type.
FLOAT, INT64 = 1, 7
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_STRING, ATTRIBUTE_INTS = 1, 2, 3, 7


def _declared() -> dict[str, Any]:
    file = FileDescriptorProto(name="srpipe_onnx.proto", package="onnx", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            declared = message.field.add(name=field, number=number)
            repeated, kind = kind.startswith("["), kind.strip("[]")
            declared.label = declared.LABEL_REPEATED if repeated else declared.LABEL_OPTIONAL
            if kind in _KINDS:
                declared.type = _KINDS[kind]
            else:
                declared.type, declared.type_name = declared.TYPE_MESSAGE, f".onnx.{kind}"
    # A pool of its own: the `onnx` package declares these names in protobuf's.
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"onnx.{name}")) for name in _MESSAGES}


# A class a message, by name.
MESSAGES = _declared()
