/** Gestures that move the matrix: wheel and pinch zoom, dragging pans. */
import type { Point } from "../draw/geometry";
import { wheeledZoom } from "../draw/zoom";
import { listening } from "./gestures";
import type { Camera } from "./matrix-camera";

export interface Pan {
  /** While Space is held, dragging pans. */
  hold(held: boolean): void;
  /** Whether something was dragged since Space was pressed. */
  used(): boolean;
  /** Whether the pointer's last press was for panning, and not for pinning. */
  isPanning(): boolean;
}

/** Binds the gestures of a matrix; they go with `signal`. */
export function listenToGestures(
  camera: Camera,
  box: HTMLElement,
  viewport: HTMLElement,
  signal: AbortSignal,
): Pan {
  const pointOf = ({ clientX, clientY }: { clientX: number; clientY: number }): Point => {
    const { x, y } = viewport.getBoundingClientRect();
    return { x: clientX - x, y: clientY - y };
  };
  const on = listening(box, signal);

  on("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    camera.zoomTo(wheeledZoom(camera.zoom.peek().zoom, event), pointOf(event));
  });

  // How far two fingers were apart before; 0 while there are not two.
  let spread = 0;
  const pinch = (event: TouchEvent) => {
    const before = spread;
    spread = 0;
    const [one, other] = event.touches;
    if (one === undefined || other === undefined) return;
    event.preventDefault();
    const [a, b] = [pointOf(one), pointOf(other)];
    spread = Math.hypot(a.x - b.x, a.y - b.y);
    if (before === 0 || event.type !== "touchmove") return;
    const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    camera.zoomTo((camera.zoom.peek().zoom * spread) / before, middle);
  };
  on("touchstart", pinch);
  on("touchmove", pinch);

  let held = false;
  let used = false;
  let panning = false;
  let drag: { from: Point; scroll: Point } | null = null;
  on("pointerdown", (event) => {
    panning = event.button === 1 || (held && event.button === 0);
    if (!panning) return;
    drag = { from: pointOf(event), scroll: camera.scroll() };
    used = true;
    box.dataset.pan = "drag";
    box.setPointerCapture?.(event.pointerId);
  });
  on("pointermove", (event) => {
    if (drag === null) return;
    const { x, y } = pointOf(event);
    camera.scrollTo({
      x: drag.scroll.x + drag.from.x - x,
      y: drag.scroll.y + drag.from.y - y,
    });
  });
  const showHand = () => {
    if (held) box.dataset.pan = "ready";
    else delete box.dataset.pan;
  };
  for (const end of ["pointerup", "pointercancel"] as const) {
    on(end, () => {
      drag = null;
      showHand();
    });
  }
  // The middle button would scroll by itself.
  on("mousedown", (event) => {
    if (event.button === 1) event.preventDefault();
  });

  return {
    hold(now) {
      if (!held) used = false;
      held = now;
      if (drag === null) showHand();
    },
    used: () => used,
    isPanning: () => panning,
  };
}
