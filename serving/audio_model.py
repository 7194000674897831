"""From a trained network to TensorFlow functions that exports are made of: from a view, or from raw audio."""

from __future__ import annotations

from typing import Any, Final

import keras
import tensorflow as tf

from features.frontend import front_end
from features.operations import Operations
from features.views import CLIP_SAMPLES, FULL_SCALE, View
from results.model import FEATURES, LENGTH

AUDIO: Final = "audio"
PROBABILITIES: Final = "probabilities"


def from_view(network: keras.Model, view: View) -> tf.types.experimental.ConcreteFunction:
    """A function of one clip's features, float32, (1, *view.shape), whole numbers times the view's scale."""
    signature = [tf.TensorSpec((1, *view.shape), tf.float32, FEATURES)]
    function = tf.function(lambda features: network(features, training=False), input_signature=signature)
    return function.get_concrete_function()


def from_audio(
    network: keras.Model, view: View, operations: Operations, clips: int | None
) -> tf.types.experimental.ConcreteFunction:
    """A function of clips to probabilities, float32, (clips, classes).

    Its argument, "audio", is float32, (clips, 16000), in -1..1 at 16 kHz: samples of 16 bits over 32768. It is
    rounded to such samples, which the front end is defined on.

    Args:
        network: what it ends with.
        view: what the network reads.
        operations: those of the front end.
        clips: how many, or None for any number.
    """

    def probabilities(audio: tf.Tensor) -> tf.Tensor:
        samples = tf.clip_by_value(tf.round(audio * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
        return network(network_inputs(network, view, operations, samples), training=False)

    signature = [tf.TensorSpec((clips, CLIP_SAMPLES), tf.float32, AUDIO)]
    return tf.function(probabilities, input_signature=signature).get_concrete_function()


def network_inputs(network: keras.Model, view: View, operations: Operations, samples: tf.Tensor) -> Any:
    """What a network reads of some clips.

    A clip's length, for networks that read it, is what comes before its last zeros: those are padding.

    Args:
        network: with the input "features", and perhaps "length".
        view: of the features.
        operations: those of the front end.
        samples: float32 whole numbers of 16 bits, (clips, 16000).
    """
    features = tf.cast(front_end(view, operations)(samples), tf.float32) * view.scale
    named = {FEATURES: features}
    if LENGTH in (each.name for each in network.inputs):
        ends = tf.where(samples != 0, tf.range(1, CLIP_SAMPLES + 1), 1)
        named[LENGTH] = tf.cast(view.real_steps(view.real_length(tf.reduce_max(ends, axis=1))), tf.int32)
    values = [named[each.name] for each in network.inputs]
    return values[0] if len(values) == 1 else values
