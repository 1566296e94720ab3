/** The map in the matrix's corner: pressing and dragging moves the part that is seen. */
import type { Scene } from "../draw/matrix";
import { mapSize, paintMap, scrollToMap } from "../draw/minimap";
import { listening } from "./gestures";
import type { Camera } from "./matrix-camera";
import { drawOn } from "./matrix-paint";

/** Binds the listeners of the map; they go with `signal`. What the map does, scrolling does, too. */
export function listenToMap(camera: Camera, map: HTMLCanvasElement, signal: AbortSignal): void {
  const on = listening(map, signal);
  const move = ({ offsetX: x, offsetY: y, buttons }: PointerEvent) => {
    const grid = camera.grid();
    if (grid !== null && buttons === 1) camera.scrollTo(scrollToMap(grid, { x, y }, camera.view()));
  };
  on("pointerdown", (event) => {
    event.stopPropagation();
    map.setPointerCapture?.(event.pointerId);
    move(event);
  });
  on("pointermove", (event) => {
    event.stopPropagation();
    move(event);
  });
  // Nothing in the map is pinned or gives the grid the focus.
  for (const name of ["click", "mousedown"] as const) {
    on(name, (event) => event.stopPropagation());
  }
}

/** Shows the map where a part of the matrix is out of sight. */
export function showMap(map: HTMLCanvasElement, scene: Scene, cropped: boolean): void {
  map.hidden = !cropped;
  if (!cropped) return;
  const size = mapSize(scene.grid);
  map.style.width = `${size.width}px`;
  map.style.height = `${size.height}px`;
  drawOn(map, size, scene.ratio, (context) => paintMap(context, scene));
}
