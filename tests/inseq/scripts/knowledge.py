# In which layer a fact matters: gradients of a contrast by layer, of a model as an object.
import inseq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("gpt2", attn_implementation="eager")
tokenizer = AutoTokenizer.from_pretrained("gpt2")
totals = []
for layer in range(2):
    attribution_model = inseq.load_model(
        model,
        "layer_gradient_x_activation",
        tokenizer=tokenizer,
        target_layer=model.transformer.h[layer].mlp,
    )
    out = attribution_model.attribute(
        "The manager went home because",
        "The manager went home because he",
        attributed_fn="contrast_prob_diff",
        contrast_targets="The manager went home because she",
        step_scores=["contrast_prob_diff"],
        show_progress=False,
    )
    aggregated = out.aggregate()
    totals.append(aggregated[0].target_attributions[:5, 0])
by_layer = torch.stack(totals)
