"""The tour: what this package is about, on one photograph, in numbers and pictures.

The stages compute and return data; nothing in them draws.

    photograph.py    the photograph, reduced where it is large; the crop that the later stages look at
    denoising.py     (a) add noise, remove it with non-local means
    bridge.py        (b) the same denoiser as an embedded Gaussian operation
    features.py      what the operations compare: a few numbers a pixel
    gradients.py     (c) the four instantiations and the block, forward and backward, every gradient checked
    attention.py     (d) where each of them looks
    machine.py       (e) what ran where
    pictures.py      arrays -> PNG and JPEG
    report.py        everything -> report.json and report.html (report.html.j2)
"""
