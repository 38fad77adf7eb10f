// The words that kernel and browser exchange: synced traits and intents, exactly as on the wire.

export interface PointPrompt {
  type: "point";
  /** Pixels of the original image; pixel centers lie at half-integers. */
  x: number;
  y: number;
  /** 1 foreground, 0 background. */
  label: 0 | 1;
}

export interface BoxPrompt {
  type: "box";
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export type Prompt = PointPrompt | BoxPrompt;

/** `[x0, y0, x1, y1]` in pixels of the original image. */
export type BoxTuple = [number, number, number, number];

/** What a host may hand over for `bytes`: a view with an offset, a buffer, or base64 text. */
export type Bytes = DataView | ArrayBuffer | ArrayBufferView | string;

export interface ImageTrait {
  name: string;
  width: number;
  height: number;
  mime: string;
  preview_width: number;
  preview_height: number;
  data: Bytes;
}

export interface CandidateItem {
  predicted_iou: number;
  stability_score: number;
  area: number;
  box: BoxTuple;
}

export interface CandidatesTrait {
  /** The request that these candidates answer. */
  request: string;
  items: CandidateItem[];
  /** (C, h, w) of `logits`. */
  shape: [number, number, number];
  /** Low-resolution samples per image pixel, along x and along y. */
  scale: [number, number];
  /** uint8 (C, h, w), mu-law quantized logits. */
  logits: Bytes;
  /** The kernel's time for this answer, in milliseconds. */
  ms: number;
}

export interface LabelTrait {
  name: string;
  color: string;
}

export interface RleTrait {
  /** (height, width) of the image. */
  size: [number, number];
  /** COCO's compressed run lengths, column by column. */
  counts: string;
}

export interface AnnotationTrait {
  id: string;
  label: string;
  rle: RleTrait;
  box: BoxTuple;
  area: number;
  predicted_iou: number;
  stability_score: number;
  visible: boolean;
}

/** A mask that everything mode has found, for a person to judge. */
export interface ProposalTrait {
  id: string;
  rle: RleTrait;
  box: BoxTuple;
  area: number;
  predicted_iou: number;
  stability_score: number;
  /** The grid point that it answers. */
  point: [number, number];
}

export interface EverythingRunTrait {
  state: "idle" | "running" | "done" | "cancelled" | "failed";
  /** Grid points that are answered, of how many. */
  done: number;
  total: number;
  /** Proposals so far, also those that are no longer shown. */
  found: number;
}

export interface HistoryTrait {
  undo: string | null;
  redo: string | null;
}

export interface StatusTrait {
  state: "loading" | "embedding" | "ready" | "busy" | "failed";
  model: string;
  device: string;
  message: string;
  progress: number | null;
}

/** A line of the model menu. Everything in it is text, never markup. */
export interface ModelTrait {
  /** What the model is asked for by. */
  name: string;
  title: string;
  bytes: number;
  licence: string;
  /** It came with the package. */
  packaged: boolean;
  /** Its weights are on the kernel's computer. */
  cached: boolean;
  summary: string;
  /** It can be used, or be fetched first; if not, `reason` says why. */
  usable: boolean;
  reason: string;
}

export interface DownloadTrait {
  name: string;
  done: number;
  total: number;
  state: "idle" | "running" | "failed" | "done";
  /** What is being waited for. */
  message: string;
}

export interface NoticeTrait {
  id: string;
  level: "error" | "info";
  code: string;
  message: string;
  request: string;
}

export interface Traits {
  image: ImageTrait | null;
  prompts: Prompt[];
  request: string;
  picked: number;
  candidates: CandidatesTrait | null;
  labels: LabelTrait[];
  label: string;
  annotations: AnnotationTrait[];
  /** All that everything mode has found, also what is kept by now. */
  found: ProposalTrait[];
  /** The ids of those that duplicate something kept. */
  taken: string[];
  everything_run: EverythingRunTrait;
  history: HistoryTrait;
  status: StatusTrait;
  model: string;
  models: ModelTrait[];
  download: DownloadTrait;
  notice: NoticeTrait | null;
  height: number;
}

/** What stands in for a trait that the kernel has not set. */
export const DEFAULT_TRAITS: Traits = {
  image: null,
  prompts: [],
  request: "",
  picked: 0,
  candidates: null,
  labels: [],
  label: "",
  annotations: [],
  found: [],
  taken: [],
  everything_run: { state: "idle", done: 0, total: 0, found: 0 },
  history: { undo: null, redo: null },
  status: { state: "loading", model: "", device: "", message: "", progress: null },
  model: "",
  models: [],
  download: { name: "", done: 0, total: 0, state: "idle", message: "" },
  notice: null,
  height: 480,
};

/** Custom messages from browser to kernel. Their whole effect comes back through traits. */
export type Intent =
  | { op: "keep"; request: string; picked: number }
  | { op: "clear" }
  | { op: "undo" }
  | { op: "redo" }
  | { op: "delete"; ids: string[] }
  | { op: "relabel"; ids: string[]; label: string }
  | { op: "show"; ids: string[]; visible: boolean }
  | { op: "add_label"; name: string }
  | { op: "everything"; settings?: Record<string, unknown> }
  | { op: "cancel_everything" }
  | { op: "keep_proposals"; ids: string[]; label?: string }
  | { op: "clear_proposals" }
  | { op: "use_model"; name: string }
  | { op: "download_model"; name: string }
  | { op: "cancel_download" }
  | { op: "dismiss"; id: string };
