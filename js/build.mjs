// Bundles the front end.
//   node build.mjs                widget.js, standalone.js, widget.css and decode/ into
//                                 ../segwidget/static (or --outdir DIR)
//   node build.mjs --dev          serves the demo page and rebuilds on every reload
//   node build.mjs --demo DIR     writes the demo page into DIR, to open or to photograph
import { copyFile, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const argument = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : (process.argv[at + 1] ?? "");
};

const BUDGET_BYTES = 300_000; // the bundle must stay light enough to travel with every notebook

const common = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
};

// What is bundled from others travels with its licence, as the licence asks.
const BUNDLED = ["preact", "@preact/signals", "@preact/signals-core"];

async function notices() {
  const texts = BUNDLED.map(async (name) => {
    const licence = await readFile(join(here, "node_modules", name, "LICENSE"), "utf8");
    return `${name}\n\n${licence.trim()}`;
  });
  return `/*! Contains:\n\n${(await Promise.all(texts)).join("\n\n")}\n*/`;
}

/** Writes bytes gzipped, the same at each build. What is there already is not packed anew. */
async function writePacked(path, bytes) {
  const there = await readFile(path).catch(() => null);
  try {
    if (there && gunzipSync(there).equals(bytes)) return there.length;
  } catch {
    // damaged: written anew
  }
  const packed = gzipSync(bytes, { level: 9 });
  packed[9] = 255; // the system that it was packed on: unknown
  await writeFile(`${path}.new`, packed);
  await rename(`${path}.new`, path);
  return packed.length;
}

// What answers prompts in the page. It stays out of widget.js: the kernel sends it when it is needed.
async function buildDecoder(outdir) {
  await mkdir(outdir, { recursive: true });
  const licence = await readFile(join(here, "licences/onnxruntime-web.txt"), "utf8");
  const { outputFiles } = await esbuild.build({
    ...common,
    minify: true,
    // A classic script: pages opened from a file start no module workers from Blob URLs.
    format: "iife",
    define: { "import.meta.url": "self.location.href" },
    entryPoints: ["src/decode/worker.ts"],
    banner: { js: `/*! Contains:\n\n${licence.trim()}\n*/` },
    write: false,
  });
  const wasm = join(here, "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");
  return {
    worker: await writePacked(join(outdir, "worker.js.gz"), Buffer.from(outputFiles[0].contents)),
    wasm: await writePacked(join(outdir, "ort.wasm.gz"), await readFile(wasm)),
  };
}

const demo = {
  ...common,
  entryPoints: { main: "demo/main.ts", widget: "src/styles/widget.css" },
  sourcemap: "inline",
};

if (process.argv.includes("--dev")) {
  const context = await esbuild.context({ ...demo, outdir: join(here, "demo"), write: false });
  const { port } = await context.serve({ servedir: join(here, "demo"), host: "127.0.0.1" });
  console.log(`The demo page is at http://127.0.0.1:${port}/ (Ctrl+C stops it)`);
} else if (argument("--demo") !== undefined) {
  const outdir = resolve(argument("--demo") || "dist/demo");
  await mkdir(outdir, { recursive: true });
  await esbuild.build({ ...demo, outdir });
  await copyFile(join(here, "demo/index.html"), join(outdir, "index.html"));
  console.log(`The demo page is in ${outdir}`);
} else {
  const outdir = resolve(argument("--outdir") || join(here, "../segwidget/static"));
  await esbuild.build({
    ...common,
    minify: true,
    entryPoints: { widget: "src/widget.ts", standalone: "src/standalone.ts" },
    banner: { js: await notices() },
    outdir,
  });
  await esbuild.build({
    ...common,
    minify: true,
    entryPoints: { widget: "src/styles/widget.css" },
    outdir,
  });
  const { size } = await stat(join(outdir, "widget.js"));
  const css = await stat(join(outdir, "widget.css"));
  const decoder = await buildDecoder(join(outdir, "decode"));
  const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  console.log(`widget.js ${kB(size)}, widget.css ${kB(css.size)}`);
  console.log(`decode/worker.js.gz ${kB(decoder.worker)}, decode/ort.wasm.gz ${kB(decoder.wasm)}`);
  if (size > BUDGET_BYTES) {
    console.error(`widget.js is ${size} bytes; the budget is ${BUDGET_BYTES}.`);
    process.exitCode = 1;
  }
}
