"""How many multiply-adds a network needs for one clip, counted from the operations of its TensorFlow graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import keras
import tensorflow as tf

_LOOPS: Final = ("While", "StatelessWhile")
_CALLS: Final = ("PartitionedCall", "StatefulPartitionedCall")


def multiply_adds(network: keras.Model) -> int:
    """The multiply-adds of matrix products and convolutions in one pass over one clip.

    The graph is what runs: what a recurrent layer does in each step counts for each step that its loop makes, and a
    convolution that computes cells that are thrown away afterwards counts them. Sums, products of single values,
    normalizations, activations, poolings and look-ups are left out, as they are in the tables of the literature.

    Args:
        network: with inputs of known shape.

    Returns:
        Their number, batch of one.
    """
    specification = [tf.TensorSpec((1, *each.shape[1:]), each.dtype) for each in network.inputs]
    traced = tf.compat.v1.wrap_function(
        lambda *inputs: network(inputs if len(inputs) > 1 else inputs[0], training=False), specification
    )
    feeds = traced.inputs[: len(specification)]
    needed = traced.prune(feeds, traced.outputs)  # tracing leaves operations whose results nobody reads
    clip = [tf.zeros(each.shape, each.dtype) for each in specification]

    def steps(loop: tf.Operation) -> int:
        """How often a loop's body runs: the graph is run up to the loop's first output, the number of its steps."""
        return int(needed.prune(needed.inputs[: len(clip)], loop.outputs[0])(*clip))

    return _of_graph(needed.graph, steps)


def _of_graph(graph: tf.Graph, steps: Callable[[tf.Operation], int]) -> int:
    """The multiply-adds of a graph, those of the functions that it calls included.

    Args:
        graph: of operations whose shapes are known.
        steps: how often the body of one of its loops runs.
    """
    total = 0
    for operation in graph.get_operations():
        if operation.type in _LOOPS:
            total += steps(operation) * _of_graph(_function(graph, operation, "body"), _no_loop_expected)
        elif operation.type in _CALLS:
            total += _of_graph(_function(graph, operation, "f"), _no_loop_expected)
        elif count := _COUNTS.get(operation.type):
            total += count(operation)
    return total


def _function(graph: tf.Graph, operation: tf.Operation, role: str) -> tf.Graph:
    """The graph of a function that an operation calls."""
    return graph._get_function(operation.get_attr(role).name).graph


def _no_loop_expected(loop: tf.Operation) -> int:
    raise NotImplementedError(f"{loop.name} is a loop in a function; only loops at the top can be counted")


def _of_product(operation: tf.Operation) -> int:
    """Of a matrix product, single or in a batch: each value of the result sums over the inner dimension."""
    first = operation.inputs[0].shape
    transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return int(operation.outputs[0].shape.num_elements() * first[-2 if transposed else -1])


def _of_einsum(operation: tf.Operation) -> int:
    """Of a sum of products: one for each combination of all indices."""
    indices = operation.get_attr("equation").decode().partition("->")[0].split(",")
    shapes = [each.shape for each in operation.inputs]
    sizes = {name: size for names, shape in zip(indices, shapes, strict=True) for name, size in _named(names, shape)}
    return math.prod(sizes.values())


def _named(names: str, shape: tf.TensorShape) -> list[tuple[str, int]]:
    return list(zip(names, shape.as_list(), strict=True))


def _of_convolution(operation: tf.Operation) -> int:
    """Of a convolution: each value of the result sums over the kernel's cells and input channels."""
    kernel = operation.inputs[1].shape.as_list()
    return int(operation.outputs[0].shape.num_elements() * math.prod(kernel[:-1]))


def _of_depthwise_convolution(operation: tf.Operation) -> int:
    """Of a convolution in each channel: each value of the result sums over the kernel's cells."""
    kernel = operation.inputs[1].shape.as_list()
    return int(operation.outputs[0].shape.num_elements() * math.prod(kernel[:2]))


_COUNTS: Final[Mapping[str, Callable[[tf.Operation], int]]] = {
    "MatMul": _of_product,
    "BatchMatMulV2": _of_product,
    "Einsum": _of_einsum,
    "Conv2D": _of_convolution,
    "DepthwiseConv2dNative": _of_depthwise_convolution,
}
