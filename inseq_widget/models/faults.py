"""Faults of a model that show while it runs, in the words of an error."""

NOT_NUMBERS = (
    "model: the logits for {where} are not numbers (NaN). Half precision overflows in some models: "
    "load it with dtype=torch.float32 or torch.bfloat16."
)
