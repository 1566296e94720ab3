"""The network of Bergamot's "tiny" models: a transformer encoder and a recurrent decoder.

Kim et al. (2019), "From Research to Production and Back: Ludicrously Fast Neural Machine
Translation", describe the simpler simple recurrent unit that takes the place of the decoder's
self-attention; the rest is the transformer of Vaswani et al. (2017), normalised after each block.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqLMOutput,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from inseq_widget.models.demo.bergamot.configuration import BergamotConfig

_LARGEST_PERIOD = 10_000.0
_NORM_EPSILON = 1e-6


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, Tensor]:
    """Attend by matrix products and give the weights, (batch, head, query, key)."""
    products = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        products = products + attention_mask
    weights = nn.functional.softmax(products, dim=-1)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class ScaledEmbedding(nn.Embedding):
    """An embedding that gives its vectors multiplied by the square root of their length."""

    def forward(self, input: Tensor) -> Tensor:
        """Embed ids (...) as vectors (..., feature)."""
        return super().forward(input) * math.sqrt(self.embedding_dim)


def _cached(cache: Cache, layer_idx: int) -> tuple[Tensor, Tensor]:
    """Give the keys and values that a layer has put into a cache."""
    layer = cache.layers[layer_idx]
    assert isinstance(layer, DynamicLayer), "a layer of a dynamic cache"
    assert layer.keys is not None, "a layer that was updated"
    assert layer.values is not None, "a layer that was updated"
    return layer.keys, layer.values


class BergamotAttention(nn.Module):
    """Attention of several heads, of a stack to itself or of the decoder to the encoder."""

    is_causal = False

    def __init__(
        self, config: BergamotConfig, layer_idx: int, *, is_cross_attention: bool = False
    ) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.is_cross_attention = is_cross_attention
        self.head_dim = config.d_model // config.num_attention_heads
        self.num_key_value_groups = 1
        self.scaling = self.head_dim**-0.5
        self.q_proj = nn.Linear(config.d_model, config.d_model)
        self.k_proj = nn.Linear(config.d_model, config.d_model)
        self.v_proj = nn.Linear(config.d_model, config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def forward(
        self,
        hidden_states: Tensor,
        key_value_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``hidden_states`` to ``key_value_states``, or to themselves."""
        key, value = self._key_value(
            hidden_states if key_value_states is None else key_value_states, past_key_values
        )
        attend: Callable[..., tuple[Tensor, Tensor | None]] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attend(
            self,
            self._heads(self.q_proj(hidden_states)),
            key,
            value,
            attention_mask,
            dropout=0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.out_proj(output.reshape(hidden_states.shape)), weights

    def _heads(self, states: Tensor) -> Tensor:
        """Split features (batch, position, feature) into heads, before the positions."""
        return states.view(*states.shape[:-1], -1, self.head_dim).transpose(1, 2)

    def _key_value(
        self, states: Tensor, cache: EncoderDecoderCache | None
    ) -> tuple[Tensor, Tensor]:
        if cache is not None and cache.is_updated.get(self.layer_idx):
            return _cached(cache.cross_attention_cache, self.layer_idx)
        key, value = self._heads(self.k_proj(states)), self._heads(self.v_proj(states))
        if cache is not None:
            key, value = cache.cross_attention_cache.update(key, value, self.layer_idx)
            cache.is_updated[self.layer_idx] = True
        return key, value


class SimplerSimpleRecurrentUnit(nn.Module):
    """A memory that forgets at a rate which the current token sets (Kim et al., 2019, section 3.2).

    ``c_t = f_t · c_{t-1} + (1 - f_t) · W x_t`` with ``f_t = sigmoid(W_f x_t + b_f)``; the output is
    ``ReLU(c_t)``.
    """

    def __init__(self, config: BergamotConfig, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.input_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.forget_proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, hidden_states: Tensor, past_key_values: EncoderDecoderCache | None) -> Tensor:
        """Run over (batch, position, feature), on from the cached memory if there is one."""
        forget = torch.sigmoid(self.forget_proj(hidden_states))
        new = (1 - forget) * self.input_proj(hidden_states)
        memory = self._last(past_key_values)
        memories: list[Tensor] = []
        for kept, added in zip(forget.unbind(1), new.unbind(1), strict=True):
            memory = added if memory is None else torch.addcmul(added, kept, memory)
            memories.append(memory)
        states = torch.stack(memories, dim=1)
        if past_key_values is not None:
            # The cache counts positions by what it is given: one memory for each, as one head.
            as_head = states[:, None]
            past_key_values.self_attention_cache.update(as_head, as_head[..., :0], self.layer_idx)
        return torch.relu(states)

    def _last(self, cache: EncoderDecoderCache | None) -> Tensor | None:
        if cache is None or cache.self_attention_cache.get_seq_length(self.layer_idx) == 0:
            return None
        memories, _ = _cached(cache.self_attention_cache, self.layer_idx)
        return memories[:, 0, -1]


class FeedForward(nn.Module):
    """Two linear maps with a rectifier between them."""

    def __init__(self, config: BergamotConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.d_model, config.ffn_dim)
        self.fc2 = nn.Linear(config.ffn_dim, config.d_model)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Map (..., feature) to the same shape."""
        output: Tensor = self.fc2(torch.relu(self.fc1(hidden_states)))
        return output


class BergamotEncoderLayer(nn.Module):
    """Self-attention and a feed-forward block, each added and then normalised."""

    def __init__(self, config: BergamotConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = BergamotAttention(config, layer_idx)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model, eps=_NORM_EPSILON)
        self.ffn = FeedForward(config)
        self.ffn_layer_norm = nn.LayerNorm(config.d_model, eps=_NORM_EPSILON)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None, **kwargs: object
    ) -> Tensor:
        """Map (batch, position, feature) to the same shape."""
        attended, _ = self.self_attn(hidden_states, attention_mask=attention_mask, **kwargs)
        hidden_states = self.self_attn_layer_norm(hidden_states + attended)
        output: Tensor = self.ffn_layer_norm(hidden_states + self.ffn(hidden_states))
        return output


class BergamotDecoderLayer(nn.Module):
    """The recurrent unit, attention to the encoder and a feed-forward block."""

    def __init__(self, config: BergamotConfig, layer_idx: int) -> None:
        super().__init__()
        self.rnn = SimplerSimpleRecurrentUnit(config, layer_idx)
        self.rnn_layer_norm = nn.LayerNorm(config.d_model, eps=_NORM_EPSILON)
        self.encoder_attn = BergamotAttention(config, layer_idx, is_cross_attention=True)
        self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model, eps=_NORM_EPSILON)
        self.ffn = FeedForward(config)
        self.ffn_layer_norm = nn.LayerNorm(config.d_model, eps=_NORM_EPSILON)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        encoder_attention_mask: Tensor | None,
        past_key_values: EncoderDecoderCache | None,
        **kwargs: object,
    ) -> Tensor:
        """Map (batch, position, feature) to the same shape."""
        remembered = self.rnn(hidden_states, past_key_values)
        hidden_states = self.rnn_layer_norm(hidden_states + remembered)
        attended, _ = self.encoder_attn(
            hidden_states,
            key_value_states=encoder_hidden_states,
            attention_mask=encoder_attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        hidden_states = self.encoder_attn_layer_norm(hidden_states + attended)
        output: Tensor = self.ffn_layer_norm(hidden_states + self.ffn(hidden_states))
        return output


class BergamotPreTrainedModel(PreTrainedModel):
    """What the stacks have in common for transformers."""

    config_class = BergamotConfig
    base_model_prefix = ""
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["BergamotEncoderLayer", "BergamotDecoderLayer"]  # noqa: RUF012


def positions(start: int, length: int, like: Tensor) -> Tensor:
    """Give sinusoidal positions: sines in the first half of the features, cosines in the second.

    Parameters
    ----------
    start : int
        The first position.
    length : int
    like : torch.Tensor, (..., feature)
        Whose number of features, dtype and device they take.

    Returns
    -------
    torch.Tensor, (length, feature)
    """
    half = like.shape[-1] // 2
    exponents = torch.arange(half, dtype=torch.float64, device=like.device) / (half - 1)
    frequencies = torch.exp(-math.log(_LARGEST_PERIOD) * exponents)
    places = torch.arange(start, start + length, dtype=torch.float64, device=like.device)
    angles = places[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(like.dtype)


class BergamotEncoder(BergamotPreTrainedModel):
    """The encoder: reads the source."""

    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": BergamotEncoderLayer,
        "attentions": BergamotAttention,
    }

    def __init__(self, config: BergamotConfig) -> None:
        super().__init__(config)
        self.embed_tokens = ScaledEmbedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(
            [BergamotEncoderLayer(config, number) for number in range(config.encoder_layers)]
        )
        self.post_init()

    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: object,
    ) -> BaseModelOutput:
        """Encode ids, or embeddings that are scaled already."""
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=inputs_embeds, attention_mask=attention_mask
        )
        hidden_states = inputs_embeds + positions(0, inputs_embeds.shape[1], inputs_embeds)
        for layer in self.layers:
            hidden_states = layer(hidden_states, mask, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)


class BergamotDecoder(BergamotPreTrainedModel):
    """The decoder: writes the target, and looks at the encoded source."""

    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": BergamotDecoderLayer,
        "cross_attentions": OutputRecorder(BergamotAttention, index=1, layer_name="encoder_attn"),
    }

    def __init__(self, config: BergamotConfig) -> None:
        super().__init__(config)
        self.embed_tokens = ScaledEmbedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(
            [BergamotDecoderLayer(config, number) for number in range(config.decoder_layers)]
        )
        self.post_init()

    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: object,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Decode ids, or embeddings that are scaled already."""
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = EncoderDecoderCache(DynamicCache(), DynamicCache())
        start = 0 if past_key_values is None else past_key_values.get_seq_length()
        mask = create_bidirectional_mask(
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=encoder_attention_mask,
            encoder_hidden_states=encoder_hidden_states,
        )
        hidden_states = inputs_embeds + positions(start, inputs_embeds.shape[1], inputs_embeds)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states, encoder_hidden_states, mask, past_key_values, **kwargs
            )
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=hidden_states, past_key_values=past_key_values
        )


