"""The fewest multiply-adds of a method on a Marian-like encoder-decoder model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Translator:
    """Sizes of the network, in features unless said otherwise."""

    encoder_layers: int
    decoder_layers: int
    hidden: int
    encoder_intermediate: int
    decoder_intermediate: int
    vocabulary: int

    @classmethod
    def of(cls, configuration: dict[str, int]) -> Translator:
        """Read the sizes from a model's configuration."""
        return cls(
            encoder_layers=configuration["encoder_layers"],
            decoder_layers=configuration["decoder_layers"],
            hidden=configuration["d_model"],
            encoder_intermediate=configuration["encoder_ffn_dim"],
            decoder_intermediate=configuration["decoder_ffn_dim"],
            vocabulary=configuration["vocab_size"],
        )

    @property
    def square(self) -> int:
        """Multiply-adds of one square matrix for one position."""
        return self.hidden**2

    @property
    def head(self) -> int:
        """Multiply-adds of the logits of one position."""
        return self.hidden * self.vocabulary

    def encoder(self, source: int, mixings: int = 1) -> int:
        """Count all layers of the encoder; in a backward pass attention counts twice."""
        matrices = 4 * self.square + 2 * self.hidden * self.encoder_intermediate
        mixing = mixings * 2 * self.hidden * source**2
        return self.encoder_layers * (matrices * source + mixing)

    def cross(self, source: int, seen: int, mixings: int = 1) -> int:
        """Count one layer of the decoder, its self-attention left out."""
        matrices = 2 * self.square + 2 * self.hidden * self.decoder_intermediate
        keys_and_values = 2 * self.square * source
        return matrices * seen + keys_and_values + mixings * 2 * self.hidden * source * seen

    def own(self, seen: int, mixings: int = 1) -> int:
        """Count the self-attention of one layer of the decoder."""
        return 4 * self.square * seen + mixings * self.hidden * seen * (seen + 1)

    def forward(self, source: int, targets: int) -> int:
        """Count one pass with the logits of all steps."""
        decoder = self.decoder_layers * (self.cross(source, targets) + self.own(targets))
        return self.encoder(source) + decoder + targets * self.head

    def saliency(self, source: int, targets: int) -> int:
        """Count one pass, and a backward row for each step to the source.

        The first layer's self-attention leads to the target alone, and in the last layer only the
        step's own position has a gradient after self-attention.
        """
        total = self.forward(source, targets) + targets * self.head
        for seen in range(1, targets + 1):
            total += (self.decoder_layers - 1) * self.cross(source, seen, 2)
            total += max(self.decoder_layers - 2, 0) * self.own(seen, 2)
            total += self.cross(source, 1, 2) + 2 * self.square * seen
            total += self.encoder(source, 2)
        return total

    def occlusion(self, source: int, targets: int) -> int:
        """Count the clean pass, and one for each token of the source.

        The first layer's self-attention is that of the clean pass.
        """
        again = self.forward(source, targets) - self.own(targets)
        return self.forward(source, targets) + source * again

    def multiply_adds(self, method: str, source: int, targets: int) -> int | None:
        """Return the count of a method, or None where none is made."""
        counts = {
            "saliency": self.saliency,
            "input_x_gradient": self.saliency,
            "occlusion": self.occlusion,
        }
        return counts[method](source, targets) if method in counts else None
