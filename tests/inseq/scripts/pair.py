# Two translations of one sentence, one with a word in two pieces, and the difference between them.
import inseq

model = inseq.load_model("Helsinki-NLP/opus-mt-en-fr", "integrated_gradients")
out = model.attribute(
    ["The manager met the developer.", "The manager met the developer."],
    ["Le patron a rencontré le développeur.", "La patron ne a rencontré le développeur."],
    n_steps=10,
    return_convergence_delta=True,
    attribute_target=True,
    step_scores=["probability"],
    internal_batch_size=5,
    include_eos_baseline=False,
    show_progress=False,
)
masculine = out.sequence_attributions[0].aggregate("scores")
feminine = out.sequence_attributions[1].aggregate(["spans", "scores"], target_spans=(2, 4))
difference = masculine.aggregate("pair", paired_attr=feminine)
masculine.show(aggregator="pair", paired_attr=feminine)
