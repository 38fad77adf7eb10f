// The words between the page and its worker. Every question has a number, and one answer.

/** A tensor of the image: its halves, little-endian, and its shape. */
export interface HalfTensor {
  name: string;
  shape: readonly number[];
  halves: Uint8Array;
}

export type Question =
  /** The first one: ONNX Runtime's wasm and the graphs. */
  | { op: "start"; wasm: Uint8Array; prepare: Uint8Array; refine: Uint8Array; decode: Uint8Array; threads: number }
  /** An image to be asked about, under a name. */
  | { op: "image"; image: string; tensors: HalfTensor[] }
  /** Prompts in the network's input pixels, (T, 2) and (T,), and the (s, s) logits to refine. */
  | {
      op: "run"; image: string; coords: Float32Array; labels: Float32Array;
      mask: Float32Array | null;
    };

/** What came out: the logits of the four tokens and their predicted IoU. */
export interface Output {
  /** (4, s, s) */
  logits: Float32Array;
  /** (4,) */
  iou: Float32Array;
  /** What the worker itself took, in milliseconds. */
  ms: number;
}

export type Reply =
  | { id: number; ok: true; threads?: number; output?: Output }
  /** `missing`: the worker has forgotten the image; send it again, then ask again. */
  | { id: number; ok: false; error: string; missing: boolean };
