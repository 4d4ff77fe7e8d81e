"""Opens the network that the configuration names. Imports TensorFlow: never import it in the listener."""

from __future__ import annotations

from inference.analysis.classifier import Classifier
from inference.analysis.gate import Gate
from inference.pipeline import Analyst
from scp import product
from scp.configuration.settings import Settings


def open_analyst(settings: Settings) -> Analyst:
    """Load the configured network, its hash checked. Raises ManifestError or ModelError with a sentence."""
    chosen = product.read_manifest(settings.model)
    return Analyst(
        classifier=Classifier.open(chosen), options=settings.outputs.options(), gate=Gate.open(chosen)
    )
