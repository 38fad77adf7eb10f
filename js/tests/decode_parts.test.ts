// @vitest-environment node
import { Gone, PartLoader } from "../src/decode/parts";
import { PartsHost, turns } from "./decode_helpers";

const bytesOfLength = (count: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: count }, (_, i) => (i * 2654435761) >>> 13);

/** A browser's cache, as far as it is used. */
function fakeCaches() {
  const kept = new Map<string, Response>();
  const cache = {
    match: async (address: string) => kept.get(address)?.clone(),
    put: async (address: string, response: Response) => void kept.set(address, response),
    keys: async () => [...kept.keys()],
    delete: async (address: string) => kept.delete(address),
  };
  return { kept, caches: { open: async () => cache } };
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

beforeEach(() => vi.stubGlobal("caches", undefined));

test("pieces in any order become the part, unpacked", async () => {
  const host = new PartsHost();
  const loader = new PartLoader(host);
  const bytes = bytesOfLength(3000);
  const load = loader.load(host.put("a", bytes), false);
  await turns();
  expect(host.asked).toEqual([{ op: "part", key: "a", piece: 0 }]); // which tells how many there are
  host.deliver();
  let seed = 1;
  while (host.asked.length > 0) {
    expect(host.asked.length).toBeLessThanOrEqual(4);
    seed = (seed * 16807) % 2147483647;
    host.deliver(seed % host.asked.length);
  }
  expect(await load).toEqual(bytes);
  const pieces = host.log.map((asked) => asked.piece);
  expect(pieces).toEqual(pieces.map((_, i) => i)); // each once, in their order
});

test("parts come one after another, few pieces at a time", async () => {
  const host = new PartsHost();
  const loader = new PartLoader(host);
  const parts = ["a", "b", "c"].map((key) => host.put(key, bytesOfLength(350), "none"));
  const loads = parts.map((part) => loader.load(part, false));
  await turns();
  while (host.asked.length > 0) host.deliver();
  for (const load of loads) expect(await load).toHaveLength(350);
  expect(host.log.map((a) => `${a.key}${a.piece}`)).toEqual([
    "a0", "b0", "c0", "a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3",
  ]);
});

test("a part that is asked for twice is brought once", async () => {
  const host = new PartsHost();
  const loader = new PartLoader(host);
  const part = host.put("a", bytesOfLength(50));
  const loads = [loader.load(part, false), loader.load(part, false)];
  await turns();
  expect(host.asked).toHaveLength(1);
  host.deliver();
  expect(await loads[0]).toBe(await loads[1]);
});

test("deliveries that nobody asked for, or twice, change nothing", async () => {
  const host = new PartsHost();
  const loader = new PartLoader(host);
  const bytes = bytesOfLength(250);
  const load = loader.load(host.put("a", bytes, "none"), false);
  await turns();
  host.tell({ op: "part", key: "b", piece: 0, pieces: 1 }, new DataView(new ArrayBuffer(9)));
  host.tell({ op: "tile", level: 0, column: 0, row: 0, mime: "image/png" });
  host.asked.push({ op: "part", key: "a", piece: 0 });
  while (host.asked.length > 0) host.deliver();
  expect(await load).toEqual(bytes);
});

test("what the kernel objects to is rejected, and the rest goes on", async () => {
  const host = new PartsHost();
  const loader = new PartLoader(host);
  const missing = loader.load({ key: "nowhere", bytes: 1, unpacked: 1, encoding: "none" }, false);
  const there = loader.load(host.put("a", bytesOfLength(900), "none"), false);
  const objection = expect(missing).rejects.toThrow("not here");
  await turns();
  while (host.asked.length > 0) host.deliver();
  await objection;
  expect(await there).toHaveLength(900);
});

test("a closed connection is an error, never an exception from elsewhere", async () => {
  const host = new PartsHost();
  const loader = new PartLoader(host);
  host.closed = true;
  await expect(loader.load(host.put("a", bytesOfLength(50)), false)).rejects.toThrow("closed");
});

test("bytes that are not what was promised are an error", async () => {
  const host = new PartsHost();
  const loader = new PartLoader(host);
  host.prompt = true;
  const part = host.put("a", bytesOfLength(50));
  await expect(loader.load({ ...part, unpacked: 49 }, false)).rejects.toThrow("expected 49");
  host.put("a", bytesOfLength(50), "none"); // no gzip at all
  await expect(loader.load(part, false)).rejects.toThrow();
});

test("a busy kernel is waited for; after a long silence one piece is asked for again", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const host = new PartsHost();
  const loader = new PartLoader(host);
  const bytes = bytesOfLength(1000);
  const load = loader.load(host.put("a", bytes, "none"), false);
  await turns();
  host.deliver();
  expect(host.asked).toHaveLength(4);
  vi.advanceTimersByTime(59_000);
  expect(host.asked).toHaveLength(4);
  vi.advanceTimersByTime(2_000);
  expect(host.asked.map((a) => a.piece)).toEqual([1, 2, 3, 4, 1]);
  vi.advanceTimersByTime(3_600_000); // an hour's cell
  expect(host.asked.length).toBeLessThanOrEqual(4 + 6);
  while (host.asked.length > 0) host.deliver();
  expect(await load).toEqual(bytes);
  expect(vi.getTimerCount()).toBe(0);
});

