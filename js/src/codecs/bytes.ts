// Binary values as hosts hand them over, turned into plain bytes without copying where possible.
import type { Bytes } from "../host/traits";

/** The bytes of `value`; a view's offset and length are honored. Text is read as base64. */
export function bytesOf(value: Bytes | null | undefined): Uint8Array<ArrayBuffer> {
  if (value === null || value === undefined) return new Uint8Array(0);
  if (typeof value === "string") {
    const text = atob(value);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
}
