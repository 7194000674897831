"""The micro front end over NumPy arrays: its steps as loops over whole numbers, compiled by Numba."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.loops import compiled
from features.micro import (
    CORRECTION_BITS,
    ESTIMATE_BITS,
    EVEN_SMOOTHING,
    LEAST_REMAINING,
    LN_2_SCALED,
    LOG_BITS,
    LOG_SCALE_BITS,
    LOG_SEGMENT_BITS,
    ODD_SMOOTHING,
    OUTPUT_BITS,
    POINTS,
    RATIO_BITS,
    RATIO_SHIFT,
    SMOOTHING_BITS,
    WINDOW_BITS,
    MicroTables,
)

Shorts = npt.NDArray[np.int16]
Whole = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint16]

_WORD = np.int64(0xFFFFFFFF)
_SEGMENT_SHIFT = LOG_BITS - LOG_SEGMENT_BITS
_HALF = 1 << (LOG_BITS - 1)


def micro(clips: Shorts, tables: MicroTables, count: int) -> Counts:
    """The micro front end of some clips.

    Args:
        clips: int16, (clips, samples).
        tables: the constants.
        count: frames of a clip, without those that begin in the context.

    Returns:
        uint16, (clips, count, bands).
    """
    frames = tables.context_frames + count
    bands = int(tables.interval.max())
    parts = np.zeros((2, POINTS, frames), np.int16)
    spectra = np.zeros((2, POINTS, frames), np.int16)
    energies = np.zeros((POINTS + 1, frames), np.int64)
    shifts = np.zeros(frames, np.int64)
    levels = np.zeros((frames, bands), np.int64)
    features = np.zeros((frames, bands), np.uint16)
    result = np.empty((len(clips), count, bands), np.uint16)
    for number, clip in enumerate(clips):
        heard = np.concatenate([tables.context, clip])
        window_frames(heard, tables.window, tables.hop, parts, shifts)
        transform(parts, tables.order, tables.twiddles, spectra)
        to_energies(spectra, tables.real_twiddles, energies)
        to_levels(energies, tables.interval, tables.falling, tables.rising, shifts, levels)
        to_features(levels, tables.gains, tables.logs, features)
        result[number] = features[tables.context_frames :]
    return result


@compiled("void(int16[::1], int16[::1], int64, int16[:, :, ::1], int64[::1])")
def window_frames(samples: Shorts, window: Shorts, hop: int, parts: Shorts, shifts: Whole) -> None:
    """Multiply frames by a window, and scale each to the range of int16.

    Args:
        samples: (samples,).
        window: (frame samples,).
        hop: samples from a frame to the next.
        parts: receives the even and the odd samples of each frame, (2, points, frames); what follows them stays.
        shifts: receives by how many bits each frame was scaled up, (frames,).
    """
    for frame in range(len(shifts)):
        start = frame * hop
        largest = 0
        for place in range(len(window)):
            weighted = (np.int64(samples[start + place]) * window[place]) >> WINDOW_BITS
            size = -weighted if weighted < 0 else weighted
            if largest < size < 32768:
                largest = size
        shift = 15
        while largest > 0:
            largest >>= 1
            shift -= 1
        shifts[frame] = shift
        for place in range(len(window)):
            weighted = (np.int64(samples[start + place]) * window[place]) >> WINDOW_BITS
            parts[place & 1, place >> 1, frame] = np.int16(weighted << shift)


@compiled("void(int16[:, :, ::1], int64[::1], int16[:, ::1], int16[:, :, ::1])")
def transform(parts: Shorts, order: Whole, twiddles: Shorts, spectra: Shorts) -> None:
    """Complex Fourier transform of 256 points, in four steps to the base of 4, each of which divides by 4.

    Args:
        parts: real and imaginary parts, (2, points, frames).
        order: places in which the points are taken, (points,).
        twiddles: factors, (2, points).
        spectra: receives the transform, (2, points, frames).
    """
    points, frames = parts.shape[1], parts.shape[2]
    for place in range(points):
        spectra[0, place, :] = parts[0, order[place], :]
        spectra[1, place, :] = parts[1, order[place], :]
    distance = 1
    while distance < points:
        stride = points // (4 * distance)
        for block in range(0, points, 4 * distance):
            for place in range(distance):
                real_1, imag_1 = twiddles[0, place * stride], twiddles[1, place * stride]
                real_2, imag_2 = twiddles[0, 2 * place * stride], twiddles[1, 2 * place * stride]
                real_3, imag_3 = twiddles[0, 3 * place * stride], twiddles[1, 3 * place * stride]
                first = block + place
                reals_0, imags_0 = spectra[0, first], spectra[1, first]
                reals_1, imags_1 = spectra[0, first + distance], spectra[1, first + distance]
                reals_2, imags_2 = spectra[0, first + 2 * distance], spectra[1, first + 2 * distance]
                reals_3, imags_3 = spectra[0, first + 3 * distance], spectra[1, first + 3 * distance]
                for frame in range(frames):
                    a_real = np.int16((reals_0[frame] * 8191 + 16384) >> 15)
                    a_imag = np.int16((imags_0[frame] * 8191 + 16384) >> 15)
                    real = np.int16((reals_1[frame] * 8191 + 16384) >> 15)
                    imag = np.int16((imags_1[frame] * 8191 + 16384) >> 15)
                    b_real = np.int16((real * real_1 - imag * imag_1 + 16384) >> 15)
                    b_imag = np.int16((real * imag_1 + imag * real_1 + 16384) >> 15)
                    real = np.int16((reals_2[frame] * 8191 + 16384) >> 15)
                    imag = np.int16((imags_2[frame] * 8191 + 16384) >> 15)
                    c_real = np.int16((real * real_2 - imag * imag_2 + 16384) >> 15)
                    c_imag = np.int16((real * imag_2 + imag * real_2 + 16384) >> 15)
                    real = np.int16((reals_3[frame] * 8191 + 16384) >> 15)
                    imag = np.int16((imags_3[frame] * 8191 + 16384) >> 15)
                    d_real = np.int16((real * real_3 - imag * imag_3 + 16384) >> 15)
                    d_imag = np.int16((real * imag_3 + imag * real_3 + 16384) >> 15)
                    reals_0[frame] = np.int16(a_real + c_real + b_real + d_real)
                    imags_0[frame] = np.int16(a_imag + c_imag + b_imag + d_imag)
                    reals_1[frame] = np.int16(a_real - c_real + b_imag - d_imag)
                    imags_1[frame] = np.int16(a_imag - c_imag - b_real + d_real)
                    reals_2[frame] = np.int16(a_real + c_real - b_real - d_real)
                    imags_2[frame] = np.int16(a_imag + c_imag - b_imag - d_imag)
                    reals_3[frame] = np.int16(a_real - c_real - b_imag + d_imag)
                    imags_3[frame] = np.int16(a_imag - c_imag + b_real - d_real)
        distance *= 4


@compiled("void(int16[:, :, ::1], int16[:, ::1], int64[:, ::1])")
def to_energies(spectra: Shorts, twiddles: Shorts, energies: Whole) -> None:
    """Squared magnitudes of the real transform, from the complex one of half as many points.

    Args:
        spectra: real and imaginary parts, (2, points, frames).
        twiddles: factors, (2, points / 2 + 1), the first unused.
        energies: receives the squares, (points + 1, frames); those of the first and of the last stay.
    """
    points, frames = spectra.shape[1], spectra.shape[2]
    for place in range(1, points // 2 + 1):
        turn_real, turn_imag = twiddles[0, place], twiddles[1, place]
        for frame in range(frames):
            p_real = np.int16((spectra[0, place, frame] * 16383 + 16384) >> 15)
            p_imag = np.int16((spectra[1, place, frame] * 16383 + 16384) >> 15)
            q_real = np.int16((spectra[0, points - place, frame] * 16383 + 16384) >> 15)
            q_imag = np.int16((-spectra[1, points - place, frame] * 16383 + 16384) >> 15)
            sum_real, sum_imag = p_real + q_real, p_imag + q_imag
            real, imag = p_real - q_real, p_imag - q_imag
            turned_real = np.int16((real * turn_real - imag * turn_imag + 16384) >> 15)
            turned_imag = np.int16((real * turn_imag + imag * turn_real + 16384) >> 15)
            low_real, low_imag = (sum_real + turned_real) >> 1, (sum_imag + turned_imag) >> 1
            high_real, high_imag = (sum_real - turned_real) >> 1, (turned_imag - sum_imag) >> 1
            energies[place, frame] = low_real * low_real + low_imag * low_imag
            energies[points - place, frame] = high_real * high_real + high_imag * high_imag


@compiled("void(int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[:, ::1])")
def to_levels(energies: Whole, interval: Whole, falling: Whole, rising: Whole, shifts: Whole, levels: Whole) -> None:
    """Rounded square roots of the energy in mel bands, scaled back.

    Args:
        energies: (bins, frames).
        interval, falling, rising: as in `features.micro.MicroTables`.
        shifts: bits by which each frame was scaled up, (frames,).
        levels: receives the roots, (frames, bands).
    """
    frames, bands = levels.shape
    sums = np.zeros((bands + 2, frames), np.int64)  # the first and the last are no bands
    for place in range(len(interval)):
        band = interval[place]
        if band >= 0:
            for frame in range(frames):
                sums[band, frame] += falling[place] * energies[place, frame]
                sums[band + 1, frame] += rising[place] * energies[place, frame]
    for band in range(bands):
        for frame in range(frames):
            total = sums[band + 1, frame]
            root = np.int64(np.sqrt(np.float64(total)))
            if root * root > total:
                root -= 1
            elif (root + 1) * (root + 1) <= total:
                root += 1
            if total - root * root > root and not (root == 0xFFFF and total <= _WORD):
                root += 1
            levels[frame, band] = root >> shifts[frame]


@compiled("void(int64[:, ::1], int64[:, ::1], int64[::1], uint16[:, ::1])")
def to_features(levels: Whole, gains: Whole, logs: Whole, features: Counts) -> None:
    """Noise reduction, automatic gain and logarithm.

    Args:
        levels: (frames, bands).
        gains, logs: as in `features.micro.MicroTables`.
        features: receives the features, (frames, bands).
    """
    frames, bands = levels.shape
    estimates = np.zeros(bands, np.int64)
    for frame in range(frames):
        for band in range(bands):
            level = levels[frame, band]
            smoothing = ODD_SMOOTHING if band & 1 else EVEN_SMOOTHING
            scaled = (level << ESTIMATE_BITS) & _WORD
            kept = estimates[band] * ((1 << SMOOTHING_BITS) - smoothing)
            estimate = ((scaled * smoothing + kept) >> SMOOTHING_BITS) & _WORD
            estimates[band] = estimate
            noise = min(estimate, scaled)
            signal = max((scaled - noise) >> ESTIMATE_BITS, (level * LEAST_REMAINING) >> SMOOTHING_BITS)

            bits = 0
            while estimate >> bits:
                bits += 1
            if estimate <= 2:
                gain = gains[estimate, 0]
            else:
                fraction = ((estimate << 11) >> bits) & 0x3FF
                bent = ((gains[bits, 2] * fraction) >> 5) + (gains[bits, 1] << 5)
                gain = ((bent * fraction + (1 << 14)) >> 15) + gains[bits, 0]
            ratio = ((signal * gain) >> RATIO_SHIFT) & _WORD
            if ratio < 2 << RATIO_BITS:
                value = (ratio * ratio) >> (2 + 2 * RATIO_BITS - OUTPUT_BITS)
            else:
                value = (ratio >> (RATIO_BITS - OUTPUT_BITS)) - (1 << OUTPUT_BITS)

            value = (value << CORRECTION_BITS) & _WORD
            if value <= 1:
                features[frame, band] = 0
                continue
            power = 0
            while value >> (power + 1):
                power += 1
            above = ((value - (1 << power)) << LOG_BITS) >> power
            segment = above >> _SEGMENT_SHIFT
            rest = above - (segment << _SEGMENT_SHIFT)
            curve = logs[segment] + (((logs[segment + 1] - logs[segment]) * rest) >> LOG_BITS)
            log_2 = (power << LOG_BITS) + above + curve
            log_e = (LN_2_SCALED * log_2 + _HALF) >> LOG_BITS
            log_e = ((log_e << LOG_SCALE_BITS) + _HALF) >> LOG_BITS
            features[frame, band] = min(log_e, 0xFFFF)
