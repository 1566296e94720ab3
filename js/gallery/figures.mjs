// Made-up figures that show every kind of text, model and score: for looking at, not for tests.

/** A small generator of numbers that are the same every time. */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Words to tokens: pieces of one word are split by `|`, special tokens stand in `⟦⟧`. */
function tokensOf(text, side, { first = 0, word = 0 } = {}) {
  const tokens = [];
  let position = first;
  let at = word;
  for (const part of text.match(/⟦[^⟧]*⟧|\s*[^\s⟦]+/gu) ?? []) {
    at += 1;
    if (part.startsWith("⟦")) {
      const piece = part.slice(1, -1);
      tokens.push({ text: piece, piece, id: position, position, side, special: true, word: at });
      position += 1;
      continue;
    }
    for (const piece of part.split("|")) {
      const text = piece.replaceAll("␤", "\n");
      tokens.push({
        text,
        piece: text.replace(/^ /, "▁"),
        id: 100 + (((text.codePointAt(text.length - 1) ?? 0) * 37 + position * 13) % 32000),
        position,
        side,
        special: false,
        word: at,
      });
      position += 1;
    }
  }
  return tokens;
}

function figure(model, method, { signed = false, label, fn = "probability", reduction = "norm" }) {
  return {
    spec: {
      model,
      method,
      attributed_fn: fn,
      reduction,
      score_label: label ?? `${method} of the ${fn ?? "step"}`,
      signed,
      sequences: [],
    },
    values: [],
  };
}

/** Adds a text with scores that have a few strong inputs for each step, as real ones do. */
function add(made, architecture, tokens, inputs, steps, seed) {
  const random = numbers(seed);
  const scores = [];
  const stepSpecs = steps.map((token) => ({
    token,
    total: 0,
    step_scores: { probability: 0.35 + 0.64 * random() },
  }));
  for (const input of inputs) {
    steps.forEach((token, t) => {
      const distance = Math.abs(inputs.indexOf(input) - (t * inputs.length) / steps.length) + 1;
      const later = tokens[input].side === "target" && input >= token;
      const near = 1 / distance ** 0.9;
      const magnitude = (0.12 + random() ** 3 * 1.6) * (0.25 + near);
      const sign = made.spec.signed && random() < 0.38 ? -1 : 1;
      const score = later ? Number.NaN : magnitude * sign * 0.01;
      scores.push(score);
      if (!later) stepSpecs[t].total += Math.abs(score);
    });
  }
  const shares = scores.map((score, k) => Math.abs(score) / stepSpecs[k % steps.length].total);
  const known = shares.filter((share) => !Number.isNaN(share)).sort((a, b) => a - b);
  made.spec.sequences.push({
    architecture,
    tokens,
    inputs,
    steps: stepSpecs,
    offset: made.values.length,
    domain: known[Math.floor(known.length * 0.985)] ?? 1,
    largest: known.at(-1) ?? 1,
  });
  for (const score of scores) made.values.push(score);
  return made;
}

function translation(made, source, target, seed = 7) {
  const from = tokensOf(source, "source");
  const to = tokensOf(target, "target", { word: 1000 });
  const tokens = [...from, ...to];
  const inputs = [...tokens.keys()].slice(0, tokens.length - 1);
  const steps = to.map((_, k) => from.length + k);
  return add(made, "encoder_decoder", tokens, inputs, steps, seed);
}

function completion(made, prompt, generated, seed = 11) {
  const before = tokensOf(prompt, "prompt");
  const after = tokensOf(generated, "target", { first: before.length, word: 100000 });
  const tokens = [...before, ...after];
  const inputs = [...tokens.keys()].slice(0, tokens.length - 1);
  const steps = after.map((_, k) => before.length + k);
  return add(made, "decoder_only", tokens, inputs, steps, seed);
}

const NURSE = [
  "The nurse said that she was tired. ⟦</s>⟧",
  "A enferm|eira disse que estava cans|ada. ⟦</s>⟧",
];

