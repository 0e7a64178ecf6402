"""A program that decodes one grey frame with gdcm: from standard input to standard output.

Run by `gdcm_apart`. It imports gdcm alone, to start fast.
"""

import json
import os
import sys

import gdcm


def main() -> None:
    """Decode the frame that the argument tells of, in JSON."""
    # What gdcm prints goes to standard error.
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)
        answer.write(_decoded(sys.stdin.buffer.read(), **json.loads(sys.argv[1])))


def _decoded(
    frame: bytes, syntax: str, photometric: str, size: tuple[int, int], pixel: tuple[int, ...]
) -> bytes:
    """Return words, in the machine's order; see `gdcm_apart.decode_frame`."""
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(frame)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((*size, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType(photometric))
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(*pixel))
    # It comes as text.
    words: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return words


if __name__ == "__main__":
    main()
