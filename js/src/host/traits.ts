// The state that kernel and browser share: synced traits, exactly as on the wire.

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

/** Drawn roughly around the thing; the answer's outline stays within `tolerance` pixels of it. */
export interface PolygonPrompt {
  type: "polygon";
  /** Corners in image pixels, at least three; the last one joins the first. */
  points: [number, number][];
  tolerance: number;
}

/** A binary mask of any origin, to start from. */
export interface MaskPrompt {
  type: "mask";
  rle: RleTrait;
}

export type Prompt = PointPrompt | BoxPrompt | PolygonPrompt | MaskPrompt;

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
  /** Where the preview is coarser than the image: its finer pixels, to be asked for tile by tile. */
  tiles?: TilesTrait | null;
}

/** A pyramid: level 0 is the image itself, each further one half as large. */
export interface TilesTrait {
  /** Side of a tile in pixels; those at the right and lower edge are smaller. */
  size: number;
  levels: number;
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
  /** For each item the mask token that it comes from: 0 the single mask, 1 to 3 whole, part, sub-part. */
  tokens?: number[];
  /** (C, h, w) of `logits`. */
  shape: [number, number, number];
  /** Low-resolution samples per image pixel, along x and along y. */
  scale: [number, number];
  /** The part of the image that the logits cover, where that is not all of it. */
  region?: BoxTuple;
  /** uint8 (C, h, w), mu-law quantized logits; plain numbers where this page has answered. */
  logits: Bytes | Float32Array;
  /** What the kernel made of an outline or a mask prompt: its box, and points within it. */
  derived?: (PointPrompt | BoxPrompt)[];
  /** The answer's own time, in milliseconds. */
  ms: number;
  /** Who answered: this page, or the kernel where this is left out. */
  by?: "page";
}

/** A thing that the kernel sends once, in pieces, and that the page may keep by its `key`. */
export interface PartTrait {
  /** Names the content: equal keys are equal bytes. */
  key: string;
  /** As it travels, and when it is unpacked. */
  bytes: number;
  unpacked: number;
  encoding: "gzip" | "none";
}

/** What a page needs to answer prompts itself; null where only the kernel can, and until a page asks. */
export interface DecoderTrait {
  /** The worker's script and ONNX Runtime's wasm. */
  script: PartTrait;
  wasm: PartTrait;
  /** The graphs: what depends on the image, what a mask prompt changes of that, and the rest. */
  prepare: PartTrait;
  refine: PartTrait;
  decode: PartTrait;
  /** float16 embeddings of the present image (or region), one after the other. */
  embedding: PartTrait;
  /** Name and shape of each of them. */
  tensors: { name: string; shape: number[] }[];
  frame: FrameTrait;
}

/** How the image (or a region of it) lies in the network's input. */
export interface FrameTrait {
  /** `[x0, y0, x1, y1]`: what was embedded, in image pixels. */
  region: BoxTuple;
  /** Input pixels per image pixel, along x and y. */
  input_scale: [number, number];
  /** Side of the low-resolution logits. */
  logits_size: number;
  /** Rows and columns of them that the image covers. */
  logits_shape: [number, number];
  /** Low-resolution samples per image pixel, along x and y. */
  logits_scale: [number, number];
}

/** How masks are drawn. */
export interface AppearanceTrait {
  /** 0 to 1: of kept masks. */
  opacity: number;
  show: "both" | "fill" | "outline";
  color_by: "label" | "object";
}

/** Which of an ambiguous click's masks is picked first. */
export type Level = "best" | "whole" | "part" | "subpart";

/** A picture that shows what the network does, made when it is asked for. */
export interface InsightTrait {
  kind: "pca" | "attention";
  /** The request whose prompts it speaks of; empty where it speaks of the image alone. */
  request: string;
  width: number;
  height: number;
  /** PNG files, one for each title. */
  pictures: { title: string; data: Bytes }[];
  /** The part of the image that they show. */
  region: BoxTuple;
  /** Why there is no picture, where there is none. */
  message?: string;
}

/** The mask of the ground truth that the draft is compared with. */
export interface TruthTargetTrait {
  index: number;
  id: string;
  label: string;
  box: BoxTuple;
  area: number;
  rle: RleTrait;
}

export interface TruthScoresTrait {
  /** The request whose answer they speak of; empty without a draft. */
  request: string;
  /** How many masks the ground truth has. */
  masks: number;
  /** True IoU of each candidate with the target; 0 where there is none. */
  iou: number[];
  /** `[prompts, true IoU, predicted IoU]` of the draft's answers, in order. */
  curve: [number, number, number][];
}

export interface LabelTrait {
  name: string;
  color: string;
  /** The character that chooses it. */
  hotkey?: string;
  /** What is said of its masks, also by the labels above it. */
  attributes?: AttributeTrait[];
}

export interface AttributeTrait {
  name: string;
  kind: "text" | "number" | "choice" | "tag";
  /** Of a choice, and of a tag that has several. */
  choices?: string[];
}

export type AttributeValue = string | number | boolean | string[];

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
  attributes?: Record<string, AttributeValue>;
  /** The id of the annotation that it is a part of. */
  parent?: string;
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
  /** The id of an annotation that is to be selected; empty when it is. */
  selection: string;
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
  decoder: DecoderTrait | null;
  /** The part of the image that is embedded on its own; null for the whole. */
  region: BoxTuple | null;
  level: Level;
  /** What is kept takes nothing from what was kept before. */
  protect: boolean;
  appearance: AppearanceTrait;
  /** Keys that Python has given to verbs. */
  keymap: Record<string, string[]>;
  insight: InsightTrait | null;
  truth_target: TruthTargetTrait | null;
  /** Null where nobody has told the truth. */
  truth_scores: TruthScoresTrait | null;
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
  selection: "",
  found: [],
  taken: [],
  everything_run: { state: "idle", done: 0, total: 0, found: 0 },
  history: { undo: null, redo: null },
  status: { state: "loading", model: "", device: "", message: "", progress: null },
  model: "",
  models: [],
  download: { name: "", done: 0, total: 0, state: "idle", message: "" },
  notice: null,
  height: 540,
  decoder: null,
  region: null,
  level: "best",
  protect: false,
  appearance: { opacity: 0.3, show: "both", color_by: "label" },
  keymap: {},
  insight: null,
  truth_target: null,
  truth_scores: null,
};
