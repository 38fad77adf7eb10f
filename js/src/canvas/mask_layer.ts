// Many masks at once. A few are drawn in every frame; many are drawn ahead, as one picture that moves along.
import type { ImageTrait } from "../host/traits";
import { drawMask, onStage, type Frame, type MaskStyle } from "./layers";
import type { Masked, MaskShapes } from "./shapes";
import { toStage, type Viewport } from "./viewport";

/** So many corners may be drawn in every frame. */
const CORNERS_PER_FRAME = 6_000;
/** Time a frame may spend on decoding masks before it shows what it has. */
const DECODE_MS = 8;
/** Rest after which the picture is drawn anew for a changed zoom. */
const SETTLE_MS = 120;

interface Picture {
  view: Viewport;
  /** What it shows; any other value of these and it must be drawn anew. */
  shows: readonly unknown[];
}

function inSight({ box }: Masked, { view, stage }: Frame): boolean {
  const a = toStage(view, { x: box[0], y: box[1] });
  const b = toStage(view, { x: box[2], y: box[3] });
  return b.x >= 0 && b.y >= 0 && a.x <= stage.width && a.y <= stage.height;
}

export class MaskLayer {
  #canvas: HTMLCanvasElement | null = null;
  #picture: Picture | null = null;
  #settle: ReturnType<typeof setTimeout> | undefined;
  #rested = false;

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
    let corners = 0;
    let complete = true;
    for (const mask of masks) {
      if (!this.shapes.isReady(mask) && performance.now() - started > DECODE_MS) {
        complete = false;
        continue;
      }
      corners += this.shapes.shape(mask, image).corners;
      ready.push(mask);
    }
    if (!complete) this.repaint();
    const draw = (target: Frame): void => {
      for (const mask of ready) {
        if (inSight(mask, target)) drawMask(target, this.shapes.shape(mask, image), styleOf(mask));
      }
    };
    if (corners <= CORNERS_PER_FRAME) {
      this.dispose();
      draw(frame);
      return;
    }
    const { width, height } = frame.context.canvas;
    const shows = [...by, ready.length, width, height];
    const picture = this.#picture;
    const fresh = picture?.shows.every((value, i) => value === shows[i]) ?? false;
    const moved = picture !== null && picture.view !== frame.view;
    if (!fresh || (moved && this.#rested)) this.#draw(frame, shows, draw);
    else if (moved) this.#redrawAfterRest();
    this.#show(frame);
  }

  #draw(frame: Frame, shows: readonly unknown[], draw: (target: Frame) => void): void {
    this.#canvas ??= document.createElement("canvas");
    // Setting the size clears, also where it stays the same.
    this.#canvas.width = frame.context.canvas.width;
    this.#canvas.height = frame.context.canvas.height;
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    draw({ ...frame, context });
    this.#picture = { view: frame.view, shows };
    this.#rested = false;
  }

  #redrawAfterRest(): void {
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      this.#rested = true;
      this.repaint();
    }, SETTLE_MS);
  }

  #show(frame: Frame): void {
    if (!this.#canvas || !this.#picture) return;
    const { view, context, stage } = frame;
    const drawn = this.#picture.view;
    const factor = view.scale / drawn.scale;
    onStage(frame);
    context.drawImage(
      this.#canvas,
      view.x - drawn.x * factor,
      view.y - drawn.y * factor,
      stage.width * factor,
      stage.height * factor,
    );
  }

  /** Gives the picture's memory back. */
  dispose(): void {
    clearTimeout(this.#settle);
    this.#picture = null;
    if (this.#canvas) this.#canvas.width = this.#canvas.height = 0;
    this.#canvas = null;
  }
}
