// What this page allows: workers from Blob URLs, WebAssembly, and how many threads.
import type { Browser, Runner } from "./runner";

// The smallest module there is; compiling it fails where the page forbids WebAssembly.
const PROBE =
  "try { new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)); postMessage(true); }" +
  "catch { postMessage(false); }";
/** A browser that starts no worker within this time never will. */
const PROBE_MS = 15_000;

function createWorker(script: BlobPart): Worker {
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  try {
    const worker = new Worker(address, { name: "segwidget" });
    // ONNX Runtime's threads read the script again from this address, so it stays as long as the worker.
    const terminate = worker.terminate.bind(worker);
    worker.terminate = () => {
      terminate();
      URL.revokeObjectURL(address);
    };
    return worker;
  } catch (e) {
    URL.revokeObjectURL(address);
    throw e;
  }
}

function supported(): Promise<boolean> {
  return new Promise((resolve) => {
    if (typeof DecompressionStream === "undefined" || typeof WebAssembly === "undefined") {
      return resolve(false);
    }
    let worker: Worker | undefined;
    const done = (allowed: boolean): void => {
      clearTimeout(timer);
      worker?.terminate();
      resolve(allowed);
    };
    const timer = setTimeout(() => done(false), PROBE_MS);
    try {
      worker = createWorker(PROBE);
      worker.onmessage = ({ data }) => done(data === true);
      worker.onerror = (event) => {
        event.preventDefault();
        done(false);
      };
    } catch {
      done(false);
    }
  });
}

/** Two where memory can be shared between threads, which only cross-origin isolated pages may. */
export function threadsHere(): number {
  return globalThis.crossOriginIsolated ? Math.min(2, navigator.hardwareConcurrency || 1) : 1;
}

/** Resolves when the page has nothing better to do, such as its first paint. */
function idle(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof requestIdleCallback === "function") {
      requestIdleCallback(() => resolve(), { timeout: 2000 });
    } else {
      setTimeout(resolve, 200); // Safari
    }
  });
}

// Each widget loads this code anew, so what the page has once hangs on the page. The number counts the
// shapes that it has had: widgets of different versions may meet.
const SHARED = Symbol.for("segwidget.decoders.1");

export function thisBrowser(): Browser {
  const page = globalThis as unknown as Record<symbol, Map<string, Runner> | undefined>;
  let answer: Promise<boolean> | undefined;
  return {
    supported: () => (answer ??= supported()),
    createWorker,
    idle,
    runners: (page[SHARED] ??= new Map<string, Runner>()),
  };
}
