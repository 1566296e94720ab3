/** The tooltip beside whatever is pointed at; in the top layer, so that no output area cuts it. */
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Target, View } from "../state/view";
import { describe } from "./description";
import { FactList } from "./FactList";
import { placeBeside } from "./placement";

export function Tooltip({ view }: { view: View }) {
  const box = useRef<HTMLDivElement>(null);
  const target = view.target.value;
  const reading = view.reading.value;
  const said = target === null ? null : describe(view.sequence.value, target, reading);

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const place = () => {
      const anchor = said === null ? null : (target?.anchor() ?? null);
      setOpen(element, anchor !== null);
      if (anchor !== null && target !== null) moveBeside(element, anchor, target);
    };
    place();
    if (said === null) return;
    // What it stands beside moves when the page is scrolled, and scrolling does not bubble.
    const options = { capture: true, passive: true };
    window.addEventListener("scroll", place, options);
    return () => window.removeEventListener("scroll", place, options);
  });

  return (
    <div ref={box} class="tooltip" role="tooltip" data-part="tooltip" popover="manual">
      {said !== null && (
        <>
          <div class="tooltip-heading">
            {said.heading.map((label, at) => (
              <bdi key={at} class="tooltip-token">
                {label}
              </bdi>
            ))}
          </div>
          <FactList facts={said.facts} />
          <div class="tooltip-entries">
            {said.entries.map((entry, at) => (
              <bdi key={at}>{entry}</bdi>
            ))}
          </div>
        </>
      )}
    </div>
  );
}

function setOpen(element: HTMLElement, open: boolean): void {
  element.dataset.open = String(open);
  if (!hasTopLayer(element)) return;
  const shown = element.matches(":popover-open");
  if (open && !shown) element.showPopover();
  if (!open && shown) element.hidePopover();
}

function moveBeside(element: HTMLElement, anchor: DOMRect, { origin }: Target): void {
  const { clientWidth: width, clientHeight: height } = document.documentElement;
  const { x, y } = placeBeside(anchor, element.getBoundingClientRect(), { width, height }, origin);
  // Outside the top layer the figure, being a container, is what fixed positions count from.
  const frame = hasTopLayer(element) ? null : element.parentElement?.getBoundingClientRect();
  element.style.transform = `translate(${x - (frame?.x ?? 0)}px, ${y - (frame?.y ?? 0)}px)`;
}

function hasTopLayer(element: HTMLElement): boolean {
  return typeof element.showPopover === "function";
}
