# Scores of the generated tokens beside their attributions, and what a table is made of.
import inseq

model = inseq.load_model("Helsinki-NLP/opus-mt-en-fr", "saliency")
out = model.attribute(
    ["The manager met the developer.", "The designer was late."],
    ["Le patron a rencontré le développeur.", "La styliste était en retard."],
    attribute_target=True,
    step_scores=["probability", "entropy", "logit"],
    show_progress=False,
)
sequence = out.sequence_attributions[0]
probabilities = sequence.step_scores["probability"]
likeliest = int(probabilities.argmax())
word = sequence.target[sequence.attr_pos_start + likeliest].token
scores = out.get_scores_dicts()[1]["step_scores"]
n_dimensions = sequence.source_attributions.ndim
out.show()
