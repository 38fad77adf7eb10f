// The kept masks. A few are drawn in every frame; many are drawn ahead, as one picture that moves along.
import type { AnnotationTrait, ImageTrait } from "../host/traits";
import type { Store } from "../state/store";
import { drawMask, keptStyle, onStage, type Frame } from "./layers";
import type { AnnotationShapes } from "./shapes";
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

function inSight({ box }: AnnotationTrait, { view, stage }: Frame): boolean {
  const a = toStage(view, { x: box[0], y: box[1] });
  const b = toStage(view, { x: box[2], y: box[3] });
  return b.x >= 0 && b.y >= 0 && a.x <= stage.width && a.y <= stage.height;
}

export class KeptLayer {
  #canvas: HTMLCanvasElement | null = null;
  #picture: Picture | null = null;
  #settle: ReturnType<typeof setTimeout> | undefined;
  #rested = false;

  constructor(
    private readonly store: Store,
    private readonly shapes: AnnotationShapes,
    private readonly repaint: () => void,
  ) {}

  /** Draws all visible masks; `quiet` ones step back behind a draft. */
  paint(frame: Frame, image: ImageTrait, quiet: boolean): void {
    const annotations = this.store.annotations.peek();
    const started = performance.now();
    const ready: AnnotationTrait[] = [];
    let corners = 0;
    let complete = true;
    for (const annotation of annotations) {
      if (!annotation.visible) continue;
      if (!this.shapes.isReady(annotation) && performance.now() - started > DECODE_MS) {
        complete = false;
        continue;
      }
      corners += this.shapes.shape(annotation, image).corners;
      ready.push(annotation);
    }
    if (!complete) this.repaint();
    const draw = (target: Frame): void => {
      for (const annotation of ready) {
        if (!inSight(annotation, target)) continue;
        const style = keptStyle(this.store.colorOf(annotation.label), quiet);
        drawMask(target, this.shapes.shape(annotation, image), style);
      }
    };
    if (corners <= CORNERS_PER_FRAME) {
      this.dispose();
      draw(frame);
      return;
    }
    const { width, height } = frame.context.canvas;
    const shows = [annotations, this.store.labels.peek(), quiet, ready.length, width, height];
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
