import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SelectionState } from "../src/protocol";
import { FakeModel, misaligned } from "./examples";
import { type Mounted, settled, show } from "./mounting";

// happy-dom lays nothing out and paints nothing: the box is given a size, and its geometry is read
// where a script would read it.
const SIZE = { width: 400, height: 120 };

beforeEach(() => {
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(SIZE.width);
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(SIZE.height);
  vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(SIZE.height);
});
afterEach(() => document.body.replaceChildren());

interface Matrix extends Mounted {
  /** What a script can read of the geometry. */
  readonly geometry: DOMStringMap;
  number(name: string): number;
  pointer(name: string, x: number, y: number, more?: PointerEventInit): void;
  press(key: string, more?: KeyboardEventInit): void;
  release(key: string): void;
  /** Where a cell of the original order stands now. */
  centre(input: number, step: number): [number, number];
}

async function matrix(model = new FakeModel()): Promise<Matrix> {
  const view = show(model);
  const [box, cells] = [view.part("matrix"), view.part("cells")];
  await settled();
  const number = (name: string) => Number(cells.dataset[name]);
  const key = (kind: string, name: string, more: KeyboardEventInit = {}) =>
    box.dispatchEvent(new KeyboardEvent(kind, { key: name, bubbles: true, ...more }));
  return {
    ...view,
    geometry: cells.dataset,
    number,
    pointer(name, clientX, clientY, more = {}) {
      const event = new PointerEvent(name, { clientX, clientY, bubbles: true, ...more });
      box.dispatchEvent(event);
    },
    press: (name, more) => key("keydown", name, more),
    release: (name) => key("keyup", name),
    centre(input, step) {
      const row = (cells.dataset.rows ?? "").split(" ").indexOf(String(input));
      const tops = (cells.dataset.rowTops ?? "").split(" ").map((each) => each.split(":"));
      const [start = 0, top = 0] = tops
        .map(([a, b]) => [Number(a), Number(b)])
        .findLast(([first = 0]) => first <= row) ?? [0, 0];
      return [
        number("originX") + (step + 0.5) * number("cellWidth") - number("scrollX"),
        top + (row - start + 0.5) * number("cellHeight") - number("scrollY"),
      ];
    },
  };
}

/** Frames are painted and parts are rendered. */
const painted = () => new Promise((resolve) => setTimeout(resolve, 40));

