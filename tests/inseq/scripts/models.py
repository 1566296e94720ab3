# What a loaded model can do besides attributing.
import inseq

model = inseq.load_model("gpt2", "saliency")
text = "The manager went home because"
encoded = model.encode(text)
ids, mask = encoded.input_ids, encoded.attention_mask
decoded = model.decode(ids)
tokens = model.convert_ids_to_tokens(ids[0])
back = model.convert_tokens_to_ids(tokens)
string = model.convert_tokens_to_string(tokens)
split = model.convert_string_to_tokens(text)
embedded = model.embed(text)
continued = model.generate(text, max_new_tokens=3, do_sample=False)
device = str(model.device)
aggregators = set(inseq.list_aggregators()) >= {
    *("scores", "subwords", "spans", "split", "slices", "pair"),
}
functions = set(inseq.list_aggregation_functions()) >= {
    *("mean", "max", "min", "sum", "prod", "absmax", "vnorm"),
}
methods = set(inseq.list_feature_attribution_methods()) >= {"saliency", "lime", "reagent"}
