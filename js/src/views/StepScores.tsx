/** The step scores below the text: a bar for each generated token; dragging pins a run of them. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Sequence, stepToken } from "../data/figure";
import { barsPath, heightOf, scaleOf } from "../draw/strip";
import { score, tick } from "../format";
import type { View } from "../state/view";
import { spokenLabel } from "../text/visible";
import { nameOfScore, valueOfScore } from "./description";
import { type Brush, listenToStrip } from "./strip-interaction";

export function StepScores({ view, sequence }: { view: View; sequence: Sequence }) {
  const names = scoreNames(sequence);
  const chosen = useSignal<string | null>(null);
  const name = chosen.value ?? preferred(names, view.figure.spec.attributed_fn);
  // One bar compares with nothing.
  if (name === undefined || sequence.steps.length < 2) return null;
  const scale = scaleOf(name, valuesOf(sequence, name));
  return (
    <div class="strip" data-part="strip">
      <div class="strip-label">
        {names.length > 1 ? (
          <label>
            <span class="unseen">Step score</span>
            <select
              data-part="strip-score"
              value={name}
              onChange={({ currentTarget }) => {
                chosen.value = currentTarget.value;
              }}
            >
              {names.map((each) => (
                <option key={each} value={each}>
                  {nameOfScore(each)}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <span>{nameOfScore(name)}</span>
        )}
        <span class="strip-hint">drag to pin a run of tokens</span>
      </div>
      <div class="strip-body">
        <div class="strip-axis" aria-hidden="true">
          <span>{endOfScale(name, scale.high)}</span>
          <span>{endOfScale(name, scale.low)}</span>
        </div>
        <Bars view={view} sequence={sequence} name={name} />
      </div>
    </div>
  );
}

function Bars({ view, sequence, name }: { view: View; sequence: Sequence; name: string }) {
  const box = useRef<HTMLDivElement>(null);
  const brush = useSignal<Brush | null>(null);
  const cursor = useSignal(0);
  const count = sequence.steps.length;
  const values = valuesOf(sequence, name);
  const scale = scaleOf(name, values);
  const { steps } = view.selection.value;
  const pointed = view.target.value?.step ?? null;

  useLayoutEffect(() => {
    if (box.current === null) return;
    const controller = new AbortController();
    listenToStrip(view, count, { box: box.current, brush, cursor }, controller.signal);
    return () => controller.abort();
  }, [view, sequence]);

  const zero = 1 - heightOf(0, scale);
  return (
    <div
      ref={box}
      class="strip-bars"
      role="listbox"
      aria-label={`${nameOfScore(name)} of each generated token. Arrow keys walk, Enter pins, with Shift more.`}
      aria-multiselectable="true"
      aria-orientation="horizontal"
      aria-activedescendant={optionId(cursor.value)}
      tabIndex={0}
      style={{ "--count": count }}
    >
      <svg viewBox={`0 0 ${count} 1`} preserveAspectRatio="none" aria-hidden="true">
        {pointed !== null && <rect class="strip-pointed" x={pointed} y={0} width={1} height={1} />}
        {brush.value !== null && (
          <rect
            class="strip-brush"
            x={Math.min(brush.value.from, brush.value.to)}
            y={0}
            width={Math.abs(brush.value.to - brush.value.from) + 1}
            height={1}
          />
        )}
        <path class="strip-all" d={barsPath(values, scale, values.keys())} />
        <path class="strip-pinned" d={barsPath(values, scale, steps)} />
        <line class="strip-zero" x1={0} x2={count} y1={zero} y2={zero} />
      </svg>
      <Option sequence={sequence} name={name} step={cursor.value} pinned={steps} />
    </div>
  );
}

/** The bar that the keyboard stands on, in words. */
function Option({
  sequence,
  name,
  step,
  pinned,
}: {
  sequence: Sequence;
  name: string;
  step: number;
  pinned: readonly number[];
}) {
  const token = stepToken(sequence, step);
  const value = sequence.steps[step]?.step_scores[name] ?? null;
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: focus stays on the listbox, which names its active option
    <div
      class="unseen"
      role="option"
      id={optionId(step)}
      aria-selected={pinned.includes(step)}
      aria-posinset={step + 1}
      aria-setsize={sequence.steps.length}
    >
      {token === undefined ? "" : spokenLabel(token)}, {valueOfScore(name, value)}
    </div>
  );
}

function endOfScale(name: string, value: number): string {
  return name === "probability" ? tick(value) : score(value);
}

function valuesOf(sequence: Sequence, name: string): (number | null)[] {
  return sequence.steps.map((step) => step.step_scores[name] ?? null);
}

/** The names of all step scores, in the order in which they come. */
function scoreNames(sequence: Sequence): string[] {
  return [...new Set(sequence.steps.flatMap((step) => Object.keys(step.step_scores)))];
}

/** What is explained comes first, where it is among the scores. */
function preferred(names: readonly string[], explained: string | null): string | undefined {
  return names.find((name) => name === explained) ?? names[0];
}

function optionId(step: number): string {
  return `strip-${step}`;
}
