/** Requests to the kernel: ids, progress, errors, cancelling, and a memory of answers. */
import type { AnyModel } from "@anywidget/types";
import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import {
  type Alternative,
  type AlternativesResult,
  type CancelMessage,
  type ErrorCode,
  type KernelMessage,
  type Operation,
  type Operations,
  PROTOCOL_VERSION,
  type ProgressMessage,
  type RequestMessage,
  type Traits,
} from "./protocol";

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

/** Where a request stands. A silent one stays pending: it is answered when the kernel is back. */
export type ReplyState<Result> =
  | { readonly status: "pending"; readonly silent: boolean; readonly progress: Progress | null }
  | { readonly status: "done"; readonly result: Result }
  | { readonly status: "error"; readonly failure: Failure };

export type Progress = Pick<ProgressMessage, "done" | "total" | "remaining" | "note">;

export interface Reply<Result> {
  readonly state: ReadonlySignal<ReplyState<Result>>;
  /** Gives the answer up. The kernel is told when nobody else waits for it. */
  cancel(): void;
}

export interface Kernel {
  request<Name extends Operation>(op: Name, args: Operations[Name][0]): Reply<Operations[Name][1]>;
  /** Drops all answers and open requests: they belong to data that is no longer shown. */
  forget(): void;
  dispose(): void;
}

/** Asks one thing at a time: a new question gives up the one before. */
export interface Slot {
  request<Name extends Operation>(op: Name, args: Operations[Name][0]): Reply<Operations[Name][1]>;
  cancel(): void;
}

type Answer = AlternativesResult;

interface Job {
  readonly id: string;
  readonly key: string;
  readonly state: Signal<ReplyState<Answer>>;
  readonly patience: ReturnType<typeof setTimeout>;
  waiting: number;
}

export interface KernelOptions {
  /** Milliseconds without a sign of life after which a request is called silent. */
  readonly patience?: number;
  /** How many answers are remembered. */
  readonly memory?: number;
}

/** Opens the conversation of one model with its kernel. */
export function createKernel(
  model: AnyModel<Traits>,
  { patience = 1500, memory = 64 }: KernelOptions = {},
): Kernel {
  const page = randomPrefix();
  const jobs = new Map<string, Job>();
  const answers = new Map<string, Answer>();
  let counter = 0;

  const receive = (message: unknown) => {
    if (!isFrame(message)) return;
    const job = jobs.get(message.id);
    if (job === undefined) return;
    if (message.v !== PROTOCOL_VERSION) {
      settle(job, {
        code: "version",
        message: `The kernel speaks version ${message.v} of the protocol, this page ${PROTOCOL_VERSION}.`,
        hint: "Restart the kernel and reload the page, so that both come from one installation.",
      });
      return;
    }
    clearTimeout(job.patience);
    const frame = readFrame(message);
    if (frame === null) {
      settle(job, {
        code: "failed",
        message: "The kernel's answer could not be read.",
        hint: "Reload the page; if it happens again, the installation may be broken.",
      });
    } else if (frame.type === "result") {
      remember(job.key, frame.result);
      end(job, { status: "done", result: frame.result });
    } else if (frame.type === "error") {
      settle(job, frame);
    } else {
      job.state.value = {
        status: "pending",
        silent: false,
        progress: frame.type === "progress" ? frame : null,
      };
    }
  };
  model.on("msg:custom", receive);

  function remember(key: string, answer: Answer) {
    answers.delete(key);
    answers.set(key, answer);
    const [oldest] = answers.keys();
    if (answers.size > memory && oldest !== undefined) answers.delete(oldest);
  }

  function end(job: Job, state: ReplyState<Answer>) {
    clearTimeout(job.patience);
    jobs.delete(job.id);
    job.state.value = state;
  }

  function settle(job: Job, { code, message, hint }: Failure) {
    end(job, { status: "error", failure: { code, message, hint } });
  }

  function start(key: string, op: Operation, args: RequestMessage["args"]): Job {
    counter += 1;
    const id = `${page}-${counter}`;
    const state = signal<ReplyState<Answer>>({ status: "pending", silent: false, progress: null });
    const job: Job = {
      id,
      key,
      state,
      waiting: 0,
      patience: setTimeout(() => {
        state.value = { status: "pending", silent: true, progress: null };
      }, patience),
    };
    jobs.set(id, job);
    try {
      const message: RequestMessage = { v: PROTOCOL_VERSION, type: "request", id, op, args };
      model.send(message);
    } catch (error) {
      settle(job, {
        code: "failed",
        message: `The request could not be sent: ${error instanceof Error ? error.message : error}`,
        hint: "Run the cell again to connect this view to a kernel.",
      });
    }
    return job;
  }

  function giveUp(job: Job) {
    if (jobs.get(job.id) !== job) return;
    end(job, {
      status: "error",
      failure: { code: "cancelled", message: "The request was cancelled.", hint: "" },
    });
    const message: CancelMessage = { v: PROTOCOL_VERSION, type: "cancel", id: job.id };
    try {
      model.send(message);
    } catch {
      // Without a connection there is nobody left who would work on it.
    }
  }

  return {
    request(op, args) {
      const key = `${op} ${JSON.stringify(args)}`;
      const known = answers.get(key);
      if (known !== undefined) {
        remember(key, known);
        return { state: signal({ status: "done", result: known } as const), cancel: () => {} };
      }
      const open = [...jobs.values()].find((job) => job.key === key);
      const job = open ?? start(key, op, args);
      job.waiting += 1;
      let waiting = true;
      return {
        state: job.state,
        cancel() {
          if (!waiting) return;
          waiting = false;
          job.waiting -= 1;
          if (job.waiting === 0) giveUp(job);
        },
      };
    },
    forget() {
      answers.clear();
      for (const job of [...jobs.values()]) giveUp(job);
    },
    dispose() {
      model.off("msg:custom", receive);
      for (const job of [...jobs.values()]) giveUp(job);
      answers.clear();
    },
  };
}

