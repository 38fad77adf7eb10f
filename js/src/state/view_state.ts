// What one view knows and never syncs: zoom, hover, the tool in hand, panels, its own notices.
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { NoticeTrait } from "../host/traits";
import type { Size, Spot, Viewport } from "../canvas/viewport";
import { createProposalState, type ProposalState } from "./proposals";
import type { Store } from "./store";
import { createToolState, type ToolState } from "./tool_state";

/** What a plain left click or a tap means. */
export type Mode = "include" | "exclude";

/** The views in the drawer "How it thinks". */
export type DrawerTab = "scores" | "logits" | "tokens" | "embedding" | "attention";

export interface AnswerTime {
  request: string;
  /** The answer's own time. */
  ownMs: number;
  by: "page" | "kernel";
  /** From the click to the painted candidates, as this view saw it; null where another one clicked. */
  totalMs: number | null;
}

export interface RubberBand {
  from: Spot;
  to: Spot;
}

export interface ViewState {
  readonly id: string;
  readonly viewport: Signal<Viewport>;
  readonly stage: Signal<Size>;
  readonly mode: Signal<Mode>;
  readonly dark: Signal<boolean>;
  /** Image coordinates under the pointer, null outside the image. */
  readonly pointer: Signal<Spot | null>;
  readonly rubberBand: Signal<RubberBand | null>;
  readonly hoveredCandidate: Signal<number | null>;
  /** Where the draft's outline cuts the logits. */
  readonly threshold: Signal<number>;
  readonly hoveredAnnotation: Signal<string | null>;
  readonly hoveredPrompt: Signal<number | null>;
  readonly proposals: ProposalState;
  readonly tools: ToolState;
  /** The kept mask that tools and actions are about. */
  readonly selected: Signal<string | null>;
  readonly panning: Signal<boolean>;
  /** What lies under the pointer is answered before anybody clicks, where this page can. */
  readonly previews: Signal<boolean>;
  readonly keysOpen: Signal<boolean>;
  readonly modelsOpen: Signal<boolean>;
  /** The tray's drawer with the teaching views, and which of them is in front. */
  readonly drawerOpen: Signal<boolean>;
  readonly drawerTab: Signal<DrawerTab>;
  /** The ground truth's outline lies over the picture. */
  readonly truthOutline: Signal<boolean>;
  readonly localNotice: Signal<NoticeTrait | null>;
  readonly lastAnswer: Signal<AnswerTime | null>;
  /** What the live region says. */
  readonly announcement: Signal<string>;
  /** A faint word about the wheel, shown while someone scrolls over an unfocused picture. */
  readonly wheelHint: Signal<boolean>;
  readonly zoomPercent: ReadonlySignal<number>;
}

export function createViewState(store: Store): ViewState {
  const viewport = signal<Viewport>({ scale: 1, x: 0, y: 0 });
  return {
    // crypto.randomUUID() is missing on plain http pages, where many hubs live.
    id: `view${Math.random().toString(36).slice(2, 10)}`,
    viewport,
    stage: signal<Size>({ width: 0, height: 0 }),
    mode: signal<Mode>("include"),
    dark: signal(false),
    pointer: signal<Spot | null>(null),
    rubberBand: signal<RubberBand | null>(null),
    hoveredCandidate: signal<number | null>(null),
    threshold: signal(0),
    hoveredAnnotation: signal<string | null>(null),
    hoveredPrompt: signal<number | null>(null),
    proposals: createProposalState(store),
    tools: createToolState(store),
    selected: signal<string | null>(null),
    panning: signal(false),
    previews: signal(true),
    keysOpen: signal(false),
    modelsOpen: signal(false),
    drawerOpen: signal(false),
    drawerTab: signal<DrawerTab>("scores"),
    truthOutline: signal(false),
    localNotice: signal<NoticeTrait | null>(null),
    lastAnswer: signal<AnswerTime | null>(null),
    announcement: signal(""),
    wheelHint: signal(false),
    zoomPercent: computed(() => Math.round(viewport.value.scale * 100)),
  };
}
