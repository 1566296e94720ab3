"""Firefox Translations' small English-Portuguese models, as a transformers model."""

from transformers import AutoConfig, AutoModelForSeq2SeqLM

from inseq_widget.models.demo.bergamot.configuration import BergamotConfig
from inseq_widget.models.demo.bergamot.loading import DIRECTIONS, load_bergamot
from inseq_widget.models.demo.bergamot.modeling import BergamotForConditionalGeneration

AutoConfig.register(BergamotConfig.model_type, BergamotConfig, exist_ok=True)
AutoModelForSeq2SeqLM.register(BergamotConfig, BergamotForConditionalGeneration, exist_ok=True)

__all__ = ["DIRECTIONS", "BergamotConfig", "BergamotForConditionalGeneration", "load_bergamot"]
