/** The tools above the matrix: order and filter of its inputs, and its zoom. */
import type { ReadonlySignal } from "@preact/signals";
import { inputToken, type Sequence } from "../data/figure";
import { counted } from "../format";
import { ALL, type Wish } from "../state/arrangement";
import type { View } from "../state/view";
import type { Camera, ZoomState } from "./matrix-camera";

interface ToolsProps {
  readonly view: View;
  readonly sequence: Sequence;
  readonly zoom: ReadonlySignal<ZoomState>;
  readonly camera: () => Camera | null;
}

type Options = readonly (readonly [string | number, string])[];

const ORDERS: Options = [
  ["position", "in order of text"],
  ["score", "largest first"],
];
/** In percent; shares are small where inputs are many. */
const LEAST: Options = [
  [0, "any"],
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].map((each) => [each, `≥ ${each} %`] as const),
];
const TOP: Options = [
  [0, "any"],
  ...[5, 10, 20, 50, 100, 200].map((each) => [each, `top ${each}`] as const),
];

export function MatrixTools({ view, sequence, zoom, camera }: ToolsProps) {
  const { wish, shown } = view.arrangement;
  const { order, least, top, special } = wish.value;
  const change = (part: Partial<Wish>) => {
    wish.value = { ...wish.peek(), ...part };
  };
  const [count, all] = [shown.value.inputs.length, sequence.inputs.length];
  return (
    <fieldset class="tools" data-part="matrix-tools" aria-label="Matrix">
      <Choice
        part="order"
        label="Inputs"
        value={order}
        options={ORDERS}
        onChoice={(value) => change({ order: value === "score" ? "score" : "position" })}
      />
      <Choice
        part="least"
        label="share"
        value={least}
        options={LEAST}
        onChoice={(value) => change({ least: Number(value) })}
      />
      <Choice
        part="top"
        label="rank"
        value={top ?? 0}
        options={TOP}
        onChoice={(value) => change({ top: Number(value) || null })}
      />
      {sequence.inputs.some((_, input) => inputToken(sequence, input)?.special) && (
        <label>
          <input
            type="checkbox"
            data-part="special"
            checked={special}
            onChange={({ currentTarget }) => change({ special: currentTarget.checked })}
          />
          special tokens
        </label>
      )}
      <span data-part="shown" role="status">
        {count === all ? "all" : `${count} of`} {counted(all, "input")} shown
      </span>
      <button
        type="button"
        class="clear"
        data-part="show-all"
        disabled={count === all}
        onClick={() => change({ ...ALL, order })}
      >
        Show all
      </button>
      <Zoom zoom={zoom.value} camera={camera} />
    </fieldset>
  );
}

interface ChoiceProps {
  readonly part: string;
  readonly label: string;
  readonly value: string | number;
  /** The values, and what they are called. */
  readonly options: Options;
  readonly onChoice: (value: string) => void;
}

function Choice({ part, label, value, options, onChoice }: ChoiceProps) {
  return (
    <label>
      {label}
      <select
        data-part={part}
        value={String(value)}
        onChange={({ currentTarget }) => onChoice(currentTarget.value)}
      >
        {options.map(([each, name]) => (
          <option key={each} value={each}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

interface ZoomProps {
  readonly zoom: ZoomState;
  readonly camera: ToolsProps["camera"];
}

function Zoom({ zoom: { zoom, least, most }, camera }: ZoomProps) {
  const now = `${(zoom * 100).toFixed(zoom < 0.1 ? 1 : 0)} %`;
  const button = (part: string, sign: string, name: string, off: boolean, act: () => void) => (
    // Not disabled, which would take the focus away in the middle of a series of presses.
    <button
      type="button"
      data-part={part}
      aria-label={name}
      title={name}
      aria-disabled={off}
      onClick={act}
    >
      {sign}
    </button>
  );
  return (
    <div class="zoom">
      {button("zoom-out", "−", "Zoom out (−)", zoom <= least, () => camera()?.step(false))}
      {button("zoom-natural", now, `Zoom ${now}: back to 100 % (1)`, false, () =>
        camera()?.zoomTo(1),
      )}
      {button("zoom-in", "+", "Zoom in (+)", zoom >= most, () => camera()?.step(true))}
      {button("zoom-fit", "Fit", "Fit the whole matrix (0)", zoom <= least, () => camera()?.fit())}
    </div>
  );
}