class BergamotForConditionalGeneration(BergamotPreTrainedModel, GenerationMixin):
    """A translator: encoder, decoder, and a head that gives logits over the vocabulary."""

    def __init__(self, config: BergamotConfig) -> None:
        super().__init__(config)
        self.encoder = BergamotEncoder(config)
        self.decoder = BergamotDecoder(config)
        # Padding is never written, so the head has one row less than the embeddings.
        self.lm_head = nn.Linear(config.d_model, config.vocab_size - 1)
        self.post_init()

    def get_encoder(self, modality: str | None = None) -> BergamotEncoder:
        """Give the encoder; there is one, of text."""
        return self.encoder

    def get_decoder(self) -> BergamotDecoder:
        """Give the decoder."""
        return self.decoder

    def get_input_embeddings(self) -> ScaledEmbedding:
        """Give the encoder's embedding."""
        return self.encoder.embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        """Give the head."""
        return self.lm_head

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple[Tensor, ...] | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: object,
    ) -> Seq2SeqLMOutput:
        """Give the logits of the token after each decoder input.

        Parameters
        ----------
        input_ids : torch.Tensor of int, (batch, source)
        attention_mask : torch.Tensor of int, (batch, source)
            1 at tokens, 0 at padding.
        decoder_input_ids : torch.Tensor of int, (batch, target)
            They begin with ``decoder_start_token_id``.
        decoder_attention_mask : torch.Tensor of int, (batch, target), optional
            Padding has to be on the right, where the recurrence never looks.
        encoder_outputs : BaseModelOutput or tuple of torch.Tensor, optional
            In place of the source, when it is encoded already.
        past_key_values : EncoderDecoderCache, optional
            The decoder's memory of the inputs before these.
        inputs_embeds, decoder_inputs_embeds : torch.Tensor, (batch, position, feature)
            In place of ids: what ``embed_tokens`` gives, which is scaled already.
        use_cache : bool, optional

        Returns
        -------
        Seq2SeqLMOutput
            ``logits`` of shape (batch, target, vocabulary).

        Raises
        ------
        ValueError
            Without decoder inputs, or when they are padded on the left.
        """
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            raise ValueError(
                "decoder_input_ids: none given; pass them (they begin with "
                f"{self.config.decoder_start_token_id}) or decoder_inputs_embeds."
            )
        mask = decoder_attention_mask
        if mask is not None and bool((mask[:, 1:] > mask[:, :-1]).any()):
            raise ValueError(
                "decoder_attention_mask: padding on the left would enter the recurrent memory; "
                "pad the target on the right."
            )
        if isinstance(encoder_outputs, tuple):
            encoded = BaseModelOutput(last_hidden_state=encoder_outputs[0])
        else:
            encoded = encoder_outputs or self.encoder(
                input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **kwargs
            )
        decoded = self.decoder(
            decoder_input_ids,
            encoder_hidden_states=encoded.last_hidden_state,
            encoder_attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=decoder_inputs_embeds,
            use_cache=self.config.use_cache if use_cache is None else use_cache,
            **kwargs,
        )
        return Seq2SeqLMOutput(
            logits=self.lm_head(decoded.last_hidden_state),
            past_key_values=decoded.past_key_values,
            decoder_hidden_states=decoded.hidden_states,
            cross_attentions=decoded.cross_attentions,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
        )
