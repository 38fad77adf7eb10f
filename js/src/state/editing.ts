// The verbs of the tools: prompts that are drawn, and the work on what is kept.
import { batch, effect } from "@preact/signals";
import { hundredths } from "../canvas/prompts";
import { toImage, toStage, type Spot } from "../canvas/viewport";
import type { Intent } from "../host/intents";
import type { AnnotationTrait, AppearanceTrait, BoxTuple, Prompt, Traits } from "../host/traits";
import type { Store } from "./store";
import { roundSize, type Stroke, type ToolName } from "./tool_state";
import type { ViewState } from "./view_state";

const HINT_MS = 2600;
/** A region takes this share of its size more on every side than what is in sight. */
const REGION_MARGIN = 0.1;
const SIZE_STEP = 1.2;
/** An awaited stroke that changes nothing has no answer. */
const STROKE_MS = 20_000;

export type Place = "front" | "back" | "forward" | "backward";
export type Combination = "add" | "subtract" | "intersect";

export const TOOL_NAMES: Record<ToolName, string> = {
  point: "Point", box: "Box", boxes: "Boxes", polygon: "Polygon",
  lasso: "Lasso", brush: "Brush", eraser: "Eraser", select: "Select",
};

/** What a page can do without a kernel. */
export const STANDALONE_TOOLS: readonly ToolName[] = ["point", "box"];

export interface Editing {
  use(tool: ToolName): void;
  tell(hint: string): void;
  /** Makes the brush, or the tolerance of an outline, larger or smaller. */
  resize(step: 1 | -1): void;
  cancelDrawing(): void;
  dropCorner(): void;
  /** Takes the last place of a drawing back. */
  dropPoint(): void;
  closeDrawing(): void;
  proposeBox(box: BoxTuple): void;
  paint(stroke: Stroke): void;
  select(id: string | null): void;
  /** Selects the next one in the list, which shows the newest first. */
  selectBy(step: number): void;
  selected(): AnnotationTrait | null;
  /** Fills holes and drops islands of up to so many pixels. */
  tidy(size: number): void;
  startFrom(): void;
  reorder(to: Place): void;
  combine(how: Combination): void;
  removeSelected(): void;
  /** Embeds what is in sight on its own, or goes back to the whole picture. */
  toggleRegion(): void;
  leaveRegion(): void;
  setAppearance(change: Partial<AppearanceTrait>): void;
  setProtect(on: boolean): void;
  toggleCrosshair(): void;
  /** By so many screen pixels. */
  moveCrosshair(dx: number, dy: number): void;
  sayWhere(): void;
  /** Sets a corner of a box at the crosshair; the second one asks. */
  boxCorner(): void;
  dispose(): void;
}

interface Messages {
  set(values: Partial<Traits>): void;
  send(intent: Intent): void;
  sendInTurn(intent: Intent): void;
  addPrompt(prompt: Prompt): void;
  panBy(dx: number, dy: number): void;
}

/** The draft's prompts with a new one: what can be there once replaces what was, an outline leads. */
export function withPrompt(before: readonly Prompt[], prompt: Prompt): Prompt[] {
  const isArea = ({ type }: Prompt): boolean => type === "polygon" || type === "mask";
  if (isArea(prompt)) return [prompt, ...before.filter((p) => p.type === "point")];
  // One box says where the object is; a new one replaces it, and the clicks stay.
  const rest = prompt.type === "box" ? before.filter((p) => p.type !== "box") : before;
  return [...rest, prompt];
}

/** The part of the image in sight, and a margin around it; null where all of it is in sight. */
export function regionInSight(view: ViewState, image: { width: number; height: number }): BoxTuple | null {
  const { width, height } = view.stage.peek();
  const a = toImage(view.viewport.peek(), { x: 0, y: 0 });
  const b = toImage(view.viewport.peek(), { x: width, y: height });
  const seen = [
    Math.max(a.x, 0), Math.max(a.y, 0), Math.min(b.x, image.width), Math.min(b.y, image.height),
  ] as const;
  if (seen[0] <= 0 && seen[1] <= 0 && seen[2] >= image.width && seen[3] >= image.height) return null;
  const dx = (seen[2] - seen[0]) * REGION_MARGIN;
  const dy = (seen[3] - seen[1]) * REGION_MARGIN;
  return [
    Math.max(0, Math.floor(seen[0] - dx)), Math.max(0, Math.floor(seen[1] - dy)),
    Math.min(image.width, Math.ceil(seen[2] + dx)), Math.min(image.height, Math.ceil(seen[3] + dy)),
  ];
}

