# Which words make a translation masculine: a contrast of two translations of one sentence.
import inseq

model = inseq.load_model("Helsinki-NLP/opus-mt-en-fr", "saliency")
out = model.attribute(
    "The manager met the developer.",
    "Le patron a rencontré le développeur.",
    attributed_fn="contrast_prob_diff",
    contrast_targets="La patron a rencontré le développeur.",
    attribute_target=True,
    step_scores=["contrast_prob_diff", "kl_divergence"],
    show_progress=False,
)
differences = out[0].step_scores["contrast_prob_diff"]
scores = out.aggregate()[0].source_attributions
out.show()
