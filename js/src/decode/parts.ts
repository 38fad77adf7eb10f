// Brings parts from the kernel, piece by piece, or from wherever the host has them.
//
// A kernel that is busy with a cell answers when it is free, so nothing here runs out of patience: each
// piece is asked for once, and only after a long silence one of them once more.
import { bytesOf } from "../codecs/bytes";
import type { Host } from "../host/host";
import type { PartTrait } from "../host/traits";
import { findPart, keepPart } from "./part_cache";

const IN_FLIGHT = 4;
/** A message may get lost when a connection is restored; the silence doubles with each time. */
const SILENCE_MS = 60_000;

type Plain = Uint8Array<ArrayBuffer>;

/** The widget that asked is closed. */
export class Gone extends Error {
  override readonly name = "Gone";
}

interface Download {
  part: PartTrait;
  /** What was asked for first comes first. */
  order: number;
  pieces: (Uint8Array | undefined)[];
  missing: number;
  resolve(bytes: Plain): void;
  reject(error: Error): void;
}

interface Piece {
  download: Download;
  piece: number;
}

export class PartLoader {
  private readonly downloads = new Map<string, Download>();
  private waiting: Piece[] = [];
  private asked: Piece[] = [];
  /** A file lets go of what it has handed over; a worker that is started again needs it again. */
  private readonly handedOver = new Map<string, Plain>();
  private readonly loads = new Map<string, Promise<Plain>>();
  private readonly stopListening: () => void;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private patience = SILENCE_MS;
  private counter = 0;
  private gone = false;

  constructor(private readonly host: Host) {
    this.stopListening = host.onDelivery((delivery, buffers) => {
      if (delivery.op === "part") this.receive(delivery, bytesOf(buffers[0]));
    });
  }

  /**
   * The unpacked part. `keep` says that the browser may hold on to it for later pages.
   * Rejects with `Gone` when the loader is disposed of, or with the kernel's or the host's objection.
   */
  load(part: PartTrait, keep: boolean): Promise<Plain> {
    const running = this.loads.get(part.key);
    if (running) return running;
    const load = this.find(part, keep, this.counter++).finally(() => this.loads.delete(part.key));
    this.loads.set(part.key, load);
    return load;
  }

  /** Nobody needs this part any more. */
  drop(part: PartTrait): void {
    const download = this.downloads.get(part.key);
    if (download) this.fail(download, new Gone());
  }

  dispose(): void {
    this.gone = true;
    clearTimeout(this.silence);
    this.stopListening();
    for (const download of [...this.downloads.values()]) this.fail(download, new Gone());
  }

  private async find(part: PartTrait, keep: boolean, order: number): Promise<Plain> {
    const kept = keep && !this.host.part ? await findPart(part) : null;
    if (kept) {
      try {
        return await unpack(part, kept);
      } catch {
        // damaged while it lay there: as if it were not
      }
    }
    if (this.gone) throw new Gone();
    const bytes = this.host.part
      ? await this.takeOver(part, keep)
      : await this.download(part, order);
    const unpacked = await unpack(part, bytes);
    if (keep && !this.host.part) void keepPart(part, bytes);
    return unpacked;
  }

  private async takeOver(part: PartTrait, keep: boolean): Promise<Plain> {
    const bytes = this.handedOver.get(part.key) ?? new Uint8Array(await this.host.part!(part.key));
    if (keep) this.handedOver.set(part.key, bytes);
    return bytes;
  }

  private download(part: PartTrait, order: number): Promise<Plain> {
    return new Promise((resolve, reject) => {
      const download: Download = { part, order, pieces: [undefined], missing: 1, resolve, reject };
      this.downloads.set(part.key, download);
      // Only the first answer tells how many there are.
      this.waiting.push({ download, piece: 0 });
      this.pump();
    });
  }

  private pump(): void {
    this.waiting.sort((a, b) => a.download.order - b.download.order || a.piece - b.piece);
    while (this.asked.length < IN_FLIGHT && this.waiting.length > 0) {
      const next = this.waiting.shift()!;
      this.asked.push(next);
      this.ask(next);
    }
    this.listenForSilence();
  }

  private ask({ download, piece }: Piece): void {
    try {
      this.host.send({ op: "part", key: download.part.key, piece });
    } catch (e) {
      this.fail(download, e instanceof Error ? e : new Error(String(e)));
    }
  }

  private listenForSilence(): void {
    clearTimeout(this.silence);
    const oldest = this.asked[0];
    if (!oldest || this.gone) return;
    this.silence = setTimeout(() => {
      this.patience *= 2;
      this.ask(oldest);
      this.listenForSilence();
    }, this.patience);
  }

  private receive(
    { key, piece, pieces, error }: { key: string; piece: number; pieces: number; error?: string },
    bytes: Uint8Array,
  ): void {
    // Other views of this widget hear the same deliveries, and ask for the same parts.
    const download = this.downloads.get(key);
    if (!download) return;
    if (error) return this.fail(download, new Error(error));
    if (download.pieces.length === 1 && pieces > 1) {
      const more = Array.from({ length: pieces - 1 }, (_, i) => ({ download, piece: i + 1 }));
      download.pieces.length = pieces;
      download.missing = pieces;
      this.waiting.push(...more);
    }
    if (piece >= download.pieces.length || download.pieces[piece]) return;
    download.pieces[piece] = bytes;
    download.missing--;
    const other = (p: Piece): boolean => p.download !== download || p.piece !== piece;
    this.asked = this.asked.filter(other);
    this.waiting = this.waiting.filter(other);
    this.patience = SILENCE_MS;
    if (download.missing === 0) {
      this.downloads.delete(key);
      download.resolve(joined(download.pieces as Uint8Array[]));
    }
    this.pump();
  }

  private fail(download: Download, error: Error): void {
    this.downloads.delete(download.part.key);
    this.waiting = this.waiting.filter((p) => p.download !== download);
    this.asked = this.asked.filter((p) => p.download !== download);
    download.reject(error);
    if (!this.gone) this.pump();
  }
}

function joined(pieces: readonly Uint8Array[]): Plain {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

async function unpack(part: PartTrait, bytes: Plain): Promise<Plain> {
  let unpacked = bytes;
  if (part.encoding === "gzip") {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked = new Uint8Array(await new Response(stream).arrayBuffer());
  }
  if (unpacked.length !== part.unpacked) {
    throw new Error(`A part has ${unpacked.length} bytes; expected ${part.unpacked}.`);
  }
  return unpacked;
}