export function createEditing(store: Store, view: ViewState, messages: Messages): Editing {
  const { tools } = view;
  let hint: ReturnType<typeof setTimeout> | undefined;
  const timers = new Set<ReturnType<typeof setTimeout>>();

  const say = (text: string): void => void (view.announcement.value = text);
  const clampTo = (spot: Spot): [number, number] => {
    const { width, height } = store.image.peek() ?? { width: 0, height: 0 };
    return [
      hundredths(Math.min(Math.max(spot.x, 0), width)),
      hundredths(Math.min(Math.max(spot.y, 0), height)),
    ];
  };

  // A stroke is painted once its mask has changed; then it is no longer drawn by this page.
  let counts = new Map<string, string>();
  const stopStrokes = effect(() => {
    const annotations = store.annotations.value;
    const before = counts;
    counts = new Map(annotations.map((a) => [a.id, a.rle.counts]));
    const answered = new Set<string>();
    const left = tools.strokes.peek().filter((stroke) => {
      if (!counts.has(stroke.id)) return false;
      if (answered.has(stroke.id) || counts.get(stroke.id) === before.get(stroke.id)) return true;
      answered.add(stroke.id);
      return false;
    });
    if (left.length !== tools.strokes.peek().length) tools.strokes.value = left;
    const selected = view.selected.peek();
    if (selected !== null && !counts.has(selected)) view.selected.value = null;
  });
  const stopBoxes = effect(() => {
    void store.found.value;
    void store.notice.value;
    if (tools.boxes.peek().length > 0) tools.boxes.value = [];
  });

  const editing: Editing = {
    use(tool) {
      if (store.host.standalone && !STANDALONE_TOOLS.includes(tool)) return;
      if (tool === tools.tool.peek()) return;
      batch(() => {
        editing.cancelDrawing();
        tools.tool.value = tool;
        view.hoveredPrompt.value = null;
        view.proposals.hovered.value = null;
      });
      say(`${TOOL_NAMES[tool]} tool`);
      const paints = tool === "brush" || tool === "eraser";
      if (paints && view.selected.peek() === null) {
        const [only, ...others] = store.annotations.peek().filter((a) => a.visible);
        if (only && others.length === 0) editing.select(only.id);
        else editing.tell(only ? "Click the mask to paint on" : "Keep a mask first, then paint on it");
      }
    },
    tell(text) {
      tools.hint.value = text;
      say(text);
      clearTimeout(hint);
      hint = setTimeout(() => (tools.hint.value = ""), HINT_MS);
    },
    resize(step) {
      const outlines = tools.tool.peek() === "polygon" || tools.tool.peek() === "lasso";
      const size = outlines ? tools.tolerance : tools.radius;
      const { least, most } = (outlines ? tools.toleranceRange : tools.radiusRange).peek();
      const now = size.peek();
      // At least half a pixel, so that small ones change, too.
      const next = step > 0 ? Math.max(now * SIZE_STEP, now + 0.5) : Math.min(now / SIZE_STEP, now - 0.5);
      size.value = Math.min(Math.max(roundSize(next), least), most);
      say(`${outlines ? "Tolerance" : "Radius"} ${size.peek()} pixels`);
    },
    cancelDrawing() {
      batch(() => {
        tools.drawing.value = null;
        tools.stroke.value = null;
        tools.corner.value = null;
        view.rubberBand.value = null;
      });
    },
    dropCorner() {
      batch(() => {
        tools.corner.value = null;
        view.rubberBand.value = null;
      });
    },
    dropPoint() {
      const drawing = tools.drawing.peek();
      if (!drawing) return;
      const points = drawing.points.slice(0, -1);
      tools.drawing.value = points.length > 0 ? { ...drawing, points } : null;
    },
    closeDrawing() {
      const drawing = tools.drawing.peek();
      if (!drawing) return;
      const points = drawing.points.map(clampTo).filter(
        ([x, y], i, all) => i === 0 || Math.hypot(x - all[i - 1]![0], y - all[i - 1]![1]) >= 0.5,
      );
      if (points.length < 3) {
        if (drawing.kind === "lasso") return editing.cancelDrawing();
        return editing.tell("An outline needs three corners at least");
      }
      editing.cancelDrawing();
      messages.addPrompt({ type: "polygon", points, tolerance: tools.tolerance.peek() });
    },
    proposeBox(box) {
      tools.boxes.value = [
        ...tools.boxes.peek(), { from: { x: box[0], y: box[1] }, to: { x: box[2], y: box[3] } },
      ];
      messages.sendInTurn({ op: "propose_boxes", boxes: [box] });
    },
    paint(stroke) {
      const points = stroke.points.map(({ x, y }): [number, number] => [hundredths(x), hundredths(y)]);
      tools.strokes.value = [...tools.strokes.peek(), stroke];
      const timer = setTimeout(() => {
        timers.delete(timer);
        tools.strokes.value = tools.strokes.peek().filter((one) => one !== stroke);
      }, STROKE_MS);
      timers.add(timer);
      const { id, add, radius } = stroke;
      messages.send({ op: "paint", id, add, radius, points });
    },
    select(id) {
      if (id === view.selected.peek()) return;
      view.selected.value = id;
      tools.hint.value = "";
      const annotations = store.annotations.peek();
      const place = annotations.findIndex((a) => a.id === id);
      if (place < 0) return say("Nothing is selected");
      say(`Selected ${annotations[place]!.label}, ${annotations.length - place} of ${annotations.length}`);
    },
    selectBy(step) {
      const annotations = store.annotations.peek();
      const count = annotations.length;
      if (count === 0) return;
      const place = annotations.findIndex((a) => a.id === view.selected.peek());
      const next = place < 0 ? (step > 0 ? count - 1 : 0) : (place - step + count) % count;
      editing.select(annotations[next]!.id);
    },
    selected: () => store.annotations.peek().find((a) => a.id === view.selected.peek()) ?? null,
    tidy(size) {
      const id = view.selected.peek();
      if (id !== null) messages.send({ op: "tidy", ids: [id], holes: size, islands: size });
    },
    startFrom() {
      const id = view.selected.peek();
      if (id === null) return;
      messages.sendInTurn({ op: "start_from", id });
      editing.use("point"); // what comes next are clicks that refine
    },
    reorder(to) {
      const id = view.selected.peek();
      if (id !== null) messages.send({ op: "reorder", ids: [id], to });
    },
    combine(how) {
      const id = view.selected.peek();
      const shown = store.shown.peek();
      if (id === null || !shown || !store.settled.peek()) return;
      const { request } = shown;
      const threshold = view.threshold.peek();
      const picked = store.picked.peek();
      messages.sendInTurn({
        op: "combine", id, how, request, picked, ...(threshold !== 0 && { threshold }),
      });
    },
    removeSelected() {
      const id = view.selected.peek();
      if (id === null) return;
      view.hoveredAnnotation.value = null;
      messages.send({ op: "delete", ids: [id] });
    },
    toggleRegion() {
      if (store.host.standalone) return;
      if (store.region.peek()) return editing.leaveRegion();
      const image = store.image.peek();
      if (!image) return;
      const box = regionInSight(view, image);
      if (!box) return editing.tell("The whole picture is in sight: zoom in first");
      messages.sendInTurn({ op: "focus_region", box });
      say(`Looking closer at ${box[2] - box[0]} by ${box[3] - box[1]} pixels`);
    },
    leaveRegion() {
      if (store.region.peek()) messages.sendInTurn({ op: "leave_region" });
    },
    setAppearance: (change) =>
      messages.set({ appearance: { ...store.appearance.peek(), ...change } }),
    setProtect: (on) => messages.set({ protect: on }),
    toggleCrosshair() {
      const image = store.image.peek();
      if (tools.crosshair.peek() || !image) {
        editing.dropCorner();
        tools.crosshair.value = null;
        return say("Crosshair off");
      }
      const { width, height } = view.stage.peek();
      const middle = toImage(view.viewport.peek(), { x: width / 2, y: height / 2 });
      const [x, y] = clampTo(view.pointer.peek() ?? middle);
      tools.crosshair.value = { x, y };
      editing.tell("Crosshair: arrows move it, Enter clicks, C leaves");
    },
    moveCrosshair(dx, dy) {
      const image = store.image.peek();
      const now = tools.crosshair.peek();
      if (!image || !now) return;
      const { scale } = view.viewport.peek();
      const spot = {
        x: Math.min(Math.max(now.x + dx / scale, 0), image.width - 0.01),
        y: Math.min(Math.max(now.y + dy / scale, 0), image.height - 0.01),
      };
      tools.crosshair.value = spot;
      const corner = tools.corner.peek();
      if (corner) view.rubberBand.value = { from: corner, to: spot };
      const drawing = tools.drawing.peek();
      if (drawing) tools.drawing.value = { ...drawing, tip: spot };
      // The picture follows where the crosshair would leave the stage.
      const at = toStage(view.viewport.peek(), spot);
      const { width, height } = view.stage.peek();
      const edge = 24;
      const px = at.x < edge ? edge - at.x : at.x > width - edge ? width - edge - at.x : 0;
      const py = at.y < edge ? edge - at.y : at.y > height - edge ? height - edge - at.y : 0;
      if (px !== 0 || py !== 0) messages.panBy(px, py);
    },
    boxCorner() {
      const at = tools.crosshair.peek();
      const from = tools.corner.peek();
      if (!at) return;
      if (!from) {
        tools.corner.value = at;
        return editing.tell("Now the other corner: move, then B again");
      }
      editing.dropCorner();
      const [x0, y0] = clampTo({ x: Math.min(from.x, at.x), y: Math.min(from.y, at.y) });
      const [x1, y1] = clampTo({ x: Math.max(from.x, at.x), y: Math.max(from.y, at.y) });
      if (x1 - x0 < 1 || y1 - y0 < 1) return editing.tell("That box is too small");
      if (tools.tool.peek() === "boxes") editing.proposeBox([x0, y0, x1, y1]);
      else messages.addPrompt({ type: "box", x0, y0, x1, y1 });
    },
    sayWhere() {
      const at = tools.crosshair.peek() ?? view.pointer.peek();
      if (!at) return say("The crosshair is off");
      say(`At ${Math.floor(at.x)}, ${Math.floor(at.y)}`);
    },
    dispose() {
      stopStrokes();
      stopBoxes();
      clearTimeout(hint);
      for (const timer of timers) clearTimeout(timer);
    },
  };
  return editing;
}
