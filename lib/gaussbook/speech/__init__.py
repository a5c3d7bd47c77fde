"""Speech as a source through a filter: linear prediction, glottal pulses, alignment in time."""

from gaussbook.speech.alignment import dynamic_time_warping
from gaussbook.speech.glottis import GlottalPulse, glottal_separation
from gaussbook.speech.prediction import (
    formants,
    inverse_filter,
    line_spectral_frequencies,
    linear_prediction,
    polynomials_of_frequencies,
    power_spectra,
    resonators,
)
from gaussbook.speech.synthesis import all_pole_filter, harmonics, pitch

__all__ = [
    "GlottalPulse",
    "all_pole_filter",
    "dynamic_time_warping",
    "formants",
    "glottal_separation",
    "harmonics",
    "inverse_filter",
    "line_spectral_frequencies",
    "linear_prediction",
    "pitch",
    "polynomials_of_frequencies",
    "power_spectra",
    "resonators",
]