function choose(element: HTMLElement, value: string): void {
  if (element instanceof HTMLSelectElement || element instanceof HTMLInputElement) {
    element.value = value;
    element.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

describe("zooming the matrix", () => {
  it("goes in and out in steps, back to the readable size and to all that there is, by key", async () => {
    const { number, press, part } = await matrix();
    const readable = number("cellHeight");
    press("+");
    await painted();
    expect(number("cellHeight")).toBeCloseTo(readable * Math.SQRT2);
    expect(part("zoom-natural").textContent).toBe("141 %");
    press("0");
    await painted();
    const rows = 6 * number("cellHeight") + 48 + number("originY");
    expect(rows).toBeLessThanOrEqual(SIZE.height);
    expect(part("zoom-fit").getAttribute("aria-disabled")).toBe("true");
    press("1");
    await painted();
    expect(number("cellHeight")).toBe(readable);
    press("-");
    await painted();
    expect(number("cellHeight")).toBeLessThan(readable);
  });

  it("does the same by its buttons", async () => {
    const { number, part } = await matrix();
    const readable = number("cellWidth");
    part("zoom-in").click();
    part("zoom-in").click();
    await painted();
    expect(number("cellWidth")).toBeCloseTo(readable * 2);
    part("zoom-out").click();
    part("zoom-natural").click();
    part("zoom-fit").click();
    await painted();
    expect(number("cellHeight")).toBeLessThan(20);
  });

  it("follows a wheel with Ctrl and leaves one without to scrolling", async () => {
    const { number, part } = await matrix();
    const readable = number("cellHeight");
    const turn = (more: WheelEventInit) => {
      const event = new Event("wheel", { bubbles: true, cancelable: true });
      Object.assign(event, { deltaMode: 0, clientX: 100, clientY: 100, ...more });
      part("matrix").dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(turn({ deltaY: -100 })).toBe(false);
    await painted();
    expect(number("cellHeight")).toBe(readable);
    expect(turn({ deltaY: -100, ctrlKey: true })).toBe(true);
    await painted();
    expect(number("cellHeight")).toBeGreaterThan(readable);
  });

  it("follows two fingers", async () => {
    const { number, part } = await matrix();
    const readable = number("cellHeight");
    const touch = (name: string, ...places: number[]) => {
      const event = new Event(name, { bubbles: true, cancelable: true });
      Object.assign(event, { touches: places.map((clientX) => ({ clientX, clientY: 50 })) });
      part("matrix").dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(touch("touchstart", 100)).toBe(false);
    expect(touch("touchstart", 100, 200)).toBe(true);
    touch("touchmove", 100, 200);
    expect(touch("touchmove", 50, 250)).toBe(true);
    await painted();
    expect(number("cellHeight")).toBeCloseTo(readable * 2);
  });

  it("leaves the browser's own keys alone", async () => {
    const { number, press } = await matrix();
    const readable = number("cellHeight");
    press("+", { ctrlKey: true });
    press("-", { metaKey: true });
    await painted();
    expect(number("cellHeight")).toBe(readable);
  });
});

describe("panning", () => {
  const drag = { button: 1, buttons: 4 };

  it("follows the middle button, and pins nothing", async () => {
    const model = new FakeModel();
    const { part, pointer } = await matrix(model);
    const box = part("matrix");
    const to = vi.spyOn(box, "scrollTo");
    pointer("pointerdown", 200, 100, drag);
    pointer("pointermove", 180, 70, drag);
    expect(to).toHaveBeenLastCalledWith({ left: 20, top: 30, behavior: "instant" });
    expect(box.dataset.pan).toBe("drag");
    pointer("pointerup", 180, 70, drag);
    expect(box.dataset.pan).toBeUndefined();
    to.mockClear();
    pointer("pointermove", 150, 60);
    expect(to).not.toHaveBeenCalled();
    expect(model.saves).toBe(0);
  });

  it("follows the left button while Space is held, whose press then pins nothing", async () => {
    const model = new FakeModel();
    const { part, pointer, press, release } = await matrix(model);
    press(" ");
    expect(part("matrix").dataset.pan).toBe("ready");
    pointer("pointerdown", 200, 100, { buttons: 1 });
    pointer("pointermove", 190, 90, { buttons: 1 });
    pointer("pointerup", 190, 90);
    pointer("click", 190, 90, { detail: 1 });
    release(" ");
    expect(model.saves).toBe(0);
  });

  it("is not what Space alone does: it pins when it is let go of", async () => {
    const model = new FakeModel();
    const { press, release } = await matrix(model);
    press(" ");
    expect(model.saves).toBe(0);
    release(" ");
    expect(model.selection).toEqual({ sequence: 0, inputs: [0], steps: [0] });
  });
});

describe("order and filter", () => {
  const pinned = (inputs: number[], steps: number[]): SelectionState => ({
    sequence: 0,
    inputs,
    steps,
  });

  it("say in words how many inputs are shown, and show all again", async () => {
    const { part, geometry } = await matrix();
    expect(part("shown").textContent).toBe("all 6 inputs shown");
    expect(part("show-all").hasAttribute("disabled")).toBe(true);
    choose(part("least"), "50");
    await painted();
    expect(part("shown").textContent).toBe("2 of 6 inputs shown");
    expect(geometry.rows).toBe("0 1");
    choose(part("least"), "20");
    choose(part("top"), "5");
    await painted();
    expect(geometry.rows).toBe("0 1 2 4 5");
    part("show-all").click();
    await painted();
    expect(geometry.rows).toBe("0 1 2 3 4 5");
    expect((part("least") as HTMLSelectElement).value).toBe("0");
  });

  it("hide special tokens", async () => {
    const { part, geometry } = await matrix();
    part("special").click();
    await painted();
    expect(geometry.rows).toBe("0 1 2 4 5");
  });

  it("leave the meaning of clicks and of the selection alone", async () => {
    const model = new FakeModel();
    const { part, geometry, centre, pointer, token } = await matrix(model);
    choose(part("order"), "score");
    await painted();
    expect(geometry.rows).toBe("5 1 4 0 2 3");
    expect(geometry.rowTops?.split(" ")).toHaveLength(1);
    const [x, y] = centre(4, 2);
    pointer("pointermove", x, y);
    await painted();
    expect(token(4).dataset.mark).toContain("pointed");
    expect(part("tooltip").textContent).toContain("30.0 %");
    pointer("click", x, y, { detail: 1 });
    expect(model.selection).toEqual(pinned([4], [2]));
    // Now by the pinned step alone: 1, 0, 2, 0, 3 and 4 of 10.
    await painted();
    expect(geometry.rows).toBe("5 4 2 0 1 3");
  });

  it("show what is pinned from elsewhere, though it was hidden", async () => {
    const model = new FakeModel();
    const { part, geometry } = await matrix(model);
    choose(part("least"), "50");
    await painted();
    expect(geometry.rows).toBe("0 1");
    model.arrive("selection", pinned([3], []));
    await painted();
    expect(geometry.rows).toBe("0 1 3");
  });

  it("are what the keyboard walks over and a screen reader hears", async () => {
    const model = new FakeModel();
    const { part, press, root } = await matrix(model);
    choose(part("order"), "score");
    choose(part("least"), "50");
    await painted();
    const grid = part("matrix");
    expect(grid.getAttribute("aria-rowcount")).toBe("2");
    press("Home", { ctrlKey: true });
    press("ArrowDown");
    press("ArrowDown");
    await painted();
    const active = root.getElementById(grid.getAttribute("aria-activedescendant") ?? "");
    expect(active?.parentElement?.getAttribute("aria-rowindex")).toBe("2");
    expect(active?.textContent).toContain("The");
    press("Enter");
    expect(model.selection).toEqual(pinned([0], [0]));
  });

  it("may leave nothing, where keys and clicks do nothing", async () => {
    const model = new FakeModel({ _scores: misaligned(Array<number>(18).fill(1)) });
    const { part, press, pointer, geometry } = await matrix(model);
    choose(part("least"), "50");
    await painted();
    expect(part("shown").textContent).toBe("0 of 6 inputs shown");
    expect(geometry.rows).toBe("");
    expect(part("matrix").hasAttribute("aria-activedescendant")).toBe(false);
    press("ArrowDown");
    press("Enter");
    pointer("click", 300, 100, { detail: 1 });
    expect(model.saves).toBe(0);
  });
});

describe("the map", () => {
  it("is there while something is out of sight, and moves the view", async () => {
    const { part, press } = await matrix();
    const map = part("map");
    expect(map.hidden).toBe(false);
    expect(map.getAttribute("aria-hidden")).toBe("true");
    const to = vi.spyOn(part("matrix"), "scrollTo");
    const down = new PointerEvent("pointerdown", { bubbles: true, buttons: 1 });
    Object.assign(down, { offsetX: 1000, offsetY: 1000 });
    map.dispatchEvent(down);
    expect(to).toHaveBeenCalledOnce();
    expect(to.mock.calls[0]?.[0]).toMatchObject({ top: expect.any(Number) });
    press("0");
    await painted();
    expect(map.hidden).toBe(true);
  });
});
