# A step function of one's own, reported and explained: how far the target is ahead of the next.
import inseq
import torch


def lead(args, scale=1.0):
    logits = args.attribution_model.output2logits(args.forward_output)
    probabilities = logits.softmax(-1)
    target = probabilities.gather(-1, args.target_ids.reshape(logits.shape[0], 1)).squeeze(-1)
    best = torch.topk(probabilities, 2, dim=-1).values
    other = torch.where(target == best[:, 0], best[:, 1], best[:, 0])
    return scale * (target - other)


inseq.register_step_function(
    fn=lead, identifier="lead", aggregate_map={"spans": "sum"}, overwrite=True
)
model = inseq.load_model("gpt2", "input_x_gradient")
out = model.attribute(
    "The manager went home because",
    "The manager went home because he was sick",
    attributed_fn="lead",
    step_scores=["lead", "probability"],
    scale=2.0,
    show_progress=False,
)
known = "lead" in inseq.list_step_functions()
joined = out.aggregate("spans", target_spans=[(5, 7)])
summed = joined[0].step_scores["lead"]
weighted = out[0].weight_attributions("lead")
