# Attention weights: all of them, of one layer, of one head, averaged, and by words.
import inseq

model = inseq.load_model("gpt2", "attention")
out = model.attribute(
    "The manager went home because",
    "The manager went home because he was sick",
    show_progress=False,
)
shape = tuple(out[0].target_attributions.shape)
mean = out.aggregate()
strongest = out.aggregate(["max", "max"], normalize=False)
last_layer = out.aggregate(["mean", "scores"], select_idx=-1)
words = out.aggregate(["mean", "mean", "subwords"])
part = out[0][1:3]
out.show()