const CHAT =
  "⟦<|im_start|>⟧system␤You are a help|ful assistant that answers brief|ly.⟦<|im_end|>⟧␤⟦<|im_start|>⟧user␤" +
  "Why do leaves turn red in autumn, and why are some of them yellow? Name the pig|ments.␤\t- one line␤  - no chem|ical form|ulas⟦<|im_end|>⟧␤⟦<|im_start|>⟧assistant␤";
const ANSWER =
  "Leaves turn red because of antho|cyan|ins, and yellow because of car|oten|oids that remain when chlor|ophyll breaks down in the cold.⟦<|im_end|>⟧";

const WORDS =
  "the of and a model token with score for that from each layer head input text long it was not very attention gradient".split(
    " ",
  );

function lengthy(count, seed) {
  const random = numbers(seed);
  return Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)])
    .map((word, k) => (k % 23 === 22 ? `${word}.` : word))
    .join(" ");
}

function oddities() {
  const made = figure("oddities", "input_x_gradient", {
    signed: true,
    reduction: "sum",
    label: "input × gradient",
  });
  const strings = [
    ["<script>alert(1)</script>", 1],
    [" <img src=x onerror=alert(2)>", 2],
    ["  two", 3],
    ["\t", 4],
    ["\r\n", 5],
    ["caf", 6],
    ["é", 6],
    [" a\u200bb", 7],
    ["\u202Eevil", 8],
    ["\u00a0", 9],
    ["", 10, "<0xF0>"],
    ["", 10, "ðŁ"],
    ["", 10, "ĺ"],
    ["😂", 10, "Ĥ"],
    [" 👩🏽‍🚀", 11],
    [" हिन्", 12],
    ["दी", 12],
    [" 日本", 13],
    ["語", 13],
    ["\u0301", 14],
    ["\ud83d", 15],
    ["\n\n", 16],
    ["﻿", 17],
    [" soft\u00adhyphen", 18],
    ["\u0007", 19],
    [" end", 20],
    [" ", 21],
  ];
  const before = strings.map(([text, word, piece], position) => ({
    text,
    piece: piece ?? text.replace(/^ /, "Ġ"),
    id: 50 + position,
    position,
    side: "prompt",
    special: false,
    word,
  }));
  const after = tokensOf(" مر|حبا بال|عالم، هذا hello نص", "target", {
    first: before.length,
    word: 1000,
  });
  const tokens = [...before, ...after];
  return add(
    made,
    "decoder_only",
    tokens,
    [...tokens.keys()].slice(0, -1),
    after.map((_, k) => before.length + k),
    5,
  );
}

/** All figures, by name. */
export function figures() {
  const nurse = figure("demo:bergamot-en-pt", "saliency", { label: "gradient norm" });
  translation(nurse, ...NURSE);
  const several = figure("demo:bergamot-en-pt", "attention", {
    fn: null,
    reduction: "mean",
    label: "attention weight",
  });
  translation(several, ...NURSE);
  translation(
    several,
    "He moved his couch to the gar|age. ⟦</s>⟧",
    "Ele mud|ou o sofá para a gar|agem. ⟦</s>⟧",
    21,
  );
  const chat = completion(
    figure("demo:smollm2-135m-instruct", "saliency", { label: "gradient norm" }),
    CHAT,
    ANSWER,
  );
  const signed = translation(
    figure("demo:bergamot-en-pt", "input_x_gradient", {
      signed: true,
      reduction: "sum",
      label: "input × gradient",
    }),
    ...NURSE,
  );
  const long = completion(
    figure("a long prompt", "attention", {
      fn: null,
      reduction: "mean",
      label: "attention weight",
    }),
    lengthy(2000, 3),
    ` ${lengthy(200, 4)}`,
  );
  return { nurse, several, chat, signed, oddities: oddities(), long };
}
