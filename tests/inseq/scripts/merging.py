# Results of several calls put together, taken apart again, and kept in a file.
import inseq

model = inseq.load_model("gpt2", "saliency")
given = ("The manager went home because", "The manager went home because he was sick")
first = model.attribute(*given, show_progress=False)
second = model.attribute("The designer was", "The designer was late", show_progress=False)
merged = inseq.merge_attributions([first, second])
added = first + second
sizes = [len(merged), len(added)]
prompts = merged.info["input_texts"]
merged.save("merged.json", overwrite=True)
loaded = inseq.FeatureAttributionOutput.load("merged.json")
html = loaded.show(return_html=True, display=False) is not None