/** Makes a slot of its own on a kernel. */
export function createSlot(kernel: Kernel): Slot {
  let cancelLast = () => {};
  return {
    request(op, args) {
      // The new one goes first: the same question asked again must not be cancelled in between.
      const cancelBefore = cancelLast;
      const reply = kernel.request(op, args);
      cancelLast = reply.cancel;
      cancelBefore();
      return reply;
    },
    cancel() {
      cancelLast();
      cancelLast = () => {};
    },
  };
}

/** Distinguishes this page from others of the same widget; `crypto.randomUUID` needs https. */
function randomPrefix(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

interface Frame {
  readonly v: number;
  readonly type: string;
  readonly id: string;
  readonly [field: string]: unknown;
}

function isFrame(message: unknown): message is Frame {
  return (
    isObject(message) &&
    typeof message.v === "number" &&
    typeof message.type === "string" &&
    typeof message.id === "string"
  );
}

/** Checks a frame's fields; null for one that does not keep to the protocol. */
function readFrame(frame: Frame): KernelMessage | null {
  const { v, id } = frame;
  switch (frame.type) {
    case "accepted":
      return { v, id, type: "accepted" };
    case "progress": {
      const { done, total, remaining, note } = frame;
      if (typeof done !== "number" || typeof total !== "number") return null;
      return {
        v,
        id,
        type: "progress",
        done,
        total,
        remaining: typeof remaining === "number" ? remaining : null,
        note: typeof note === "string" ? note : "",
      };
    }
    case "result":
      return isAlternatives(frame.result) ? { v, id, type: "result", result: frame.result } : null;
    case "error": {
      const { code, message, hint } = frame;
      return {
        v,
        id,
        type: "error",
        code: isErrorCode(code) ? code : "failed",
        message: typeof message === "string" ? message : "The kernel gave no reason.",
        hint: typeof hint === "string" ? hint : "",
      };
    }
    default:
      return null;
  }
}

const ERROR_CODES: Readonly<Record<ErrorCode, true>> = {
  bad_request: true,
  unknown_operation: true,
  version: true,
  no_model: true,
  cancelled: true,
  superseded: true,
  failed: true,
};

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(ERROR_CODES, code);
}

function isAlternatives(result: unknown): result is AlternativesResult {
  return (
    isObject(result) &&
    isAlternative(result.target) &&
    Array.isArray(result.alternatives) &&
    result.alternatives.every(isAlternative)
  );
}

function isAlternative(value: unknown): value is Alternative {
  return (
    isObject(value) &&
    typeof value.text === "string" &&
    typeof value.piece === "string" &&
    typeof value.id === "number" &&
    typeof value.probability === "number" &&
    typeof value.rank === "number"
  );
}

function isObject(value: unknown): value is Partial<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
