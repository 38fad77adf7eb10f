// The messages that kernel and browser exchange beside the synced traits, exactly as on the wire.
import type { AttributeValue, BoxTuple, InsightTrait, Prompt } from "./traits";

/** Custom messages from browser to kernel. Their whole effect comes back through traits. */
export type Intent =
  | { op: "keep"; request: string; picked: number; threshold?: number }
  /** Keeps what this page has answered itself: all that the kernel needs to answer it again. */
  | {
      op: "keep_draft"; id: string; request: string; prompts: Prompt[]; picks: number[]; picked: number;
      label: string; threshold: number; seconds: number;
    }
  | { op: "paint"; id: string; add: boolean; radius: number; points: [number, number][] }
  | { op: "tidy"; ids: string[]; holes: number; islands: number }
  | {
      op: "combine"; id: string; how: "add" | "subtract" | "intersect";
      request: string; picked: number; threshold?: number;
    }
  | { op: "reorder"; ids: string[]; to: "front" | "back" | "forward" | "backward" }
  | { op: "start_from"; id: string }
  | { op: "propose_boxes"; boxes: BoxTuple[] }
  | { op: "focus_region"; box: BoxTuple }
  | { op: "leave_region" }
  /** This page has selected what the trait `selection` asks for. */
  | { op: "selected"; id: string }
  /** This page would answer prompts itself; what it needs is named by the trait `decoder` from then on. */
  | { op: "decoder" }
  /** Answered by a message with the piece's bytes. */
  | { op: "part"; key: string; piece: number }
  | { op: "tile"; level: number; column: number; row: number }
  | { op: "insight"; kind: InsightTrait["kind"] }
  | { op: "clear" }
  | { op: "undo" }
  | { op: "redo" }
  | { op: "delete"; ids: string[] }
  | { op: "relabel"; ids: string[]; label: string }
  | { op: "show"; ids: string[]; visible: boolean }
  /** Null takes a value away. */
  | { op: "set_attributes"; ids: string[]; values: Record<string, AttributeValue | null> }
  | { op: "set_parent"; ids: string[]; parent: string }
  | { op: "add_label"; name: string }
  | { op: "everything"; settings?: Record<string, unknown> }
  | { op: "cancel_everything" }
  | { op: "keep_proposals"; ids: string[]; label?: string }
  | { op: "clear_proposals" }
  | { op: "use_model"; name: string }
  | { op: "download_model"; name: string }
  | { op: "cancel_download" }
  | { op: "dismiss"; id: string };

/** Custom messages from kernel to browser: bytes that were asked for, and that may be asked for again. */
export type Delivery =
  | { op: "part"; key: string; piece: number; pieces: number; error?: string }
  | { op: "tile"; level: number; column: number; row: number; mime: string; error?: string };
