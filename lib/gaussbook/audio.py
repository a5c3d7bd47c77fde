"""Sounds that a page carries in itself, with words for those who cannot hear them."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from scipy.io import wavfile

from gaussbook import notebook
from gaussbook.arrays import Array, to_host
from gaussbook.validation import check_array, check_integer

__all__ = ["player"]

_LOUDEST = 0.9  # of the largest sample


def player(signal: Array, rate: int, *, title: str, description: str) -> None:
    """Show a player that starts when the reader asks for it; the sound is part of the page.

    Parameters
    ----------
    signal : array, shape (T,)
        The samples; the loudest is scaled to nine tenths of the range.
    rate : int
        Sampling rate, Hz.
    title : str
        What the sound is, in a few words.
    description : str
        What there is to hear, for a reader who cannot hear it.

    Raises
    ------
    ValueError
        If a text is missing, the signal is silent or no finite vector, or the rate not positive.
    """
    for name, text in (("title", title), ("description", description)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name} must say in words what there is to hear")
    samples = to_host(check_array("signal", signal, ndim=1))
    rate = check_integer("rate", rate, at_least=1)
    largest = np.abs(samples).max()
    if largest == 0:
        raise ValueError("signal is silent")
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, np.rint(32767 * _LOUDEST / largest * samples).astype(np.int16))
    title, description = (" ".join(text.split()) for text in (title, description))
    plain = f"Sound, {len(samples) / rate:.1f} s: {title}. {description}"
    if not notebook.is_running():
        print(plain)
        return
    source = f"data:audio/wav;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    label, words = html.escape(title), html.escape(description)
    page = (
        f'<div class="sound"><audio controls aria-label="{label}" src="{source}"></audio>'
        f"<div><strong>{label}.</strong> {words}</div></div>"
    )
    notebook.publish({"text/plain": plain, "text/html": page})
