// Parts that the browser keeps between pages, as they travel. Where it may not, everything is as if
// nothing had ever been kept: these functions never throw.
import type { PartTrait } from "../host/traits";

const CACHE = "segwidget-parts";
/** Two models' worth of parts, and what an earlier version has left. */
const MAX_KEPT = 12;

const addressOf = (part: PartTrait): string =>
  `https://segwidget.invalid/parts/${encodeURIComponent(part.key)}`;

export async function findPart(part: PartTrait): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const cache = await caches.open(CACHE);
    const found = await cache.match(addressOf(part));
    if (!found) return null;
    const bytes = new Uint8Array(await found.arrayBuffer());
    return bytes.length === part.bytes ? bytes : null;
  } catch {
    return null; // no caches on plain http, in sandboxed frames and private windows
  }
}

export async function keepPart(part: PartTrait, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    const cache = await caches.open(CACHE);
    await cache.put(addressOf(part), new Response(bytes));
    const kept = await cache.keys();
    for (const oldest of kept.slice(0, Math.max(0, kept.length - MAX_KEPT))) await cache.delete(oldest);
  } catch {
    // no room, or not allowed: it will be asked for again
  }
}
