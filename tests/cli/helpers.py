"""Pictures to feed the commands, and a way to run them."""

import numpy as np

from nonlocal_ref.cli import main
from nonlocal_ref.cli.picture_file import Picture, encode_picture, read_picture


def samples(mode, height=20, width=26, seed=0):
    """Random samples of a mode: "L", "RGBA", "RGB16", ..."""
    kind = np.uint16 if mode.endswith("16") else np.uint8
    shape = (height, width, len(mode.removesuffix("16")))
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def write(path, values, **extras):
    path.write_bytes(encode_picture(Picture(values, extras), path))
    return path


def read(path):
    return read_picture("test", "IN", path)


def run(capsys, *argv):
    """Exit code and what stood on stdout and stderr."""
    code = main([str(word) for word in argv])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def refusal(capsys, *argv):
    """The one line on stderr of a command that exits with 2 and prints nothing else."""
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err
