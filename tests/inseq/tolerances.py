"""How closely the two libraries agree, as a fraction of the largest score, and why not closer."""

from __future__ import annotations

DOUBLE = 1e-9
"""Models in float64, with nothing in between that is not."""
SINGLE = 3e-4
"""Models in float32."""

# Llama takes its softmax, its norms and its angles in float32 in any model, and the two sides run
# texts of different length through them.
OF_MODELS = {"llama": 3e-6}
# captum keeps the points of a path, and the differences of occlusion, in float32. Inseq walks its
# discretised paths in float32, and takes the cosines of value zeroing in it.
OF_METHODS = {
    "integrated_gradients": 1e-6,
    "layer_integrated_gradients": 1e-6,
    "sequential_integrated_gradients": 1e-6,
    "discretized_integrated_gradients": 1e-6,
    "gradient_shap": 1e-6,
    "occlusion": 1e-6,
    "value_zeroing": 3e-4,
}
# These collect their values in a tensor of float32 in Inseq.
OF_FUNCTIONS = {"entropy": 1e-5, "kl_divergence": 1e-5}


def tolerance(model: str, method: str, *functions: str) -> float:
    """Return what two sides may differ by."""
    limits = [OF_MODELS.get(model), OF_METHODS.get(method), *map(OF_FUNCTIONS.get, functions)]
    return max([DOUBLE, *(limit for limit in limits if limit is not None)])
