// Many masks at once. A few are drawn in every frame; many are drawn ahead, as one picture that moves along.
// A new picture is drawn in slices, one a frame, while the old one stays: no frame waits for all masks.
// While the view moves, no picture is drawn for it: what one frame begins, the next would throw away.
import type { ImageTrait } from "../host/traits";
import { drawMask, onStage, type Frame, type MaskStyle } from "./layers";
import type { Masked, MaskShapes } from "./shapes";
import { toStage, type Spot, type Viewport } from "./viewport";

/** What drawing takes: masks however simple they are, their corners, and the stages that their boxes fill. */
interface Work {
  masks: number;
  corners: number;
  stages: number;
}

/** So much may be drawn in every frame. */
const PER_FRAME: Work = { masks: 250, corners: 6_000, stages: 40 };
/** So much of a picture is drawn in a frame. */
const SLICE: Work = { masks: 60, corners: 3_000, stages: 20 };
/** Masks that the old picture lacks are drawn on top of it, if they are so few. */
const FEW = 40;
/** Time a frame may spend on decoding masks before it shows what it has. */
const DECODE_MS = 8;
/** Rest after which the picture is drawn anew for a changed zoom. */
const SETTLE_MS = 120;

interface Picture {
  canvas: HTMLCanvasElement;
  view: Viewport;
  /** What it shows; any other value of these and it must be drawn anew. */
  shows: readonly unknown[];
  masks: readonly Masked[];
  /** How many of them it shows by now. */
  drawn: number;
}

const alike = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);

const within = (work: Work, limit: Work): boolean =>
  work.masks <= limit.masks && work.corners <= limit.corners && work.stages <= limit.stages;

/** Two corners of a mask's box on the stage. */
const spanOf = ({ box }: Masked, { view }: Frame): [Spot, Spot] => [
  toStage(view, { x: box[0], y: box[1] }),
  toStage(view, { x: box[2], y: box[3] }),
];

/** How much of the stage a mask's box covers, 0 to 1. */
function coverOf(mask: Masked, frame: Frame): number {
  const { stage } = frame;
  const [a, b] = spanOf(mask, frame);
  const width = Math.min(b.x, stage.width) - Math.max(a.x, 0);
  const height = Math.min(b.y, stage.height) - Math.max(a.y, 0);
  return (Math.max(width, 0) * Math.max(height, 0)) / (stage.width * stage.height);
}

function inSight(mask: Masked, frame: Frame): boolean {
  const [a, b] = spanOf(mask, frame);
  return b.x >= 0 && b.y >= 0 && a.x <= frame.stage.width && a.y <= frame.stage.height;
}

export class MaskLayer {
  #picture: Picture | null = null;
  /** The one that will take its place. */
  #next: Picture | null = null;
  /** Of the newest frame, and whether it has stayed for a while. */
  #view: Viewport | null = null;
  #rested = false;
  #settle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly shapes: MaskShapes,
    private readonly repaint: () => void,
  ) {}

  /**
   * Draws masks, the first at the bottom.
   *
   * `by` are the values that what is drawn depends on, apart from zoom and size.
   */
  paint<M extends Masked>(
    frame: Frame,
    image: ImageTrait,
    masks: readonly M[],
    styleOf: (mask: M) => MaskStyle,
    by: readonly unknown[],
  ): void {
    const started = performance.now();
    const ready: M[] = [];
    const work: Work = { masks: 0, corners: 0, stages: 0 };
    for (const mask of masks) {
      if (!this.shapes.isReady(mask) && performance.now() - started > DECODE_MS) break;
      work.masks++;
      work.corners += this.shapes.shape(mask, image).corners;
      if (within(work, PER_FRAME)) work.stages += coverOf(mask, frame); // else it is decided
      ready.push(mask);
    }
    if (ready.length < masks.length) this.repaint();
    const draw = (target: Frame, mask: M): void => {
      if (inSight(mask, target)) drawMask(target, this.shapes.shape(mask, image), styleOf(mask));
    };
    if (within(work, PER_FRAME)) {
      this.dispose();
      for (const mask of ready) draw(frame, mask);
      return;
    }
    const { width, height } = frame.context.canvas;
    const shows = [...by, width, height];
    const fresh = this.#picture !== null && alike(this.#picture.shows, shows);
    const moved = this.#picture !== null && this.#picture.view !== frame.view;
    if (this.#view !== frame.view) {
      this.#view = frame.view;
      this.#awaitRest();
    }
    const next = this.#next;
    // One that only gets another zoom begins again; one with other masks goes on for the view it has.
    const outdated = next && (!alike(next.shows, shows) || (fresh && next.view !== frame.view));
    if (outdated) this.#drop(next);
    if (!fresh || (moved && this.#rested)) {
      this.#next ??= this.#begin(frame, shows, masks);
      this.#slice(frame, ready, draw, image);
    }
    // The first picture shows as it grows; any other when it is complete.
    const shown = this.#picture ?? this.#next;
    if (!shown) return;
    this.#show(frame, shown);
    if (alike(shown.shows, shows)) return;
    const known = new Set(shown.masks.map((mask) => mask.id));
    const added = ready.filter((mask) => !known.has(mask.id));
    if (added.length <= FEW) for (const mask of added) draw(frame, mask);
  }

  #begin(frame: Frame, shows: readonly unknown[], masks: readonly Masked[]): Picture {
    const canvas = document.createElement("canvas");
    canvas.width = frame.context.canvas.width;
    canvas.height = frame.context.canvas.height;
    return { canvas, view: frame.view, shows, masks, drawn: 0 };
  }

  /** Draws some more of the next picture; the last slice puts it in place. */
  #slice<M extends Masked>(
    frame: Frame,
    ready: readonly M[],
    draw: (target: Frame, mask: M) => void,
    image: ImageTrait,
  ): void {
    const next = this.#next;
    const context = next?.canvas.getContext("2d");
    if (!next || !context) return;
    const target = { ...frame, context, view: next.view };
    const left = { ...SLICE };
    while (next.drawn < ready.length && left.masks > 0 && left.corners > 0 && left.stages > 0) {
      const mask = ready[next.drawn++]!;
      if (!inSight(mask, target)) continue;
      left.masks--;
      left.corners -= this.shapes.shape(mask, image).corners;
      left.stages -= coverOf(mask, target);
      draw(target, mask);
    }
    if (next.drawn < next.masks.length) {
      this.repaint();
      return;
    }
    if (this.#picture) this.#drop(this.#picture);
    this.#picture = next;
    this.#next = null;
    if (next.view !== frame.view) this.repaint(); // it rested while this one was drawn, or will
  }

  #awaitRest(): void {
    this.#rested = false;
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      this.#rested = true;
      this.repaint();
    }, SETTLE_MS);
  }

  #show(frame: Frame, picture: Picture): void {
    const { view, context, stage } = frame;
    const drawn = picture.view;
    const factor = view.scale / drawn.scale;
    onStage(frame);
    context.drawImage(
      picture.canvas,
      view.x - drawn.x * factor,
      view.y - drawn.y * factor,
      stage.width * factor,
      stage.height * factor,
    );
  }

  /** Gives a picture's memory back. */
  #drop(picture: Picture): void {
    picture.canvas.width = picture.canvas.height = 0;
    if (picture === this.#next) this.#next = null;
    if (picture === this.#picture) this.#picture = null;
  }

  /** Gives all memory back. */
  dispose(): void {
    clearTimeout(this.#settle);
    this.#view = null;
    if (this.#next) this.#drop(this.#next);
    if (this.#picture) this.#drop(this.#picture);
  }
}
