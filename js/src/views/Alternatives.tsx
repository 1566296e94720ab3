/** What else could have stood at a pinned step: asked of the kernel, with every state it can be in. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { percent } from "../format";
import { createSlot, type Failure, type Progress, type Reply } from "../kernel";
import type { Alternative, AlternativesResult } from "../protocol";
import type { View } from "../state/view";
import { visibleLabel } from "../text/visible";

const ASKED = 6;
/** The asked ones and, where it is none of them, the token that stands there. */
const ROWS = ASKED + 1;

interface Question {
  readonly view: View;
  readonly sequence: number;
  readonly step: number;
}

export function Alternatives({ view, sequence, step }: Question) {
  const reply = useSignal<Reply<AlternativesResult> | null>(null);
  const attempt = useSignal(0);
  const tried = attempt.value;

  useEffect(() => {
    const slot = createSlot(view.kernel);
    reply.value = slot.request("alternatives", { sequence, step, k: ASKED });
    return () => slot.cancel();
  }, [view, sequence, step, tried]);

  const state = reply.value?.state.value;
  return (
    <div class="answer" style={{ "--rows": ROWS }} data-state={state?.status ?? "pending"}>
      {state === undefined || state.status === "pending" ? (
        <Pending silent={state?.silent === true} progress={state?.progress ?? null} />
      ) : state.status === "done" ? (
        <Bars result={state.result} />
      ) : (
        <Failed
          failure={state.failure}
          onRetry={() => {
            attempt.value += 1;
          }}
        />
      )}
    </div>
  );
}

function Bars({ result }: { result: AlternativesResult }) {
  const { target, alternatives } = result;
  const listed = alternatives.slice(0, ASKED);
  const rows = listed.some((row) => row.id === target.id) ? listed : [...listed, target];
  const most = Math.max(...rows.map((row) => row.probability), Number.MIN_VALUE);
  return (
    <ol class="bars">
      {rows.map((row) => (
        <li key={row.id} data-written={row.id === target.id ? "" : undefined}>
          <bdi class="bar-label" title={entry(row)}>
            {visibleLabel(row)}
            {row.id === target.id && <span class="unseen"> (stands there)</span>}
          </bdi>
          <span class="bar-track">
            <span class="bar" style={{ width: `${(row.probability / most) * 100}%` }} />
          </span>
          <span class="bar-value">{percent(row.probability)}</span>
        </li>
      ))}
    </ol>
  );
}

function entry(row: Alternative): string {
  const piece = visibleLabel({ text: row.piece, piece: row.piece, special: true });
  return `${piece} · id ${row.id} · rank ${row.rank}`;
}

function Pending({ silent, progress }: { silent: boolean; progress: Progress | null }) {
  return (
    <>
      <ol class="bars skeleton" aria-hidden="true">
        {Array.from({ length: ASKED }, (_, at) => (
          <li key={at}>
            <span class="bar-label" />
            <span class="bar-track">
              <span class="bar" style={{ width: `${Math.round(84 * 0.62 ** at)}%` }} />
            </span>
          </li>
        ))}
      </ol>
      <p class="note" role="status">
        {silent
          ? "No sign of the kernel yet: it may be busy or gone. The answer appears when it comes."
          : progress === null
            ? "Asking the model…"
            : inProgress(progress)}
      </p>
    </>
  );
}

function inProgress({ done, total, remaining, note }: Progress): string {
  const part = total > 0 ? ` ${Math.round((done / total) * 100)} %` : "";
  const left = remaining === null ? "" : `, ${Math.ceil(remaining)} s left`;
  return `${note === "" ? "Asking the model" : note}…${part}${left}`;
}

function Failed({ failure, onRetry }: { failure: Failure; onRetry: () => void }) {
  return (
    <div class="failure" role="status">
      <p>{failure.message}</p>
      {failure.hint !== "" && <p class="note">{failure.hint}</p>}
      {failure.code !== "no_model" && (
        <button type="button" onClick={onRetry}>
          Ask again
        </button>
      )}
    </div>
  );
}