test("a closed widget's loads say that they are gone, and ask no more", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const host = new PartsHost();
  const loader = new PartLoader(host);
  const load = loader.load(host.put("a", bytesOfLength(2000), "none"), false);
  const gone = expect(load).rejects.toBeInstanceOf(Gone);
  await turns();
  host.deliver();
  const asked = host.log.length;
  loader.dispose();
  await gone;
  while (host.asked.length > 0) host.deliver();
  vi.advanceTimersByTime(1_000_000);
  expect(host.log).toHaveLength(asked);
  await expect(loader.load(host.put("b", bytesOfLength(9)), false)).rejects.toBeInstanceOf(Gone);
});

test("the browser keeps what it may, for the next widget", async () => {
  const { kept, caches } = fakeCaches();
  vi.stubGlobal("caches", caches);
  const host = new PartsHost();
  host.prompt = true;
  const bytes = bytesOfLength(700);
  const part = host.put("a", bytes);
  expect(await new PartLoader(host).load(part, true)).toEqual(bytes);
  await turns();
  expect([...kept.keys()]).toEqual(["https://segwidget.invalid/parts/a"]);
  const asked = host.log.length;
  expect(await new PartLoader(host).load(part, true)).toEqual(bytes);
  expect(host.log).toHaveLength(asked);

  kept.set("https://segwidget.invalid/parts/a", new Response(bytesOfLength(part.bytes)));
  expect(await new PartLoader(host).load(part, true)).toEqual(bytes); // what lay there was damaged
  expect(host.log.length).toBeGreaterThan(asked);
});

test("the browser does not keep embeddings, nor more than a dozen parts", async () => {
  const { kept, caches } = fakeCaches();
  vi.stubGlobal("caches", caches);
  const host = new PartsHost();
  host.prompt = true;
  const loader = new PartLoader(host);
  await loader.load(host.put("embedding", bytesOfLength(9)), false);
  for (let i = 0; i < 15; i++) {
    await loader.load(host.put(`part${i}`, bytesOfLength(9)), true);
    await turns(3);
  }
  expect([...kept.keys()].map((k) => k.split("/").at(-1))).toEqual(
    Array.from({ length: 12 }, (_, i) => `part${i + 3}`),
  );
});

test("where the browser refuses its cache, parts come from the kernel", async () => {
  const refused = { open: () => Promise.reject(new Error("SecurityError")) };
  vi.stubGlobal("caches", refused);
  const host = new PartsHost();
  host.prompt = true;
  expect(await new PartLoader(host).load(host.put("a", bytesOfLength(400)), true)).toHaveLength(400);
});

test("a host without a kernel hands each part over itself, once", async () => {
  const host = new PartsHost();
  const bytes = bytesOfLength(400);
  const part = host.put("a", bytes, "none");
  const handOver = vi.fn(async () => bytes.slice().buffer);
  const loader = new PartLoader(Object.assign(host, { part: handOver }));
  expect(await loader.load(part, true)).toEqual(bytes);
  expect(await loader.load(part, true)).toEqual(bytes); // for a worker that is started again
  expect(handOver).toHaveBeenCalledExactlyOnceWith("a");
  expect(host.log).toEqual([]);
});
