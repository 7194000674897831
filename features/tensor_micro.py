"""The micro front end as TensorFlow operations on whole numbers, with the same values as `features.micro_loops`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

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

_HALF = 1 << (LOG_BITS - 1)
_DOUBLE_FRACTION_BITS = 52
_DOUBLE_EXPONENT_OF_HALF = 1022


def micro(clips: tf.Tensor, tables: MicroTables, count: int) -> tf.Tensor:
    """The micro front end of some clips, as `operations.Operations.micro`."""
    context = tf.tile(tf.constant(tables.context, tf.int32)[None], (tf.shape(clips)[0], 1))
    heard = tf.concat([context, tf.cast(clips, tf.int32)], axis=1)
    frames = tf.signal.frame(heard, len(tables.window), tables.hop)[:, : tables.context_frames + count]
    parts, shifts = _windowed(frames, tables)
    energies = _energies(*_transformed(parts, tables), tables)
    levels = _levels(energies, tables, shifts)
    return tf.cast(_features(levels, tables)[:, tables.context_frames :], tf.uint16)


def _windowed(frames: tf.Tensor, tables: MicroTables) -> tuple[tf.Tensor, tf.Tensor]:
    """Frames times the window, scaled to the range of int16, (batch, frames, 2 × points), and by how many bits.

    As far as the energies, all values are int32.
    """
    weighted = _shifted(frames * tables.window.astype(np.int32), WINDOW_BITS)
    sizes = tf.abs(weighted)
    shifts = 15 - _bits(tf.reduce_max(tf.where(sizes < 1 << 15, sizes, 0), axis=-1))
    scaled = _int16(tf.bitwise.left_shift(weighted, shifts[..., None]))
    return tf.pad(scaled, ((0, 0), (0, 0), (0, 2 * POINTS - len(tables.window)))), shifts


def _transformed(parts: tf.Tensor, tables: MicroTables) -> tuple[tf.Tensor, tf.Tensor]:
    """Real and imaginary parts of the complex transform of even and odd samples, each (batch, frames, points)."""
    pairs = tf.reshape(parts, (-1, parts.shape[1], POINTS, 2))
    real, imag = (tf.gather(pairs[..., part], tables.order, axis=-1) for part in range(2))
    turns = tables.twiddles.astype(np.int32)
    distance = 1
    while distance < POINTS:
        shape = (-1, parts.shape[1], POINTS // (4 * distance), 4, distance)
        real, imag = (_divided(tf.reshape(part, shape), 4) for part in (real, imag))
        places = np.arange(4)[:, None] * np.arange(distance) * (POINTS // (4 * distance))
        turned_real, turned_imag = _product(real, imag, turns[0][places], turns[1][places])
        a_real, a_imag = real[..., 0, :], imag[..., 0, :]
        b_real, c_real, d_real = (turned_real[..., part, :] for part in (1, 2, 3))
        b_imag, c_imag, d_imag = (turned_imag[..., part, :] for part in (1, 2, 3))
        reals = (
            a_real + c_real + b_real + d_real,
            a_real - c_real + b_imag - d_imag,
            a_real + c_real - b_real - d_real,
            a_real - c_real - b_imag + d_imag,
        )
        imags = (
            a_imag + c_imag + b_imag + d_imag,
            a_imag - c_imag - b_real + d_real,
            a_imag + c_imag - b_imag - d_imag,
            a_imag - c_imag + b_real - d_real,
        )
        real, imag = _int16(tf.stack(reals, axis=-2)), _int16(tf.stack(imags, axis=-2))
        distance *= 4
    flat = (-1, parts.shape[1], POINTS)
    return tf.reshape(real, flat), tf.reshape(imag, flat)


def _energies(real: tf.Tensor, imag: tf.Tensor, tables: MicroTables) -> tf.Tensor:
    """Squared magnitudes of the real transform without its first and last bin, (batch, frames, points - 1)."""
    turn_real, turn_imag = tables.real_twiddles[:, 1:].astype(np.int32)
    half = POINTS // 2
    p_real, p_imag = (_divided(part[..., 1 : half + 1], 2) for part in (real, imag))
    q_real = _divided(tf.reverse(real[..., half:], [-1]), 2)
    q_imag = _divided(-tf.reverse(imag[..., half:], [-1]), 2)
    sum_real, sum_imag = p_real + q_real, p_imag + q_imag
    turned_real, turned_imag = _product(p_real - q_real, p_imag - q_imag, turn_real, turn_imag)
    low = _square_of_half(sum_real + turned_real) + _square_of_half(sum_imag + turned_imag)
    high = _square_of_half(sum_real - turned_real) + _square_of_half(turned_imag - sum_imag)
    return tf.concat([low[..., :-1], tf.reverse(high, [-1])], axis=-1)


def _levels(energies: tf.Tensor, tables: MicroTables, shifts: tf.Tensor) -> tf.Tensor:
    """Rounded square roots of the energy in mel bands, scaled back, int64, (batch, frames, bands), as all that follows.

    Sums are below 2^53, which float64 holds exactly.
    """
    bands = int(tables.interval.max())
    matrix = np.zeros((POINTS + 1, bands + 2))
    used = np.flatnonzero(tables.interval >= 0)
    matrix[used, tables.interval[used]] = tables.falling[used]
    matrix[used, tables.interval[used] + 1] = tables.rising[used]
    totals = tf.matmul(tf.cast(energies, tf.float64), matrix[1:-1, 1:-1])
    whole = tf.cast(totals, tf.int64)
    root = tf.cast(tf.floor(tf.sqrt(totals)), tf.int64)
    root -= tf.cast(root * root > whole, tf.int64)
    rounds_up = (whole - root * root > root) & ~((root == 0xFFFF) & (whole < 1 << 32))
    return tf.bitwise.right_shift(root + tf.cast(rounds_up, tf.int64), tf.cast(shifts, tf.int64)[..., None])


def _features(levels: tf.Tensor, tables: MicroTables) -> tf.Tensor:
    """Noise reduction, automatic gain and logarithm, (batch, frames, bands)."""
    scaled = _word(tf.bitwise.left_shift(levels, _whole(ESTIMATE_BITS)))
    estimates = _estimates(scaled)
    least = _shifted(levels * LEAST_REMAINING, SMOOTHING_BITS)
    signals = tf.maximum(_shifted(scaled - tf.minimum(estimates, scaled), ESTIMATE_BITS), least)
    ratios = _word(_shifted(signals * _gains(estimates, tables), RATIO_SHIFT))
    squares = _shifted(ratios * ratios, 2 + 2 * RATIO_BITS - OUTPUT_BITS)
    lines = _shifted(ratios, RATIO_BITS - OUTPUT_BITS) - (1 << OUTPUT_BITS)
    compressed = tf.where(ratios < 2 << RATIO_BITS, squares, lines)
    return _logs(_word(tf.bitwise.left_shift(compressed, _whole(CORRECTION_BITS))), tables)


def _estimates(scaled: tf.Tensor) -> tf.Tensor:
    """The noise estimate of each frame, from those before it.

    In float64, which holds all products exactly: oneDNN warns where whole numbers are transposed.
    """
    smoothing = np.where(np.arange(scaled.shape[2]) % 2, ODD_SMOOTHING, EVEN_SMOOTHING) / (1 << SMOOTHING_BITS)

    def step(last: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        return tf.floor(level * smoothing + last * (1 - smoothing))

    by_frame = tf.transpose(tf.cast(scaled, tf.float64), (1, 0, 2))
    estimates = tf.scan(step, by_frame, tf.zeros_like(by_frame[0]))
    return tf.cast(tf.transpose(estimates, (1, 0, 2)), tf.int64)


def _gains(estimates: tf.Tensor, tables: MicroTables) -> tf.Tensor:
    """The gain for each noise estimate, between the three of its parabola."""
    bits = _bits(estimates)
    few = estimates <= 2
    rows = tf.gather(tables.gains, tf.where(few, estimates, bits))
    fractions = tf.bitwise.bitwise_and(tf.bitwise.right_shift(estimates * (1 << 11), bits), _whole(0x3FF))
    bent = _shifted(rows[..., 2] * fractions, 5) + rows[..., 1] * 32
    return tf.where(few, rows[..., 0], _shifted(bent * fractions + (1 << 14), 15) + rows[..., 0])


def _logs(values: tf.Tensor, tables: MicroTables) -> tf.Tensor:
    """64 times the natural logarithm, 0 for values below 2, at most what uint16 holds."""
    powers = _bits(tf.maximum(values, 1)) - 1
    above = tf.bitwise.right_shift(tf.bitwise.left_shift(values, _whole(LOG_BITS)), powers) - (1 << LOG_BITS)
    above = tf.maximum(above, 0)
    segment_shift = LOG_BITS - LOG_SEGMENT_BITS
    segments = _shifted(above, segment_shift)
    here, following = tf.gather(tables.logs, segments), tf.gather(tables.logs, segments + 1)
    rests = above - tf.bitwise.left_shift(segments, _whole(segment_shift))
    log_2 = powers * (1 << LOG_BITS) + above + here + _shifted((following - here) * rests, LOG_BITS)
    log_e = _shifted(log_2 * LN_2_SCALED + _HALF, LOG_BITS)
    scaled = _shifted(log_e * (1 << LOG_SCALE_BITS) + _HALF, LOG_BITS)
    return tf.where(values > 1, tf.minimum(scaled, 0xFFFF), 0)


def _whole(number: int) -> tf.Tensor:
    return tf.constant(number, tf.int64)


def _shifted(values: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.bitwise.right_shift(values, tf.constant(bits, values.dtype))


def _word(values: tf.Tensor) -> tf.Tensor:
    """The lowest 32 bits."""
    return tf.bitwise.bitwise_and(values, _whole(0xFFFFFFFF))


def _int16(values: tf.Tensor) -> tf.Tensor:
    """The lowest 16 bits, with their sign."""
    return tf.cast(tf.cast(values, tf.int16), tf.int32)


def _divided(values: tf.Tensor, divisor: int) -> tf.Tensor:
    return _int16(_shifted(values * (32767 // divisor) + (1 << 14), 15))


def _product(
    real: tf.Tensor, imag: tf.Tensor, turn_real: tf.Tensor, turn_imag: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Products of complex numbers with 15 fractional bits."""
    products = (real * turn_real - imag * turn_imag, real * turn_imag + imag * turn_real)
    turned_real, turned_imag = (_int16(_shifted(each + (1 << 14), 15)) for each in products)
    return turned_real, turned_imag


def _square_of_half(values: tf.Tensor) -> tf.Tensor:
    halves = _shifted(values, 1)
    return halves * halves


def _bits(values: tf.Tensor) -> tf.Tensor:
    """How many bits whole numbers below 2^53 take; 0 for 0."""
    exponents = _shifted(tf.bitcast(tf.cast(values, tf.float64), tf.int64), _DOUBLE_FRACTION_BITS)
    return tf.cast(tf.maximum(exponents - _DOUBLE_EXPONENT_OF_HALF, 0), values.dtype)
